//! Old days go whole or not at all; repairs cut what is torn, and only that.

use column_store::{DiskUse, RemovedDay, Repair, SEAL_DELAY_NS, SealDraft, StoreError, days_to_remove, repair};

use super::*;

const DAY_NS: u64 = 86_400 * S;

fn day(number: u64) -> Day {
    Day::from_ns(DAY_START + number * DAY_NS).unwrap()
}

fn now() -> u64 {
    DAY_START + 4 * DAY_NS
}

/// Four days of a series, the first three sealed; the first has every kind of file that a day can have.
fn four_days() -> (tempfile::TempDir, Store, LoggingDisk) {
    let root = tempfile::tempdir().unwrap();
    let (mut store, disk) = open_logging(root.path());
    let rows: Vec<_> = (0..4).map(|number| trade(DAY_START + number * DAY_NS, number)).collect();
    append(&mut store, &rows);
    let series = store.series::<TradeRow>("coinbase", "BTC-USD").unwrap();
    let gap = column_store::Gap::of_interval(column_store::Stream::Trades, DAY_START, DAY_START, "x");
    store.gap(series, gap).unwrap();
    let by = column_store::Proof::Live;
    let range = column_store::Covered { by, connection: None, from: 1, to: 2, from_ns: DAY_START, to_ns: DAY_START };
    store.cover(series, range).unwrap();
    flush(&mut store);
    store.finish().unwrap();
    for number in 0..3 {
        let draft = SealDraft::read(root.path(), &id(Table::Trades), day(number), &mut |_| {}).unwrap().unwrap();
        store.seal(&draft, day(number).end_ns() + SEAL_DELAY_NS).unwrap();
    }
    for name in ["side.18.11.96.bin.4.torn", "gaps.18.11.96.jsonl.0-1.torn", "price.18.11.96.bin.tmp"] {
        fs::write(file(root.path(), Table::Trades, name), "x").unwrap();
    }
    (root, store, disk)
}

/// Removes all days before a day, but not the newest `keep`.
fn remove(
    root: &Path,
    store: &mut Store,
    before: Day,
    keep: usize,
    now_ns: u64,
    force: bool,
) -> Result<Vec<RemovedDay>, StoreError> {
    let days = days_to_remove(root, before, keep, force)?;
    days.iter().map(|(id, day)| Ok(store.remove_day(id, *day, now_ns, force)?.unwrap())).collect()
}

/// Files of the series by the day in their names.
fn files_of(root: &Path, number: u64) -> usize {
    let part = format!(".{}.", day(number));
    let directory = root.join(id(Table::Trades).path());
    fs::read_dir(directory)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().contains(&part))
        .count()
}

#[test]
fn days_before_a_day_go_with_all_their_files() {
    let (root, mut store, _) = four_days();
    assert_eq!(files_of(root.path(), 0), 12 + 3 + 3);
    let stranger = file(root.path(), Table::Trades, "notes.18.11.96.txt");
    fs::write(&stranger, "").unwrap();
    // A claim about a day that goes is not written after it.
    let series = store.series::<TradeRow>("coinbase", "BTC-USD").unwrap();
    let by = column_store::Proof::Live;
    let range = column_store::Covered { by, connection: None, from: 8, to: 9, from_ns: DAY_START, to_ns: DAY_START };
    store.cover(series, range).unwrap();
    let removed = remove(root.path(), &mut store, day(2), 0, now(), false).unwrap();
    let found: Vec<_> = removed.iter().map(|removed| (removed.series.to_string(), removed.day)).collect();
    assert_eq!(found, [("coinbase/BTC-USD/TRADES".into(), day(0)), ("coinbase/BTC-USD/TRADES".into(), day(1))]);
    assert!(removed[1].bytes > 92 && removed[0].bytes > removed[1].bytes);
    assert_eq!((files_of(root.path(), 0), files_of(root.path(), 1)), (1, 0), "only the stranger is left");
    assert!(stranger.exists());
    assert_eq!(u64s(&read_all(root.path(), Table::Trades), "id"), [2, 3]);
    assert!(remove(root.path(), &mut store, day(2), 0, now(), false).unwrap().is_empty(), "nothing more to remove");
    // The series goes on, also after a restart on another boot.
    append(&mut store, &[trade(DAY_START + 3 * DAY_NS + 1, 4)]);
    flush(&mut store);
    store.finish().unwrap();
    assert_eq!(files_of(root.path(), 0), 1);
    drop(store);
    drop(Store::open_on_boot(root.path(), Options::default(), "boot-2".into()).unwrap());
    assert_eq!(u64s(&read_all(root.path(), Table::Trades), "id"), [2, 3, 4]);
}

#[test]
fn today_and_days_that_are_not_sealed_stay() {
    let (root, mut store, _) = four_days();
    let error = store.remove_day(&id(Table::Trades), day(3), now() - 1, true).unwrap_err();
    assert!(matches!(error, StoreError::NotOver { .. }), "{error}");
    let error = store.remove_day(&id(Table::Trades), day(3), now(), false).unwrap_err();
    assert!(matches!(error, StoreError::Unsealed { .. }), "{error}");
    let error = remove(root.path(), &mut store, day(4), 0, now(), false).unwrap_err();
    assert!(matches!(error, StoreError::Unsealed { day: unsealed, .. } if unsealed == day(3)), "{error}");
    assert_eq!(u64s(&read_all(root.path(), Table::Trades), "id"), [0, 1, 2, 3], "nothing was removed");
    // Forced, it goes; rows in memory do not.
    append(&mut store, &[trade(DAY_START + 3 * DAY_NS, 4)]);
    assert!(store.remove_day(&id(Table::Trades), day(3), now(), true).is_err());
    flush(&mut store);
    assert_eq!(remove(root.path(), &mut store, day(4), 0, now(), true).unwrap().len(), 4);
    assert!(read_all(root.path(), Table::Trades)[0].1.is_empty());
    // A row that still belongs to a day that was removed is recorded in new files.
    append(&mut store, &[trade(DAY_START + 3 * DAY_NS, 6)]);
    flush(&mut store);
    assert_eq!(u64s(&read_all(root.path(), Table::Trades), "id"), [6]);
    assert_eq!(remove(root.path(), &mut store, day(4), 0, now(), true).unwrap().len(), 1);
    // A series of which every day was removed goes on, and its checkpoint claims nothing that is gone.
    append(&mut store, &[trade(DAY_START + 4 * DAY_NS, 5)]);
    flush(&mut store);
    store.finish().unwrap();
    drop(store);
    drop(Store::open_on_boot(root.path(), Options::default(), "boot-2".into()).unwrap());
    assert_eq!(u64s(&read_all(root.path(), Table::Trades), "id"), [5]);
}

/// A clock that is years ahead makes every day old.
#[test]
fn the_newest_days_of_a_series_stay_whatever_the_clock_says() {
    let (root, mut store, _) = four_days();
    let ahead = now() + 1_000 * DAY_NS;
    assert_eq!(remove(root.path(), &mut store, day(1_000), 3, ahead, true).unwrap().len(), 1);
    assert_eq!(u64s(&read_all(root.path(), Table::Trades), "id"), [1, 2, 3]);
    assert!(remove(root.path(), &mut store, day(1_000), 9, ahead, true).unwrap().is_empty(), "there are not so many");
}

/// Killed, or failed, at any of its steps: readers see the day whole or not at all, and the next start finishes it.
#[test]
fn a_removal_cut_short_is_finished() {
    for after in 0.. {
        let (root, mut store, disk) = four_days();
        disk.fail_after(after, false);
        let result = remove(root.path(), &mut store, day(1), 0, now(), false);
        let ids = u64s(&read_all(root.path(), Table::Trades), "id");
        assert!(ids == [0, 1, 2, 3] || ids == [1, 2, 3], "{ids:?} after {after}");
        let marked = file(root.path(), Table::Trades, "removed.18.11.96.json").exists();
        drop(store);
        let store = open(root.path());
        assert!(store.recovered().is_empty(), "{:?}", store.recovered());
        let is_gone = marked || result.is_ok();
        assert_eq!(files_of(root.path(), 0) == 0, is_gone, "after {after}");
        assert!(is_gone || files_of(root.path(), 0) >= 18, "nothing was taken without the marker");
        assert_eq!(u64s(&read_all(root.path(), Table::Trades), "id").len(), if is_gone { 3 } else { 4 });
        if let Ok(removed) = result {
            assert_eq!(removed.len(), 1);
            let wishes = disk.wishes();
            let at = |wish: &str, name: &str| wishes.iter().rposition(|(a, b)| *a == wish && b == name).unwrap();
            let marker = "removed.18.11.96.json";
            assert!(at("rename", marker) < at("remove", "time.18.11.96.bin"));
            assert!(at("remove", "time.18.11.96.bin") < at("remove", "nanos.18.11.96.bin"));
            assert_eq!(wishes[wishes.len() - 2..], [("sync", "TRADES".into()), ("remove", marker.into())]);
            break;
        }
    }
}

#[test]
fn the_disk_lasts_as_long_as_days_like_the_last_ones_fit() {
    let (root, ..) = four_days();
    let usage = DiskUse::of(root.path()).unwrap();
    assert_eq!(usage.bytes.len(), 4);
    assert_eq!(usage.bytes[&day(3)], 92);
    let bytes = [(day(0), 10), (day(1), 100), (day(2), 300), (day(3), 999)];
    let usage = DiskUse { bytes: bytes.into() };
    assert_eq!(usage.days_left(1_000, day(3), 2), Some(5.0), "200 a day, and not today's");
    assert_eq!(usage.days_left(1_000, day(0), 7), None);
    assert_eq!(usage.days_left(999, day(6), 3), Some(3.0), "two days without data count");
}

fn set_len(root: &Path, column: &str, number: u64, length: u64) {
    let path = file(root, Table::Trades, &format!("{column}.{}.bin", day(number)));
    fs::File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

#[test]
fn a_repair_cuts_torn_rows_and_keeps_them() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    append(&mut store, &[trade(DAY_START, 1), trade(DAY_START, 2), trade(DAY_START, 3)]);
    flush(&mut store);
    let held = repair(root.path(), &Repair::default(), &mut |_| {});
    assert!(matches!(held, Err(StoreError::Locked { .. })), "not beside a logger");
    drop(store);
    fs::remove_file(root.path().join("checkpoint")).unwrap();
    set_len(root.path(), "price", 0, 11);
    fs::write(file(root.path(), Table::Trades, "gaps.18.11.96.jsonl"), "{}\n{\"").unwrap();
    let one = Repair { most_rows: 0, ..Repair::default() };
    let done = repair(root.path(), &one, &mut |_| {}).unwrap();
    assert_eq!((done.cuts.len(), done.refused.len()), (1, 1), "only the line: {done:?}");
    assert!(done.refused[0].2.starts_with("1 rows would be cut off"), "{done:?}");
    let other_day = Repair { days: Some(day(1)..=day(2)), ..Repair::default() };
    assert_eq!(repair(root.path(), &other_day, &mut |_| {}).unwrap(), Default::default());
    let mut steps = 0;
    let done = repair(root.path(), &Repair::default(), &mut |progress| steps += progress.total).unwrap();
    assert_eq!((done.cuts.len(), done.refused.len(), steps), (12, 0, 1));
    assert_whole_rows(root.path(), Table::Trades, day(0), 2);
    let kept = done.cuts.iter().find(|cut| cut.file.ends_with("id.18.11.96.bin")).unwrap();
    assert_eq!(fs::read(&kept.kept_in).unwrap(), 3_u64.to_le_bytes());
    assert_eq!(repair(root.path(), &Repair::default(), &mut |_| {}).unwrap(), Default::default(), "nothing is left");
}

#[test]
fn a_repair_refuses_to_cut_what_is_proven_or_has_no_time() {
    let (root, store, _) = four_days();
    drop(store);
    set_len(root.path(), "side", 0, 3);
    set_len(root.path(), "side", 3, 3);
    fs::remove_file(file(root.path(), Table::Trades, "time.19.11.96.bin")).unwrap();
    let done = repair(root.path(), &Repair::default(), &mut |_| {}).unwrap();
    let refused: Vec<_> = done.refused.iter().map(|(_, day, reason)| (*day, reason.as_str())).collect();
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert!(refused[0].1.contains("side.18.11.96.bin") && refused[0].1.contains("sealed.18.11.96.json"));
    assert!(refused[1].1.contains("`time`"));
    assert!(refused[2].1.contains("side.21.11.96.bin") && refused[2].1.contains("checkpoint"));
    assert!(done.cuts.is_empty());
}
