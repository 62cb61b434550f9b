//! Looks at the cells of a day in blocks.

use std::{fs::File, ops::Range, os::unix::fs::FileExt as _, path::Path};

use crate::{Day, StoreError};

/// Rows looked at in one block.
const BLOCK_ROWS: u64 = 65_536;

/// What the search key of a day is like.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Key {
    /// Key of the first row, ns.
    pub(crate) first_ns: Option<u64>,
    /// Highest key, ns.
    pub(crate) last_ns: u64,
    /// Rows below the one above them, and the first.
    pub(crate) falls: Tally,
    /// Rows of another day.
    pub(crate) other_day: Tally,
    /// Rows whose `nanos` is no part of a second.
    pub(crate) large_nanos: Tally,
}

/// How many rows have a property, and the first that has it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    pub(crate) first: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, first: u64) {
        if self.count == 0 {
            self.first = first;
        }
        self.count += 1;
    }
}

/// Looks at `time`, and at `nanos` if the day has it; `after` is the key of the row before the day, ns.
pub(crate) fn key(directory: &Path, day: Day, rows: Range<u64>, nanos: bool, after: u64) -> Result<Key, StoreError> {
    let mut key = Key { last_ns: after, ..Key::default() };
    let (mut times, mut parts) = (Blocks::open(directory, "time", day, 4)?, None);
    if nanos {
        parts = Some(Blocks::open(directory, "nanos", day, 4)?);
    }
    let mut row = rows.start;
    let mut before = after;
    while row < rows.end {
        let count = (rows.end - row).min(BLOCK_ROWS);
        let seconds = times.read(row, count)?;
        let nanos = parts.as_mut().map(|parts| parts.read(row, count)).transpose()?;
        for (index, time) in seconds.chunks_exact(4).enumerate() {
            let part = nanos.and_then(|nanos| nanos.get(index * 4..index * 4 + 4));
            let (seconds, nanos) = (u64::from(u32_of(time)), u64::from(part.map_or(0, u32_of)));
            let this = row + index as u64;
            let ns = seconds * 1_000_000_000 + nanos;
            if nanos >= 1_000_000_000 {
                key.large_nanos.add(this);
            }
            if Day::from_ns(seconds * 1_000_000_000) != Some(day) {
                key.other_day.add(this);
            }
            if ns < before {
                key.falls.add(this);
            }
            before = ns;
            key.first_ns.get_or_insert(ns);
            key.last_ns = key.last_ns.max(ns);
        }
        row += count;
    }
    Ok(key)
}

/// Hands every id of a day to `on_id`, with its row.
pub(crate) fn ids(
    directory: &Path,
    column: &str,
    day: Day,
    rows: u64,
    mut on_id: impl FnMut(u64, u64),
) -> Result<(), StoreError> {
    let mut blocks = Blocks::open(directory, column, day, 8)?;
    let mut row = 0;
    while row < rows {
        let count = (rows - row).min(BLOCK_ROWS);
        for (index, cell) in blocks.read(row, count)?.chunks_exact(8).enumerate() {
            on_id(row + index as u64, cell.try_into().map_or(0, u64::from_le_bytes));
        }
        row += count;
    }
    Ok(())
}

fn u32_of(cell: &[u8]) -> u32 {
    cell.try_into().map_or(0, u32::from_le_bytes)
}

/// A column file and room for one block of it.
struct Blocks {
    file: File,
    path: std::path::PathBuf,
    width: u64,
    block: Vec<u8>,
}

impl Blocks {
    fn open(directory: &Path, column: &str, day: Day, width: u64) -> Result<Blocks, StoreError> {
        let path = directory.join(crate::layout::file_name(column, day));
        let file = File::open(&path).map_err(StoreError::io("open", &path))?;
        Ok(Blocks { file, path, width, block: Vec::new() })
    }

    fn read(&mut self, row: u64, count: u64) -> Result<&[u8], StoreError> {
        self.block.resize(usize::try_from(count * self.width).unwrap_or(0), 0);
        self.file.read_exact_at(&mut self.block, row * self.width).map_err(StoreError::io("read", &self.path))?;
        Ok(&self.block)
    }
}
