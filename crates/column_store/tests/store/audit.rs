//! The audit: nothing on a clean directory, and each kind of planted damage.

use column_store::{
    Audit, Covered, DayAudit, Finding, Gap, GapCount, GapState, IdRule, Proof, Rules, SEAL_DELAY_NS, Scope, SealDraft,
    SealState, SeriesAudit, Severity, Stream, Totals, is_recording, verify,
};
use proptest::prelude::*;

use super::*;

const DAY_NS: u64 = 86_400 * S;

fn day(number: u64) -> Day {
    Day::from_ns(DAY_START + number * DAY_NS).unwrap()
}

fn rules(rule: IdRule) -> Audit {
    Audit { rules: Rules::from([(("coinbase".to_owned(), Table::Trades), rule)]), ..Audit::default() }
}

fn contiguous() -> Audit {
    rules(IdRule::Contiguous)
}

fn run(root: &Path, audit: &Audit) -> (Vec<SeriesAudit>, Totals) {
    let mut all = Vec::new();
    let totals = verify(root, audit, &mut |_| {}, &mut |series| all.push(series.clone())).unwrap();
    (all, totals)
}

/// The days of the one series.
fn days(root: &Path, audit: &Audit) -> Vec<DayAudit> {
    let (mut all, _) = run(root, audit);
    assert_eq!(all.len(), 1);
    all.remove(0).days
}

fn findings(root: &Path, audit: &Audit) -> Vec<Finding> {
    days(root, audit).into_iter().flat_map(|day| day.findings).collect()
}

/// Trades with these ids on each day, a second apart, the first two days sealed.
fn recorded(ids: &[&[u64]]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    for (number, ids) in (0..).zip(ids) {
        let rows: Vec<_> = (0..).zip(*ids).map(|(at, id)| trade(DAY_START + number * DAY_NS + at * S, *id)).collect();
        append(&mut store, &rows);
    }
    flush(&mut store);
    store.finish().unwrap();
    for number in 0..2.min(ids.len() as u64) {
        seal(root.path(), &mut store, number);
    }
    root
}

fn seal(root: &Path, store: &mut Store, number: u64) {
    let draft = SealDraft::read(root, &id(Table::Trades), day(number), &mut |_| {}).unwrap().unwrap();
    store.seal(&draft, day(number).end_ns() + SEAL_DELAY_NS).unwrap();
}

fn three_days() -> tempfile::TempDir {
    recorded(&[&[1, 2, 3], &[4, 5, 6, 7], &[8, 9]])
}

fn note(root: &Path, gap: Gap) {
    let mut store = open(root);
    let series = store.series::<TradeRow>("coinbase", "BTC-USD").unwrap();
    store.gap(series, gap).unwrap();
    flush(&mut store);
    store.finish().unwrap();
}

fn cover(root: &Path, from: u64, to: u64, number: u64) {
    let mut store = open(root);
    let series = store.series::<TradeRow>("coinbase", "BTC-USD").unwrap();
    let ns = DAY_START + number * DAY_NS;
    store.cover(series, Covered { by: Proof::Id, connection: None, from, to, from_ns: ns, to_ns: ns }).unwrap();
    flush(&mut store);
    store.finish().unwrap();
}

fn column(root: &Path, name: &str, number: u64) -> std::path::PathBuf {
    file(root, Table::Trades, &format!("{name}.{}.bin", day(number)))
}

/// Lets a change to a file's bytes happen.
fn change(path: &Path, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn nothing_is_found_in_a_clean_directory() {
    let root = three_days();
    note(
        root.path(),
        Gap::of_ids(Stream::Trades, 5, 6, DAY_START + DAY_NS, DAY_START + DAY_NS, "x").with_state(GapState::Filled),
    );
    cover(root.path(), 1, 9, 1);
    let before = listing(root.path());
    let mut steps = Vec::new();
    let mut all = Vec::new();
    let totals =
        verify(root.path(), &contiguous(), &mut |progress| steps.push((progress.done, progress.total)), &mut |s| {
            all.push(s.clone());
        })
        .unwrap();
    assert_eq!(steps, [(0, 3), (1, 3), (2, 3)]);
    assert!(totals.is_whole());
    assert_eq!(
        totals.to_string(),
        "0 missing, 0 gaps of unknown size, 0 damaged: 9 rows in 3 days (2 sealed) of 1 series, 1 of them proven by ids"
    );
    let series = &all[0];
    assert!(series.is_proven() && series.days.iter().all(|day| day.findings.is_empty()), "{series:#?}");
    assert_eq!((series.first_id, series.last_id), (Some(1), Some(9)));
    let day = &series.days[1];
    assert_eq!((day.rows, day.bytes, day.seal), (4, 4 * 92, SealState::Sealed));
    assert_eq!(day.first_ns.zip(day.last_ns), Some((DAY_START + DAY_NS, DAY_START + DAY_NS + 3 * S)));
    assert_eq!(day.gaps, GapCount { open: 0, filled: 1, lost: 0 });
    let json = serde_json::to_value(series).unwrap();
    assert_eq!(json["series"], "coinbase/BTC-USD/TRADES");
    assert_eq!(json["days"][0]["day"], "18.11.96");
    assert_eq!(listing(root.path()), before, "an audit writes nothing");
}

/// Names, lengths and times of all files.
fn listing(root: &Path) -> Vec<(std::path::PathBuf, u64, std::time::SystemTime)> {
    let mut found = Vec::new();
    let mut walk = vec![root.to_owned()];
    while let Some(directory) = walk.pop() {
        for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap()) {
            let metadata = entry.metadata().unwrap();
            found.push((entry.path(), metadata.len(), metadata.modified().unwrap()));
            if metadata.is_dir() {
                walk.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// Every column: a row too short, a row too long, torn, gone, and with another bit; on a day that is not sealed and on one
/// that is.
#[test]
fn every_damage_to_every_column_is_found() {
    for column in Table::Trades.columns() {
        let (name, width) = (column.name, column.kind.width());
        for sealed in [false, true] {
            let root = three_days();
            let number = if sealed { 0 } else { 2 };
            let rows = if sealed { 3 } else { 2 };
            let path = self::column(root.path(), name, number);
            let good = fs::read(&path).unwrap();
            let found = |change_to: Option<Vec<u8>>| {
                match change_to {
                    Some(bytes) => fs::write(&path, bytes).unwrap(),
                    None => fs::remove_file(&path).unwrap(),
                }
                let day = days(root.path(), &contiguous()).into_iter().find(|of| of.day == day(number)).unwrap();
                assert_eq!(day.seal == SealState::Broken, sealed, "{name}");
                assert_eq!(
                    day.findings.iter().any(|f| f.severity() == Severity::Damage),
                    sealed || !day.findings.is_empty()
                );
                day.findings
            };
            let short = found(Some(good[..good.len() - width].to_vec()));
            let torn = found(Some(good[..good.len() - 1].to_vec()));
            let long = found(Some([&good[..], &good[..width]].concat()));
            let half_more = found(Some([&good[..], &[0]].concat()));
            if name == "time" {
                // All others are longer than it.
                for found in [&short, &torn] {
                    let longer = found.iter().filter(|f| matches!(f, Finding::LongColumn { .. })).count();
                    assert_eq!(longer, Table::Trades.columns().len() - 1);
                }
                let shorter = long.iter().filter(|f| matches!(f, Finding::ShortColumn { .. })).count();
                assert_eq!(shorter, Table::Trades.columns().len() - 1);
                assert!(found(None).contains(&Finding::NoTime));
            } else {
                let is_short = Finding::ShortColumn { column: name, rows: rows - 1, time_rows: rows };
                assert!(short.contains(&is_short) && torn.contains(&is_short), "{name}: {short:?} {torn:?}");
                let is_long = Finding::LongColumn { column: name, rows: rows + 1, time_rows: rows };
                assert!(long.contains(&is_long), "{name}: {long:?}");
                if sealed {
                    assert!(found(None).contains(&Finding::SealedColumns { column: name.to_owned() }));
                }
            }
            assert!(torn.contains(&Finding::TornCell { column: name, bytes: width as u64 - 1 }), "{name}: {torn:?}");
            assert!(half_more.contains(&Finding::TornCell { column: name, bytes: 1 }), "{name}: {half_more:?}");
            if sealed {
                let mut other = good.clone();
                other[width] ^= 1;
                assert!(found(Some(other.clone())).contains(&Finding::SealedBytes { column: name }), "{name}");
                let unchecked = Audit { checksums: false, ..contiguous() };
                let first = &days(root.path(), &unchecked)[0];
                assert_eq!(first.seal, SealState::Sealed, "nobody looked");
            }
            fs::write(&path, &good).unwrap();
            assert!(findings(root.path(), &contiguous()).is_empty(), "restored");
        }
    }
}

#[test]
fn a_key_that_is_wrong_is_found() {
    let root = three_days();
    let (time, nanos) = (column(root.path(), "time", 2), column(root.path(), "nanos", 2));
    let good = fs::read(&time).unwrap();
    fs::write(&time, [&good[4..], &good[..4]].concat()).unwrap();
    assert_eq!(findings(root.path(), &contiguous()), [Finding::KeyFalls { count: 1, row: 1 }]);
    fs::write(&time, [&((DAY_START / S) as u32).to_le_bytes()[..], &good[4..]].concat()).unwrap();
    let expected = [Finding::KeyFalls { count: 1, row: 0 }, Finding::OtherDay { count: 1, row: 0 }];
    assert_eq!(findings(root.path(), &contiguous()), expected, "below the day before, and of another day");
    let only = Audit { days: Some(day(2)..=day(2)), ..contiguous() };
    assert_eq!(findings(root.path(), &only), expected, "also if only this day is looked at");
    fs::write(&time, &good).unwrap();
    change(&nanos, |bytes| bytes[7] = 0x7f);
    assert_eq!(findings(root.path(), &contiguous()), [Finding::NanosTooLarge { count: 1, row: 1 }]);
}

#[test]
fn missing_and_double_ids_are_found_and_late_ones_are_neither() {
    let missing =
        |count, unrecorded, first: &[(u64, u64)]| Finding::MissingIds { count, unrecorded, first: first.to_vec() };
    // 3 and 4 come a day late, 7 never; 5 comes twice.
    let root = recorded(&[&[1, 2, 5], &[6, 8, 3], &[4, 9, 5]]);
    let found = days(root.path(), &contiguous());
    assert!(found[0].findings.is_empty());
    assert_eq!((found[1].missing, &found[1].findings), (1, &vec![missing(1, 1, &[(7, 7)])]));
    assert_eq!((found[2].missing, &found[2].findings), (0, &vec![Finding::DuplicateIds { count: 1, id: 5 }]));
    // Of one day alone, the days beside it are known.
    let only = |number| Audit { days: Some(day(number)..=day(number)), ..contiguous() };
    assert_eq!(findings(root.path(), &only(1)), [missing(1, 1, &[(7, 7)])]);
    // Which 5 is the double one cannot be told without its first day.
    assert!(findings(root.path(), &only(2)).is_empty());
    // Between two days.
    let root = recorded(&[&[1, 2], &[10, 11]]);
    assert_eq!(findings(root.path(), &contiguous()), [missing(7, 7, &[(3, 9)])]);
    let (_, totals) = run(root.path(), &contiguous());
    assert_eq!((totals.missing, totals.damage, totals.is_whole()), (7, 0, false));
    assert_eq!(findings(root.path(), &only(1)), [missing(7, 7, &[(3, 9)])]);
    assert!(findings(root.path(), &only(0)).is_empty());
    // What came on the next day is not missing, also if only the first day is asked for.
    let root = recorded(&[&[1, 2, 4], &[3, 5]]);
    assert!(findings(root.path(), &only(0)).is_empty());
    // Where ids prove nothing.
    let root = recorded(&[&[1, 2], &[10, 11]]);
    for rule in [IdRule::None, IdRule::Unique] {
        assert!(findings(root.path(), &rules(rule)).is_empty());
        assert!(!run(root.path(), &rules(rule)).0[0].is_proven());
    }
    // An id of 0 is unknown.
    let root = recorded(&[&[1, 0, 2, 0]]);
    assert_eq!(findings(root.path(), &contiguous()), [Finding::UnknownIds { count: 2 }]);
}

#[test]
fn ids_that_are_unique_and_no_more_are_found_when_they_come_twice() {
    // Skips and a late fill are fine; 9 comes again on the next day, and 40 twice on one day.
    let root = recorded(&[&[5, 9, 30], &[40, 7, 40, 9], &[50]]);
    let expected = [Finding::DuplicateIds { count: 2, id: 9 }];
    assert_eq!(findings(root.path(), &rules(IdRule::Unique)), expected);
    let (series, totals) = run(root.path(), &rules(IdRule::Unique));
    assert_eq!((totals.damage, totals.missing, series[0].is_proven()), (1, 0, false));
    // The day before is known also if only one day is asked for.
    let only = Audit { days: Some(day(1)..=day(1)), ..rules(IdRule::Unique) };
    assert_eq!(findings(root.path(), &only), expected);
    // An id of 0 is unknown, and no repetition.
    let root = recorded(&[&[0, 5, 0]]);
    assert!(findings(root.path(), &rules(IdRule::Unique)).is_empty());
}

#[test]
fn gaps_and_ids_are_compared() {
    let root = recorded(&[&[1, 2, 5, 6], &[9]]);
    let gap = |from, to, state| Gap::of_ids(Stream::Trades, from, to, DAY_START, DAY_START, "x").with_state(state);
    let hole = |unrecorded| Finding::MissingIds { count: 2, unrecorded, first: vec![(3, 4)] };
    let other = Finding::MissingIds { count: 2, unrecorded: 2, first: vec![(7, 8)] };
    assert_eq!(findings(root.path(), &contiguous()), [hole(2), other.clone()]);
    note(root.path(), gap(3, 3, GapState::Open));
    assert_eq!(findings(root.path(), &contiguous()), [hole(1), other.clone()]);
    note(root.path(), gap(3, 4, GapState::Lost));
    assert_eq!(findings(root.path(), &contiguous()), [hole(0), other.clone()]);
    let found = days(root.path(), &contiguous());
    assert_eq!((found[0].missing, found[0].gaps.lost), (2, 1), "once, not by the ids and by the record");
    // Without a rule the record is all there is.
    let unproven = Finding::Gap { id: "id-3".into(), begins: day(0), lost: true, missing: Some(2), reason: "x".into() };
    assert_eq!(findings(root.path(), &rules(IdRule::None)), [unproven]);
    note(root.path(), gap(3, 4, GapState::Filled));
    let not_filled = Finding::NotFilled { id: "id-3".into(), missing: 2 };
    assert_eq!(findings(root.path(), &contiguous()), [hole(2), not_filled.clone(), other.clone()]);
    note(root.path(), gap(5, 6, GapState::Open));
    let wrong = Finding::WrongGap { id: "id-5".into() };
    assert_eq!(findings(root.path(), &contiguous()), [hole(2), not_filled, wrong, other]);
    // Behind the last id, where no hole shows it.
    let root = recorded(&[&[1, 2]]);
    note(root.path(), gap(3, 7, GapState::Open));
    let behind = Finding::Gap { id: "id-3".into(), begins: day(0), lost: false, missing: Some(5), reason: "x".into() };
    assert_eq!(findings(root.path(), &contiguous()), [behind]);
    note(root.path(), Gap::of_interval(Stream::Trades, DAY_START, DAY_START + 1, "disconnected"));
    let (_, totals) = run(root.path(), &contiguous());
    assert_eq!((totals.missing, totals.unknown_gaps, totals.is_whole()), (5, 1, false));
}

#[test]
fn coverage_and_ids_are_compared() {
    let root = recorded(&[&[1, 2, 5]]);
    cover(root.path(), 1, 3, 0);
    let hole = Finding::MissingIds { count: 2, unrecorded: 2, first: vec![(3, 4)] };
    assert_eq!(findings(root.path(), &contiguous()), [hole, Finding::WrongCoverage { missing: 1 }]);
    // A row of id 5 may stand for the trades 3 to 5, if the coverage says so.
    let hole = Finding::MissingIds { count: 1, unrecorded: 1, first: vec![(3, 4)] };
    assert_eq!(findings(root.path(), &rules(IdRule::Aggregated)), [hole]);
    cover(root.path(), 4, 5, 0);
    assert!(findings(root.path(), &rules(IdRule::Aggregated)).is_empty());
}

#[test]
fn damaged_records_markers_and_kept_files_are_found() {
    let root = three_days();
    note(root.path(), Gap::of_ids(Stream::Trades, 1, 1, DAY_START, DAY_START, "x").with_state(GapState::Filled));
    cover(root.path(), 1, 3, 0);
    for kind in ["gaps", "coverage"] {
        let name = format!("{kind}.18.11.96.jsonl");
        let path = file(root.path(), Table::Trades, &name);
        let good = fs::read(&path).unwrap();
        fs::write(&path, [b"junk\n", &good[..]].concat()).unwrap();
        assert_eq!(findings(root.path(), &contiguous()), [Finding::DamagedLines { file: name.clone(), count: 1 }]);
        fs::write(&path, [&good[..], b"{\"id"].concat()).unwrap();
        assert_eq!(findings(root.path(), &contiguous()), [Finding::TornLine { file: name, bytes: 4 }]);
        fs::write(&path, good).unwrap();
    }
    let marker = file(root.path(), Table::Trades, "sealed.18.11.96.json");
    let good = fs::read_to_string(&marker).unwrap();
    fs::write(&marker, good.replace("\"rows\":3", "\"rows\":4")).unwrap();
    assert_eq!(findings(root.path(), &contiguous()), [Finding::SealedRows { sealed: 4, found: 3 }]);
    fs::write(&marker, "{").unwrap();
    let found = findings(root.path(), &contiguous());
    assert!(matches!(found[..], [Finding::DamagedSeal { .. }]), "{found:?}");
    fs::write(&marker, good).unwrap();
    fs::write(file(root.path(), Table::Trades, "side.18.11.96.bin.3.torn"), "xx").unwrap();
    assert_eq!(findings(root.path(), &contiguous()), [Finding::TornFiles { count: 1 }]);
    assert!(run(root.path(), &contiguous()).1.is_whole(), "which is worth knowing, and no damage");
}

#[test]
fn an_interval_without_an_end_is_the_end_of_the_record() {
    let root = three_days();
    let at_ns = DAY_START + 2 * DAY_NS + S;
    note(root.path(), Gap::of_interval(Stream::Trades, at_ns, at_ns, "disconnected"));
    let ended = Finding::Ended { at_ns, reason: "disconnected".to_owned() };
    assert_eq!(findings(root.path(), &contiguous()), [ended]);
    assert!(run(root.path(), &contiguous()).1.is_whole());
    // While somebody records it is missing now.
    let recording = Audit { recording: true, ..contiguous() };
    assert!(matches!(findings(root.path(), &recording)[..], [Finding::Gap { .. }]));
    note(root.path(), Gap::of_interval(Stream::Trades, at_ns, at_ns + S, "disconnected"));
    assert!(!run(root.path(), &contiguous()).1.is_whole());
}

/// A gap is filed under the day it begins, and missing on every day it lasts.
#[test]
fn an_outage_that_began_days_ago_is_found_on_each_day_asked_for() {
    let root = recorded(&[&[1, 2]]);
    let mut store = open(root.path());
    append(&mut store, &[trade(DAY_START + 4 * DAY_NS, 3)]);
    flush(&mut store);
    drop(store);
    let (from_ns, to_ns) = (DAY_START + 2 * S, DAY_START + 4 * DAY_NS);
    let only = |first, last| Audit { days: Some(day(first)..=day(last)), ..contiguous() };
    let outage = Gap::of_interval(Stream::Trades, from_ns, to_ns, "disconnected").with_state(GapState::Lost);
    note(root.path(), outage.clone());
    let gap = |lost| Finding::Gap {
        id: format!("ns-{from_ns}"),
        begins: day(0),
        lost,
        missing: None,
        reason: "disconnected".into(),
    };
    for (first, last) in [(1, 1), (3, 3), (2, 4), (0, 4)] {
        let found = days(root.path(), &only(first, last));
        assert_eq!((found[0].day, &found[0].findings[..]), (day(first), &[gap(true)][..]), "from {first}");
        assert!(found[1..].iter().all(|day| day.findings.is_empty()), "once");
        let (_, totals) = run(root.path(), &only(first, last));
        assert_eq!((totals.unknown_gaps, totals.is_whole()), (1, false));
    }
    assert!(findings(root.path(), &only(4, 4)).is_empty(), "it was over by then");
    note(root.path(), outage.with_state(GapState::Filled));
    assert!(days(root.path(), &only(3, 3)).is_empty(), "nothing is there, and nothing is known to be missing");
    // One that is under way is missing while somebody records.
    note(root.path(), Gap::of_interval(Stream::Trades, from_ns, from_ns, "disconnected"));
    assert!(days(root.path(), &only(3, 3)).is_empty());
    assert_eq!(findings(root.path(), &Audit { recording: true, ..only(3, 3) }), [gap(false)]);
}

#[test]
fn only_the_series_asked_for_are_audited() {
    let root = three_days();
    let mut store = open(root.path());
    let others = [("coinbase", "ETH-USD"), ("binance", "BTC-USD")];
    for (exchange, symbol) in others {
        let series = store.series::<TradeRow>(exchange, symbol).unwrap();
        store.append(series, &trade(DAY_START, 1), TimeRule::Live).unwrap();
    }
    flush(&mut store);
    store.finish().unwrap();
    let of = |exchange: Option<&str>, symbols: &[&str]| {
        let symbols = symbols.iter().map(|symbol| (*symbol).to_owned()).collect();
        let scope = Scope { exchange: exchange.map(ToOwned::to_owned), symbols };
        let (all, totals) = run(root.path(), &Audit { scope, ..Audit::default() });
        assert_eq!(totals.series, all.len() as u64);
        all.iter().map(|series| series.series.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of(None, &[]), ["binance/BTC-USD/TRADES", "coinbase/BTC-USD/TRADES", "coinbase/ETH-USD/TRADES"]);
    assert_eq!(of(Some("coinbase"), &[]), ["coinbase/BTC-USD/TRADES", "coinbase/ETH-USD/TRADES"]);
    assert_eq!(of(None, &["BTC-USD"]), ["binance/BTC-USD/TRADES", "coinbase/BTC-USD/TRADES"]);
    assert_eq!(of(Some("coinbase"), &["ETH-USD", "BTC-USD"]), ["coinbase/BTC-USD/TRADES", "coinbase/ETH-USD/TRADES"]);
    assert!(of(Some("kraken"), &[]).is_empty());
}

#[test]
fn whether_somebody_records_is_seen_without_a_trace() {
    let root = tempfile::tempdir().unwrap();
    assert!(!is_recording(root.path()).unwrap());
    assert!(listing(root.path()).is_empty());
    let store = open(root.path());
    assert!(is_recording(root.path()).unwrap());
    drop(store);
    assert!(!is_recording(root.path()).unwrap());
    // Somebody who looks at the wrong moment keeps nobody from recording.
    let lock = fs::File::open(root.path().join("lock")).unwrap();
    lock.lock_shared().unwrap();
    let unlock = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(5));
        drop(lock);
    });
    drop(open(root.path()));
    unlock.join().unwrap();
}

/// Beside a logger that is between two columns of a flush.
#[test]
fn a_day_that_is_being_written_is_whole() {
    let root = three_days();
    for name in ["nanos", "side"] {
        change(&column(root.path(), name, 2), |bytes| bytes.extend([0; 5]));
    }
    let recording = Audit { recording: true, ..contiguous() };
    assert!(findings(root.path(), &recording).is_empty());
    assert_eq!(findings(root.path(), &contiguous()).len(), 4);
    // A line that is being written is no damage either.
    fs::write(file(root.path(), Table::Trades, &format!("gaps.{}.jsonl", day(2))), "{\"id\":").unwrap();
    assert!(findings(root.path(), &recording).is_empty());
    assert_eq!(findings(root.path(), &contiguous()).len(), 5);
    // Only the newest day may be.
    change(&column(root.path(), "side", 1), |bytes| bytes.push(0));
    assert!(!findings(root.path(), &recording).is_empty());
}

/// The ancestor's directories have neither `FORMAT` nor lock nor checkpoint, and fewer columns.
#[test]
fn the_ancestors_directories_are_audited_and_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("coinbase/BTC-USD/MD");
    fs::create_dir_all(&directory).unwrap();
    for name in ["time", "nanos", "price", "volume", "side", "best_bid", "best_ask"] {
        let cell = if name == "nanos" { 0 } else { (DAY_START / S) as u32 };
        fs::write(directory.join(format!("{name}.18.11.96.bin")), cell.to_le_bytes().repeat(5)).unwrap();
    }
    let before = listing(root.path());
    let found = days(root.path(), &contiguous());
    assert_eq!((found[0].rows, found[0].findings.len()), (5, 0));
    assert_eq!(found[0].absent_columns.len(), 10);
    fs::write(directory.join("best_ask.18.11.96.bin"), [0; 17]).unwrap();
    let found = findings(root.path(), &contiguous());
    assert_eq!(
        found,
        [
            Finding::TornCell { column: "best_ask", bytes: 1 },
            Finding::ShortColumn { column: "best_ask", rows: 4, time_rows: 5 },
        ]
    );
    let names = |of: &[(std::path::PathBuf, u64, std::time::SystemTime)]| {
        of.iter().map(|(path, ..)| path.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&listing(root.path())), names(&before));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Ids in any order over three days, against a set: what is missing in all, and which rows are double.
    #[test]
    fn ids_and_a_set_agree(ids in prop::collection::vec((1_u64..40, 0_u64..3), 1..40)) {
        let mut of_days = [vec![], vec![], vec![]];
        for (id, day) in &ids {
            of_days[*day as usize].push(*id);
        }
        let root = tempfile::tempdir().unwrap();
        let mut store = open(root.path());
        for (number, ids) in (0..).zip(&of_days) {
            append(&mut store, &ids.iter().map(|id| trade(DAY_START + number * DAY_NS, *id)).collect::<Vec<_>>());
        }
        flush(&mut store);
        let all: std::collections::BTreeSet<u64> = ids.iter().map(|(id, _)| *id).collect();
        let (first, last) = (*all.first().unwrap(), *all.last().unwrap());
        let (_, totals) = run(root.path(), &contiguous());
        prop_assert_eq!(totals.missing, last - first + 1 - all.len() as u64);
        let double: u64 = findings(root.path(), &contiguous()).iter().map(|finding| match finding {
            Finding::DuplicateIds { count, .. } => *count,
            _ => 0,
        }).sum();
        prop_assert_eq!(double, (ids.len() - all.len()) as u64);
    }
}
