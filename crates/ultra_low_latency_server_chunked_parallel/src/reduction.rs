//! Fewer rows than there are, chosen so that a line drawn through them looks as if it were drawn through all.

mod keys;
mod lttb;
mod minmax;
#[cfg(test)]
mod tests;
mod values;

use std::{
    io,
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
};

use column_store::Column;

pub(crate) use keys::Keys;

use crate::rows::ColumnRows;

/// Rows that are looked at together; a multiple of what fits into a page, and little beside an answer's chunks.
const BLOCK_ROWS: u64 = 16 * 1024;

/// How rows are chosen where there are more than wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reduction {
    /// Every n-th.
    Stride,
    /// First, last, lowest and highest of each of equal intervals of time, judged by this column.
    MinMax(&'static Column),
    /// Largest triangle, three buckets, judged by this column.
    Lttb(&'static Column),
}

impl Reduction {
    /// Its name in `reduce=`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Reduction::Stride => "stride",
            Reduction::MinMax(_) => "minmax",
            Reduction::Lttb(_) => "lttb",
        }
    }

    /// The column that judges.
    pub(crate) const fn column(self) -> Option<&'static Column> {
        match self {
            Reduction::Stride => None,
            Reduction::MinMax(column) | Reduction::Lttb(column) => Some(column),
        }
    }
}

/// Rows to choose from, and what tells about them.
pub(crate) struct Choice<'a> {
    /// Their search keys.
    pub(crate) keys: Keys<'a>,
    /// The column that judges.
    pub(crate) values: &'a ColumnRows,
    /// Which rows.
    pub(crate) rows: Range<u64>,
    /// The range of time that was asked for, ns, both inclusive.
    pub(crate) range_ns: (u64, u64),
    /// Set when nobody wants the answer any more.
    pub(crate) given_up: &'a AtomicBool,
}

impl Choice<'_> {
    /// At most `points` of the rows, rising; all if there are no more than that.
    ///
    /// # Errors
    /// `UnexpectedEof` if a file was cut; `Interrupted` if nobody wants it any more.
    pub(crate) fn rows(&self, reduction: Reduction, points: u64) -> io::Result<Vec<u64>> {
        if self.rows.end - self.rows.start <= points {
            return Ok(self.rows.clone().collect());
        }
        match reduction {
            Reduction::Stride => {
                let stride = (self.rows.end - self.rows.start).div_ceil(points.max(1));
                Ok(self.rows.clone().step_by(usize::try_from(stride).unwrap_or(usize::MAX)).collect())
            }
            Reduction::MinMax(_) => minmax::choose(self, points),
            Reduction::Lttb(_) => lttb::choose(self, points),
        }
    }

    fn check(&self) -> io::Result<()> {
        if self.given_up.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "the client hung up"));
        }
        Ok(())
    }
}
