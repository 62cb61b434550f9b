//! The search key of a selection's rows.

use std::{io, ops::Range};

use crate::rows::ColumnRows;

/// `time` and `nanos` of the same rows.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    pub(crate) time: &'a ColumnRows,
    pub(crate) nanos: &'a ColumnRows,
}

impl Keys<'_> {
    /// The key of a row, ns since the Unix epoch.
    ///
    /// # Errors
    /// `UnexpectedEof` if a file was cut.
    pub(crate) fn at(&self, row: u64) -> io::Result<u64> {
        let (mut time, mut nanos) = ([0; 4], [0; 4]);
        self.time.read(row, &mut time)?;
        self.nanos.read(row, &mut nanos)?;
        Ok(key(time, nanos))
    }

    /// The keys of some rows, into `keys`.
    pub(super) fn read(&self, rows: Range<u64>, keys: &mut Vec<u64>) -> io::Result<()> {
        let bytes = usize::try_from((rows.end - rows.start) * 4).unwrap_or(0);
        let (mut time, mut nanos) = (vec![0; bytes], vec![0; bytes]);
        self.time.read(rows.start, &mut time)?;
        self.nanos.read(rows.start, &mut nanos)?;
        keys.clear();
        let cells = |bytes: &[u8]| bytes.as_chunks::<4>().0.to_vec();
        keys.extend(cells(&time).into_iter().zip(cells(&nanos)).map(|(time, nanos)| key(time, nanos)));
        Ok(())
    }

    /// The first of the rows whose key is not below `ns`.
    ///
    /// # Errors
    /// `UnexpectedEof` if a file was cut.
    pub(crate) fn lower_bound(&self, rows: Range<u64>, ns: u64) -> io::Result<u64> {
        let Range { start: mut low, end: mut high } = rows;
        while low < high {
            let middle = low + (high - low) / 2;
            if self.at(middle)? < ns { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }
}

fn key(time: [u8; 4], nanos: [u8; 4]) -> u64 {
    u64::from(u32::from_le_bytes(time)) * 1_000_000_000 + u64::from(u32::from_le_bytes(nanos))
}
