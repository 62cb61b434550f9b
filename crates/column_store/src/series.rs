//! The writing side of one series: its days in the making, and what is to be told of them.

use std::{
    collections::VecDeque,
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use crate::{
    Column, Day, Disk, Row, RowTime, SeriesId, StoreError, TimeRule,
    day_buffer::DayBuffer,
    journal::Journal,
    layout,
    recovery::{self, DayRows, Found},
};

/// What a flush put into the files of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows.
    pub rows: u64,
    /// Bytes over all columns.
    pub bytes: u64,
}

pub(crate) struct Series {
    pub(crate) id: SeriesId,
    directory: PathBuf,
    columns: &'static [Column],
    /// Bytes of a row in all columns.
    row_width: usize,
    /// Key of the last row of the table, whatever its day.
    last: RowTime,
    /// Days with rows that are not in the files yet, oldest first, and the current day last.
    days: VecDeque<DayBuffer>,
    /// The last day that was given up for a newer one, and its rows.
    finished: Option<(Day, u64)>,
    /// When it last had rows to write, in flushes of the store: the least recently used series gives up its files first.
    pub(crate) used: u64,
    /// Whether the next flush of the store looks at it.
    pub(crate) is_listed: bool,
    /// Gaps and coverage on their way to the files.
    pub(crate) journal: Journal,
}

impl Series {
    pub(crate) fn open<R: Row>(root: &Path, id: SeriesId) -> Result<Series, StoreError> {
        let directory = root.join(id.path());
        let (columns, last, days) = (R::COLUMNS, RowTime(0), VecDeque::new());
        let row_width = columns.iter().map(|column| column.kind.width()).sum();
        let (finished, journal, is_listed) = (None, Journal::default(), false);
        let mut series =
            Series { id, directory, columns, row_width, last, days, finished, used: 0, is_listed, journal };
        if let Some((day, rows)) = series.newest_day()? {
            let cell = |column| -> Result<u64, StoreError> {
                let bytes = series.read_cells(column, day, rows - 1, 1)?;
                Ok(bytes.try_into().map_or(0, u32::from_le_bytes).into())
            };
            series.last = RowTime(cell("time")? * 1_000_000_000 + cell("nanos")?);
        }
        Ok(series)
    }

    /// The newest day that has rows, and how many.
    fn newest_day(&self) -> Result<Option<(Day, u64)>, StoreError> {
        for day in recovery::days(&self.directory)?.into_iter().rev() {
            let rows = Found::on_disk(&self.directory, self.id.table, day)?.rows();
            if rows > 0 {
                return Ok(Some((day, rows)));
            }
        }
        Ok(None)
    }

    /// The bytes of `count` cells; all zero where the day lacks the column.
    fn read_cells(&self, column: &str, day: Day, first: u64, count: u64) -> Result<Vec<u8>, StoreError> {
        let path = self.directory.join(layout::file_name(column, day));
        let width = self.id.table.column(column).map_or(0, |column| column.kind.width()) as u64;
        let mut bytes = vec![0; usize::try_from(count * width).unwrap_or(0)];
        match File::open(&path) {
            Ok(file) => file.read_exact_at(&mut bytes, first * width).map_err(StoreError::io("read", path))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("open", path)(error)),
        }
        Ok(bytes)
    }

    /// The cells of a column of whole numbers in the last `count` committed rows, in the order of the rows.
    pub(crate) fn last_cells(&self, column: &str, count: u64) -> Result<Vec<u64>, StoreError> {
        let width = self.id.table.column(column).map_or(8, |column| column.kind.width());
        let mut days = Vec::new();
        let mut missing = count;
        for day in recovery::days(&self.directory)?.into_iter().rev() {
            let rows = Found::on_disk(&self.directory, self.id.table, day)?.rows();
            let wanted = missing.min(rows);
            days.push(self.read_cells(column, day, rows - wanted, wanted)?);
            missing -= wanted;
            if missing == 0 {
                break;
            }
        }
        let number = |cell: &[u8]| cell.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        Ok(days.iter().rev().flat_map(|bytes| bytes.chunks_exact(width).map(number)).collect())
    }

    /// The key of the last row.
    pub(crate) fn last_time(&self) -> RowTime {
        self.last
    }

    /// Takes a row into the buffers and returns the bytes it needs.
    pub(crate) fn append<R: Row>(&mut self, row: &R, rule: TimeRule) -> Result<usize, StoreError> {
        let wanted = RowTime(rule.time_of(row.event_ns(), row.receive_ns()));
        let time = wanted.max(self.last);
        let day = Day::from_ns(time.0).ok_or(StoreError::Clock { ns: time.0 })?;
        self.last = time;
        if self.days.back().is_none_or(|buffer| buffer.day != day) {
            self.days.push_back(DayBuffer::new(day));
        }
        let Some(buffer) = self.days.back_mut() else { return Ok(0) };
        buffer.append(row, time);
        Ok(self.row_width)
    }

    /// Enters itself, by its index, into the list of those that the next flush looks at.
    pub(crate) fn list(&mut self, index: usize, listed: &mut Vec<usize>) {
        if !self.is_listed {
            self.is_listed = true;
            listed.push(index);
        }
    }

    pub(crate) fn pending_rows(&self) -> u64 {
        self.days.iter().map(DayBuffer::pending).sum()
    }

    /// Files that are to be opened for the rows that wait.
    pub(crate) fn wanted_files(&self) -> usize {
        let wants = |buffer: &&DayBuffer| buffer.pending() > 0 && buffer.open_files() == 0;
        self.days.iter().filter(wants).count() * self.columns.len()
    }

    pub(crate) fn open_files(&self) -> usize {
        self.days.iter().map(DayBuffer::open_files).sum()
    }

    pub(crate) fn close_files(&mut self) {
        self.days.iter_mut().for_each(DayBuffer::close_files);
    }

    /// Writes what is pending and says what got into the files, also before an error. After an error nothing is lost: the
    /// files are back at the previous flush and the rows are still pending.
    pub(crate) fn flush(&mut self, disk: &dyn Disk, cells: &mut Vec<u8>) -> (Written, Result<(), StoreError>) {
        let width = self.row_width as u64;
        let mut total = Written::default();
        if self.journal.has_gaps()
            && let Err(error) = self.write_gaps(disk)
        {
            return (total, Err(error));
        }
        while let Some(buffer) = self.days.front_mut() {
            match buffer.flush(&self.directory, &self.id, self.columns, disk, cells) {
                Ok(rows) => {
                    total.rows += rows;
                    total.bytes += rows * width;
                }
                Err(error) => return (total, Err(error)),
            }
            if self.days.len() == 1 {
                break;
            }
            let given_up = self.days.pop_front();
            self.finished = given_up.and_then(|buffer| Some((buffer.day, buffer.written?))).or(self.finished);
        }
        self.journal.rows_flushed();
        (total, Ok(()))
    }

    fn write_gaps(&mut self, disk: &dyn Disk) -> Result<(), StoreError> {
        self.journal.write_gaps(&self.directory, disk)
    }

    /// Writes what may be said once a sync has proven the rows.
    pub(crate) fn write_claims(&mut self, now_ns: u64, interval_ns: u64, disk: &dyn Disk) -> Result<(), StoreError> {
        self.journal.rows_proven();
        self.journal.write_claims(&self.directory, &self.id, now_ns, interval_ns, disk)
    }

    /// Whether rows of the day are not in the files yet.
    pub(crate) fn is_waiting(&self, day: Day) -> bool {
        self.days.iter().any(|buffer| buffer.day == day && buffer.pending() > 0)
    }

    /// The day was sealed: a later row unseals it.
    pub(crate) fn sealed(&mut self, day: Day) {
        self.days.iter_mut().filter(|buffer| buffer.day == day).for_each(|buffer| buffer.may_be_sealed = true);
    }

    /// The day is to be removed: its files are closed and its rows are not noted any more.
    pub(crate) fn forget(&mut self, day: Day) {
        self.days.retain(|buffer| buffer.day != day);
        self.journal.forget(day);
        self.finished = self.finished.filter(|(finished, _)| *finished != day);
    }

    /// Rows in the files of the days that are still being written; of the last one, if none of these has any yet.
    pub(crate) fn written(&self) -> DayRows {
        let mut days = self.days.iter().filter_map(|buffer| Some((buffer.day, buffer.written?))).peekable();
        let finished = if days.peek().is_none() { self.finished } else { None };
        days.chain(finished).map(|(day, rows)| (day.to_string(), rows)).collect()
    }
}
