//! Days that are over: their rows and the checksums of their columns.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{ErrorKind, Read as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    Column, Day, Disk, Reader, SeriesId, StoreError,
    disk::{replace, sync_directory},
    layout::{self, DayFile},
    recovery::Found,
};

/// A day is not sealed before it has been over for this long, ns: 10 minutes.
pub const SEAL_DELAY_NS: u64 = 600 * 1_000_000_000;
/// Bytes of a marker at most; 17 columns need 2 KiB.
const MARKER_LIMIT: u64 = 64 << 10;
/// Bytes read at once for a checksum.
const BLOCK: usize = 1 << 20;

/// A day's marker: what its columns held when it was over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// The day.
    pub day: Day,
    /// Rows in each column.
    pub rows: u64,
    /// When it was sealed, ns since the Unix epoch.
    pub sealed_ns: u64,
    /// Column → SHA-256 of its file, as `sha256sum` prints it. A column that is not here was not there.
    pub columns: BTreeMap<String, String>,
}

impl Seal {
    /// 32 hexadecimal digits that change if and only if the rows of one of these columns do, such as for an ETag; `None` if
    /// the day was sealed without one of them. Neither the order of the columns matters nor when the day was sealed.
    pub fn validator(&self, columns: &[&str]) -> Option<String> {
        let mut of_columns = BTreeMap::new();
        for column in columns {
            of_columns.insert(*column, self.columns.get(*column)?);
        }
        let mut hash = Sha256::new();
        hash.update(format!("{} {}\n", self.day, self.rows));
        for (column, checksum) in of_columns {
            hash.update(format!("{column} {checksum}\n"));
        }
        let mut text = hex(&hash.finalize());
        text.truncate(32);
        Some(text)
    }

    /// Bytes that a column has.
    pub(crate) fn bytes(&self, column: &Column) -> u64 {
        self.rows.saturating_mul(column.kind.width() as u64)
    }

    /// Reads a day's marker as it stands; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it is no marker of that day, or what the operating system says.
    pub(crate) fn read(directory: &Path, day: Day) -> Result<Option<Seal>, StoreError> {
        let path = directory.join(DayFile::Sealed.name(day));
        match File::open(&path) {
            Ok(file) => Seal::parse(&file, &path, day).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("open", path)(error)),
        }
    }

    /// As [`Seal::read`], but a marker that is damaged proves nothing, as if there were none.
    pub(crate) fn read_sound(directory: &Path, day: Day) -> Result<Option<Seal>, StoreError> {
        match Seal::read(directory, day) {
            Err(StoreError::Damaged { .. }) => Ok(None),
            seal => seal,
        }
    }

    fn parse(file: &File, path: &Path, day: Day) -> Result<Seal, StoreError> {
        let mut text = Vec::new();
        file.take(MARKER_LIMIT).read_to_end(&mut text).map_err(StoreError::io("read", path))?;
        let damaged = |reason: String| StoreError::Damaged { path: path.to_owned(), reason };
        let seal: Seal = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if seal.day == day { Ok(seal) } else { Err(damaged(format!("it is of the day {}", seal.day))) }
    }
}

impl Reader {
    /// The marker of a day, if the day is sealed: it has one, and each column that it names still has the length it had.
    /// That the bytes are the same is only looked at by an audit.
    ///
    /// # Errors
    /// [`StoreError::Name`] if the series' names cannot be directories, or what the operating system says.
    pub fn seal(&self, id: &SeriesId, day: Day) -> Result<Option<Seal>, StoreError> {
        layout::check_name(&id.exchange, "an exchange's directory")?;
        layout::check_name(&id.symbol, "a symbol's directory")?;
        let Some(seal) = self.marker(id, day)? else { return Ok(None) };
        for column in id.table.columns() {
            let length = self.open_column(id, column.name, day)?.map(|(_, length)| length);
            let sealed = seal.columns.get(column.name).map(|_| seal.bytes(column));
            if length != sealed {
                return Ok(None);
            }
        }
        Ok(Some(seal).filter(|seal| seal.columns.contains_key("time")))
    }

    /// A day's marker, whatever became of its columns; none if it is damaged. The names must have been checked.
    pub(crate) fn marker(&self, id: &SeriesId, day: Day) -> Result<Option<Seal>, StoreError> {
        let path = id.path().join(DayFile::Sealed.name(day));
        let Some(file) = self.open_beneath(&path)? else { return Ok(None) };
        match Seal::parse(&file, &path, day) {
            Err(StoreError::Damaged { .. }) => Ok(None),
            seal => seal.map(Some),
        }
    }
}

/// The checksums of a day that is over, to be sealed by [`crate::Store::seal`]. Made without the store, so that another
/// thread can read the day meanwhile.
#[derive(Clone, Debug)]
pub struct SealDraft {
    pub(crate) id: SeriesId,
    pub(crate) day: Day,
    pub(crate) rows: u64,
    columns: BTreeMap<String, String>,
}

impl SealDraft {
    /// Makes a day durable and reads it through; `None` if the series has no such day. `on_bytes` hears how many bytes were
    /// read since it was last called. Holds a block of 1 MiB in memory.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if a column does not have the rows of the others, or what the operating system says.
    pub fn read(
        root: &Path,
        id: &SeriesId,
        day: Day,
        on_bytes: &mut dyn FnMut(u64),
    ) -> Result<Option<SealDraft>, StoreError> {
        let directory = root.join(id.path());
        let found = Found::on_disk(&directory, id.table, day)?;
        if !found.has_time() {
            return Ok(None);
        }
        let rows = found.rows();
        let mut columns = BTreeMap::new();
        for (column, path, length) in found.columns() {
            let expected = rows * column.kind.width() as u64;
            if *length != expected {
                return Err(StoreError::Changed { path: path.clone(), found: *length, expected });
            }
            let file = File::open(path).map_err(StoreError::io("open", path))?;
            file.sync_all().map_err(StoreError::io("sync", path))?;
            let (read, checksum) = checksum(&file, path, expected, on_bytes)?;
            if read != expected {
                return Err(StoreError::Changed { path: path.clone(), found: read, expected });
            }
            columns.insert(column.name.to_owned(), checksum);
        }
        Ok(Some(SealDraft { id: id.clone(), day, rows, columns }))
    }

    /// SHA-256 of a column.
    pub(crate) fn checksum(&self, column: &str) -> Option<&String> {
        self.columns.get(column)
    }

    /// Whether the files still are as long as they were read.
    fn check(&self, directory: &Path) -> Result<(), StoreError> {
        for (column, path, length) in Found::on_disk(directory, self.id.table, self.day)?.columns() {
            let known = self.columns.contains_key(column.name);
            let expected = if known { self.rows * column.kind.width() as u64 } else { 0 };
            if *length != expected || !known {
                return Err(StoreError::Changed { path: path.clone(), found: *length, expected });
            }
        }
        Ok(())
    }

    /// Durably writes the marker.
    pub(crate) fn write(&self, root: &Path, now_ns: u64, disk: &dyn Disk) -> Result<(), StoreError> {
        let directory = root.join(self.id.path());
        self.check(&directory)?;
        let path = directory.join(DayFile::Sealed.name(self.day));
        // The names of the columns must be as durable as what is in them.
        sync_directory(disk, &path)?;
        let seal = Seal { day: self.day, rows: self.rows, sealed_ns: now_ns, columns: self.columns.clone() };
        let mut json = serde_json::to_vec(&seal)
            .map_err(|error| StoreError::Damaged { path: path.clone(), reason: error.to_string() })?;
        json.push(b'\n');
        replace(disk, &path, &json)
    }
}

/// What became of a wish to seal a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// The day is sealed.
    Sealed,
    /// The day has not been over for [`SEAL_DELAY_NS`].
    TooEarly,
    /// Rows of the day are still in memory: after a flush, a new draft may be sealed.
    RowsWaiting,
}

/// Whether a day has been over for long enough to be sealed.
pub(crate) fn is_over(day: Day, now_ns: u64) -> bool {
    now_ns >= day.end_ns() + SEAL_DELAY_NS
}

/// Removes a marker; `true` if there was one, and its directory must be synced before a row is written.
pub(crate) fn remove(directory: &Path, day: Day, disk: &dyn Disk) -> Result<Option<PathBuf>, StoreError> {
    let path = directory.join(DayFile::Sealed.name(day));
    match disk.remove(&path) {
        Ok(()) => Ok(Some(path)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("remove", path)(error)),
    }
}

/// SHA-256 of the first `length` bytes of a file, and how many of them there are.
pub(crate) fn checksum(
    file: &File,
    path: &Path,
    length: u64,
    on_bytes: &mut dyn FnMut(u64),
) -> Result<(u64, String), StoreError> {
    let mut hash = Sha256::new();
    let mut block = vec![0; BLOCK];
    let mut read = 0;
    let mut source = file.take(length);
    loop {
        let count = source.read(&mut block).map_err(StoreError::io("read", path))?;
        let Some(bytes) = block.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        hash.update(bytes);
        read += count as u64;
        on_bytes(count as u64);
    }
    Ok((read, hex(&hash.finalize())))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
