//! Where in a `time` file a second begins, in a few reads however long the file is.

use std::{
    io::{self, ErrorKind},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::column_file::{Access, ColumnFile};

/// Bytes of a cell.
const CELL: usize = 4;
/// Rows between two fences: what one page of memory holds.
const STEP: u64 = 1_024;
/// Fences that are kept together, 4 KiB.
const CHUNK: usize = 1_024;
/// Such chunks in a file: beyond 64 million rows, fences are read each time.
const CHUNKS: usize = 64;
/// A fence that nobody has read yet. A row of the second 0 costs a read each time, and nothing else.
const UNKNOWN: u32 = 0;

/// The first cells of the pages of a file of ascending seconds, as far as searches came by them.
///
/// They are hints: a search ends with a look at the rows themselves, and starts anew without fences if a file that was cut
/// and written again has made them wrong.
#[derive(Debug)]
pub(crate) struct Fences([OnceLock<Box<[AtomicU32; CHUNK]>>; CHUNKS]);

/// The cells of the page that was read last, and the one after them.
pub(crate) struct Page {
    number: u64,
    bytes: [u8; (STEP as usize + 1) * CELL],
    /// Cells in it.
    cells: usize,
}

impl Page {
    pub(crate) fn new() -> Page {
        Page { number: u64::MAX, bytes: [0; (STEP as usize + 1) * CELL], cells: 0 }
    }

    fn read(&mut self, file: &ColumnFile, number: u64, rows: u64, access: Access) -> io::Result<()> {
        if self.number == number {
            return Ok(());
        }
        let first = number * STEP;
        let wanted = usize::try_from(rows.saturating_sub(first).min(STEP + 1)).unwrap_or(0) * CELL;
        self.number = u64::MAX;
        let buffer = self.bytes.get_mut(..wanted).unwrap_or_default();
        self.cells = file.read(buffer, first * CELL as u64, access)? / CELL;
        self.number = number;
        Ok(())
    }

    /// How many of the cells, from the first on, are before.
    fn partition_point(&self, before: &dyn Fn(u32) -> bool) -> usize {
        let cells = self.bytes.as_chunks::<CELL>().0;
        cells.get(..self.cells).unwrap_or_default().partition_point(|cell| before(u32::from_le_bytes(*cell)))
    }
}

impl Default for Fences {
    fn default() -> Fences {
        Fences([const { OnceLock::new() }; CHUNKS])
    }
}

impl Fences {
    /// The first of `rows` ascending cells for which `before` is false; `rows` if there is none. `page` is what the last
    /// search read, which the next one often needs again.
    ///
    /// A file that was cut meanwhile has no cells where it ends: they count as not before.
    ///
    /// # Errors
    /// `WouldBlock` as [`ColumnFile::read`], or what the operating system says.
    pub(crate) fn search(
        &self,
        file: &ColumnFile,
        rows: u64,
        before: &dyn Fn(u32) -> bool,
        page: &mut Page,
        access: Access,
    ) -> io::Result<u64> {
        let (mut low, mut high) = (0, rows.div_ceil(STEP));
        while low < high {
            let middle = low + (high - low) / 2;
            if before(self.fence(file, middle, access)?) { low = middle + 1 } else { high = middle }
        }
        // The row lies in the page before the first one that begins too late, or is the first of that.
        let number = low.saturating_sub(1);
        page.read(file, number, rows, access)?;
        let within = page.partition_point(before);
        let row = number * STEP + within as u64;
        let is_proven = (within > 0 || row == 0) && (within < page.cells || row == rows);
        if is_proven { Ok(row) } else { self.search_anew(file, rows, before, access) }
    }

    /// Trusts nothing but the rows.
    #[cold]
    fn search_anew(
        &self,
        file: &ColumnFile,
        rows: u64,
        before: &dyn Fn(u32) -> bool,
        access: Access,
    ) -> io::Result<u64> {
        for fence in self.0.iter().filter_map(OnceLock::get).flat_map(|chunk| chunk.iter()) {
            fence.store(UNKNOWN, Ordering::Relaxed);
        }
        let (mut low, mut high) = (0, rows);
        while low < high {
            let middle = low + (high - low) / 2;
            let is_before = read_cell(file, middle, access)?.is_some_and(before);
            if is_before { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    fn fence(&self, file: &ColumnFile, page: u64, access: Access) -> io::Result<u32> {
        let place = usize::try_from(page).unwrap_or(usize::MAX);
        let chunk = self.0.get(place / CHUNK);
        let known = chunk.and_then(OnceLock::get).and_then(|chunk| chunk.get(place % CHUNK));
        if let Some(second) = known.map(|fence| fence.load(Ordering::Relaxed)).filter(|second| *second != UNKNOWN) {
            return Ok(second);
        }
        // Of a page that is not there any more the fence is beyond every second.
        let second = read_cell(file, page * STEP, access)?.unwrap_or(u32::MAX);
        if let Some(chunk) = chunk {
            let chunk = chunk.get_or_init(|| Box::new([const { AtomicU32::new(UNKNOWN) }; CHUNK]));
            if let Some(fence) = chunk.get(place % CHUNK) {
                fence.store(second, Ordering::Relaxed);
            }
        }
        Ok(second)
    }
}

/// A cell; `None` beyond the end of the file.
fn read_cell(file: &ColumnFile, row: u64, access: Access) -> io::Result<Option<u32>> {
    let mut cell = [0; CELL];
    match file.read(&mut cell, row * CELL as u64, access) {
        Ok(CELL) => Ok(Some(u32::from_le_bytes(cell))),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}
