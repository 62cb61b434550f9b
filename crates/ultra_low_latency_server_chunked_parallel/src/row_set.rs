//! Which rows of a selection an answer holds.

use std::{io, sync::Arc};

use crate::rows::ColumnRows;

/// Above this distance between two wanted cells, bytes, each is read for itself.
const SPARSE_BYTES: u64 = 4_096;

/// Bytes read at once where wanted cells lie close together.
const BLOCK_BYTES: u64 = 64 * 1024;

/// Rows of a selection, rising.
#[derive(Clone, Debug)]
pub(crate) enum RowSet {
    /// Every `stride`-th from `first` on, so many.
    Every {
        /// The first row.
        first: u64,
        /// From one row to the next; at least 1.
        stride: u64,
        /// How many.
        rows: u64,
    },
    /// These.
    Picked(Arc<[u64]>),
}

impl RowSet {
    /// How many rows.
    pub(crate) fn len(&self) -> u64 {
        match self {
            RowSet::Every { rows, .. } => *rows,
            RowSet::Picked(picked) => picked.len() as u64,
        }
    }

    fn at(&self, index: u64) -> u64 {
        match self {
            RowSet::Every { first, stride, .. } => first + index * stride,
            RowSet::Picked(picked) => {
                let row = usize::try_from(index).ok().and_then(|index| picked.get(index));
                row.copied().unwrap_or(u64::MAX)
            }
        }
    }

    /// The cells of a column, which has all rows of the selection, in `count` rows of the set from its `first`-th on.
    ///
    /// # Errors
    /// `UnexpectedEof` if a file was cut since the rows were selected.
    pub(crate) fn read(&self, column: &ColumnRows, first: u64, count: u64) -> io::Result<Vec<u8>> {
        let width = column.width();
        let mut cells = vec![0; usize::try_from(count).unwrap_or(0) * width];
        if let RowSet::Every { stride: 1, .. } = self {
            column.read(self.at(first), &mut cells)?;
            return Ok(cells);
        }
        let (last, row_bytes) = (first + count, width as u64);
        let mut block = Vec::new();
        let mut places = cells.chunks_exact_mut(width);
        let mut index = first;
        while index < last {
            // As many rows as lie in one block, each not far from the one before it.
            let begin = self.at(index);
            let mut past = index + 1;
            while past < last
                && (self.at(past) - self.at(past - 1)) * row_bytes <= SPARSE_BYTES
                && (self.at(past) - begin + 1) * row_bytes <= BLOCK_BYTES
            {
                past += 1;
            }
            let rows = self.at(past - 1) - begin + 1;
            block.resize(usize::try_from(rows * row_bytes).unwrap_or(width), 0);
            column.read(begin, &mut block)?;
            for (row, place) in (index..past).map(|index| self.at(index)).zip(&mut places) {
                let at = usize::try_from((row - begin) * row_bytes).unwrap_or(usize::MAX);
                if let Some(cell) = block.get(at..at + width) {
                    place.copy_from_slice(cell);
                }
            }
            index = past;
        }
        Ok(cells)
    }
}
