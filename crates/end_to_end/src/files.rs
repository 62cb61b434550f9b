//! Reads a data directory as `docs/format.md` describes it, with no code of what wrote it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::data::{Columns, MD, TRADES};

/// A table of one symbol: all its days.
pub struct Series {
    /// The committed rows of all days, oldest first.
    pub columns: Columns,
    /// The days, oldest first, each with its committed rows.
    pub days: Vec<(String, u64)>,
    /// Whether all columns of all days are equally long and end with a whole row, as they must when nobody writes.
    pub even: bool,
}

/// A gap's last word.
#[derive(Clone, Debug)]
pub struct GapRecord {
    /// Names the gap within its file.
    pub id: String,
    /// The missing ids, if ids tell.
    pub ids: Option<(u64, u64)>,
    /// The times around it, ns since the Unix epoch.
    pub times: (u64, u64),
    /// Events that are missing, if somebody knows.
    pub missing: Option<u64>,
    /// Why.
    pub reason: String,
    /// `open`, `filled` or `lost`.
    pub state: String,
}

impl GapRecord {
    /// Whether what it names is missing still.
    pub fn is_missing(&self) -> bool {
        self.state != "filled"
    }

    /// Whether it has a time in common with this span, or lies at most `slack_ns` beside it.
    pub fn meets(&self, (from_ns, to_ns): (u64, u64), slack_ns: u64) -> bool {
        self.times.0 <= to_ns.saturating_add(slack_ns) && from_ns <= self.times.1.saturating_add(slack_ns)
    }
}

/// What is claimed to be whole.
#[derive(Clone, Debug)]
pub struct Claim {
    /// `id`, `sequence` or `live`.
    pub by: String,
    /// First and last of the range.
    pub range: (u64, u64),
}

/// Where a symbol's files lie below the data directory.
pub fn symbol_directory(exchange: &str, symbol: &str) -> String {
    // The name that clients ask for.
    let named = match symbol.split_once('/') {
        Some(("BTC", quote)) if exchange == "kraken" => format!("XBT/{quote}"),
        _ => symbol.to_owned(),
    };
    format!("{exchange}/{}", named.replace('/', "_"))
}

/// Bytes of a cell.
pub(crate) fn width(column: &str) -> usize {
    match column {
        "maker_order_id" | "taker_order_id" => 16,
        "id" | "event_id" => 8,
        name if name.ends_with("_ns") || name.ends_with("_f64") => 8,
        _ => 4,
    }
}

/// Days sort by year, month, day.
fn sort_key(day: &str) -> Vec<String> {
    day.split('.').rev().map(str::to_owned).collect()
}

/// The files of a directory that are named `{what}.{day}.{extension}`, by day.
fn by_day(directory: &Path, extension: &str) -> BTreeMap<Vec<String>, BTreeMap<String, PathBuf>> {
    let mut days: BTreeMap<Vec<String>, BTreeMap<String, PathBuf>> = BTreeMap::new();
    let Ok(entries) = fs::read_dir(directory) else { return days };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if let Some((what, day)) = name.strip_suffix(extension).and_then(|stem| stem.split_once('.')) {
            days.entry(sort_key(day)).or_default().insert(what.to_owned(), path);
        }
    }
    days
}

/// Reads the committed rows of a table.
pub fn table(data: &Path, exchange: &str, symbol: &str, table: &str) -> Series {
    let names: &[&str] = if table == "MD" { &MD } else { &TRADES };
    let mut cells: BTreeMap<String, Vec<u8>> = names.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
    let (mut days, mut even) = (Vec::new(), true);
    let directory = data.join(symbol_directory(exchange, symbol)).join(table);
    for (day, files) in by_day(&directory, ".bin") {
        let found: BTreeSet<&str> = files.keys().map(String::as_str).collect();
        // A logger that is running may be creating them.
        if found.len() < names.len() {
            even = false;
            continue;
        }
        assert_eq!(found, names.iter().copied().collect(), "columns of {}", directory.display());
        // `time` is written last: read first, it never promises more than the others have.
        let mut order: Vec<(&String, &PathBuf)> = files.iter().collect();
        order.sort_by_key(|(name, _)| *name != "time");
        let bytes: BTreeMap<&str, Vec<u8>> =
            order.into_iter().map(|(name, path)| (name.as_str(), fs::read(path).unwrap_or_default())).collect();
        let rows = bytes.iter().map(|(name, bytes)| bytes.len() / width(name)).min().unwrap_or(0);
        even &= bytes.iter().all(|(name, bytes)| bytes.len() == rows * width(name));
        for (name, bytes) in bytes {
            cells.get_mut(name).unwrap().extend(&bytes[..rows * width(name)]);
        }
        let day = day.into_iter().rev().collect::<Vec<_>>().join(".");
        days.push((day, rows as u64));
    }
    Series { columns: Columns::from_cells(cells), days, even }
}

/// The whole lines of a table's records of one kind, oldest day first, each with its day.
fn lines(data: &Path, exchange: &str, symbol: &str, table: &str, kind: &str) -> Vec<(Vec<String>, Value)> {
    let directory = data.join(symbol_directory(exchange, symbol)).join(table);
    let mut lines = Vec::new();
    for (day, files) in by_day(&directory, ".jsonl") {
        let Some(path) = files.get(kind) else { continue };
        let text = fs::read_to_string(path).unwrap();
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            lines.push((day.clone(), serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))));
        }
    }
    lines
}

/// What a table's records say is missing, or was.
pub fn gaps(data: &Path, exchange: &str, symbol: &str, table: &str) -> Vec<GapRecord> {
    let mut last: BTreeMap<(Vec<String>, String), GapRecord> = BTreeMap::new();
    for (day, line) in lines(data, exchange, symbol, table, "gaps") {
        let number = |key: &str| line[key].as_u64();
        let text = |key: &str| line[key].as_str().unwrap_or_else(|| panic!("{key} of {line}")).to_owned();
        let gap = GapRecord {
            id: text("id"),
            ids: number("from_id").zip(number("to_id")),
            times: (number("from_ns").unwrap(), number("to_ns").unwrap()),
            missing: number("missing"),
            reason: text("reason"),
            state: text("state"),
        };
        assert_eq!(text("stream"), if table == "MD" { "quotes" } else { "trades" }, "{line}");
        last.insert((day, gap.id.clone()), gap);
    }
    last.into_values().collect()
}

/// What a table's records claim to be whole.
pub fn coverage(data: &Path, exchange: &str, symbol: &str, table: &str) -> Vec<Claim> {
    let claim = |(_, line): (_, Value)| Claim {
        by: line["by"].as_str().unwrap().to_owned(),
        range: (line["from"].as_u64().unwrap(), line["to"].as_u64().unwrap()),
    };
    lines(data, exchange, symbol, table, "coverage").into_iter().map(claim).collect()
}

/// The days of a table that are sealed, `DD.MM.YY`.
pub fn sealed(data: &Path, exchange: &str, symbol: &str, table: &str) -> BTreeSet<String> {
    let directory = data.join(symbol_directory(exchange, symbol)).join(table);
    let days = by_day(&directory, ".json").into_iter();
    let days = days.filter(|(_, files)| files.contains_key("sealed"));
    days.map(|(day, _)| day.into_iter().rev().collect::<Vec<_>>().join(".")).collect()
}
