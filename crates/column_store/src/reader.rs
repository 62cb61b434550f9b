//! The reading side: committed rows of a time range, column by column, while the files may grow or be cut.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, ErrorKind},
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::fs::FileExt as _,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{Access, Column, Day, SeriesId, StoreError, beneath, column_file::ColumnFile, layout, recovery, store};

/// Of a range of so many days it is cheaper to list the directory than to try to open files of each: who reads up to the end
/// of time would try tens of thousands.
const DAYS_TRIED: u32 = 64;

/// A data directory, open for reading; any number of readers may stand beside one writer.
#[derive(Debug)]
pub struct Reader {
    pub(crate) root: PathBuf,
    pub(crate) root_file: File,
}

/// The rows of a time range.
#[derive(Debug)]
pub struct Selection {
    /// The columns in the order asked for, also if one is asked for twice.
    pub columns: Vec<ColumnSelection>,
    /// Days of the range that are left out for all columns because one of these is absent: day and column.
    pub incomplete: Vec<(Day, &'static str)>,
    /// Whether any day of the range had a `time` file.
    pub any_day: bool,
}

/// One column of a [`Selection`].
#[derive(Clone, Debug)]
pub struct ColumnSelection {
    /// Which.
    pub column: &'static Column,
    /// Rows, the same number in every column of a selection.
    pub rows: u64,
    /// Where its bytes are, day after day.
    pub slices: Vec<Slice>,
}

impl ColumnSelection {
    /// Bytes of all rows.
    pub fn bytes(&self) -> u64 {
        self.rows * self.column.kind.width() as u64
    }
}

/// Whole committed cells within one open column file.
#[derive(Clone, Debug)]
pub struct Slice {
    file: Arc<ColumnFile>,
    offset: u64,
    length: u64,
}

impl Slice {
    pub(crate) fn new(file: Arc<ColumnFile>, offset: u64, length: u64) -> Slice {
        Slice { file, offset, length }
    }

    /// Bytes in the slice.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Reads the slice's bytes from `position` on until `buffer` is full.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file was cut after the selection was made: what is there is never padded or mapped.
    pub fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        self.read_with(buffer, position, Access::Disk)
    }

    /// As [`read_at`](Slice::read_at), and only from memory if `access` says so.
    ///
    /// # Errors
    /// Also `WouldBlock`, if it would take a disk.
    pub fn read_with(&self, buffer: &mut [u8], position: u64, access: Access) -> io::Result<()> {
        match self.file.read(buffer, self.offset + position, access) {
            Ok(read) if read == buffer.len() => Ok(()),
            Ok(_) => Err(ErrorKind::UnexpectedEof.into()),
            Err(error) => Err(error),
        }
    }

    /// Whether the byte at `position` is in the page cache.
    ///
    /// # Errors
    /// The operating system's, and `UnexpectedEof` where the file was cut.
    pub fn is_resident(&self, position: u64) -> io::Result<bool> {
        match self.file.read_file(&mut [0], self.offset + position, Access::Resident) {
            Ok(1) => Ok(true),
            Ok(_) => Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The file and where in it the slice begins, to be sent without copying. It may end earlier than it did when the slice
    /// was made.
    pub fn place(&self) -> (BorrowedFd<'_>, u64) {
        (self.file.as_fd(), self.offset)
    }
}

impl Reader {
    /// Opens a data directory.
    ///
    /// # Errors
    /// [`StoreError::NewerFormat`], or what the operating system says, such as that it does not exist.
    pub fn open(root: &Path) -> Result<Reader, StoreError> {
        store::check_format(root, false)?;
        let root_file = File::open(root).map_err(StoreError::io("open", root))?;
        Ok(Reader { root: root.to_owned(), root_file })
    }

    /// The symbols by exchange, as directory names, sorted; exchanges without symbols are left out.
    ///
    /// # Errors
    /// The operating system's.
    pub fn symbols(&self) -> Result<BTreeMap<String, Vec<String>>, StoreError> {
        let mut symbols: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for id in recovery::series(&self.root)? {
            let of_exchange = symbols.entry(id.exchange).or_default();
            if of_exchange.last() != Some(&id.symbol) {
                of_exchange.push(id.symbol);
            }
        }
        Ok(symbols)
    }

    /// Finds the rows with `start ≤ time ≤ end` (Unix seconds, both inclusive, every one of equal times) in each day of
    /// the range. A day counts as far as all of `columns` have it.
    ///
    /// # Errors
    /// [`StoreError::Name`] if the series' names cannot be directories, or what the operating system says.
    pub fn select(
        &self,
        id: &SeriesId,
        columns: &[&'static Column],
        start: u32,
        end: u32,
    ) -> Result<Selection, StoreError> {
        layout::check_name(&id.exchange, "an exchange's directory")?;
        layout::check_name(&id.symbol, "a symbol's directory")?;
        let mut selection = Selection {
            columns: columns.iter().map(|column| ColumnSelection { column, rows: 0, slices: Vec::new() }).collect(),
            incomplete: Vec::new(),
            any_day: false,
        };
        if start <= end {
            for day in self.days_within(id, Day::from_seconds_clamped(start), Day::from_seconds_clamped(end))? {
                self.select_day(id, day, start, end, &mut selection)?;
            }
        }
        Ok(selection)
    }

    /// The days of a range that may have files: all of a short one, those of the directory of a long one.
    fn days_within(&self, id: &SeriesId, first: Day, last: Day) -> Result<Vec<Day>, StoreError> {
        if last.number() - first.number() < DAYS_TRIED {
            return Ok(std::iter::successors(Some(first), |day| day.next()).take_while(|day| *day <= last).collect());
        }
        Ok(recovery::days(&self.root.join(id.path()))?.range(first..=last).copied().collect())
    }

    fn select_day(
        &self,
        id: &SeriesId,
        day: Day,
        start: u32,
        end: u32,
        selection: &mut Selection,
    ) -> Result<(), StoreError> {
        let Some((time, time_length)) = self.open_column(id, "time", day)? else { return Ok(()) };
        selection.any_day = true;
        let mut rows = time_length / 4;
        let mut files: BTreeMap<&str, Arc<ColumnFile>> = BTreeMap::new();
        for column in selection.columns.iter().map(|selected| selected.column) {
            if files.contains_key(column.name) {
                continue;
            }
            let Some((file, length)) = self.open_column(id, column.name, day)? else {
                selection.incomplete.push((day, column.name));
                return Ok(());
            };
            rows = rows.min(length / column.kind.width() as u64);
            files.insert(column.name, Arc::new(ColumnFile::new(file, None, None)));
        }
        let path = || self.root.join(id.path()).join(layout::file_name("time", day));
        let search = |after: &dyn Fn(u32) -> bool| partition_point(&time, rows, after);
        let first = search(&|time| time < start).map_err(|error| StoreError::io("read", path())(error))?;
        let past = search(&|time| time <= end).map_err(|error| StoreError::io("read", path())(error))?;
        for selected in selection.columns.iter_mut().filter(|_| past > first) {
            let width = selected.column.kind.width() as u64;
            let Some(file) = files.get(selected.column.name) else { continue };
            selected.rows += past - first;
            selected.slices.push(Slice::new(Arc::clone(file), first * width, (past - first) * width));
        }
        Ok(())
    }

    pub(crate) fn open_column(&self, id: &SeriesId, column: &str, day: Day) -> Result<Option<(File, u64)>, StoreError> {
        let path = id.path().join(layout::file_name(column, day));
        let Some(file) = self.open_beneath(&path)? else { return Ok(None) };
        let length = file.metadata().map_err(StoreError::io("look at", &path))?.len();
        Ok(Some((file, length)))
    }

    /// Opens a file of the data directory; `None` if it is not there.
    pub(crate) fn open_beneath(&self, path: &Path) -> Result<Option<File>, StoreError> {
        match beneath::open(&self.root_file, path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(StoreError::io("open", path)(error)),
        }
    }
}

/// The first of `rows` sorted `u32` cells for which `before` is false.
///
/// A file that was cut meanwhile has no cells where it ends: they count as not before, so the search stays inside.
fn partition_point(file: &File, rows: u64, before: &dyn Fn(u32) -> bool) -> io::Result<u64> {
    let (mut low, mut high) = (0, rows);
    while low < high {
        let middle = low + (high - low) / 2;
        let mut cell = [0; 4];
        let is_before = match file.read_exact_at(&mut cell, middle * 4) {
            Ok(()) => before(u32::from_le_bytes(cell)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(error),
        };
        if is_before { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}
