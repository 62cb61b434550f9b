//! Gaps and coverage: their lines, their order beside the rows, and what crashes and failing disks leave of them.

use std::collections::{BTreeMap, BTreeSet};

use column_store::{Coverage, Covered, Gap, GapState, Proof, Stream};
use proptest::prelude::*;

use super::*;

const GAPS: &str = "gaps.18.11.96.jsonl";
const COVERAGE: &str = "coverage.18.11.96.jsonl";

fn day() -> Day {
    "18.11.96".parse().unwrap()
}

fn gap_of(from_id: u64, to_id: u64, from_ns: u64) -> Gap {
    Gap::of_ids(Stream::Trades, from_id, to_id, from_ns, from_ns + S, "id jump")
}

fn covered(from: u64, to: u64, ns: u64) -> Covered {
    Covered { by: Proof::Id, connection: None, from, to, from_ns: ns, to_ns: ns }
}

fn note(store: &mut Store, gap: Gap) {
    let series = store.series::<TradeRow>("coinbase", "BTC-USD").unwrap();
    store.gap(series, gap).unwrap();
}

fn cover(store: &mut Store, range: Covered) {
    let series = store.series::<TradeRow>("coinbase", "BTC-USD").unwrap();
    store.cover(series, range).unwrap();
}

fn gaps(root: &Path) -> Vec<Gap> {
    Reader::open(root).unwrap().gaps(&id(Table::Trades), 0, u64::MAX, 10_000).unwrap().gaps
}

fn coverage(root: &Path) -> Coverage {
    let (first, last) = ("01.01.00".parse().unwrap(), "31.12.99".parse().unwrap());
    Reader::open(root).unwrap().coverage(&id(Table::Trades), first, last, 10_000).unwrap().coverage
}

fn ids(coverage: &Coverage) -> Vec<(u64, u64)> {
    coverage.ids().collect()
}

#[test]
fn golden_lines() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    let day_start = 1_794_960_000 * S;
    note(&mut store, gap_of(101, 103, day_start));
    note(&mut store, Gap::of_interval(Stream::Trades, day_start + 5, day_start + 6, "disconnected"));
    note(&mut store, gap_of(101, 103, day_start).with_state(GapState::Filled));
    cover(&mut store, covered(1, 104, day_start));
    let sequence = Covered { by: Proof::Sequence, connection: Some("c1".into()), ..covered(7, 9, day_start) };
    cover(&mut store, sequence);
    flush(&mut store);
    store.finish().unwrap();
    assert_eq!(
        fs::read_to_string(file(root.path(), Table::Trades, "gaps.18.11.26.jsonl")).unwrap(),
        concat!(
            r#"{"id":"id-101","exchange":"coinbase","symbol":"BTC-USD","stream":"trades","from_id":101,"to_id":103,"#,
            r#""from_ns":1794960000000000000,"to_ns":1794960001000000000,"missing":3,"reason":"id jump","state":"open"}"#,
            "\n",
            r#"{"id":"ns-1794960000000000005","exchange":"coinbase","symbol":"BTC-USD","stream":"trades","#,
            r#""from_id":null,"to_id":null,"from_ns":1794960000000000005,"to_ns":1794960000000000006,"#,
            r#""missing":null,"reason":"disconnected","state":"open"}"#,
            "\n",
            r#"{"id":"id-101","exchange":"coinbase","symbol":"BTC-USD","stream":"trades","from_id":101,"to_id":103,"#,
            r#""from_ns":1794960000000000000,"to_ns":1794960001000000000,"missing":3,"reason":"id jump","state":"filled"}"#,
            "\n",
        )
    );
    assert_eq!(
        fs::read_to_string(file(root.path(), Table::Trades, "coverage.18.11.26.jsonl")).unwrap(),
        concat!(
            r#"{"by":"id","from":1,"to":104,"from_ns":1794960000000000000,"to_ns":1794960000000000000}"#,
            "\n",
            r#"{"by":"sequence","connection":"c1","from":7,"to":9,"from_ns":1794960000000000000,"#,
            r#""to_ns":1794960000000000000}"#,
            "\n",
        )
    );
}

#[test]
fn records_that_no_reader_should_meet_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    let series = store.series::<TradeRow>("coinbase", "BTC-USD").unwrap();
    let good = gap_of(5, 6, DAY_START);
    for bad in [
        Gap { id: String::new(), ..good.clone() },
        Gap { reason: "x".repeat(129), ..good.clone() },
        Gap { to_id: None, ..good.clone() },
        Gap { to_id: Some(4), ..good.clone() },
        Gap { to_ns: 0, ..good.clone() },
        Gap { from_ns: 1, ..good },
    ] {
        assert!(store.gap(series, bad.clone()).is_err(), "{bad:?}");
    }
    let good = covered(5, 6, DAY_START);
    for bad in [
        Covered { to: 4, ..good.clone() },
        Covered { from_ns: DAY_START + 1, ..good.clone() },
        Covered { connection: Some("c".into()), ..good.clone() },
        Covered { by: Proof::Sequence, ..good },
        covered(5, 6, 1),
    ] {
        assert!(store.cover(series, bad.clone()).is_err(), "{bad:?}");
    }
    assert_eq!(store.pending_bytes(), 0);
}

/// A reader that sees a row behind a gap sees the gap, and what a failed write left of a line is never seen.
#[test]
fn an_open_gap_is_written_before_the_rows_behind_it() {
    let root = tempfile::tempdir().unwrap();
    let (mut store, disk) = open_logging(root.path());
    append(&mut store, &[trade(DAY_START, 100), trade(DAY_START + S, 104)]);
    note(&mut store, gap_of(101, 103, DAY_START));
    let pending = store.pending_bytes();
    disk.fail_after(0, true);
    let error = store.flush(|_, _| panic!("no row may be written")).unwrap_err();
    assert!(error.to_string().contains(GAPS), "{error}");
    assert_eq!(store.pending_bytes(), pending);
    assert_eq!(fs::metadata(file(root.path(), Table::Trades, GAPS)).unwrap().len(), 0, "half a line is taken back");
    assert!(!file(root.path(), Table::Trades, "time.18.11.96.bin").exists());
    disk.wishes();
    assert_eq!(flush(&mut store), 2);
    assert_eq!(store.pending_bytes(), 0);
    let wishes = disk.wishes();
    assert_eq!(wishes[0], ("write", GAPS.to_owned()), "{wishes:?}");
    assert_eq!(gaps(root.path()).len(), 1);
}

#[test]
fn what_is_claimed_is_written_after_the_sync_that_proves_it() {
    let root = tempfile::tempdir().unwrap();
    let (mut store, disk) = open_logging(root.path());
    append(&mut store, &[trade(DAY_START, 100)]);
    note(&mut store, gap_of(50, 60, DAY_START));
    flush(&mut store);
    cover(&mut store, covered(100, 100, DAY_START));
    note(&mut store, gap_of(50, 60, DAY_START).with_state(GapState::Filled));
    // Nothing was flushed since, so the sync proves nothing of it.
    store.sync().unwrap();
    assert!(coverage(root.path()).is_empty());
    assert_eq!(gaps(root.path())[0].state, GapState::Open);
    flush(&mut store);
    assert!(coverage(root.path()).is_empty());
    disk.wishes();
    store.sync().unwrap();
    let wishes = disk.wishes();
    let at = |wish: (&str, &str)| wishes.iter().position(|(a, b)| (*a, b.as_str()) == wish).unwrap();
    assert!(at(("syncfs", "root")) < at(("rename", "checkpoint")), "{wishes:?}");
    assert!(at(("rename", "checkpoint")) < at(("write", COVERAGE)), "{wishes:?}");
    assert!(at(("rename", "checkpoint")) < at(("write", GAPS)), "{wishes:?}");
    assert_eq!(ids(&coverage(root.path())), [(100, 100)]);
    assert_eq!(gaps(root.path())[0].state, GapState::Filled);
}

#[test]
fn after_a_failed_sync_nothing_is_claimed() {
    let root = tempfile::tempdir().unwrap();
    let (mut store, disk) = open_logging(root.path());
    append(&mut store, &[trade(DAY_START, 100)]);
    cover(&mut store, covered(100, 100, DAY_START));
    flush(&mut store);
    disk.fail_after(0, true);
    assert!(store.sync().is_err());
    assert!(store.sync().is_err());
    assert!(store.finish().is_err());
    assert!(coverage(root.path()).is_empty());
}

/// The rows that a power loss takes are not claimed to be whole after it.
#[test]
fn coverage_never_outlives_its_rows() {
    let root = tempfile::tempdir().unwrap();
    let options = || Options { coverage_interval: Duration::ZERO, ..Options::default() };
    let mut store = Store::open_on_boot(root.path(), options(), "boot-1".into()).unwrap();
    for i in 0..6 {
        append(&mut store, &[trade(DAY_START, 100 + i)]);
        cover(&mut store, covered(100 + i, 100 + i, DAY_START));
        flush(&mut store);
        if i % 3 == 0 {
            store.sync().unwrap();
        }
    }
    drop(store);
    drop(Store::open_on_boot(root.path(), options(), "boot-2".into()).unwrap());
    assert_eq!(u64s(&read_all(root.path(), Table::Trades), "id"), [100, 101, 102, 103]);
    assert_eq!(ids(&coverage(root.path())), [(100, 103)]);
}

/// A range that grows at every event is a line a minute, and whole at the end.
#[test]
fn coverage_is_compact() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    for i in 0..50 {
        cover(&mut store, covered(i * 10, i * 10 + 9, DAY_START + i));
        flush(&mut store);
        store.sync().unwrap();
    }
    let lines = || fs::read_to_string(file(root.path(), Table::Trades, COVERAGE)).unwrap().lines().count();
    assert_eq!(lines(), 1);
    store.finish().unwrap();
    assert_eq!(lines(), 2);
    assert_eq!(ids(&coverage(root.path())), [(0, 499)]);
    // A range that another one follows is written at once, up to its end.
    cover(&mut store, covered(500, 510, DAY_START + 60));
    cover(&mut store, covered(600, 610, DAY_START + 70));
    flush(&mut store);
    store.sync().unwrap();
    assert_eq!(ids(&coverage(root.path())), [(0, 510), (600, 610)]);
}

/// Lines that are whole count, whatever is behind them, and the next process writes on behind them.
#[test]
fn cut_at_every_byte() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    for i in 0..3 {
        append(&mut store, &[trade(DAY_START + i, 100 + i * 10)]);
        note(&mut store, gap_of(101 + i * 10, 109 + i * 10, DAY_START + i));
        cover(&mut store, covered(100 + i * 10, 100 + i * 10, DAY_START + i));
    }
    flush(&mut store);
    store.finish().unwrap();
    drop(store);
    for name in [GAPS, COVERAGE] {
        let path = file(root.path(), Table::Trades, name);
        let whole = fs::read(&path).unwrap();
        for length in 0..=whole.len() {
            // Zeros are what a power loss may leave of a tail.
            for tail in [vec![], vec![0; 40]] {
                let mut bytes = whole[..length].to_vec();
                bytes.extend(&tail);
                fs::write(&path, &bytes).unwrap();
                let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
                let keep = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                let count = || if name == GAPS { gaps(root.path()).len() } else { coverage(root.path()).len() };
                assert_eq!(count(), lines, "{name} cut to {length}");
                // Every start costs syncs, so it is tried at the ends of lines and at some bytes inside.
                if length % 17 != 0 && !(keep..keep + 2).contains(&length) {
                    continue;
                }
                let mut store = open(root.path());
                let cuts: Vec<_> = store.recovered().iter().map(|cut| (&cut.file, cut.bytes, cut.rows)).collect();
                let torn = (bytes.len() - keep) as u64;
                assert_eq!(cuts, if torn > 0 { vec![(&path, torn, keep as u64)] } else { vec![] });
                note(&mut store, gap_of(500, 500, DAY_START));
                cover(&mut store, covered(500, 500, DAY_START));
                flush(&mut store);
                store.finish().unwrap();
                assert_eq!(count(), lines + 1, "{name} cut to {length} and written on");
                let other = file(root.path(), Table::Trades, if name == GAPS { COVERAGE } else { GAPS });
                fs::write(&other, "").unwrap();
                for entry in fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()) {
                    if entry.extension().is_some_and(|extension| extension == "torn") {
                        assert_eq!(fs::read(&entry).unwrap(), bytes[keep..]);
                        fs::remove_file(entry).unwrap();
                    }
                }
            }
        }
        fs::write(&path, &whole).unwrap();
    }
}

/// Recovery looks at the days that are being written; a line that was torn on another one is cut by the next append.
#[test]
fn a_line_torn_on_another_day_is_cut_before_the_next_one() {
    let root = tempfile::tempdir().unwrap();
    let (gaps_path, coverage_path) =
        (file(root.path(), Table::Trades, GAPS), file(root.path(), Table::Trades, COVERAGE));
    let mut store = open(root.path());
    note(&mut store, gap_of(1, 2, DAY_START));
    cover(&mut store, covered(1, 2, DAY_START));
    flush(&mut store);
    store.finish().unwrap();
    drop(store);
    for path in [&gaps_path, &coverage_path] {
        let whole = fs::read(path).unwrap();
        fs::write(path, [&whole[..], &whole[..9]].concat()).unwrap();
    }
    let mut store = open(root.path());
    assert!(store.recovered().is_empty(), "the series has no rows on that day");
    note(&mut store, gap_of(3, 4, DAY_START));
    cover(&mut store, covered(5, 6, DAY_START));
    flush(&mut store);
    store.finish().unwrap();
    assert_eq!((gaps(root.path()).len(), ids(&coverage(root.path()))), (2, vec![(1, 2), (5, 6)]));
    assert_eq!(fs::read_dir(gaps_path.parent().unwrap()).unwrap().count(), 4, "and what was cut is kept");
}

/// A disk that never recovers, and a feed that never rests: the newest claims are kept, and not more than memory allows.
#[test]
fn claims_that_wait_are_bounded() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    for i in 0..5_000 {
        cover(&mut store, covered(i * 10, i * 10 + 1, DAY_START));
    }
    flush(&mut store);
    store.finish().unwrap();
    let found = ids(&coverage(root.path()));
    assert_eq!((found.len(), found[4_095]), (4_096, (49_990, 49_991)));
    // Rows get through, and only the lines do not.
    let root = tempfile::tempdir().unwrap();
    let (mut store, disk) = open_logging(root.path());
    for round in 0..2 {
        for i in 0..3_000 {
            cover(&mut store, covered((round * 3_000 + i) * 10, (round * 3_000 + i) * 10 + 1, DAY_START));
        }
        flush(&mut store);
        disk.fail_after(5, true);
        let error = store.sync().unwrap_err();
        assert!(error.to_string().contains(COVERAGE), "{error}");
    }
    store.finish().unwrap();
    let found = ids(&coverage(root.path()));
    assert_eq!((found.len(), found[4_095]), (4_096, (59_990, 59_991)));
}

#[test]
fn damaged_lines_are_counted_and_skipped() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    note(&mut store, gap_of(1, 2, DAY_START));
    cover(&mut store, covered(1, 2, DAY_START));
    flush(&mut store);
    store.finish().unwrap();
    for name in [GAPS, COVERAGE] {
        let path = file(root.path(), Table::Trades, name);
        let line = fs::read_to_string(&path).unwrap();
        let backwards = line.replace("\"from\":1", "\"from\":9");
        let long = format!("{}\n", "x".repeat(10_000));
        fs::write(&path, format!("nonsense\n{line}{long}\n{{}}\n{backwards}\0\0\n{line}")).unwrap();
    }
    let reader = Reader::open(root.path()).unwrap();
    let found = reader.gaps(&id(Table::Trades), 0, u64::MAX, 10).unwrap();
    assert_eq!((found.gaps.len(), found.damaged_lines), (1, 5));
    let found = reader.coverage(&id(Table::Trades), day(), day(), 10).unwrap();
    assert_eq!((ids(&found.coverage), found.damaged_lines), (vec![(1, 2)], 6));
}

#[test]
fn readers_are_bounded_and_stay_inside() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    for i in 0..20 {
        note(&mut store, gap_of(i * 10 + 1, i * 10 + 2, DAY_START + i));
        cover(&mut store, covered(i * 10 + 3, i * 10 + 4, DAY_START + i));
    }
    flush(&mut store);
    store.finish().unwrap();
    let reader = Reader::open(root.path()).unwrap();
    let found = reader.gaps(&id(Table::Trades), 0, u64::MAX, 5).unwrap();
    assert_eq!((found.gaps.len(), found.truncated), (5, true));
    let found = reader.coverage(&id(Table::Trades), day(), day(), 5).unwrap();
    assert_eq!((found.coverage.len(), found.truncated), (5, true));
    let outside = SeriesId { symbol: "../BTC-USD".into(), ..id(Table::Trades) };
    assert!(reader.gaps(&outside, 0, u64::MAX, 5).is_err());
    assert!(reader.coverage(&outside, day(), day(), 5).is_err());
    assert!(reader.seal(&outside, day()).is_err());
}

/// A gap is filed under the day it begins; who asks for a later day finds it, unless it was over before.
#[test]
fn a_gap_that_began_days_ago_is_found() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    // In the past, so that the files are newer than the gaps, as they are with a clock that is right.
    let day = 86_400 * S;
    let start = 1_600_000_000 * S;
    note(&mut store, Gap::of_interval(Stream::Trades, start, start + 5 * day, "not running"));
    note(&mut store, Gap::of_interval(Stream::Trades, start + S, start + 2 * S, "disconnected"));
    flush(&mut store);
    let reader = Reader::open(root.path()).unwrap();
    let reasons = |from: u64, to: u64| -> Vec<String> {
        let found = reader.gaps(&id(Table::Trades), from, to, 10).unwrap();
        found.gaps.into_iter().map(|gap| gap.reason).collect()
    };
    assert_eq!(reasons(start + 3 * day, start + 4 * day), ["not running"]);
    assert_eq!(reasons(start, start + day), ["not running", "disconnected"]);
    assert!(reasons(start + 6 * day, start + 7 * day).is_empty());
    assert!(reasons(start - 2 * day, start - day).is_empty());
    // A file that was not written since the range began cannot speak of it, and is not opened, unless it is the newest.
    let set_modified = |day: &str| {
        let path = root.path().join("coinbase/BTC-USD/TRADES").join(format!("gaps.{day}.jsonl"));
        let old = std::time::UNIX_EPOCH + Duration::from_nanos(start);
        fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
    };
    set_modified("13.09.20");
    assert_eq!(reasons(start + 3 * day, start + 4 * day), ["not running"]);
    note(&mut store, Gap::of_interval(Stream::Trades, start + day, start + day + 1, "silent"));
    flush(&mut store);
    assert!(reasons(start + 3 * day, start + 4 * day).is_empty());
    assert_eq!(reasons(start, start + day), ["not running", "disconnected", "silent"]);
}

/// It stands in its file with its beginning only, and the file may be as old as the outage.
#[test]
fn an_outage_under_way_reaches_into_every_later_range() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    let day = 86_400 * S;
    let start = 1_600_000_000 * S;
    note(&mut store, Gap::of_interval(Stream::Trades, start, start, "disconnected"));
    flush(&mut store);
    let path = root.path().join("coinbase/BTC-USD/TRADES/gaps.13.09.20.jsonl");
    let old = std::time::UNIX_EPOCH + Duration::from_nanos(start);
    fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
    let reader = Reader::open(root.path()).unwrap();
    let count = |from: u64, to: u64| reader.gaps(&id(Table::Trades), from, to, 10).unwrap().gaps.len();
    for later in [S, 3_600 * S, day, 2 * day, 400 * day] {
        assert_eq!(count(start + later, start + later + S), 1, "{later} ns later");
    }
    assert_eq!(count(start - 2 * S, start - S), 0, "before it began");
    // Its end is known now.
    note(&mut store, Gap::of_interval(Stream::Trades, start, start + day, "disconnected").with_state(GapState::Lost));
    flush(&mut store);
    assert_eq!((count(start + S, start + 2 * S), count(start + 2 * day, start + 3 * day)), (1, 0));
    // An id that is missing at one time is no interval.
    note(&mut store, Gap::of_ids(Stream::Trades, 7, 8, start + 5 * day, start + 5 * day, "id jump"));
    flush(&mut store);
    assert_eq!(count(start + 6 * day, start + 7 * day), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Gap { at: u64, state: GapState },
    Cover { by: usize, from: u64, length: u64, day: u64 },
    Flush,
    Sync,
    Fail { after: usize },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let state = prop_oneof![Just(GapState::Open), Just(GapState::Filled), Just(GapState::Lost)];
    prop_oneof![
        4 => (0_u64..12, state).prop_map(|(at, state)| Step::Gap { at, state }),
        8 => (0_usize..4, 0_u64..80, 0_u64..9, 0_u64..3)
            .prop_map(|(by, from, length, day)| Step::Cover { by, from, length, day }),
        3 => Just(Step::Flush),
        2 => Just(Step::Sync),
        2 => (0_usize..9).prop_map(|after| Step::Fail { after }),
        1 => Just(Step::Restart),
    ]
}

type Model = (BTreeMap<String, Gap>, BTreeSet<(usize, u64)>);

/// Flushes, and once more if that fails.
fn flush_again(store: &mut Store) -> bool {
    store.flush(|_, _| {}).is_ok() || store.flush(|_, _| {}).is_ok()
}

/// What the files say, in the model's terms.
fn on_disk(root: &Path) -> Model {
    let gaps = gaps(root).into_iter().map(|gap| (gap.id.clone(), gap)).collect();
    let coverage = coverage(root);
    let key = |range: &Covered| match range.by {
        Proof::Id => 0,
        Proof::Live => 1,
        Proof::Sequence => 2 + usize::from(range.connection.as_deref() == Some("b")),
    };
    let numbers = coverage.ranges().flat_map(|range| (range.from..=range.to).map(move |number| (key(range), number)));
    (gaps, numbers.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is noted is in the files after a flush and a finish; whatever is in the files was noted.
    #[test]
    fn files_and_a_naive_model_agree(steps in prop::collection::vec(step(), 1..60)) {
        let root = tempfile::tempdir().unwrap();
        let (mut store, mut disk) = open_logging(root.path());
        let (mut gaps, mut numbers): Model = Model::default();
        let mut lost_claims = false;
        for step in steps {
            match step {
                Step::Gap { at, state } => {
                    let day = at % 3;
                    let gap = gap_of(at * 10 + 1, at * 10 + 5, DAY_START + day * 86_400 * S);
                    let gap = Gap { exchange: "coinbase".into(), symbol: "BTC-USD".into(), ..gap.with_state(state) };
                    note(&mut store, gap.clone());
                    gaps.insert(gap.id.clone(), gap);
                    // A gap that is open again or lost after it was filled: the order is only kept if both are written.
                    prop_assert!(flush_again(&mut store));
                    prop_assert!(store.sync().is_ok() || store.finish().is_ok());
                }
                Step::Cover { by, from, length, day } => {
                    let ns = DAY_START + day * 86_400 * S;
                    let range = match by {
                        0 => covered(from, from + length, ns),
                        1 => Covered { by: Proof::Live, ..covered(from, from + length, ns) },
                        _ => Covered {
                            by: Proof::Sequence,
                            connection: Some(if by == 3 { "b" } else { "a" }.into()),
                            ..covered(from, from + length, ns)
                        },
                    };
                    cover(&mut store, range);
                    numbers.extend((from..=from + length).map(|number| (by, number)));
                }
                Step::Flush => prop_assert!(flush_again(&mut store)),
                Step::Sync => _ = store.sync(),
                Step::Fail { after } => {
                    // Never the syncfs itself: after that nothing is claimed any more.
                    disk.0.lock().unwrap().spares_syncfs = true;
                    disk.fail_after(after, true);
                }
                Step::Restart => {
                    lost_claims = true;
                    drop(store);
                    (store, disk) = open_logging(root.path());
                }
            }
            let (gaps_there, numbers_there) = on_disk(root.path());
            prop_assert_eq!(&gaps_there, &gaps);
            prop_assert!(numbers_there.is_subset(&numbers));
        }
        disk.0.lock().unwrap().granted = None;
        flush(&mut store);
        store.finish().unwrap();
        let there = on_disk(root.path()).1;
        // Claims that a kill took are only a loss.
        prop_assert!(there == numbers || lost_claims, "{:?} are not claimed", numbers.difference(&there));
    }
}

#[test]
fn coverage_is_a_union() {
    let ranges = [(5, 9), (20, 30), (10, 12), (1, 2), (29, 40), (13, 19), (50, 50)];
    let mut coverage = Coverage::default();
    for (from, to) in ranges {
        coverage.add(covered(from, to, DAY_START));
    }
    assert_eq!(ids(&coverage), [(1, 2), (5, 40), (50, 50)]);
    assert_eq!(coverage.len(), 3);
    assert_eq!(coverage.ids_within(2, 5), 2);
    assert_eq!(coverage.ids_within(0, u64::MAX), 39);
    coverage.add(covered(0, u64::MAX, DAY_START));
    assert_eq!(coverage.len(), 1);
    assert_eq!(coverage.ids_within(0, u64::MAX), u64::MAX, "as many as a count can say");
}
