//! Writes that fail or stop short inside each column: recording goes on and no row is torn, lost or doubled.

use std::{
    fs::File,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use column_store::{Disk, OsDisk, StoreError};

use super::*;

/// What the disk does next: after `bytes` more bytes to a file whose name begins with `column`, one write fails.
#[derive(Clone, Default)]
struct Fault(Arc<Mutex<Option<(&'static str, usize)>>>);

struct FaultyDisk(Fault);

/// A disk that fails one write of `time` behind half of its bytes, and then takes nothing back.
struct StuckDisk(AtomicU32);

/// A disk whose first sync after `open` fails.
struct UnsyncedDisk(AtomicU32);

impl Disk for UnsyncedDisk {
    fn write_at(&self, file: &File, path: &Path, bytes: &[u8], offset: u64) -> io::Result<usize> {
        OsDisk.write_at(file, path, bytes, offset)
    }

    fn sync(&self, root: &File) -> io::Result<()> {
        if self.0.fetch_add(1, Ordering::Relaxed) == 1 { Err(io::ErrorKind::Other.into()) } else { OsDisk.sync(root) }
    }
}

impl Disk for StuckDisk {
    fn write_at(&self, file: &File, path: &Path, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let is_time = path.file_name().unwrap().to_str().unwrap().starts_with("time.");
        match self.0.load(Ordering::Relaxed) {
            1 if is_time => {
                self.0.store(2, Ordering::Relaxed);
                OsDisk.write_at(file, path, &bytes[..bytes.len() / 2], offset)
            }
            2 => {
                self.0.store(3, Ordering::Relaxed);
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => OsDisk.write_at(file, path, bytes, offset),
        }
    }

    fn set_len(&self, _: &File, _: &Path, _: u64) -> io::Result<()> {
        Err(io::Error::other("input/output error"))
    }

    fn sync(&self, root: &File) -> io::Result<()> {
        OsDisk.sync(root)
    }
}

impl Disk for FaultyDisk {
    fn write_at(&self, file: &File, path: &Path, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut fault = self.0.0.lock().unwrap();
        let hit = |column: &str| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{column}."));
        match *fault {
            Some((column, 0)) if hit(column) => {
                *fault = None;
                Err(io::ErrorKind::StorageFull.into())
            }
            Some((column, left)) if hit(column) => {
                let now = left.min(bytes.len());
                *fault = Some((column, left - now));
                OsDisk.write_at(file, path, &bytes[..now], offset)
            }
            _ => OsDisk.write_at(file, path, bytes, offset),
        }
    }

    fn sync(&self, root: &File) -> io::Result<()> {
        OsDisk.sync(root)
    }
}

#[test]
fn a_write_failing_inside_each_column_loses_nothing() {
    for column in Table::Md.columns() {
        for after in [0, 1, column.kind.width() + 1, 3 * column.kind.width()] {
            let root = tempfile::tempdir().unwrap();
            let fault = Fault::default();
            let disk = Arc::new(FaultyDisk(fault.clone()));
            let mut store = Store::open(root.path(), Options { disk, ..Options::default() }).unwrap();
            append(&mut store, &[md(DAY_START, 0), md(DAY_START, 1)]);
            flush(&mut store);

            *fault.0.lock().unwrap() = Some((column.name, after));
            append(&mut store, &(2..6).map(|i| md(DAY_START + i, i)).collect::<Vec<_>>());
            let error = store.flush(|_, _| panic!("nothing got written")).unwrap_err();
            assert!(error.to_string().contains(column.name), "{error} names the file");
            assert_eq!(store.pending_bytes(), 416);
            // Readers still see the previous flush, and whole rows.
            assert_eq!(u64s(&read_all(root.path(), Table::Md), "event_id"), [0, 1]);
            assert_whole_rows(root.path(), Table::Md, "18.11.96".parse().unwrap(), 2);

            append(&mut store, &[md(DAY_START + 9, 6)]);
            assert_eq!(flush(&mut store), 5);
            drop(store);
            let store = open(root.path());
            assert!(store.recovered().is_empty(), "nothing was torn: {:?}", store.recovered());
            let all = read_all(root.path(), Table::Md);
            assert_eq!(u64s(&all, "event_id"), [0, 1, 2, 3, 4, 5, 6], "{} after {after}", column.name);
            assert_eq!(u64s(&all, "event_ns")[6], DAY_START + 9, "columns stay aligned");
        }
    }
}

/// Whole rows that a failed flush could not take back are not written a second time behind themselves.
#[test]
fn rows_that_could_not_be_taken_back_are_not_doubled() {
    let root = tempfile::tempdir().unwrap();
    let disk = Arc::new(StuckDisk(AtomicU32::new(0)));
    let mut store = Store::open(root.path(), Options { disk: disk.clone(), ..Options::default() }).unwrap();
    append(&mut store, &[md(DAY_START, 0), md(DAY_START, 1)]);
    flush(&mut store);
    disk.0.store(1, Ordering::Relaxed);
    append(&mut store, &(2..6).map(|i| md(DAY_START + i, i)).collect::<Vec<_>>());
    assert!(store.flush(|_, _| {}).is_err());
    assert_eq!(lengths(root.path(), Table::Md, "18.11.96".parse().unwrap())[0], ("time".to_owned(), 4 * 4));
    let error = store.flush(|_, _| {}).unwrap_err();
    assert!(matches!(error, StoreError::Changed { .. }), "{error}");
    append(&mut store, &[md(DAY_START + 9, 6)]);
    assert_eq!(flush(&mut store), 5);
    assert_eq!(u64s(&read_all(root.path(), Table::Md), "event_id"), [0, 1, 2, 3, 4, 5, 6]);
    drop(store);
    assert!(open(root.path()).recovered().is_empty());
}

#[test]
fn a_failure_over_midnight_keeps_both_days() {
    let root = tempfile::tempdir().unwrap();
    let fault = Fault::default();
    let disk = Arc::new(FaultyDisk(fault.clone()));
    let mut store = Store::open(root.path(), Options { disk, ..Options::default() }).unwrap();
    *fault.0.lock().unwrap() = Some(("side", 2));
    append(&mut store, &[md(DAY_START - 1, 0), md(DAY_START, 1)]);
    assert!(store.flush(|_, _| {}).is_err());
    // The second day's files fail in their turn, after the first day got through.
    *fault.0.lock().unwrap() = Some(("side", 4));
    append(&mut store, &[md(DAY_START + 1, 2)]);
    let mut rows = 0;
    assert!(store.flush(|_, written| rows += written.rows).is_err());
    assert_eq!(rows, 1);
    assert_eq!(flush(&mut store), 2);
    assert_eq!(store.pending_bytes(), 0);
    assert_eq!(u64s(&read_all(root.path(), Table::Md), "event_id"), [0, 1, 2]);
}

/// The kernel tells a failed write-back once: after it, no checkpoint may claim that the rows are on disk.
#[test]
fn a_failed_sync_proves_nothing_any_more() {
    let root = tempfile::tempdir().unwrap();
    let mut store =
        Store::open(root.path(), Options { disk: Arc::new(UnsyncedDisk(AtomicU32::new(0))), ..Options::default() })
            .unwrap();
    let before = fs::read(root.path().join("checkpoint")).unwrap();
    append(&mut store, &[md(DAY_START, 0)]);
    flush(&mut store);
    assert!(store.sync().is_err());
    let error = store.sync().unwrap_err();
    assert!(matches!(error, StoreError::SyncFailed { .. }), "{error}");
    assert_eq!(fs::read(root.path().join("checkpoint")).unwrap(), before);
    drop(store);
    open(root.path()).sync().unwrap();
}

/// A column that somebody cuts or removes while the logger runs never becomes zeros that look like data.
#[test]
fn a_column_changed_by_somebody_else_is_told_and_recording_goes_on() {
    for (column, keep) in [("price_f64", Some(0)), ("price_f64", Some(9)), ("time", Some(4)), ("side", None)] {
        let root = tempfile::tempdir().unwrap();
        let mut store = Store::open(root.path(), Options { open_files: 1, ..Options::default() }).unwrap();
        append(&mut store, &[md(DAY_START, 0), md(DAY_START, 1), md(DAY_START, 2)]);
        flush(&mut store);
        let path = root.path().join(id(Table::Md).path()).join(format!("{column}.18.11.96.bin"));
        match keep {
            Some(bytes) => File::options().write(true).open(&path).unwrap().set_len(bytes).unwrap(),
            None => {
                // Another series makes the store close this one's files.
                let other = store.series::<MdRow>("coinbase", "ETH-USD").unwrap();
                store.append(other, &md(DAY_START, 0), TimeRule::Live).unwrap();
                flush(&mut store);
                fs::remove_file(&path).unwrap();
            }
        }
        append(&mut store, &[md(DAY_START, 3)]);
        let error = store.flush(|_, _| {}).unwrap_err();
        assert!(matches!(error, StoreError::Changed { .. }), "{error}");
        assert!(error.to_string().contains(column), "{error}");
        assert_eq!(flush(&mut store), 1);
        let all = read_all(root.path(), Table::Md);
        let prices: Vec<f64> = u64s(&all, "price_f64").into_iter().map(f64::from_bits).collect();
        assert!(prices.iter().all(|price| *price > 100.0), "no price is invented: {prices:?}");
        assert_eq!(u64s(&all, "event_id").last(), Some(&3));
    }
}

#[test]
fn one_broken_series_does_not_stop_the_others() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    let bad = store.series::<MdRow>("coinbase", "BAD-USD").unwrap();
    // A file where the directory should be.
    fs::create_dir_all(root.path().join("coinbase")).unwrap();
    fs::write(root.path().join("coinbase/BAD-USD"), "").unwrap();
    store.append(bad, &md(DAY_START, 1), TimeRule::Live).unwrap();
    append(&mut store, &[md(DAY_START, 2)]);
    let error = store.flush(|_, _| {}).unwrap_err();
    assert!(error.to_string().contains("BAD-USD"), "{error}");
    assert_eq!(u64s(&read_all(root.path(), Table::Md), "event_id"), [2]);
    fs::remove_file(root.path().join("coinbase/BAD-USD")).unwrap();
    assert_eq!(flush(&mut store), 1);
}
