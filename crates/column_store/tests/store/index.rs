//! The index of open days against a reader that opens everything anew each time, while the files change in every way.

use std::io::Write as _;

use column_store::{Access, Found, Index, IndexError, SEAL_DELAY_NS, SealDraft, Sealing, StoreError};
use proptest::prelude::*;

use super::*;

/// Unix seconds of the day's begin.
const BEGIN: u32 = (DAY_START / S) as u32;

fn columns(names: &[&str]) -> Vec<&'static column_store::Column> {
    names.iter().map(|name| Table::Trades.column(name).unwrap()).collect()
}

fn select(index: &Index, names: &[&str], start: u32, end: u32, access: Access) -> Result<Found, IndexError> {
    index.select(&id(Table::Trades), &columns(names), start, end, access)
}

fn ids(found: &Found) -> Vec<u64> {
    u64s(&bytes(&found.selection), "id")
}

/// What the index says, which must be what a fresh reader says, from memory too where it can.
#[track_caller]
fn check(root: &Path, index: &Index, names: &[&str], start: u32, end: u32) {
    let fresh = Reader::open(root).unwrap().select(&id(Table::Trades), &columns(names), start, end).unwrap();
    let (first, second) =
        (select(index, names, start, end, Access::Resident), select(index, names, start, end, Access::Disk));
    for found in [first, second] {
        let found = match found {
            Err(IndexError::NotResident) => continue,
            found => found.unwrap().selection,
        };
        assert_eq!(bytes(&found), bytes(&fresh), "{names:?} {start}-{end}");
        assert_eq!((found.any_day, &found.incomplete), (fresh.any_day, &fresh.incomplete));
    }
}

fn rewrite(path: &Path, seconds: &[u32]) {
    fs::write(path, seconds.iter().flat_map(|second| second.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
}

/// One change of the directory, by two numbers.
fn change(root: &Path, kind: u8, amount: u16) {
    let day = if amount.is_multiple_of(3) { "19.11.96" } else { "18.11.96" };
    let begin = BEGIN + if day == "19.11.96" { 86_400 } else { 0 };
    let names = ["time", "id", "price"];
    let path = |name: &str| file(root, Table::Trades, &format!("{name}.{day}.bin"));
    let name = names[usize::from(amount) % 3];
    match kind {
        // Rows come, to all columns or to one alone.
        0..=3 => {
            let rows = u32::from(amount) % 3_000;
            let grow = |name: &str, cell: &dyn Fn(u32) -> Vec<u8>| {
                let old = fs::read(path(name)).unwrap_or_default();
                let added: Vec<u8> = (0..rows).flat_map(cell).collect();
                fs::write(path(name), [old, added].concat()).unwrap();
            };
            let last = fs::read(path("time")).unwrap_or_default();
            let last = last.len() / 4 * 4;
            let known = fs::read(path("time")).unwrap_or_default();
            let last =
                known[..last].rchunks(4).next().map_or(begin, |cell| u32::from_le_bytes(cell.try_into().unwrap()));
            fs::write(path("time"), &known[..known.len() / 4 * 4]).unwrap();
            grow("time", &|row| (last + row / 400).to_le_bytes().to_vec());
            if kind < 3 {
                grow("id", &|row| u64::from(row).to_le_bytes().to_vec());
                grow("price", &|row| row.to_le_bytes().to_vec());
            }
        }
        // A file is cut, in place.
        4 => {
            if let Ok(length) = fs::metadata(path(name)).map(|found| found.len()) {
                let file = fs::File::options().write(true).open(path(name)).unwrap();
                file.set_len(length.saturating_sub(u64::from(amount))).unwrap();
            }
        }
        // Cut and written again, with other seconds.
        5 => rewrite(&path("time"), &(0..u32::from(amount)).map(|row| begin + 7 + row / 97).collect::<Vec<_>>()),
        // Replaced by a rename.
        6 => {
            let other = path(name).with_extension("tmp");
            rewrite(&other, &(0..u32::from(amount)).map(|row| begin + row / 50).collect::<Vec<_>>());
            fs::rename(other, path(name)).unwrap();
        }
        7 => drop(fs::remove_file(path(name))),
        // The day is over, if its columns agree.
        10 => {
            let day: Day = day.parse().unwrap();
            // Not every mess that this test makes can be opened for writing.
            if let Ok(mut store) = Store::open(root, Options::default())
                && let Ok(Some(draft)) = SealDraft::read(root, &id(Table::Trades), day, &mut |_| {})
            {
                assert_eq!(store.seal(&draft, day.end_ns() + SEAL_DELAY_NS).unwrap(), Sealing::Sealed);
            }
        }
        // The whole directory goes, or is another one.
        8 => drop(fs::remove_dir_all(root.join(id(Table::Trades).path()))),
        _ => {
            let directory = root.join(id(Table::Trades).path());
            fs::rename(&directory, root.join(format!("old{amount}"))).ok();
            fs::create_dir_all(directory).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_changes_on_disk_changes_in_the_index(
        steps in prop::collection::vec((0_u8..11, 0_u16..9_000, 0_u32..40, 0_u32..40), 1..24),
    ) {
        let root = tempfile::tempdir().unwrap();
        let index = Index::new(root.path(), 16).keeping(1 << 16);
        for (kind, amount, start, length) in steps {
            fs::create_dir_all(root.path().join(id(Table::Trades).path())).unwrap();
            change(root.path(), kind, amount);
            // What lies above the series' directory, and what becomes of sealed files, is looked at by sweeps.
            index.sweep().unwrap();
            let names: &[&str] = [&["id", "time"][..], &["price", "id", "id"], &["time", "id"]][usize::from(amount) % 3];
            let start = BEGIN + start / 2 + if start % 2 == 0 { 0 } else { 86_380 };
            check(root.path(), &index, names, start, start + length);
            check(root.path(), &index, names, BEGIN - 86_400, BEGIN + 3 * 86_400);
        }
    }
}

#[test]
fn a_second_request_looks_nothing_up() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    append(&mut store, &(0..5_000).map(|row| trade(DAY_START + row / 50 * S, row)).collect::<Vec<_>>());
    flush(&mut store);
    let index = Index::new(root.path(), 16);
    assert!(matches!(select(&index, &["id"], BEGIN, BEGIN + 9, Access::Resident), Err(IndexError::NotResident)));
    let found = select(&index, &["id"], BEGIN + 10, BEGIN + 19, Access::Disk).unwrap();
    assert_eq!((found.days_looked_up, ids(&found)), (1, (500..1_000).collect()));
    // The directory was made just now: until its times can be told from those of a next change, it is looked up again.
    wait_until_settled(&index);
    let open = index.open_files();
    for second in 0..100 {
        let found = select(&index, &["id"], BEGIN + second, BEGIN + second, Access::Resident).unwrap();
        let first = u64::from(second) * 50;
        assert_eq!((found.days_looked_up, ids(&found)), (0, (first..first + 50).collect()), "{second}");
    }
    assert_eq!(index.open_files(), open);
    // Rows that come later are seen without a lookup as well.
    append(&mut store, &[trade(DAY_START + 200 * S, 7)]);
    flush(&mut store);
    assert_eq!(ids(&select(&index, &["id"], BEGIN + 150, BEGIN + 300, Access::Resident).unwrap()), [7]);
}

fn wait_until_settled(index: &Index) {
    let start = std::time::Instant::now();
    while select(index, &["id"], BEGIN, BEGIN, Access::Disk).unwrap().days_looked_up > 0 {
        assert!(start.elapsed() < Duration::from_secs(30), "it never settles");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn open_files_are_bounded_and_the_least_recently_used_goes() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    for day in 0..12 {
        append(&mut store, &[trade(DAY_START + day * 86_400 * S, day)]);
    }
    flush(&mut store);
    // Two files a day, and the directory.
    let index = Index::new(root.path(), 11);
    for day in 0..12_u32 {
        let begin = BEGIN + day * 86_400;
        let found = select(&index, &["id"], begin, begin + 86_399, Access::Disk).unwrap();
        assert_eq!(ids(&found), [u64::from(day)]);
        assert!(index.open_files() <= 11, "{}", index.open_files());
    }
    // Answers that hold theirs leave none to others.
    let held: Vec<_> = (0..4_u32)
        .map(|day| select(&index, &["id"], BEGIN + day * 86_400, BEGIN + day * 86_400 + 9, Access::Disk).unwrap())
        .collect();
    let whole = || select(&index, &["id"], BEGIN, BEGIN + 12 * 86_400, Access::Disk);
    assert!(matches!(whole(), Err(IndexError::OpenFiles)));
    drop(held);
    let one = select(&index, &["id"], BEGIN + 5 * 86_400, BEGIN + 5 * 86_400, Access::Disk).unwrap();
    assert_eq!(ids(&one), [5]);
}

/// What retention removes has to be free on the disk, whether or not somebody asks for it again.
#[test]
fn files_that_were_removed_are_closed_by_a_sweep() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    append(&mut store, &[trade(DAY_START, 1), trade(DAY_START + 86_400 * S, 2)]);
    flush(&mut store);
    let index = Index::new(root.path(), 16);
    select(&index, &["id"], BEGIN, BEGIN + 86_400, Access::Disk).unwrap();
    wait_until_settled(&index);
    for _ in 0..9 {
        index.sweep().unwrap();
    }
    assert_eq!(index.open_files(), 5, "two files a day, and the directory");
    for name in ["time", "id"] {
        fs::remove_file(file(root.path(), Table::Trades, &format!("{name}.18.11.96.bin"))).unwrap();
    }
    index.sweep().unwrap();
    assert_eq!(index.open_files(), 3);
    fs::remove_dir_all(root.path().join(id(Table::Trades).path())).unwrap();
    index.sweep().unwrap();
    assert_eq!(index.open_files(), 1, "the directory goes when its series is asked for, or after a while");
}

#[test]
fn what_nobody_asks_for_is_forgotten_after_a_while() {
    const A_WHILE: u32 = 3_602;
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    append(&mut store, &[trade(DAY_START, 1), trade(DAY_START + 86_400 * S, 2)]);
    flush(&mut store);
    let index = Index::new(root.path(), 16);
    let ask = |begin: u32| select(&index, &["id"], begin, begin, Access::Disk).unwrap();
    ask(BEGIN);
    for _ in 0..A_WHILE {
        ask(BEGIN + 86_400);
        index.sweep().unwrap();
    }
    assert_eq!(index.open_files(), 3, "the other day, and the directory");
    for _ in 0..A_WHILE {
        index.sweep().unwrap();
    }
    assert_eq!(index.open_files(), 0);
    assert_eq!(ids(&ask(BEGIN)), [1]);
}

#[test]
fn a_sealed_range_has_a_validator_that_changes_with_its_rows() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    append(&mut store, &[trade(DAY_START, 1), trade(DAY_START + 86_400 * S, 2), trade(DAY_START + 2 * 86_400 * S, 3)]);
    flush(&mut store);
    let seal = |store: &mut Store, text: &str| {
        let day: Day = text.parse().unwrap();
        let draft = SealDraft::read(root.path(), &id(Table::Trades), day, &mut |_| {}).unwrap().unwrap();
        assert_eq!(store.seal(&draft, day.end_ns() + SEAL_DELAY_NS).unwrap(), Sealing::Sealed);
    };
    seal(&mut store, "18.11.96");
    seal(&mut store, "19.11.96");
    let index = Index::new(root.path(), 64);
    let validator = |names: &[&str], days: std::ops::RangeInclusive<u32>| {
        let (start, end) = (BEGIN + days.start() * 86_400, BEGIN + days.end() * 86_400 + 86_399);
        select(&index, names, start, end, Access::Disk).unwrap().validator
    };
    let first = validator(&["id"], 0..=0).unwrap();
    let all = [
        first,
        validator(&["id"], 1..=1).unwrap(),
        validator(&["id"], 0..=1).unwrap(),
        validator(&["price"], 0..=0).unwrap(),
    ];
    for (at, one) in all.iter().enumerate() {
        assert!(!all[..at].contains(one), "{at}");
    }
    assert_eq!(validator(&["id"], 0..=0), Some(first));
    // A day that is not sealed, or not there.
    assert_eq!(validator(&["id"], 1..=2), None);
    assert_eq!(validator(&["id"], 2..=2), None);
    assert_eq!(select(&index, &["id"], BEGIN - 86_400, BEGIN, Access::Disk).unwrap().validator, None);
}

#[test]
fn a_late_row_takes_the_validator_and_another_seal_brings_another() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    let index = Index::new(root.path(), 64);
    let validator = || {
        index.sweep().unwrap();
        select(&index, &["id"], BEGIN, BEGIN + 9, Access::Disk).unwrap().validator
    };
    let mut seen = Vec::new();
    for row in 1..4 {
        append(&mut store, &[trade(DAY_START + row * S, row)]);
        flush(&mut store);
        assert_eq!(validator(), None, "{row}");
        let day: Day = "18.11.96".parse().unwrap();
        let draft = SealDraft::read(root.path(), &id(Table::Trades), day, &mut |_| {}).unwrap().unwrap();
        assert_eq!(store.seal(&draft, day.end_ns() + SEAL_DELAY_NS).unwrap(), Sealing::Sealed);
        let validator = validator().unwrap();
        assert!(!seen.contains(&validator), "{row}");
        seen.push(validator);
    }
}

/// Days with a trade a second each, sealed.
fn sealed_days(root: &Path, days: u64) {
    let mut store = open(root);
    for day in 0..days {
        append(&mut store, &(0..2_000).map(|row| trade(DAY_START + (day * 86_400 + row) * S, row)).collect::<Vec<_>>());
    }
    flush(&mut store);
    let sealed_until: Day = "01.01.97".parse().unwrap();
    for day in 0..days {
        let day = Day::from_seconds_clamped(BEGIN + u32::try_from(day * 86_400).unwrap());
        let draft = SealDraft::read(root, &id(Table::Trades), day, &mut |_| {}).unwrap().unwrap();
        assert_eq!(store.seal(&draft, sealed_until.end_ns()).unwrap(), Sealing::Sealed);
    }
}

#[test]
fn what_is_kept_of_a_sealed_day_is_what_the_file_holds_after_a_sweep() {
    let root = tempfile::tempdir().unwrap();
    sealed_days(root.path(), 1);
    let index = Index::new(root.path(), 64).keeping(1 << 20);
    let found = || ids(&select(&index, &["id"], BEGIN + 5, BEGIN + 7, Access::Disk).unwrap());
    wait_until_settled(&index);
    assert_eq!(found(), [5, 6, 7]);
    let kept = index.kept_bytes();
    assert!(kept > 2 * 4_096, "{kept}");
    // As `cp` over it does: the same file, the same length, other bytes.
    let path = file(root.path(), Table::Trades, "id.18.11.96.bin");
    let other: Vec<u8> = (0..2_000_u64).flat_map(|row| (row + 100).to_le_bytes()).collect();
    fs::File::options().write(true).open(path).unwrap().write_all(&other).unwrap();
    index.sweep().unwrap();
    assert_eq!(found(), [105, 106, 107]);
    assert_eq!(index.kept_bytes(), kept, "the old blocks are gone");
}

/// A look at one column of a day says nothing of another one.
#[test]
fn each_column_of_a_sealed_day_is_looked_at_after_a_sweep() {
    let root = tempfile::tempdir().unwrap();
    sealed_days(root.path(), 1);
    let index = Index::new(root.path(), 64).keeping(1 << 20);
    let found = |name| bytes(&select(&index, &[name], BEGIN + 5, BEGIN + 7, Access::Disk).unwrap().selection);
    wait_until_settled(&index);
    let before = (found("id"), found("size"));
    index.sweep().unwrap();
    assert_eq!(found("id"), before.0);
    let path = file(root.path(), Table::Trades, "size.18.11.96.bin");
    fs::File::options().write(true).open(path).unwrap().write_all(&[7; 2_000 * 4]).unwrap();
    assert_ne!(found("size"), before.1);
    assert_eq!(u64s(&found("id"), "id"), [5, 6, 7]);
}

#[test]
fn the_least_recently_used_days_make_room_for_blocks() {
    let root = tempfile::tempdir().unwrap();
    sealed_days(root.path(), 8);
    let room = 40 << 10;
    let index = Index::new(root.path(), 200).keeping(room);
    let ask = |day: u32| {
        let at = BEGIN + day * 86_400 + 9;
        let found = select(&index, &["id"], at, at, Access::Disk).unwrap();
        assert_eq!(ids(&found), [9], "{day}");
    };
    for _ in 0..3 {
        for day in 0..8 {
            ask(day);
            assert!((1..=room).contains(&index.kept_bytes()), "{}", index.kept_bytes());
        }
        let full = index.kept_bytes();
        index.sweep().unwrap();
        assert!(index.kept_bytes() < full, "nobody made room: {full} of {room}");
        index.sweep().unwrap();
    }
}

#[test]
fn a_changed_sealed_day_is_seen_after_a_sweep() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    append(&mut store, &[trade(DAY_START, 1), trade(DAY_START, 2)]);
    flush(&mut store);
    let day: Day = "18.11.96".parse().unwrap();
    let draft = SealDraft::read(root.path(), &id(Table::Trades), day, &mut |_| {}).unwrap().unwrap();
    store.seal(&draft, day.end_ns() + SEAL_DELAY_NS).unwrap();
    let index = Index::new(root.path(), 64);
    let found = || select(&index, &["id"], BEGIN, BEGIN, Access::Disk).unwrap();
    assert_eq!((ids(&found()), found().validator.is_some()), (vec![1, 2], true));
    let id_file = fs::File::options().write(true).open(file(root.path(), Table::Trades, "id.18.11.96.bin")).unwrap();
    id_file.set_len(8).unwrap();
    index.sweep().unwrap();
    assert_eq!((ids(&found()), found().validator), (vec![1], None));
}

#[test]
fn a_root_that_comes_goes_and_is_replaced() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("data");
    let index = Index::new(&root, 16);
    let missing = |result: Result<Found, IndexError>| matches!(result, Err(IndexError::Store(StoreError::Io { source, .. })) if source.kind() == std::io::ErrorKind::NotFound);
    assert!(index.sweep().is_err());
    assert!(missing(select(&index, &["id"], BEGIN, BEGIN, Access::Disk)));
    for number in 1..3 {
        fs::create_dir(&root).unwrap();
        let mut store = open(&root);
        append(&mut store, &[trade(DAY_START, number)]);
        flush(&mut store);
        index.sweep().unwrap();
        assert_eq!(ids(&select(&index, &["id"], BEGIN, BEGIN, Access::Disk).unwrap()), [number]);
        drop(store);
        fs::rename(&root, outer.path().join(number.to_string())).unwrap();
    }
    assert!(index.sweep().is_err());
    assert!(missing(select(&index, &["id"], BEGIN, BEGIN, Access::Disk)));
    // Files of what is gone are closed.
    assert_eq!(index.open_files(), 0);
}
