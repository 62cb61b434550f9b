//! The writing side of one series: rows wait in one buffer per column and reach the files together.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use crate::{
    Column, Day, Disk, Row, RowTime, SeriesId, StoreError, TimeRule,
    disk::{self, sync_directory, write_all_at},
    journal::Journal,
    layout,
    recovery::{self, DayRows, Found},
    seal,
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
    /// Key of the last row of the table, whatever its day.
    last: RowTime,
    /// Days with rows that are not in the files yet, oldest first, and the current day last.
    days: VecDeque<DayBuffer>,
    /// The last day that was given up for a newer one, and its rows.
    finished: Option<(Day, u64)>,
    /// When it was last flushed, in flushes of the store: the least recently used series gives up its files first.
    pub(crate) used: u64,
    /// Gaps and coverage on their way to the files.
    pub(crate) journal: Journal,
}

struct DayBuffer {
    day: Day,
    /// Rows that every column file has; unknown until the files were first looked at.
    written: Option<u64>,
    /// Rows in the buffers.
    pending: u64,
    buffers: Vec<Vec<u8>>,
    /// Open files by column; empty while closed.
    files: Vec<File>,
    /// Whether the day may have a marker that says it is over.
    may_be_sealed: bool,
    /// The marker that was removed, and not durably yet.
    unsealed: Option<PathBuf>,
}

impl Series {
    pub(crate) fn open<R: Row>(root: &Path, id: SeriesId) -> Result<Series, StoreError> {
        let directory = root.join(id.path());
        let (columns, last, days) = (R::COLUMNS, RowTime(0), VecDeque::new());
        let (finished, journal) = (None, Journal::default());
        let mut series = Series { id, directory, columns, last, days, finished, used: 0, journal };
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

    /// The cells of a `u64` column in the last `count` committed rows, in no particular order.
    pub(crate) fn last_cells(&self, column: &str, count: u64) -> Result<Vec<u64>, StoreError> {
        let mut cells = Vec::new();
        for day in recovery::days(&self.directory)?.into_iter().rev() {
            let rows = Found::on_disk(&self.directory, self.id.table, day)?.rows();
            let wanted = (count - cells.len() as u64).min(rows);
            let bytes = self.read_cells(column, day, rows - wanted, wanted)?;
            cells.extend(bytes.chunks_exact(8).filter_map(|cell| cell.try_into().ok()).map(u64::from_le_bytes));
            if cells.len() as u64 >= count {
                break;
            }
        }
        Ok(cells)
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
            self.days.push_back(DayBuffer::new(day, self.columns.len()));
        }
        let Some(buffer) = self.days.back_mut() else { return Ok(0) };
        row.put(time, &mut buffer.buffers);
        buffer.pending += 1;
        Ok(self.row_width())
    }

    pub(crate) fn row_width(&self) -> usize {
        self.columns.iter().map(|column| column.kind.width()).sum()
    }

    pub(crate) fn pending_rows(&self) -> u64 {
        self.days.iter().map(|buffer| buffer.pending).sum()
    }

    pub(crate) fn open_files(&self) -> usize {
        self.days.iter().map(|buffer| buffer.files.len()).sum()
    }

    pub(crate) fn close_files(&mut self) {
        for buffer in &mut self.days {
            buffer.files.clear();
        }
    }

    /// Writes what is pending and says what got into the files, also before an error. After an error nothing is lost: the
    /// files are back at the previous flush and the rows are still pending.
    pub(crate) fn flush(&mut self, disk: &mut dyn Disk) -> (Written, Result<(), StoreError>) {
        let width = self.row_width() as u64;
        let mut total = Written::default();
        if self.journal.has_gaps()
            && let Err(error) = self.write_gaps(disk)
        {
            return (total, Err(error));
        }
        while let Some(buffer) = self.days.front_mut() {
            match buffer.flush(&self.directory, &self.id, self.columns, disk) {
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

    fn write_gaps(&mut self, disk: &mut dyn Disk) -> Result<(), StoreError> {
        self.journal.write_gaps(&self.directory, disk)
    }

    /// Writes what may be said once a sync has proven the rows.
    pub(crate) fn write_claims(
        &mut self,
        now_ns: u64,
        interval_ns: u64,
        disk: &mut dyn Disk,
    ) -> Result<(), StoreError> {
        self.journal.rows_proven();
        self.journal.write_claims(&self.directory, &self.id, now_ns, interval_ns, disk)
    }

    /// Whether rows of the day are not in the files yet.
    pub(crate) fn is_waiting(&self, day: Day) -> bool {
        self.days.iter().any(|buffer| buffer.day == day && buffer.pending > 0)
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

impl DayBuffer {
    fn new(day: Day, columns: usize) -> DayBuffer {
        DayBuffer {
            day,
            written: None,
            pending: 0,
            buffers: vec![Vec::new(); columns],
            files: Vec::new(),
            may_be_sealed: true,
            unsealed: None,
        }
    }

    fn flush(
        &mut self,
        directory: &Path,
        id: &SeriesId,
        columns: &'static [Column],
        disk: &mut dyn Disk,
    ) -> Result<u64, StoreError> {
        if self.pending == 0 {
            return Ok(0);
        }
        self.unseal(directory, disk)?;
        let new = self.written.is_none();
        let written = match self.written {
            Some(written) => written,
            None => {
                fs::create_dir_all(directory).map_err(StoreError::io("create", directory))?;
                let found = Found::on_disk(directory, id.table, self.day)?;
                // Recovery has run, so this cuts only what something else wrote since; it is kept all the same.
                found.cut(found.rows(), &mut Vec::new())?;
                *self.written.insert(found.rows())
            }
        };
        if let Err(error) = self.open_and_check(directory, columns, written, new, disk) {
            self.files.clear();
            if let StoreError::Changed { .. } = error {
                // What is there is looked at anew before the next flush, and the day goes on from its whole rows.
                self.written = None;
            }
            return Err(error);
        }
        if let Err(error) = self.write(directory, columns, written, disk) {
            for (file, column) in self.files.drain(..).zip(columns) {
                // Best effort: the rows are rewritten in place at the next flush anyway, this only keeps readers from
                // seeing half of them meanwhile.
                _ = file.set_len(written * column.kind.width() as u64);
            }
            return Err(error);
        }
        let rows = std::mem::take(&mut self.pending);
        self.written = Some(written + rows);
        self.buffers.iter_mut().for_each(Vec::clear);
        Ok(rows)
    }

    /// A day that gets another row is not over: its marker is durably gone before the row is written.
    fn unseal(&mut self, directory: &Path, disk: &mut dyn Disk) -> Result<(), StoreError> {
        if self.may_be_sealed {
            self.unsealed = seal::remove(directory, self.day, disk)?.or(self.unsealed.take());
            self.may_be_sealed = false;
        }
        if let Some(path) = &self.unsealed {
            sync_directory(disk, path)?;
            self.unsealed = None;
        }
        Ok(())
    }

    /// Writing on at row × width would fill a file that was cut meanwhile with zeros, so the lengths are checked.
    fn open_and_check(
        &mut self,
        directory: &Path,
        columns: &'static [Column],
        written: u64,
        new: bool,
        disk: &mut dyn Disk,
    ) -> Result<(), StoreError> {
        if self.files.is_empty() {
            self.files = open_columns(directory, self.day, columns, written, new, disk)?;
        }
        for (column, file) in columns.iter().zip(&self.files) {
            let path = || directory.join(layout::file_name(column.name, self.day));
            let found = file.metadata().map_err(|error| StoreError::io("look at", path())(error))?.len();
            let expected = written * column.kind.width() as u64;
            if found != expected {
                return Err(StoreError::Changed { path: path(), found, expected });
            }
        }
        Ok(())
    }

    /// `time` is written last: a reader that sees a row's time sees all of the row.
    fn write(&self, directory: &Path, columns: &[Column], written: u64, disk: &mut dyn Disk) -> Result<(), StoreError> {
        let cells = columns.iter().zip(&self.files).zip(&self.buffers);
        for ((column, file), bytes) in cells.clone().skip(1).chain(cells.take(1)) {
            let path = directory.join(layout::file_name(column.name, self.day));
            write_all_at(disk, file, &path, bytes, written * column.kind.width() as u64)
                .map_err(StoreError::io("write", &path))?;
        }
        Ok(())
    }
}

/// Opens a day's column files, `time` last so that a day without all columns is not yet a day. A column that a day lacks
/// when it is opened for the first time (`new`) is padded up to the committed rows.
fn open_columns(
    directory: &Path,
    day: Day,
    columns: &'static [Column],
    written: u64,
    new: bool,
    disk: &mut dyn Disk,
) -> Result<Vec<File>, StoreError> {
    let open = |column: &Column, disk: &mut dyn Disk| -> Result<File, StoreError> {
        let path = directory.join(layout::file_name(column.name, day));
        // An error is not an absence: a column that cannot be looked at must not be replaced.
        if written > 0 && !path.try_exists().map_err(StoreError::io("look at", &path))? {
            if !new {
                return Err(StoreError::Changed { path, found: 0, expected: written * column.kind.width() as u64 });
            }
            pad(&path, column, written, disk)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        options.open(&path).map_err(StoreError::io("open", &path))
    };
    let mut files = Vec::with_capacity(columns.len());
    for column in columns.iter().skip(1) {
        files.push(open(column, disk)?);
    }
    if let Some(time) = columns.first() {
        files.insert(0, open(time, disk)?);
    }
    Ok(files)
}

/// Makes a column file of unknowns. It appears whole or not at all: a half-padded column would cut the day.
fn pad(path: &Path, column: &Column, rows: u64, disk: &mut dyn Disk) -> Result<(), StoreError> {
    let temporary = disk::temporary(path);
    let file = File::create(&temporary).map_err(StoreError::io("create", &temporary))?;
    let unknown = column.kind.unknown();
    let mut left = rows;
    while left > 0 {
        let count = left.min(65_536);
        let bytes = unknown.repeat(usize::try_from(count).unwrap_or(0));
        write_all_at(disk, &file, &temporary, &bytes, (rows - left) * column.kind.width() as u64)
            .map_err(StoreError::io("write", &temporary))?;
        left -= count;
    }
    file.sync_all().map_err(StoreError::io("sync", &temporary))?;
    fs::rename(&temporary, path).map_err(StoreError::io("rename", path))
}
