//! Where in a `time` file a second begins, in a few reads however long the file is.

use std::{
    borrow::Cow,
    io::{self, ErrorKind},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::{
    blocks::BLOCK,
    column_file::{Access, ColumnFile},
};

/// Bytes of a cell.
const CELL: usize = 4;
/// Rows between two fences: what one page of memory holds.
const STEP: u64 = BLOCK / CELL as u64;
/// Cells that the processor loads together.
const LINE: usize = 64 / CELL;
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

/// A page that was read, to be searched again.
pub(crate) struct Page<'a> {
    number: u64,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Page<'a> {
    pub(crate) fn new() -> Page<'a> {
        Page { number: u64::MAX, bytes: Cow::Borrowed(&[]) }
    }

    fn read(&mut self, file: &'a ColumnFile, number: u64, rows: u64, access: Access) -> io::Result<()> {
        if self.number == number {
            return Ok(());
        }
        self.number = u64::MAX;
        let first = number * STEP;
        let cells = usize::try_from(rows.saturating_sub(first).min(STEP)).unwrap_or(0);
        self.bytes = match file.kept_block(number).and_then(|bytes| bytes.get(..cells * CELL)) {
            Some(kept) => Cow::Borrowed(kept),
            None => {
                let mut bytes = vec![0; cells * CELL];
                let read = file.read(&mut bytes, first * CELL as u64, access)?;
                bytes.truncate(read);
                Cow::Owned(bytes)
            }
        };
        self.number = number;
        Ok(())
    }

    fn cells(&self) -> &[[u8; CELL]] {
        self.bytes.as_chunks::<CELL>().0
    }

    /// How many of the cells are below `second`. Looks around `guess` first: what lies close to what was looked at last is in
    /// the processor's cache, and a page that was read a while ago is not.
    fn below(&self, second: u64, guess: usize) -> usize {
        let cells = self.cells();
        let is_below = |cell: &[u8; CELL]| u64::from(u32::from_le_bytes(*cell)) < second;
        let is_below_at = |at: usize| cells.get(at).is_some_and(is_below);
        let (mut low, mut high, mut step) = (guess.min(cells.len()), guess.min(cells.len()), LINE);
        if is_below_at(high) {
            while is_below_at(high) {
                (low, high, step) = (high + 1, (high + step).min(cells.len()), step * 2);
            }
        } else {
            while low > 0 && !is_below_at(low - 1) {
                (low, high, step) = (low.saturating_sub(step), low - 1, step * 2);
            }
        }
        low + cells.get(low..high).unwrap_or_default().partition_point(is_below)
    }

    /// The first row that is not below `second`, if the page shows it whatever other pages hold.
    fn row(&self, second: u64, near: u64) -> Option<u64> {
        let guess = usize::try_from(near.checked_sub(self.number.checked_mul(STEP)?)?).ok()?;
        let within = self.below(second, guess);
        (within > 0 && within < self.cells().len()).then(|| self.number * STEP + within as u64)
    }
}

impl Default for Fences {
    fn default() -> Fences {
        Fences([const { OnceLock::new() }; CHUNKS])
    }
}

impl Fences {
    /// The first of `rows` ascending cells that is not below `second`; `rows` if there is none. `page` is what the last search
    /// read, which the next one often needs again, `near` is the row that it found.
    ///
    /// A file that was cut meanwhile has no cells where it ends: they count as not below.
    ///
    /// # Errors
    /// `WouldBlock` as [`ColumnFile::read`], or what the operating system says.
    pub(crate) fn search<'a>(
        &self,
        file: &'a ColumnFile,
        rows: u64,
        second: u64,
        (page, near): (&mut Page<'a>, u64),
        access: Access,
    ) -> io::Result<u64> {
        if let Some(row) = page.row(second, near) {
            return Ok(row);
        }
        let (mut low, mut high) = (0, rows.div_ceil(STEP));
        // Fences on either side of where it must be.
        let (mut under, mut over) = (0, 0);
        while low < high {
            let middle = low + (high - low) / 2;
            let fence = self.fence(file, middle, access)?.into();
            if fence < second { (low, under) = (middle + 1, fence) } else { (high, over) = (middle, fence) }
        }
        // The row lies in the page before the first one that begins too late, or is the first of that.
        let number = low.saturating_sub(1);
        page.read(file, number, rows, access)?;
        // Seconds are spread more or less evenly within a page.
        let guess = (second.saturating_sub(under) * STEP).checked_div(over.saturating_sub(under)).unwrap_or(STEP / 2);
        let within = page.below(second, usize::try_from(guess).unwrap_or(0));
        let row = number * STEP + within as u64;
        let is_below = |cell: u32| u64::from(cell) < second;
        let is_after =
            within < page.cells().len() || row == rows || !read_cell(file, row, access)?.is_some_and(is_below);
        let is_proven = is_after && (within > 0 || row == 0);
        if is_proven { Ok(row) } else { self.search_anew(file, rows, is_below, access) }
    }

    /// Trusts nothing but the rows.
    #[cold]
    fn search_anew(
        &self,
        file: &ColumnFile,
        rows: u64,
        is_below: impl Fn(u32) -> bool,
        access: Access,
    ) -> io::Result<u64> {
        for fence in self.0.iter().filter_map(OnceLock::get).flat_map(|chunk| chunk.iter()) {
            fence.store(UNKNOWN, Ordering::Relaxed);
        }
        let (mut low, mut high) = (0, rows);
        while low < high {
            let middle = low + (high - low) / 2;
            if read_cell(file, middle, access)?.is_some_and(&is_below) { low = middle + 1 } else { high = middle }
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
