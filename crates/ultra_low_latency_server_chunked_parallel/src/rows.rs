//! The rows of one column that an answer holds, read from wherever they lie.

use std::io;

use column_store::{Access, Column, ColumnSelection, Slice};

/// Above this distance between two wanted cells, bytes, each is read for itself. A page: closer together, every page is
/// touched anyway, and copying it costs less than a system call.
const SPARSE_BYTES: u64 = 4_096;

/// Bytes read at once where wanted cells lie close together.
const BLOCK_BYTES: u64 = 64 * 1024;

/// Every `stride`-th row of a selected column, counted over all days.
#[derive(Debug)]
pub(crate) struct ColumnRows {
    column: &'static Column,
    stride: u64,
    rows: u64,
    /// Day after day.
    slices: Vec<Slice>,
}

impl ColumnRows {
    pub(crate) fn new(selection: ColumnSelection, stride: u64) -> ColumnRows {
        let (column, stride) = (selection.column, stride.max(1));
        ColumnRows { column, stride, rows: selection.rows.div_ceil(stride), slices: selection.slices }
    }

    pub(crate) fn column(&self) -> &'static Column {
        self.column
    }

    /// Rows in the answer.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes per row.
    pub(crate) fn width(&self) -> usize {
        self.column.kind.width()
    }

    /// Bytes of all rows in the answer.
    pub(crate) fn bytes(&self) -> u64 {
        self.rows * self.width() as u64
    }

    /// Bytes to read for all rows in the answer: with rows left out more than there are in it.
    pub(crate) fn read_cost(&self) -> u64 {
        self.rows * (self.stride * self.width() as u64).min(SPARSE_BYTES)
    }

    /// Fills `buffer` with whole rows, from the answer's row `first` on.
    ///
    /// # Errors
    /// `UnexpectedEof` if a file was cut since the rows were selected.
    pub(crate) fn read(&self, first: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_with(first, buffer, Access::Disk)
    }

    /// As [`read`](ColumnRows::read), and only from memory if `access` says so.
    ///
    /// # Errors
    /// Also `WouldBlock`, if it would take a disk.
    pub(crate) fn read_with(&self, first: u64, buffer: &mut [u8], access: Access) -> io::Result<()> {
        if self.is_contiguous() {
            self.read_contiguous(first, buffer, access)
        } else {
            self.read_strided(first, buffer, access)
        }
    }

    /// Whether all rows are in the answer, as they lie in the files.
    pub(crate) fn is_contiguous(&self) -> bool {
        self.stride == 1
    }

    /// Where the rows of a contiguous column lie.
    pub(crate) fn slices(&self) -> impl Iterator<Item = &Slice> {
        self.slices.iter()
    }

    fn read_contiguous(&self, first: u64, mut buffer: &mut [u8], access: Access) -> io::Result<()> {
        let width = self.width() as u64;
        let mut row = first;
        while !buffer.is_empty() {
            let (local, slice) = self.locate(row)?;
            let position = local * width;
            let length = usize::try_from(slice.len() - position).unwrap_or(usize::MAX).min(buffer.len());
            let (part, rest) = std::mem::take(&mut buffer).split_at_mut(length);
            slice.read_with(part, position, access)?;
            buffer = rest;
            row += length as u64 / width;
        }
        Ok(())
    }

    fn read_strided(&self, first: u64, buffer: &mut [u8], access: Access) -> io::Result<()> {
        let width = self.width();
        let step = self.stride * width as u64;
        let mut block = Vec::new();
        let mut cells = buffer.chunks_exact_mut(width);
        let mut row = first * self.stride;
        while cells.len() > 0 {
            let (local, slice) = self.locate(row)?;
            let position = local * width as u64;
            // From this row to the end of its day, of the answer's chunk, or of the block, whichever comes first.
            let wanted = (cells.len() as u64 - 1) * step + width as u64;
            let block_bytes = if step > SPARSE_BYTES { width as u64 } else { BLOCK_BYTES };
            let span = wanted.min(slice.len() - position).min(block_bytes);
            block.resize(usize::try_from(span).unwrap_or(width), 0);
            slice.read_with(&mut block, position, access)?;
            let found = span.div_ceil(step);
            for (index, cell) in (0..found).zip(&mut cells) {
                let at = usize::try_from(index * step).unwrap_or(usize::MAX);
                // A block ends between two cells at worst: positions and widths are all multiples of the width.
                if let Some(bytes) = block.get(at..at + width) {
                    cell.copy_from_slice(bytes);
                }
            }
            row += found * self.stride;
        }
        Ok(())
    }

    /// The day that holds a row of the selection, and the row's place in it.
    fn locate(&self, row: u64) -> io::Result<(u64, &Slice)> {
        let mut local = row;
        for slice in &self.slices {
            let rows = slice.len() / self.width() as u64;
            if local < rows {
                return Ok((local, slice));
            }
            local -= rows;
        }
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a row beyond the selection"))
    }
}
