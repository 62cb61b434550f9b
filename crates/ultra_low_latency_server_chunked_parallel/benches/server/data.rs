//! The data directory and the files that nginx serves: the very same bytes.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    os::fd::AsRawFd as _,
    path::Path,
};

use column_store::{Day, Options, SEAL_DELAY_NS, SealDraft, Sealing, SeriesId, Store, Table};
use rustix::fs::{Advice, fadvise};

/// 2026-11-18 00:00:00 UTC, Unix seconds: the day `18.11.26`.
pub(crate) const DAY: u32 = 1_794_960_000;

/// Rows of the day: 58 a second, as a busy market has.
pub(crate) const ROWS: u64 = 5_000_000;

/// Writes the column files of a day with `rows` rows for `symbol`, its seconds evenly spread from `begin` on.
pub(crate) fn write_day(root: &Path, symbol: &str, begin: u32, day: &str, rows: u64) {
    let directory = root.join("coinbase").join(symbol).join("MD");
    fs::create_dir_all(&directory).unwrap();
    for column in ["time", "nanos", "best_bid", "best_ask", "price"].iter().map(|name| Table::Md.column(name).unwrap())
    {
        let mut file = BufWriter::new(File::create(directory.join(format!("{}.{day}.bin", column.name))).unwrap());
        for row in 0..rows {
            let cell = match column.name {
                "time" => begin + u32::try_from(row * 86_400 / rows).unwrap(),
                "nanos" => u32::try_from(row * 17_280_000 % 1_000_000_000).unwrap(),
                _ => (100.0_f32 + (row % 1_000) as f32 / 8.0).to_bits(),
            };
            file.write_all(&cell.to_le_bytes()).unwrap();
        }
        read_anew(&file.into_inner().unwrap());
    }
}

/// Marks a day as over, as the logger does: all but the current one are.
pub(crate) fn seal_day(root: &Path, symbol: &str, day: &str) {
    let id = SeriesId { exchange: "coinbase".to_owned(), symbol: symbol.to_owned(), table: Table::Md };
    let day: Day = day.parse().unwrap();
    let draft = SealDraft::read(root, &id, day, &mut |_| {}).unwrap().unwrap();
    let mut store = Store::open(root, Options::default()).unwrap();
    assert_eq!(store.seal(&draft, day.end_ns() + SEAL_DELAY_NS).unwrap(), Sealing::Sealed);
}

/// Brings a file that was just written into the page cache as reading it from the disk does. The kernel keeps what is written in
/// pieces as large as the writes were, and sends large pieces twice as fast: all files have to be alike in that.
pub(crate) fn read_anew(file: &File) {
    file.sync_all().unwrap();
    fadvise(file, 0, None, Advice::DontNeed).unwrap();
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    io::copy(&mut File::open(path).unwrap(), &mut io::sink()).unwrap();
}

/// Numbers that look random and are the same in each run.
pub(crate) fn scattered(count: u64, below: u32) -> Vec<u32> {
    (0..count)
        .map(|number| {
            let mixed =
                (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            u32::try_from((mixed >> 32) % u64::from(below)).unwrap()
        })
        .collect()
}

fn target(symbol: &str, start: u32, end: u32, columns: &str) -> String {
    format!("/api/data?symbol={symbol}&type=MD&start={start}&end={end}&columns={columns}&exchange=coinbase")
}

/// Some 116 rows of 2 columns each, from anywhere in the day.
pub(crate) fn tiny(symbol: &str) -> Vec<String> {
    scattered(1_000, 86_390).iter().map(|at| target(symbol, DAY + at, DAY + at + 1, "time,best_bid")).collect()
}

/// 100,000 rows of 3 columns each.
pub(crate) fn mid(symbol: &str) -> Vec<String> {
    scattered(20, 80_000)
        .iter()
        .map(|at| target(symbol, DAY + at, DAY + at + 1_727, "time,best_bid,best_ask"))
        .collect()
}

/// The whole day, 4 columns: 80 MB.
pub(crate) fn large(symbol: &str) -> Vec<String> {
    vec![target(symbol, DAY, DAY + 86_399, "time,best_bid,best_ask,price")]
}
