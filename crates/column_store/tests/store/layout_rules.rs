//! Time keys, days, padding, the lock, the format's version, and the limit of open files.

use column_store::StoreError;

use super::*;

fn times(root: &Path) -> Vec<u64> {
    let all = read_all(root, Table::Md);
    let u32s = |name: &str| -> Vec<u64> {
        let (_, bytes) = all.iter().find(|(column, _)| column == name).unwrap();
        bytes.chunks(4).map(|cell| u32::from_le_bytes(cell.try_into().unwrap()).into()).collect()
    };
    u32s("time").into_iter().zip(u32s("nanos")).map(|(s, ns)| s * S + ns).collect()
}

#[test]
fn the_key_never_falls_and_the_truth_stays_beside_it() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    let events = [DAY_START + 5, DAY_START + 3, DAY_START + 9];
    append(&mut store, &events.map(|ns| md(ns, ns)));
    flush(&mut store);
    assert_eq!(times(root.path()), [DAY_START + 5, DAY_START + 5, DAY_START + 9]);
    assert_eq!(u64s(&read_all(root.path(), Table::Md), "event_ns"), events, "nothing is dropped or re-sorted");
}

#[test]
fn the_key_does_not_fall_over_midnight_and_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    append(&mut store, &[md(DAY_START - 1, 1), md(DAY_START, 2)]);
    flush(&mut store);
    drop(store);
    let mut store = open(root.path());
    append(&mut store, &[md(DAY_START - 1, 3)]);
    flush(&mut store);
    assert_eq!(times(root.path()), [DAY_START - 1, DAY_START, DAY_START], "a late row stays in the new day");
    assert_whole_rows(root.path(), Table::Md, "17.11.96".parse().unwrap(), 1);
    assert_whole_rows(root.path(), Table::Md, "18.11.96".parse().unwrap(), 2);
}

#[test]
fn an_impossible_event_time_is_filed_under_the_receive_time() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    let mut old = md(DAY_START, 1);
    old.event_ns -= 61 * S;
    old.receive_ns = DAY_START;
    let mut future = md(DAY_START, 2);
    future.event_ns += 3_600 * S;
    append(&mut store, &[old, future]);
    flush(&mut store);
    assert_eq!(times(root.path()), [DAY_START, DAY_START + 1_000]);
}

#[test]
fn a_clock_before_2000_is_an_error_and_takes_no_row() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    let series = store.series::<MdRow>("coinbase", "BTC-USD").unwrap();
    let error = store.append(series, &md(S, 1), TimeRule::Live).unwrap_err();
    assert!(matches!(error, StoreError::Clock { .. }), "{error}");
    assert_eq!(flush(&mut store), 0);
}

#[test]
fn a_column_that_the_day_lacks_is_padded_with_unknowns() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join(id(Table::Md).path());
    fs::create_dir_all(&directory).unwrap();
    // As the ancestor left it: the seven columns, two rows, one of them torn in `best_ask`.
    for name in ["time", "nanos", "price", "volume", "side", "best_bid", "best_ask"] {
        let rows = if name == "best_ask" { 2 } else { 3 };
        let cells: Vec<u8> = ((DAY_START / S) as u32).to_le_bytes().repeat(rows);
        fs::write(directory.join(format!("{name}.18.11.96.bin")), cells).unwrap();
    }
    let mut store = open(root.path());
    assert_eq!(store.recovered().len(), 6);
    append(&mut store, &[md(DAY_START + 7, 42)]);
    flush(&mut store);
    assert_whole_rows(root.path(), Table::Md, "18.11.96".parse().unwrap(), 3);
    let all = read_all(root.path(), Table::Md);
    assert_eq!(u64s(&all, "event_id"), [0, 0, 42]);
    let prices: Vec<_> = u64s(&all, "price_f64").into_iter().map(f64::from_bits).collect();
    assert!(prices[0].is_nan() && prices[1].is_nan());
    assert_eq!(prices[2], 142.25);
}

#[test]
fn a_second_logger_is_kept_out() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let error = Store::open(root.path(), Options::default()).err().unwrap();
    assert!(matches!(error, StoreError::Locked { .. }));
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    drop(store);
    open(root.path());
}

#[test]
fn a_newer_format_is_refused_by_both_sides() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("FORMAT"), "2\n").unwrap();
    assert!(matches!(Store::open(root.path(), Options::default()).err(), Some(StoreError::NewerFormat { .. })));
    assert!(matches!(Reader::open(root.path()).err(), Some(StoreError::NewerFormat { .. })));
    fs::write(root.path().join("FORMAT"), "one").unwrap();
    assert!(matches!(Reader::open(root.path()).err(), Some(StoreError::Damaged { .. })));
}

#[test]
fn open_files_are_bounded() {
    let root = tempfile::tempdir().unwrap();
    let mut store = Store::open(root.path(), Options { open_files: 60, ..Options::default() }).unwrap();
    let symbols: Vec<_> = (0..20).map(|i| store.series::<MdRow>("coinbase", &format!("S{i}-USD")).unwrap()).collect();
    for round in 0..5 {
        for series in &symbols {
            store.append(*series, &md(DAY_START + round, round), TimeRule::Live).unwrap();
        }
        assert_eq!(flush(&mut store), 20);
        assert!(store.open_files() <= 60, "{}", store.open_files());
    }
    for i in 0..20 {
        let directory = root.path().join(format!("coinbase/S{i}-USD/MD"));
        assert_eq!(fs::metadata(directory.join("event_id.18.11.96.bin")).unwrap().len(), 40);
    }
}

#[test]
fn the_last_ids_are_told() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    append(&mut store, &[trade(DAY_START, 5), trade(DAY_START, 7), trade(DAY_START, 6)]);
    let series = store.series::<TradeRow>("coinbase", "BTC-USD").unwrap();
    assert!(store.last_cells(series, "id", 10).unwrap().is_empty());
    flush(&mut store);
    assert_eq!(store.last_cells(series, "id", 2).unwrap(), [7, 6]);
    assert_eq!(store.last_cells(series, "id", 10).unwrap(), [5, 7, 6]);
}
