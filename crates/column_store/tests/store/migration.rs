//! The ancestor's directories under our format: every byte arrives, nothing of the source changes, and what was
//! interrupted goes on.

use std::{collections::BTreeMap, path::PathBuf};

use column_store::{Audit, MigratedDay, Outcome, SEAL_DELAY_NS, StoreError, migrate, verify};

use super::*;

const DAY_NS: u64 = 86_400 * S;
const COLUMNS: [&str; 7] = ["time", "nanos", "price", "volume", "side", "best_bid", "best_ask"];

/// After the first day, before the end of the second.
fn now() -> u64 {
    DAY_START + DAY_NS + SEAL_DELAY_NS
}

/// Two symbols and two days, some of it torn, and what else may lie around.
fn ancestor() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (symbol, number) in [("coinbase/BTC-USD", 0), ("coinbase/BTC-USD", 1), ("kraken/XBT_USD", 0)] {
        let directory = root.path().join(symbol).join("MD");
        fs::create_dir_all(&directory).unwrap();
        let day = Day::from_ns(DAY_START + number * DAY_NS).unwrap();
        for (at, name) in (0_u8..).zip(COLUMNS) {
            let cell = |row: u64| match name {
                "time" => ((DAY_START / S + number * 86_400 + row) as u32).to_le_bytes(),
                "nanos" => [0; 4],
                _ => [at, row as u8, number as u8, symbol.len() as u8],
            };
            let mut bytes: Vec<u8> = (0..100).flat_map(cell).collect();
            if symbol.starts_with("kraken") && name != "best_ask" {
                bytes.extend([1, 2, 3, 4, 5]);
            }
            fs::write(directory.join(format!("{name}.{day}.bin")), bytes).unwrap();
        }
    }
    fs::write(root.path().join("README"), "by hand").unwrap();
    fs::write(root.path().join("kraken/XBT_USD/MD/funding.18.11.96.bin"), [0; 8]).unwrap();
    fs::create_dir(root.path().join("kraken/XBT_USD/BOOK")).unwrap();
    root
}

/// All files below a directory, by their path in it.
fn contents(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut walk = vec![root.to_owned()];
    while let Some(directory) = walk.pop() {
        for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                walk.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn run(source: &Path, target: &Path) -> Result<(Vec<MigratedDay>, Vec<PathBuf>), StoreError> {
    let mut days = Vec::new();
    let left = migrate(source, target, now(), &mut |_| {}, &mut |day| days.push(day.clone()))?;
    Ok((days, left))
}

#[test]
fn every_byte_arrives() {
    let (source, target) = (ancestor(), tempfile::tempdir().unwrap());
    let before = contents(source.path());
    let mut steps = Vec::new();
    let mut days = Vec::new();
    let progress = &mut |progress: &column_store::Progress| steps.push((progress.done, progress.total));
    let left = migrate(source.path(), target.path(), now(), progress, &mut |day| days.push(day.clone())).unwrap();
    assert_eq!(steps, [(0, 3), (1, 3), (2, 3)]);
    assert_eq!(contents(source.path()), before, "the source is only read");
    let found: Vec<_> = days.iter().map(|day| (day.rows, day.torn_bytes, day.outcome.clone())).collect();
    assert_eq!(found, [(100, 0, Outcome::Copied), (100, 0, Outcome::NotOver), (100, 30, Outcome::Copied)]);
    let names: Vec<_> = left.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["README", "BOOK", "funding.18.11.96.bin"]);

    let after = contents(target.path());
    let mut expected: Vec<PathBuf> = ["FORMAT", "lock"].map(PathBuf::from).into();
    for symbol in ["coinbase/BTC-USD/MD", "kraken/XBT_USD/MD"] {
        expected.push(format!("{symbol}/sealed.18.11.96.json").into());
        for name in COLUMNS {
            let path = PathBuf::from(format!("{symbol}/{name}.18.11.96.bin"));
            let torn = PathBuf::from(format!("{symbol}/{name}.18.11.96.bin.100.torn"));
            let mut whole = after[&path].clone();
            assert_eq!(whole.len(), 400);
            if symbol.starts_with("kraken") && name != "best_ask" {
                whole.extend(&after[&torn]);
                expected.push(torn);
            }
            assert_eq!(whole, before[&path], "{}", path.display());
            expected.push(path);
        }
    }
    expected.sort();
    assert_eq!(after.keys().cloned().collect::<Vec<_>>(), expected, "and nothing else");
    let totals = verify(target.path(), &Audit::default(), &mut |_| {}, &mut |_| {}).unwrap();
    assert!(totals.is_whole() && totals.sealed_days == 2, "{totals}");

    // Again: it is there. And the logger goes on from it, also after a power loss.
    let (days, _) = run(source.path(), target.path()).unwrap();
    let outcomes: Vec<_> = days.into_iter().map(|day| day.outcome).collect();
    assert_eq!(outcomes, [Outcome::There, Outcome::NotOver, Outcome::There]);
    assert_eq!(contents(target.path()), after);
    drop(Store::open_on_boot(target.path(), Options::default(), "boot-1".into()).unwrap());
    let mut store = Store::open_on_boot(target.path(), Options::default(), "boot-2".into()).unwrap();
    assert!(store.recovered().is_empty(), "{:?}", store.recovered());
    append(&mut store, &[md(DAY_START + DAY_NS, 1)]);
    assert_eq!(flush(&mut store), 1);
}

/// The ancestor was killed before the day's first row was in all columns.
#[test]
fn a_day_without_a_whole_row_is_migrated_and_keeps_its_bytes() {
    for time in [&b""[..], b"\x01", b"\x01\x02\x03"] {
        let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let directory = source.path().join("coinbase/BTC-USD/MD");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("time.18.11.96.bin"), time).unwrap();
        fs::write(directory.join("price.18.11.96.bin"), [7; 9]).unwrap();
        fs::write(directory.join("side.18.11.96.bin"), "").unwrap();
        let (days, _) = run(source.path(), target.path()).unwrap();
        let (rows, torn_bytes, outcome) = (days[0].rows, days[0].torn_bytes, &days[0].outcome);
        assert_eq!((rows, torn_bytes, outcome), (0, 9 + time.len() as u64, &Outcome::Copied));
        let directory = target.path().join("coinbase/BTC-USD/MD");
        for (column, bytes) in [("time", time), ("price", &[7; 9]), ("side", b"")] {
            assert_eq!(fs::read(directory.join(format!("{column}.18.11.96.bin"))).unwrap(), b"");
            let torn = fs::read(directory.join(format!("{column}.18.11.96.bin.0.torn"))).ok();
            assert_eq!(torn.as_deref(), Some(bytes).filter(|bytes| !bytes.is_empty()), "{column}");
        }
        assert_eq!(run(source.path(), target.path()).unwrap().0[0].outcome, Outcome::There);
    }
}

/// Whatever an interrupted migration left, the next one ends where an uninterrupted one would have.
#[test]
fn an_interrupted_migration_goes_on() {
    let source = ancestor();
    let reference = tempfile::tempdir().unwrap();
    run(source.path(), reference.path()).unwrap();
    let expected = contents(reference.path());
    let copied: Vec<_> =
        expected.keys().filter(|path| path.extension().is_some_and(|e| e == "bin" || e == "torn")).collect();
    for stop in (0..=copied.len()).step_by(4) {
        let target = tempfile::tempdir().unwrap();
        for path in &copied[..stop] {
            fs::create_dir_all(target.path().join(path).parent().unwrap()).unwrap();
            fs::write(target.path().join(path), &expected[*path]).unwrap();
        }
        if let Some(next) = copied.get(stop) {
            let half = target.path().join(format!("{}.tmp", next.display()));
            fs::create_dir_all(half.parent().unwrap()).unwrap();
            fs::write(half, &expected[*next][..3]).unwrap();
        }
        run(source.path(), target.path()).unwrap();
        let (mut found, mut expected) = (contents(target.path()), expected.clone());
        for symbol in ["coinbase/BTC-USD/MD", "kraken/XBT_USD/MD"] {
            let marker = PathBuf::from(format!("{symbol}/sealed.18.11.96.json"));
            assert!(found.remove(&marker).is_some() && expected.remove(&marker).is_some());
        }
        assert_eq!(found, expected, "stopped after {stop} files");
    }
}

#[test]
fn what_is_in_the_target_is_never_overwritten() {
    let (source, target) = (ancestor(), tempfile::tempdir().unwrap());
    let directory = target.path().join("coinbase/BTC-USD/MD");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("side.18.11.96.bin"), "recorded").unwrap();
    let (days, _) = run(source.path(), target.path()).unwrap();
    let file = fs::canonicalize(&directory).unwrap().join("side.18.11.96.bin");
    assert_eq!(days[0].outcome, Outcome::Conflict { file: file.clone() });
    assert_eq!(days[2].outcome, Outcome::Copied, "the others are copied all the same");
    assert_eq!(fs::read(file).unwrap(), b"recorded");
    assert!(!directory.join("time.18.11.96.bin").exists(), "no day is begun");
    // A sealed day of another length.
    let longer = source.path().join("kraken/XBT_USD/MD/best_ask.18.11.96.bin");
    fs::write(&longer, [0; 404]).unwrap();
    let (days, _) = run(source.path(), target.path()).unwrap();
    assert!(matches!(&days[2].outcome, Outcome::Conflict { file } if file.ends_with("sealed.18.11.96.json")));
}

#[test]
fn directories_that_cannot_be_migrated_are_refused() {
    let (source, target) = (ancestor(), tempfile::tempdir().unwrap());
    let inside = source.path().join("new");
    for (from, to) in
        [(source.path(), inside.as_path()), (inside.as_path(), source.path()), (source.path(), source.path())]
    {
        let error = run(from, to).unwrap_err();
        assert!(matches!(error, StoreError::Name { .. }), "{error}");
    }
    let store = open(target.path());
    assert!(matches!(run(source.path(), target.path()), Err(StoreError::Locked { .. })), "a logger has the target");
    drop(store);
    assert!(
        matches!(run(target.path(), tempfile::tempdir().unwrap().path()), Err(StoreError::Name { .. })),
        "ours already"
    );
    fs::remove_file(source.path().join("kraken/XBT_USD/MD/time.18.11.96.bin")).unwrap();
    assert_eq!(run(source.path(), target.path()).unwrap().0[2].outcome, Outcome::NoTime);
}
