//! What the writing side does beside what ends in the files: which of them it keeps open, and syncs that take long.

use std::{
    collections::BTreeSet,
    io,
    path::PathBuf,
    sync::mpsc::{Receiver, channel},
};

use column_store::{Covered, Proof};

use super::*;

/// The directories of symbols below `root` of which this process has column files open.
fn open_symbols(root: &Path) -> BTreeSet<String> {
    let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    let below = |path: PathBuf| path.strip_prefix(root.join("coinbase")).ok().map(Path::to_owned);
    links.filter_map(below).map(|path| path.iter().next().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn files_of_series_that_always_have_rows_stay_open() {
    let root = tempfile::tempdir().unwrap();
    let mut store = Store::open(root.path(), Options { open_files: 60, ..Options::default() }).unwrap();
    let symbols: Vec<_> = (0..6).map(|i| store.series::<MdRow>("coinbase", &format!("S{i}")).unwrap()).collect();
    let mut round = 0;
    let mut write = |store: &mut Store, which: std::ops::Range<usize>| {
        round += 1;
        let rows = which.len() as u64;
        for series in &symbols[which] {
            store.append(*series, &md(DAY_START + round, round), TimeRule::Live).unwrap();
        }
        assert_eq!(flush(store), rows);
        assert_eq!(store.open_files(), 17 * open_symbols(root.path()).len());
        open_symbols(root.path()).into_iter().collect::<Vec<_>>()
    };
    assert_eq!(write(&mut store, 0..6), ["S0", "S1", "S2"]);
    assert_eq!(write(&mut store, 0..6), ["S0", "S1", "S2"], "not in turns");
    assert_eq!(write(&mut store, 2..5), ["S2", "S3", "S4"], "what is quiet makes room");
    assert_eq!(write(&mut store, 5..6), ["S3", "S4", "S5"], "the least recently used does");
    assert_eq!(write(&mut store, 3..6), ["S3", "S4", "S5"]);
}

/// A disk whose `syncfs` waits for leave each time.
struct SlowDisk(Mutex<Receiver<io::Result<()>>>);

impl Disk for SlowDisk {
    fn write_at(&self, file: &fs::File, path: &Path, bytes: &[u8], offset: u64) -> io::Result<usize> {
        OsDisk.write_at(file, path, bytes, offset)
    }

    fn sync(&self, root: &fs::File) -> io::Result<()> {
        self.0.lock().unwrap().recv().unwrap()?;
        OsDisk.sync(root)
    }
}

/// The checkpoint in the making still names it.
#[test]
fn a_day_is_not_removed_while_a_sync_is_under_way() {
    let root = tempfile::tempdir().unwrap();
    let (leave, waiting) = channel();
    let options = Options { disk: Arc::new(SlowDisk(Mutex::new(waiting))), ..Options::default() };
    leave.send(Ok(())).unwrap();
    let mut store = Store::open(root.path(), options).unwrap();
    append(&mut store, &[md(DAY_START, 1)]);
    flush(&mut store);
    store.begin_sync().unwrap();
    let day: Day = "18.11.96".parse().unwrap();
    let removed = store.remove_day(&id(Table::Md), day, day.end_ns(), true).unwrap();
    leave.send(Ok(())).unwrap();
    end_sync(&mut store).unwrap();
    assert_eq!((removed, checkpoint(root.path())), (None, 1.into()));
    assert_whole_rows(root.path(), Table::Md, day, 1);
    assert!(store.remove_day(&id(Table::Md), day, day.end_ns(), true).unwrap().is_some());
    leave.send(Ok(())).unwrap();
    store.sync().unwrap();
    assert!(checkpoint(root.path()).is_null());
}

fn checkpoint(root: &Path) -> serde_json::Value {
    let all: serde_json::Value = serde_json::from_slice(&fs::read(root.join("checkpoint")).unwrap()).unwrap();
    all["rows"]["coinbase/BTC-USD/MD"]["18.11.96"].clone()
}

/// The ids of the rows up to the newest one that the coverage claims.
fn claimed(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(file(root, Table::Md, "coverage.18.11.96.jsonl")).ok()?;
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.map(|line| line["to"].as_u64().unwrap()).max()
}

/// Waits for a sync to end.
fn end_sync(store: &mut Store) -> Result<(), column_store::StoreError> {
    loop {
        if let Some(result) = store.end_sync() {
            return result;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_sync_proves_what_was_flushed_when_it_began() {
    let root = tempfile::tempdir().unwrap();
    let (leave, waits) = channel();
    leave.send(Ok(())).unwrap();
    let disk = Arc::new(SlowDisk(Mutex::new(waits)));
    let options = Options { disk, coverage_interval: Duration::ZERO, ..Options::default() };
    let mut store = Store::open(root.path(), options).unwrap();
    let series = store.series::<MdRow>("coinbase", "BTC-USD").unwrap();
    let step = |store: &mut Store, id: u64| {
        append(store, &[md(DAY_START + id, id)]);
        let at = DAY_START + id;
        let range = Covered { by: Proof::Id, connection: None, from: id, to: id, from_ns: at, to_ns: at };
        store.cover(series, range).unwrap();
        flush(store);
    };
    step(&mut store, 1);
    assert!(store.end_sync().is_none(), "none was begun");
    store.begin_sync().unwrap();
    // All of this happens while the disk is busy.
    step(&mut store, 2);
    store.begin_sync().unwrap();
    assert!(store.end_sync().is_none());
    assert_eq!(u64s(&read_all(root.path(), Table::Md), "event_id"), [1, 2], "readers see what is flushed");
    leave.send(Ok(())).unwrap();
    end_sync(&mut store).unwrap();
    assert_eq!(checkpoint(root.path()), 1);
    assert_eq!(claimed(root.path()), Some(1), "of the second row nothing is claimed yet");

    store.begin_sync().unwrap();
    leave.send(Ok(())).unwrap();
    end_sync(&mut store).unwrap();
    assert_eq!((checkpoint(root.path()).as_u64(), claimed(root.path())), (Some(2), Some(2)));

    step(&mut store, 3);
    store.begin_sync().unwrap();
    leave.send(Err(io::ErrorKind::Other.into())).unwrap();
    end_sync(&mut store).unwrap_err();
    assert!(store.begin_sync().is_err(), "the kernel tells a failure once");
    assert_eq!((checkpoint(root.path()).as_u64(), claimed(root.path())), (Some(2), Some(2)));
}

#[test]
fn a_store_that_is_closed_leaves_no_sync_behind() {
    let root = tempfile::tempdir().unwrap();
    let (leave, waits) = channel();
    leave.send(Ok(())).unwrap();
    let disk = Arc::new(SlowDisk(Mutex::new(waits)));
    let mut store = Store::open(root.path(), Options { disk, ..Options::default() }).unwrap();
    append(&mut store, &[md(DAY_START, 1)]);
    flush(&mut store);
    store.begin_sync().unwrap();
    let closing = std::thread::spawn(move || drop(store));
    assert!(Store::open(root.path(), Options::default()).is_err(), "the directory is locked until the sync has ended");
    leave.send(Ok(())).unwrap();
    closing.join().unwrap();
    assert_eq!(checkpoint(root.path()), 1);
    Store::open(root.path(), Options::default()).unwrap();
}

#[test]
fn rows_are_whole_after_bursts_of_any_size() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    for burst in [10_000_u64, 1, 300, 2] {
        append(&mut store, &(0..burst).map(|id| md(DAY_START, id)).collect::<Vec<_>>());
        assert_eq!(flush(&mut store), burst);
        assert_eq!(store.pending_bytes(), 0);
    }
    let expected: Vec<u64> = [10_000_u64, 1, 300, 2].into_iter().flat_map(|burst| 0..burst).collect();
    assert_eq!(u64s(&read_all(root.path(), Table::Md), "event_id"), expected);
}
