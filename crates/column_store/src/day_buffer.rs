//! Rows of one day of one series: they wait in memory, row after row, and reach the column files together.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use crate::{
    Column, Day, Disk, Row, RowTime, SeriesId, StoreError,
    disk::{self, sync_directory, write_all_at},
    layout,
    recovery::Found,
    seal,
};

pub(crate) struct DayBuffer {
    pub(crate) day: Day,
    /// Rows that every column file has; unknown until the files were first looked at.
    pub(crate) written: Option<u64>,
    /// What [`written`](DayBuffer::written) was when the files were last found changed: rows behind it are not ours, or
    /// such that wait still.
    written_before: Option<u64>,
    /// Rows that are not in the files yet, each with its cells in the order of the columns. Columns are made of them when
    /// they are written: a row that is appended then touches one place in memory and not one for each column.
    rows: Vec<u8>,
    pending: u64,
    /// The column files' paths, once they were first needed.
    paths: Vec<PathBuf>,
    /// Open files by column; empty while closed.
    files: Vec<File>,
    /// Whether the day may have a marker that says it is over.
    pub(crate) may_be_sealed: bool,
    /// The marker that was removed, and not durably yet.
    unsealed: Option<PathBuf>,
}

impl DayBuffer {
    pub(crate) fn new(day: Day) -> DayBuffer {
        DayBuffer {
            day,
            written: None,
            written_before: None,
            rows: Vec::new(),
            pending: 0,
            paths: Vec::new(),
            files: Vec::new(),
            may_be_sealed: true,
            unsealed: None,
        }
    }

    pub(crate) fn append<R: Row>(&mut self, row: &R, time: RowTime) {
        row.put(time, &mut self.rows);
        self.pending += 1;
    }

    /// Rows that are not in the files yet.
    pub(crate) fn pending(&self) -> u64 {
        self.pending
    }

    pub(crate) fn open_files(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn close_files(&mut self) {
        self.files = Vec::new();
    }

    /// Brings the rows to the files and says how many they were. `cells` is room for the cells of one column.
    pub(crate) fn flush(
        &mut self,
        directory: &Path,
        id: &SeriesId,
        columns: &'static [Column],
        disk: &dyn Disk,
        cells: &mut Vec<u8>,
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
                let rows = found.rows().min(self.written_before.unwrap_or(u64::MAX));
                // Recovery has run, so this cuts only what something else wrote since, and what could not be taken back
                // after a write that failed; it is kept all the same.
                found.cut(rows, &mut Vec::new())?;
                *self.written.insert(rows)
            }
        };
        if self.paths.is_empty() {
            let path = |column: &Column| directory.join(layout::file_name(column.name, self.day));
            self.paths = columns.iter().map(path).collect();
        }
        if let Err(error) = self.open_and_check(columns, written, new, disk) {
            self.files.clear();
            if let StoreError::Changed { .. } = error {
                // What is there is looked at anew before the next flush, and the day goes on from its whole rows.
                self.written_before = self.written.take();
            }
            return Err(error);
        }
        if let Err(error) = self.write(columns, written, disk, cells) {
            for ((file, column), path) in self.files.drain(..).zip(columns).zip(&self.paths) {
                // Best effort: readers are kept from rows that the next flush writes in the same place. A file that stays
                // longer is found by its length then.
                _ = disk.set_len(&file, path, written * column.kind.width() as u64);
            }
            return Err(error);
        }
        let rows = std::mem::take(&mut self.pending);
        self.written = Some(written + rows);
        // The room that one burst needed is not kept for ever.
        if self.rows.capacity() / 4 > self.rows.len() {
            self.rows.shrink_to(2 * self.rows.len());
        }
        self.rows.clear();
        Ok(rows)
    }

    /// A day that gets another row is not over: its marker is durably gone before the row is written.
    fn unseal(&mut self, directory: &Path, disk: &dyn Disk) -> Result<(), StoreError> {
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
        columns: &'static [Column],
        written: u64,
        new: bool,
        disk: &dyn Disk,
    ) -> Result<(), StoreError> {
        if self.files.is_empty() {
            self.files = open_columns(columns, &self.paths, written, new, disk)?;
        }
        for ((column, path), mut file) in columns.iter().zip(&self.paths).zip(&self.files) {
            // The cheapest way to ask for a length, a third of `metadata`; nothing reads or writes at the file's position.
            let found = file.seek(SeekFrom::End(0)).map_err(|error| StoreError::io("look at", path)(error))?;
            let expected = written * column.kind.width() as u64;
            if found != expected {
                return Err(StoreError::Changed { path: path.clone(), found, expected });
            }
        }
        Ok(())
    }

    /// `time` is written last: a reader that sees a row's time sees all of the row.
    fn write(&self, columns: &[Column], written: u64, disk: &dyn Disk, cells: &mut Vec<u8>) -> Result<(), StoreError> {
        let row_width = columns.iter().map(|column| column.kind.width()).sum();
        let mut end = row_width;
        // From the last column to the first, which is `time`.
        for ((column, path), file) in columns.iter().zip(&self.paths).zip(&self.files).rev() {
            let width = column.kind.width();
            end -= width;
            match width {
                4 => take_cells::<4>(&self.rows, row_width, end, cells),
                8 => take_cells::<8>(&self.rows, row_width, end, cells),
                _ => take_cells::<16>(&self.rows, row_width, end, cells),
            }
            write_all_at(disk, file, path, cells, written * width as u64).map_err(StoreError::io("write", path))?;
        }
        Ok(())
    }
}

/// Puts the cells that stand at `at` in each row, `N` bytes each, into `cells`.
fn take_cells<const N: usize>(rows: &[u8], row_width: usize, at: usize, cells: &mut Vec<u8>) {
    let rows = rows.chunks_exact(row_width);
    cells.clear();
    cells.resize(rows.len() * N, 0);
    for (cell, row) in cells.as_chunks_mut::<N>().0.iter_mut().zip(rows) {
        if let Some(found) = row.get(at..).and_then(|rest| rest.first_chunk()) {
            *cell = *found;
        }
    }
}

/// Opens a day's column files, `time` last so that a day without all columns is not yet a day. A column that a day lacks
/// when it is opened for the first time (`new`) is padded up to the committed rows.
fn open_columns(
    columns: &'static [Column],
    paths: &[PathBuf],
    written: u64,
    new: bool,
    disk: &dyn Disk,
) -> Result<Vec<File>, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let mut files = Vec::with_capacity(columns.len());
    for (column, path) in columns.iter().zip(paths).rev() {
        let file = match options.open(path) {
            // An error is not an absence: a column that cannot be looked at must not be replaced.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if written > 0 && !new {
                    let expected = written * column.kind.width() as u64;
                    return Err(StoreError::Changed { path: path.clone(), found: 0, expected });
                }
                if written > 0 {
                    pad(path, column, written, disk)?;
                }
                options.clone().create(true).truncate(false).open(path)
            }
            result => result,
        };
        files.push(file.map_err(StoreError::io("open", path))?);
    }
    files.reverse();
    Ok(files)
}

/// Makes a column file of unknowns. It appears whole or not at all: a half-padded column would cut the day.
fn pad(path: &Path, column: &Column, rows: u64, disk: &dyn Disk) -> Result<(), StoreError> {
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
