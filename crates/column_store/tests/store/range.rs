//! Time search, several days, growth and truncation, against a reader that simply looks at every row.

use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::*;

fn select(root: &Path, columns: &[&str], start: u32, end: u32) -> Selection {
    let columns: Vec<_> = columns.iter().map(|name| Table::Md.column(name).unwrap()).collect();
    Reader::open(root).unwrap().select(&id(Table::Md), &columns, start, end).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Heavy duplicates, two midnights, flushes and restarts anywhere: every row of the range comes back once, in order.
    #[test]
    fn every_row_of_a_range_comes_back(
        steps in prop::collection::vec((0_u64..4, 0_u8..20), 1..300),
        ranges in prop::collection::vec((0_u32..400, 0_u32..400), 1..20),
    ) {
        let root = tempfile::tempdir().unwrap();
        let mut store = open(root.path());
        let mut rows = Vec::new();
        // Steps of up to three quarters of an hour cross the midnights; most steps are 0.
        let mut ns = DAY_START - 3 * 3_600 * S;
        for (id, (step, action)) in steps.iter().enumerate() {
            ns += if *step == 3 { u64::from(*action) * 140 * S } else { *step / 2 * 700_000_000 };
            rows.push((ns / S, id as u64));
            append(&mut store, &[md(ns, id as u64)]);
            match action {
                0 => { flush(&mut store); }
                1 => {
                    flush(&mut store);
                    drop(store);
                    store = open(root.path());
                }
                2 => { flush(&mut store); store.sync().unwrap(); }
                _ => {}
            }
        }
        flush(&mut store);
        let base = rows[0].0;
        for (a, b) in ranges {
            let (start, end) = (base + u64::from(a.min(b)) * 20, base + u64::from(a.max(b)) * 20);
            // Half of the ranges begin and end exactly on rows.
            let (start, end) = if a % 2 == 0 {
                let of = |at: u32| rows[at as usize % rows.len()].0;
                (of(a).min(of(b)), of(a).max(of(b)))
            } else {
                (start, end)
            };
            let expected: Vec<u64> =
                rows.iter().filter(|(time, _)| (start..=end).contains(time)).map(|(_, id)| *id).collect();
            let selection = select(root.path(), &["event_id", "time"], start as u32, end as u32);
            prop_assert_eq!(selection.columns[0].rows, expected.len() as u64);
            prop_assert_eq!(u64s(&bytes(&selection), "event_id"), expected);
        }
    }
}

#[test]
fn duplicates_at_both_ends_are_included() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    let seconds = [1, 2, 2, 2, 3, 4, 4, 4, 5];
    let rows: Vec<_> = seconds.iter().enumerate().map(|(i, s)| md(DAY_START + s * S, i as u64)).collect();
    append(&mut store, &rows);
    flush(&mut store);
    let start = (DAY_START / S) as u32;
    let selection = select(root.path(), &["event_id"], start + 2, start + 4);
    assert_eq!(u64s(&bytes(&selection), "event_id"), [1, 2, 3, 4, 5, 6, 7]);
    for (from, to) in [(6, 9), (0, 0), (4, 2)] {
        let selection = select(root.path(), &["event_id"], start + from, start + to);
        assert_eq!(selection.columns[0].rows, 0, "{from}..{to}");
        assert!(selection.columns[0].slices.is_empty());
    }
}

#[test]
fn a_column_asked_for_twice_comes_twice() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    append(&mut store, &[md(DAY_START, 1), md(DAY_START, 2)]);
    flush(&mut store);
    let selection = select(root.path(), &["event_id", "time", "event_id"], 0, u32::MAX);
    let all = bytes(&selection);
    assert_eq!(all.len(), 3);
    assert_eq!(all[0], all[2]);
    assert_eq!(all[0].1.len(), 16);
}

#[test]
fn rows_written_before_a_flush_are_not_seen() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    append(&mut store, &[md(DAY_START, 1)]);
    assert!(!select(root.path(), &["time"], 0, u32::MAX).any_day);
    assert_eq!(store.pending_bytes(), 104);
    assert_eq!(flush(&mut store), 1);
    assert_eq!(store.pending_bytes(), 0);
    assert_eq!(select(root.path(), &["time"], 0, u32::MAX).columns[0].rows, 1);
}

/// A reader beside a writer only ever sees whole rows, and never fewer than before.
#[test]
fn a_growing_day_is_read_in_whole_rows() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for batch in 0..400_u64 {
                let rows: Vec<_> = (0..7).map(|i| md(DAY_START + batch * 1_000, batch * 7 + i)).collect();
                append(&mut store, &rows);
                flush(&mut store);
            }
            done.store(true, Ordering::Release);
        });
        let mut seen = 0;
        loop {
            let last_round = done.load(Ordering::Acquire);
            let all = bytes(&select(root.path(), &["event_id", "time", "ask_size_f64", "event_ns"], 0, u32::MAX));
            let ids = u64s(&all, "event_id");
            assert!(ids.len() >= seen);
            assert_eq!(ids, (0..ids.len() as u64).collect::<Vec<_>>());
            assert_eq!(all[3].1.len(), ids.len() * 8);
            seen = ids.len();
            if last_round {
                break;
            }
        }
        assert_eq!(seen, 2_800);
    });
}

#[test]
fn a_file_cut_after_the_selection_is_an_error_and_no_crash() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    append(&mut store, &(0..1_000).map(|i| md(DAY_START, i)).collect::<Vec<_>>());
    flush(&mut store);
    let selection = select(root.path(), &["event_id"], 0, u32::MAX);
    let file = root.path().join("coinbase/BTC-USD/MD/event_id.18.11.96.bin");
    fs::File::options().write(true).open(&file).unwrap().set_len(800).unwrap();
    let mut buffer = vec![0; 8_000];
    let error = selection.columns[0].slices[0].read_at(&mut buffer, 0).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    // The next selection clamps to what is there; a torn cell does not count.
    fs::File::options().write(true).open(&file).unwrap().set_len(803).unwrap();
    assert_eq!(select(root.path(), &["event_id", "time"], 0, u32::MAX).columns[1].rows, 100);
    // An empty time file is a day without rows.
    let time = root.path().join("coinbase/BTC-USD/MD/time.18.11.96.bin");
    fs::File::options().write(true).open(time).unwrap().set_len(0).unwrap();
    assert_eq!(select(root.path(), &["event_id", "time"], 0, u32::MAX).columns[0].rows, 0);
}

#[test]
fn a_day_that_lacks_a_column_is_named() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    append(&mut store, &[md(DAY_START - S, 1), md(DAY_START, 2)]);
    flush(&mut store);
    fs::remove_file(root.path().join("coinbase/BTC-USD/MD/price_f64.17.11.96.bin")).unwrap();
    let selection = select(root.path(), &["event_id", "price_f64"], 0, u32::MAX);
    assert_eq!(u64s(&bytes(&selection), "event_id"), [2], "left out for all columns");
    assert_eq!(selection.incomplete, [("17.11.96".parse().unwrap(), "price_f64")]);
}

#[test]
fn nothing_outside_the_root_can_be_read() {
    let outside = tempfile::tempdir().unwrap();
    let root = tempfile::tempdir().unwrap();
    let mut store = open(outside.path());
    append(&mut store, &[md(DAY_START, 1)]);
    flush(&mut store);
    let link = root.path().join("coinbase");
    std::os::unix::fs::symlink(outside.path().join("coinbase"), &link).unwrap();
    let columns = [Table::Md.column("time").unwrap()];
    let reader = Reader::open(root.path()).unwrap();
    assert!(reader.select(&id(Table::Md), &columns, 0, u32::MAX).is_err(), "a link out of the directory");
    for (exchange, symbol) in [("..", "BTC-USD"), ("coinbase/BTC-USD", "x"), ("coinbase", "../BTC-USD"), ("", "x")] {
        let id = SeriesId { exchange: exchange.into(), symbol: symbol.into(), table: Table::Md };
        assert!(reader.select(&id, &columns, 0, u32::MAX).is_err(), "{exchange} {symbol}");
    }
}

#[test]
fn symbols_are_listed() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    for (exchange, symbol) in [("kraken", "XBT/USD"), ("coinbase", "ETH-USD"), ("coinbase", "BTC-USD")] {
        let series = store.series::<MdRow>(exchange, symbol).unwrap();
        store.append(series, &md(DAY_START, 1), TimeRule::Live).unwrap();
    }
    flush(&mut store);
    fs::write(root.path().join("stray"), "").unwrap();
    fs::create_dir(root.path().join("empty")).unwrap();
    let symbols = Reader::open(root.path()).unwrap().symbols().unwrap();
    let found: Vec<_> = symbols.iter().map(|(exchange, symbols)| (exchange.as_str(), symbols.join(","))).collect();
    assert_eq!(found, [("coinbase", "BTC-USD,ETH-USD".into()), ("kraken", "XBT_USD".into())]);
}
