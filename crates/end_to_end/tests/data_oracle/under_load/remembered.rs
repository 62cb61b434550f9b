//! An answer, kept until the files are whole.

use std::hash::{DefaultHasher, Hasher as _};

use end_to_end::data::Columns;

use super::Place;
use crate::files::Cells;

pub(super) struct Remembered {
    pub(super) path: String,
    pub(super) place: Place,
    pub(super) rows: usize,
    range: (u64, u64),
    columns: Vec<&'static str>,
    rest: Rest,
}

/// What is kept of the cells: very many answers have all rows of their range.
enum Rest {
    All(u64),
    Picked(Cells),
}

impl Remembered {
    /// Of the columns of an answer, `time` and `nanos` first, which must be equally long and in order.
    pub(super) fn new(
        path: String,
        place: Place,
        range: (u64, u64),
        columns: Vec<&'static str>,
        cells: Cells,
        is_picked: bool,
    ) -> Remembered {
        let rows = cells.0[0].len() / 4;
        for (name, column) in columns.iter().zip(&cells.0) {
            assert_eq!(column.len(), rows * place.table().kind(name).width(), "{path}: {name} of {rows} rows");
        }
        let numbers = |at: usize| cells.0[at].chunks(4).map(|cell| u32::from_le_bytes(cell.try_into().unwrap()));
        let keys: Vec<(u32, u32)> = numbers(0).zip(numbers(1)).collect();
        assert!(keys.is_sorted(), "{path}: the search key falls");
        let rest = if is_picked { Rest::Picked(cells) } else { Rest::All(digest(cells.0.iter().map(Vec::as_slice))) };
        Remembered { path, place, rows, range, columns, rest }
    }

    /// The rows are the first ones that the range has in the end, or some of them in order.
    pub(super) fn judge(&self, whole: &Columns) {
        let times = whole.u32s("time");
        let (start, end) = self.range;
        let first = times.partition_point(|time| u64::from(*time) < start);
        let last = times.partition_point(|time| u64::from(*time) <= end);
        let path = &self.path;
        assert!(self.rows <= last - first, "{path}: {} rows, the files have {}", self.rows, last - first);
        let columns = self.columns.iter().map(|name| (whole.bytes(name), self.place.table().kind(name).width()));
        let columns: Vec<(&[u8], usize)> = columns.collect();
        match &self.rest {
            Rest::All(told) => {
                let expected = columns.iter().map(|(bytes, width)| &bytes[first * width..(first + self.rows) * width]);
                assert_eq!(*told, digest(expected), "{path}: {} rows are not those of the files", self.rows);
            }
            Rest::Picked(cells) => {
                let mut at = first;
                for row in 0..self.rows {
                    let is_row = |at: usize| {
                        let mut pairs = columns.iter().zip(&cells.0);
                        pairs.all(|((bytes, width), told)| {
                            bytes[at * width..][..*width] == told[row * width..][..*width]
                        })
                    };
                    let found = (at..last).find(|at| is_row(*at));
                    let found = found.unwrap_or_else(|| panic!("{path}: row {row} is none of the files'"));
                    assert!(row > 0 || found == first, "{path}: it does not begin with the first row");
                    at = found + 1;
                }
            }
        }
    }
}

fn digest<'a>(columns: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for column in columns {
        hasher.write_usize(column.len());
        hasher.write(column);
    }
    hasher.finish()
}
