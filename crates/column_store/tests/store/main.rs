//! The store from outside: real files in temporary directories.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod audit;
mod crash;
mod failing_disk;
mod golden;
mod index;
mod layout_rules;
mod migration;
mod range;
mod records;
mod retention;
mod seal;
mod writing;

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use column_store::{
    Day, Disk, MdKind, MdRow, Options, OsDisk, Reader, Row, Selection, SeriesId, Side, Store, Table, TimeRule, TradeRow,
};

/// 2096-11-18 00:00:00 UTC, ns: later than any clock that runs these tests, as rows in the making are.
const DAY_START: u64 = 4_004_035_200 * S;
const S: u64 = 1_000_000_000;

fn md(ns: u64, id: u64) -> MdRow {
    MdRow {
        kind: MdKind::Quote,
        event_id: id,
        event_ns: ns,
        receive_ns: ns + 1_000,
        price: 100.25 + id as f64,
        volume: 0.5,
        side: Side::Sell,
        best_bid: 100.0,
        best_ask: 100.5,
        bid_size: 1.0,
        ask_size: 2.0,
    }
}

fn trade(ns: u64, id: u64) -> TradeRow {
    TradeRow {
        id,
        event_ns: ns,
        receive_ns: ns + 1_000,
        price: 100.25,
        size: 0.5,
        side: Side::Buy,
        maker_order_id: [7; 16],
        taker_order_id: [9; 16],
    }
}

fn id(table: Table) -> SeriesId {
    SeriesId { exchange: "coinbase".into(), symbol: "BTC-USD".into(), table }
}

fn open(root: &Path) -> Store {
    Store::open(root, Options::default()).unwrap()
}

fn append<R: Row>(store: &mut Store, rows: &[R]) {
    let series = store.series::<R>("coinbase", "BTC-USD").unwrap();
    for row in rows {
        store.append(series, row, TimeRule::Live).unwrap();
    }
}

fn flush(store: &mut Store) -> u64 {
    let mut rows = 0;
    store.flush(|_, written| rows += written.rows).unwrap();
    rows
}

/// All rows of a table, as the bytes of each column.
fn read_all(root: &Path, table: Table) -> Vec<(String, Vec<u8>)> {
    let columns: Vec<_> = table.columns().iter().collect();
    let selection = Reader::open(root).unwrap().select(&id(table), &columns, 946_684_800, u32::MAX).unwrap();
    bytes(&selection)
}

fn bytes(selection: &Selection) -> Vec<(String, Vec<u8>)> {
    let read = |slices: &[column_store::Slice]| {
        let mut all = Vec::new();
        for slice in slices {
            let mut part = vec![0; slice.len() as usize];
            slice.read_at(&mut part, 0).unwrap();
            all.extend(part);
        }
        all
    };
    selection.columns.iter().map(|column| (column.column.name.to_owned(), read(&column.slices))).collect()
}

fn u64s(columns: &[(String, Vec<u8>)], name: &str) -> Vec<u64> {
    let (_, bytes) = columns.iter().find(|(column, _)| column == name).unwrap();
    bytes.chunks(8).map(|cell| u64::from_le_bytes(cell.try_into().unwrap())).collect()
}

/// The column files of a day, as name → length.
fn lengths(root: &Path, table: Table, day: Day) -> Vec<(String, u64)> {
    let directory = root.join(id(table).path());
    table
        .columns()
        .iter()
        .filter_map(|column| {
            let length = fs::metadata(directory.join(format!("{}.{day}.bin", column.name))).ok()?.len();
            Some((column.name.to_owned(), length))
        })
        .collect()
}

/// A file of the series' directory.
fn file(root: &Path, table: Table, name: &str) -> std::path::PathBuf {
    root.join(id(table).path()).join(name)
}

/// A disk that logs what it is asked, and fails from the n-th wish on, as a process that is killed there.
#[derive(Clone, Default)]
struct LoggingDisk(Arc<Mutex<DiskLog>>);

#[derive(Default)]
struct DiskLog {
    /// Operation and file name.
    wishes: Vec<(&'static str, String)>,
    /// How many wishes are still granted; all, if `None`.
    granted: Option<usize>,
    /// Whether only one wish fails, and the later ones are granted.
    fails_once: bool,
    /// Whether `syncfs` never fails.
    spares_syncfs: bool,
}

impl LoggingDisk {
    fn fail_after(&self, wishes: usize, fails_once: bool) {
        let mut log = self.0.lock().unwrap();
        (log.granted, log.fails_once) = (Some(wishes), fails_once);
        log.wishes.clear();
    }

    fn wishes(&self) -> Vec<(&'static str, String)> {
        std::mem::take(&mut self.0.lock().unwrap().wishes)
    }

    fn ask(&self, wish: &'static str, path: &Path) -> std::io::Result<()> {
        let mut log = self.0.lock().unwrap();
        log.wishes.push((wish, path.file_name().unwrap_or_default().to_string_lossy().into_owned()));
        if log.spares_syncfs && wish == "syncfs" {
            return Ok(());
        }
        match &mut log.granted {
            Some(0) => {
                if log.fails_once {
                    log.granted = None;
                }
                Err(std::io::ErrorKind::StorageFull.into())
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Disk for LoggingDisk {
    fn write_at(&self, file: &fs::File, path: &Path, bytes: &[u8], offset: u64) -> std::io::Result<usize> {
        if let Err(error) = self.ask("write", path) {
            // A failing write stops short somewhere.
            OsDisk.write_at(file, path, &bytes[..bytes.len() / 2], offset)?;
            return Err(error);
        }
        OsDisk.write_at(file, path, bytes, offset)
    }

    fn sync(&self, root: &fs::File) -> std::io::Result<()> {
        self.ask("syncfs", Path::new("root")).and_then(|()| OsDisk.sync(root))
    }

    fn sync_file(&self, file: &fs::File, path: &Path) -> std::io::Result<()> {
        self.ask("sync", path).and_then(|()| OsDisk.sync_file(file, path))
    }

    fn remove(&self, path: &Path) -> std::io::Result<()> {
        self.ask("remove", path).and_then(|()| OsDisk.remove(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.ask("rename", to).and_then(|()| OsDisk.rename(from, to))
    }
}

/// A store on such a disk, with coverage written at every sync.
fn open_logging(root: &Path) -> (Store, LoggingDisk) {
    let disk = LoggingDisk::default();
    let options = Options { disk: Arc::new(disk.clone()), coverage_interval: Duration::ZERO, ..Options::default() };
    let store = Store::open(root, options).unwrap();
    disk.wishes();
    (store, disk)
}

fn assert_whole_rows(root: &Path, table: Table, day: Day, rows: u64) {
    for (name, length) in lengths(root, table, day) {
        let width = table.column(&name).unwrap().kind.width() as u64;
        assert_eq!(length, rows * width, "{name} of {day}");
    }
}
