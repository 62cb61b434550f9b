//! Sealed days: the marker's bytes, who gets it when, and that a later row takes it away first, whatever fails.

use column_store::{SEAL_DELAY_NS, Seal, SealDraft, Sealing, StoreError};

use super::*;

const MARKER: &str = "sealed.18.11.96.json";
const TIME: &str = "time.18.11.96.bin";

fn day() -> Day {
    "18.11.96".parse().unwrap()
}

/// Long after the day.
fn later() -> u64 {
    day().end_ns() + SEAL_DELAY_NS
}

fn draft(root: &Path) -> SealDraft {
    SealDraft::read(root, &id(Table::Trades), day(), &mut |_| {}).unwrap().unwrap()
}

fn seal(root: &Path) -> Option<Seal> {
    Reader::open(root).unwrap().seal(&id(Table::Trades), day()).unwrap()
}

/// Two rows in the files, and sealed.
fn sealed() -> (tempfile::TempDir, Store, LoggingDisk) {
    let root = tempfile::tempdir().unwrap();
    let (mut store, disk) = open_logging(root.path());
    append(&mut store, &[trade(DAY_START, 1), trade(DAY_START, 2)]);
    flush(&mut store);
    assert_eq!(store.seal(&draft(root.path()), later()).unwrap(), Sealing::Sealed);
    (root, store, disk)
}

#[test]
fn golden_marker() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    append(&mut store, &[TradeRow { maker_order_id: [0; 16], ..trade(1_794_960_000 * S, 1) }]);
    flush(&mut store);
    let day: Day = "18.11.26".parse().unwrap();
    let mut bytes = 0;
    let draft = SealDraft::read(root.path(), &id(Table::Trades), day, &mut |read| bytes += read).unwrap().unwrap();
    assert_eq!(bytes, 92, "every byte of the day is read");
    store.seal(&draft, 1_795_047_000 * S).unwrap();
    let text = fs::read_to_string(file(root.path(), Table::Trades, "sealed.18.11.26.json")).unwrap();
    assert!(text.starts_with(r#"{"day":"18.11.26","rows":1,"sealed_ns":1795047000000000000,"columns":{"event_ns":""#));
    assert!(text.ends_with("\"}}\n"), "{text}");
    let seal = Reader::open(root.path()).unwrap().seal(&id(Table::Trades), day).unwrap().unwrap();
    // sha256sum of 4 and of 16 zero bytes.
    let zero4 = "df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119";
    let zero16 = "374708fff7719dd5979ec875d56cd2286f6d3cf7ec317a3b25632aab28ec37bb";
    assert_eq!((seal.columns["nanos"].as_str(), seal.columns["maker_order_id"].as_str()), (zero4, zero16));
    assert_eq!(seal.columns.len(), Table::Trades.columns().len());
}

#[test]
fn a_day_is_sealed_ten_minutes_after_it_is_over_and_with_all_its_rows() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    append(&mut store, &[trade(DAY_START, 1)]);
    assert!(SealDraft::read(root.path(), &id(Table::Trades), day(), &mut |_| {}).unwrap().is_none(), "no such day");
    flush(&mut store);
    let first = draft(root.path());
    assert_eq!(store.seal(&first, later() - 1).unwrap(), Sealing::TooEarly);
    append(&mut store, &[trade(DAY_START + 1, 2)]);
    assert_eq!(store.seal(&first, later()).unwrap(), Sealing::RowsWaiting);
    flush(&mut store);
    assert!(matches!(store.seal(&first, later()), Err(StoreError::Changed { .. })), "a draft of fewer rows");
    assert!(seal(root.path()).is_none());
    assert_eq!(store.seal(&draft(root.path()), later()).unwrap(), Sealing::Sealed);
    assert_eq!(seal(root.path()).unwrap().rows, 2);
    // Rows of another day leave it alone.
    append(&mut store, &[trade(DAY_START + 86_400 * S, 3)]);
    flush(&mut store);
    assert!(seal(root.path()).is_some());
}

#[test]
fn a_torn_day_is_not_sealed() {
    let (root, ..) = sealed();
    let side = file(root.path(), Table::Trades, "side.18.11.96.bin");
    fs::File::options().write(true).open(side).unwrap().set_len(9).unwrap();
    let error = SealDraft::read(root.path(), &id(Table::Trades), day(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("side.18.11.96.bin"), "{error}");
    assert!(seal(root.path()).is_none(), "and its marker does not count any more");
}

#[test]
fn after_a_failed_sync_nothing_is_sealed() {
    let root = tempfile::tempdir().unwrap();
    let (mut store, disk) = open_logging(root.path());
    append(&mut store, &[trade(DAY_START, 1)]);
    flush(&mut store);
    disk.fail_after(0, true);
    assert!(store.sync().is_err());
    assert!(matches!(store.seal(&draft(root.path()), later()), Err(StoreError::SyncFailed { .. })));
}

/// What must be on disk before what, for a power loss between any two.
#[test]
fn marker_and_rows_reach_the_disk_in_this_order() {
    let (root, mut store, disk) = sealed();
    let wishes = disk.wishes();
    let from = wishes.iter().position(|(wish, name)| *wish == "sync" && name == "TRADES").unwrap();
    let wishes: Vec<_> = wishes[from..].iter().map(|(wish, name)| (*wish, name.as_str())).collect();
    let temporary = "sealed.18.11.96.json.tmp";
    assert_eq!(
        wishes,
        [("sync", "TRADES"), ("write", temporary), ("sync", temporary), ("rename", MARKER), ("sync", "TRADES")]
    );
    append(&mut store, &[trade(DAY_START + 1, 3)]);
    flush(&mut store);
    let wishes = disk.wishes();
    assert_eq!(wishes[..2], [("remove", MARKER.to_owned()), ("sync", "TRADES".to_owned())], "{wishes:?}");
    assert!(wishes[2..].iter().all(|(wish, _)| *wish == "write"), "{wishes:?}");
    assert!(seal(root.path()).is_none());
    // It is looked for once, and not at every flush.
    append(&mut store, &[trade(DAY_START + 1, 4)]);
    flush(&mut store);
    assert!(disk.wishes().iter().all(|(wish, _)| *wish == "write"));
}

/// A process that is killed, or a disk that fails, at any point of unsealing, writing and sealing again.
#[test]
fn a_marker_never_stands_beside_rows_it_does_not_know() {
    for fails_once in [false, true] {
        for after in 0.. {
            let (root, mut store, disk) = sealed();
            disk.fail_after(after, fails_once);
            append(&mut store, &[trade(DAY_START + 1, 3)]);
            let check = |at: &str| {
                let rows = fs::metadata(file(root.path(), Table::Trades, TIME)).unwrap().len() / 4;
                let text = fs::read(file(root.path(), Table::Trades, MARKER)).ok();
                let marker = text.map(|text| serde_json::from_slice::<Seal>(&text).unwrap());
                assert!(marker.is_none_or(|marker| marker.rows == rows), "{at}, failing after {after}");
            };
            let mut failed = store.flush(|_, _| {}).is_err();
            check("flush");
            if fails_once {
                assert_eq!(store.flush(|_, _| {}).map(|()| store.pending_bytes()).unwrap(), 0);
                check("second flush");
            }
            failed |= store.seal(&draft(root.path()), later()).is_err();
            check("seal");
            drop(store);
            let mut store = open(root.path());
            check("restart");
            append(&mut store, &[trade(DAY_START + 1, 4)]);
            flush(&mut store);
            assert!(!file(root.path(), Table::Trades, MARKER).exists());
            let ids = u64s(&read_all(root.path(), Table::Trades), "id");
            assert!(ids == [1, 2, 3, 4] || (!fails_once && ids == [1, 2, 4]), "{ids:?}");
            if !failed {
                assert_eq!(after, 19, "12 columns, the removal, the marker, their syncs");
                break;
            }
        }
    }
}

/// The removal of a marker that was not durable is made so before a row is written, however often it takes.
#[test]
fn a_failed_unsealing_is_finished_before_the_row() {
    let (_root, mut store, disk) = sealed();
    disk.wishes();
    disk.fail_after(1, true);
    append(&mut store, &[trade(DAY_START + 1, 3)]);
    assert!(store.flush(|_, _| {}).is_err());
    assert_eq!(disk.wishes(), [("remove", MARKER.to_owned()), ("sync", "TRADES".to_owned())]);
    flush(&mut store);
    assert_eq!(disk.wishes()[0], ("sync", "TRADES".to_owned()));
}

/// A sealed day is proven, whatever the checkpoint says of it.
#[test]
fn a_power_loss_leaves_a_sealed_day() {
    let root = tempfile::tempdir().unwrap();
    let mut store = Store::open_on_boot(root.path(), Options::default(), "boot-1".into()).unwrap();
    append(&mut store, &[trade(DAY_START, 1), trade(DAY_START, 2)]);
    flush(&mut store);
    store.seal(&draft(root.path()), later()).unwrap();
    drop(store);
    let store = Store::open_on_boot(root.path(), Options::default(), "boot-2".into()).unwrap();
    assert!(store.recovered().is_empty(), "{:?}", store.recovered());
    assert_eq!(seal(root.path()).unwrap().rows, 2);
}

#[test]
fn recovery_refuses_to_cut_a_sealed_day() {
    let (root, store, _) = sealed();
    drop(store);
    fs::remove_file(root.path().join("checkpoint")).unwrap();
    let price = file(root.path(), Table::Trades, "price.18.11.96.bin");
    fs::File::options().write(true).open(&price).unwrap().set_len(4).unwrap();
    let error = Store::open(root.path(), Options::default()).err().unwrap();
    assert!(matches!(error, StoreError::BelowCheckpoint { rows: 1, proven: 2, .. }), "{error}");
    assert!(error.to_string().contains("price.18.11.96.bin") && error.to_string().contains(MARKER), "{error}");
    fs::remove_file(&price).unwrap();
    assert!(Store::open(root.path(), Options::default()).is_err(), "a sealed column that is gone");
}

/// A marker that nobody understands proves nothing; it is no reason to stop recording.
#[test]
fn a_damaged_marker_does_not_keep_the_logger_from_starting() {
    let (root, store, _) = sealed();
    drop(store);
    fs::write(file(root.path(), Table::Trades, MARKER), "{").unwrap();
    let mut store = open(root.path());
    let day = "18.11.96".parse().unwrap();
    assert!(matches!(store.remove_day(&id(Table::Trades), day, later(), false), Err(StoreError::Unsealed { .. })));
    append(&mut store, &[trade(DAY_START + 1, 3)]);
    flush(&mut store);
    assert!(!file(root.path(), Table::Trades, MARKER).exists());
}

#[test]
fn a_validator_changes_with_the_rows_and_nothing_else() {
    let (root, mut store, _) = sealed();
    let first = seal(root.path()).unwrap();
    let validator = first.validator(&["time", "price"]).unwrap();
    assert_eq!(validator.len(), 32);
    assert_eq!(first.validator(&["price", "time", "price"]).unwrap(), validator, "order and repetition do not matter");
    assert_ne!(first.validator(&["time"]).unwrap(), validator);
    assert!(first.validator(&["time", "funding"]).is_none());
    store.seal(&draft(root.path()), later() + 1).unwrap();
    let again = seal(root.path()).unwrap();
    assert_ne!(again, first);
    assert_eq!(again.validator(&["time", "price"]).unwrap(), validator, "sealed again without a change");
    append(&mut store, &[trade(DAY_START + 1, 3)]);
    flush(&mut store);
    store.seal(&draft(root.path()), later()).unwrap();
    assert_ne!(seal(root.path()).unwrap().validator(&["time", "price"]).unwrap(), validator);
}

#[test]
fn a_marker_that_is_not_true_or_no_marker_does_not_count() {
    let (root, ..) = sealed();
    let path = file(root.path(), Table::Trades, MARKER);
    let good = fs::read_to_string(&path).unwrap();
    let bad = [
        "",
        "{",
        &good.replace("18.11.96", "19.11.96"),
        &good.replace("\"rows\":2", "\"rows\":3"),
        &"x".repeat(99_999),
    ];
    for text in bad {
        fs::write(&path, text).unwrap();
        assert!(seal(root.path()).is_none(), "{text}");
    }
    // A column that appeared since.
    fs::write(&path, good.replace("\"size\"", "\"weight\"")).unwrap();
    assert!(seal(root.path()).is_none());
    fs::write(&path, good).unwrap();
    assert!(seal(root.path()).is_some());
}
