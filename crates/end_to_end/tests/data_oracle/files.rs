//! Column files as docs/format.md describes them: random ones, and the plainest way to read them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use rand::{Rng as _, rngs::StdRng};

/// 2026-11-16 00:00:00 UTC, Unix seconds.
pub(crate) const DAY: u64 = 1_794_787_200;
pub(crate) const SECONDS_PER_DAY: u64 = 86_400;
const DAYS: u64 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    U32,
    U64,
    F32,
    F64,
    Uuid,
}

impl Kind {
    pub(crate) fn width(self) -> usize {
        match self {
            Kind::U32 | Kind::F32 => 4,
            Kind::U64 | Kind::F64 => 8,
            Kind::Uuid => 16,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Md,
    Trades,
}

impl Table {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Table::Md => "MD",
            Table::Trades => "TRADES",
        }
    }

    /// As the tables of docs/format.md list them.
    pub(crate) fn columns(self) -> &'static [(&'static str, Kind)] {
        use Kind::{F32, F64, U32, U64, Uuid};
        match self {
            Table::Md => &[
                ("time", U32),
                ("nanos", U32),
                ("price", F32),
                ("volume", F32),
                ("side", U32),
                ("best_bid", F32),
                ("best_ask", F32),
                ("kind", U32),
                ("event_id", U64),
                ("event_ns", U64),
                ("receive_ns", U64),
                ("price_f64", F64),
                ("volume_f64", F64),
                ("best_bid_f64", F64),
                ("best_ask_f64", F64),
                ("bid_size_f64", F64),
                ("ask_size_f64", F64),
            ],
            Table::Trades => &[
                ("time", U32),
                ("nanos", U32),
                ("id", U64),
                ("price", F32),
                ("size", F32),
                ("side", U32),
                ("maker_order_id", Uuid),
                ("taker_order_id", Uuid),
                ("event_ns", U64),
                ("receive_ns", U64),
                ("price_f64", F64),
                ("size_f64", F64),
            ],
        }
    }

    pub(crate) fn kind(self, name: &str) -> Kind {
        self.columns().iter().find(|(column, _)| *column == name).unwrap().1
    }
}

/// The bytes of some columns.
#[derive(Debug, PartialEq)]
pub(crate) struct Cells(pub Vec<Vec<u8>>);

impl Cells {
    /// The rows, if the first column is of 4 bytes or more: only to count that something was compared.
    pub(crate) fn rows(&self) -> usize {
        self.0.iter().map(|column| column.len() / 4).min().unwrap_or(0)
    }
}

/// `{column}.{DD}.{MM}.{YY}.bin` of a day counted from `DAY`.
pub(crate) fn file_name(column: &str, day: u64) -> String {
    format!("{column}.{:02}.11.26.bin", 16 + day)
}

/// A cell made of a number; floats are finite or the one NaN, an id may be none.
pub(crate) fn cell(table: Table, name: &str, number: u64) -> Vec<u8> {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let rarely = mixed.is_multiple_of(11);
    match table.kind(name) {
        Kind::U32 => (mixed as u32).to_le_bytes().to_vec(),
        Kind::U64 => mixed.to_le_bytes().to_vec(),
        Kind::F32 => {
            let float = f32::from_bits(mixed as u32);
            if rarely || !float.is_finite() { f32::NAN } else { float }.to_le_bytes().to_vec()
        }
        Kind::F64 => {
            let float = f64::from_bits(mixed);
            if rarely || !float.is_finite() { f64::NAN } else { float }.to_le_bytes().to_vec()
        }
        Kind::Uuid if rarely => vec![0; 16],
        Kind::Uuid => [mixed.to_be_bytes(), (!mixed).to_be_bytes()].concat(),
    }
}

/// One table of one symbol.
pub(crate) struct Series {
    pub(crate) exchange: &'static str,
    pub(crate) symbol: &'static str,
    pub(crate) table: Table,
    directory: PathBuf,
}

impl Series {
    /// Some days, with what goes wrong: days and columns that are not there, empty files, files that end in the middle
    /// of a cell or before others do.
    pub(crate) fn random(root: &Path, dice: &mut StdRng) -> Series {
        let table = if dice.random_bool(0.5) { Table::Md } else { Table::Trades };
        let (exchange, symbol) = ("somewhere", "A-B");
        let directory = root.join(exchange).join(symbol).join(table.name());
        fs::create_dir_all(&directory).unwrap();
        for day in (0..DAYS).filter(|_| dice.random_bool(0.85)).collect::<Vec<_>>() {
            let rows = [0, 1, 2, 40, 3_000][dice.random_range(0..5)];
            let mut ns = dice.random_range(0..SECONDS_PER_DAY / 2) * 1_000_000_000;
            let mut columns: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
            for row in 0..rows {
                // Mostly the same instant, or the same second.
                ns += match dice.random_range(0..10) {
                    0..6 => 0,
                    6..9 => dice.random_range(0..300_000_000),
                    _ => dice.random_range(0..20_000_000_000),
                };
                ns = ns.min(SECONDS_PER_DAY * 1_000_000_000 - 1);
                for (name, _) in table.columns() {
                    let seconds = DAY + day * SECONDS_PER_DAY + ns / 1_000_000_000;
                    let bytes = match *name {
                        "time" => u32::try_from(seconds).unwrap().to_le_bytes().to_vec(),
                        "nanos" => u32::try_from(ns % 1_000_000_000).unwrap().to_le_bytes().to_vec(),
                        other => cell(table, other, day << 32 | row << 8 | other.len() as u64),
                    };
                    columns.entry(name).or_default().extend(bytes);
                }
            }
            for (name, kind) in table.columns() {
                let mut bytes = columns.remove(name).unwrap_or_default();
                match dice.random_range(0..40) {
                    0 => continue,
                    1 => bytes.truncate(bytes.len().saturating_sub(dice.random_range(0..5 * kind.width()))),
                    2 => bytes.extend(vec![7; dice.random_range(0..kind.width())]),
                    _ => {}
                }
                fs::write(directory.join(file_name(name, day)), bytes).unwrap();
            }
        }
        Series { exchange, symbol, table, directory }
    }

    fn file(&self, name: &str, day: u64) -> Option<Vec<u8>> {
        fs::read(self.directory.join(file_name(name, day))).ok()
    }

    /// Some of the instants at which there are rows, ns.
    pub(crate) fn instants(&self) -> Vec<u64> {
        let days = (0..DAYS).filter_map(|day| Some((self.file("time", day)?, self.file("nanos", day)?)));
        let number = |cell: &[u8]| u64::from(u32::from_le_bytes(cell.try_into().unwrap()));
        let rows = days.flat_map(|(time, nanos)| {
            let pairs = time.chunks_exact(4).zip(nanos.chunks_exact(4));
            pairs.map(|(time, nanos)| number(time) * 1_000_000_000 + number(nanos)).collect::<Vec<_>>()
        });
        rows.collect()
    }

    /// The rows of a range, looked at one by one, and what `X-Missing` has to say.
    pub(crate) fn read(
        &self,
        columns: &[&'static str],
        (start, end): (u64, u64),
        in_seconds: bool,
        max_points: Option<u64>,
    ) -> (Cells, Option<String>) {
        let mut rows: Vec<Vec<Vec<u8>>> = Vec::new();
        let (mut has_day, mut missing) = (false, Vec::new());
        let day_of = |ns: u64| (ns / 1_000_000_000).saturating_sub(DAY) / SECONDS_PER_DAY;
        for day in day_of(start)..=day_of(end).min(DAYS + 30) {
            let Some(time) = self.file("time", day) else { continue };
            has_day = true;
            // Instants within a second need the column that tells them.
            let needed = columns.iter().chain(if in_seconds { &[] as &[&str] } else { &["time", "nanos"] });
            let files: Vec<(usize, Option<Vec<u8>>, &str)> =
                needed.map(|name| (self.table.kind(name).width(), self.file(name, day), *name)).collect();
            if let Some((_, _, name)) = files.iter().find(|(_, file, _)| file.is_none()) {
                missing.push(format!("{:02}.11.26:{name}", 16 + day));
                continue;
            }
            let lengths = files.iter().map(|(width, file, _)| file.as_ref().unwrap().len() / width);
            let committed = lengths.chain([time.len() / 4]).min().unwrap();
            let nanos = self.file("nanos", day);
            for row in 0..committed {
                let number = |bytes: &[u8]| u64::from(u32::from_le_bytes(bytes[row * 4..][..4].try_into().unwrap()));
                let nanos = if in_seconds { 0 } else { number(nanos.as_ref().unwrap()) };
                let ns = number(&time) * 1_000_000_000 + nanos;
                if (start..=end).contains(&ns) {
                    let cells = files.iter().take(columns.len());
                    rows.push(
                        cells
                            .map(|(width, file, _)| file.as_ref().unwrap()[row * width..][..*width].to_vec())
                            .collect(),
                    );
                }
            }
        }
        let stride = max_points.map_or(1, |points| rows.len().div_ceil(points as usize)).max(1);
        let mut cells = vec![Vec::new(); columns.len()];
        for row in rows.iter().step_by(stride) {
            for (column, cell) in cells.iter_mut().zip(row) {
                column.extend(cell);
            }
        }
        let range = || {
            let (start, end) = (start / 1_000_000_000, end / 1_000_000_000);
            format!("range {}/{}/{} {start}-{end}", self.exchange, self.symbol, self.table.name())
        };
        let missing = if has_day { Some(missing.join(", ")).filter(|text| !text.is_empty()) } else { Some(range()) };
        (Cells(cells), missing)
    }
}
