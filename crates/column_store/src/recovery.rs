//! Makes whole rows of what a crash or a power loss left: every column of a day is cut to the committed rows, and what is
//! cut off is kept beside it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use serde::Serialize;

use crate::{
    Column, Day, OsDisk, SeriesId, StoreError, Table,
    checkpoint::Checkpoint,
    layout::{self, CHECKPOINT_FILE, DayFile},
    line_file, retention,
    seal::Seal,
};

/// One day, ns.
const DAY_NS: u64 = 86_400 * 1_000_000_000;

/// Bytes that recovery moved out of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cut {
    /// The file.
    pub file: PathBuf,
    /// Where the bytes are now.
    pub kept_in: PathBuf,
    /// How many.
    pub bytes: u64,
    /// Rows that a column file has left; of a file of lines, the bytes.
    pub rows: u64,
}

/// What recovery did, and what is on disk after it.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) cuts: Vec<Cut>,
    /// Series → newest day → rows: what the next sync proves.
    pub(crate) rows: BTreeMap<String, DayRows>,
}

/// The times of files may be so much behind the clock that a checkpoint is noted by: the kernel's tick at worst.
const TICK_NS: u64 = 10_000_000;

/// Recovers every series below `root`.
pub(crate) fn recover(root: &Path, checkpoint: Option<&Checkpoint>, boot_id: &str) -> Result<Recovered, StoreError> {
    let mut recovered = Recovered::default();
    for id in series(root)? {
        let directory = root.join(id.path());
        retention::finish_removals(&directory, &OsDisk)?;
        let proven = checkpoint.map(|checkpoint| checkpoint.days(&id)).transpose()?.unwrap_or_default();
        let power_loss = checkpoint.filter(|checkpoint| checkpoint.boot_id != boot_id);
        // A day that had been over for a day when the checkpoint was noted was not being recorded any more: it is whole,
        // whoever put it there since.
        let settled = power_loss.and_then(|checkpoint| Day::from_ns(checkpoint.noted_ns.saturating_sub(2 * DAY_NS)));
        let mut days = days(&directory)?;
        days.extend(proven.keys());
        // Days before the oldest noted one were complete and durable when it was noted.
        let oldest = proven.keys().next().copied();
        for day in days.into_iter().filter(|day| oldest.is_none_or(|oldest| *day >= oldest)) {
            let found = Found::on_disk(&directory, id.table, day)?;
            let proven_rows = proven_rows(root, &directory, day, proven.get(&day).copied(), &found)?;
            let rows = match (power_loss, proven_rows) {
                // The page cache survived: whatever every column has is there.
                (None, _) => found.rows(),
                (Some(_), Some(proven_rows)) => proven_rows,
                (Some(_), None) if settled.is_some_and(|settled| day <= settled) => found.rows(),
                // A day that began after the last checkpoint of a series that has one: nothing of it is proven.
                (Some(_), None) if !proven.is_empty() => 0,
                // A series that no checkpoint names: proven unless it was written after the last one.
                (Some(checkpoint), None) if found.newest_write_ns()?.saturating_add(TICK_NS) > checkpoint.noted_ns => 0,
                (Some(_), None) => found.rows(),
            };
            found.cut(rows, &mut recovered.cuts)?;
            for file in [DayFile::Gaps, DayFile::Coverage] {
                recovered.cuts.extend(line_file::cut_torn(&directory.join(file.name(day)))?);
            }
            if found.missing.is_empty() {
                recovered.rows.insert(id.to_string(), DayRows::from([(day.to_string(), rows)]));
            }
        }
    }
    Ok(recovered)
}

/// The rows of a day that are proven to be on disk, by the checkpoint or by the day's marker; refuses files that lack some
/// of them.
pub(crate) fn proven_rows(
    root: &Path,
    directory: &Path,
    day: Day,
    noted: Option<u64>,
    found: &Found,
) -> Result<Option<u64>, StoreError> {
    found.refuse_below(root.join(CHECKPOINT_FILE), noted.unwrap_or(0), |_| true)?;
    let Some(seal) = Seal::read_sound(directory, day)? else { return Ok(noted) };
    let is_sealed = |column: &str| seal.columns.contains_key(column);
    found.refuse_below(directory.join(DayFile::Sealed.name(day)), seal.rows, is_sealed)?;
    Ok(noted.max(Some(seal.rows)))
}

/// What a day has on disk.
pub(crate) struct Found {
    /// The columns that exist: path and length in bytes.
    columns: Vec<(&'static Column, PathBuf, u64)>,
    /// The columns that do not.
    missing: Vec<(&'static Column, PathBuf)>,
}

impl Found {
    pub(crate) fn on_disk(directory: &Path, table: Table, day: Day) -> Result<Found, StoreError> {
        let (mut columns, mut missing) = (Vec::new(), Vec::new());
        for column in table.columns() {
            let path = directory.join(layout::file_name(column.name, day));
            match fs::metadata(&path) {
                Ok(metadata) => columns.push((column, path, metadata.len())),
                Err(error) if error.kind() == ErrorKind::NotFound => missing.push((column, path)),
                Err(error) => return Err(StoreError::io("look at", path)(error)),
            }
        }
        Ok(Found { columns, missing })
    }

    /// Committed rows: the minimum over the columns that the day has, `time` among them.
    pub(crate) fn rows(&self) -> u64 {
        if !self.has_time() {
            return 0;
        }
        self.columns.iter().map(|(column, _, length)| length / column.kind.width() as u64).min().unwrap_or(0)
    }

    /// Refuses a day that has fewer than the `proven` rows in one of the columns that `proof`, a file, speaks of.
    fn refuse_below(&self, proof: PathBuf, proven: u64, speaks_of: impl Fn(&str) -> bool) -> Result<(), StoreError> {
        if proven > 0 && self.columns.is_empty() {
            // The whole day was moved away: nothing is left to be cut down to it.
            return Ok(());
        }
        // A day that is noted has all its columns.
        let lengths =
            self.columns.iter().map(|(column, path, length)| (column, path, length / column.kind.width() as u64));
        let missing = self.missing.iter().map(|(column, path)| (column, path, 0));
        let short = lengths.chain(missing).find(|(column, _, rows)| *rows < proven && speaks_of(column.name));
        match short {
            None => Ok(()),
            Some((_, path, rows)) => {
                Err(StoreError::BelowCheckpoint { path: path.clone(), rows, proven, checkpoint: proof })
            }
        }
    }

    /// The columns that exist: path and length in bytes.
    pub(crate) fn columns(&self) -> &[(&'static Column, PathBuf, u64)] {
        &self.columns
    }

    /// The columns that do not, and where they would be.
    pub(crate) fn missing(&self) -> &[(&'static Column, PathBuf)] {
        &self.missing
    }

    /// Whether it is a day at all.
    pub(crate) fn has_time(&self) -> bool {
        self.columns.first().is_some_and(|(column, ..)| column.name == "time")
    }

    fn newest_write_ns(&self) -> Result<u64, StoreError> {
        let mut newest = 0;
        for (_, path, _) in &self.columns {
            let modified =
                fs::metadata(path).and_then(|metadata| metadata.modified()).map_err(StoreError::io("look at", path))?;
            let ns = modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
            newest = newest.max(u64::try_from(ns).unwrap_or(u64::MAX));
        }
        Ok(newest)
    }

    /// Cuts every column to `rows`, keeping what is cut off.
    pub(crate) fn cut(&self, rows: u64, cuts: &mut Vec<Cut>) -> Result<(), StoreError> {
        for (column, path, length) in &self.columns {
            let keep = rows * column.kind.width() as u64;
            if *length > keep {
                let kept_in = move_tail(path, keep, rows)?;
                cuts.push(Cut { file: path.clone(), kept_in, bytes: length - keep, rows });
            }
        }
        Ok(())
    }
}

/// Moves all bytes of `path` from `keep` on into a new `*.torn` file beside it.
pub(crate) fn move_tail(path: &Path, keep: u64, rows: u64) -> Result<PathBuf, StoreError> {
    let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(StoreError::io("open", path))?;
    let (torn_path, mut torn) = create_torn(path, rows)?;
    file.seek(SeekFrom::Start(keep)).map_err(StoreError::io("read", path))?;
    // The tail must be safe before it is cut off.
    if let Err(error) = io::copy(&mut file.by_ref(), &mut torn).and_then(|_| torn.sync_all()) {
        // Such as on a full disk, where each further start would leave another one.
        _ = fs::remove_file(&torn_path);
        return Err(StoreError::io("write", torn_path)(error));
    }
    file.set_len(keep).map_err(StoreError::io("cut", path))?;
    Ok(torn_path)
}

fn create_torn(path: &Path, rows: u64) -> Result<(PathBuf, File), StoreError> {
    let mut number = 0_u32;
    loop {
        let suffix = if number == 0 { format!("{rows}.torn") } else { format!("{rows}-{number}.torn") };
        let mut name = path.as_os_str().to_owned();
        name.push(".");
        name.push(suffix);
        let torn_path = PathBuf::from(name);
        match File::create_new(&torn_path) {
            Ok(torn) => return Ok((torn_path, torn)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(StoreError::io("create", torn_path)(error)),
        }
    }
}

/// All series below `root`, sorted.
pub(crate) fn series(root: &Path) -> Result<Vec<SeriesId>, StoreError> {
    let mut found = Vec::new();
    for exchange in directories(root)? {
        for symbol in directories(&root.join(&exchange))? {
            for table in Table::ALL {
                if root.join(&exchange).join(&symbol).join(table.name()).is_dir() {
                    found.push(SeriesId { exchange: exchange.clone(), symbol: symbol.clone(), table });
                }
            }
        }
    }
    Ok(found)
}

/// Names of the directories in `path` that may belong to the store, sorted.
pub(crate) fn directories(path: &Path) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        // Such as `lost+found` at the root of a file system: nobody who may not read it wrote a series into it.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(names),
        Err(error) => return Err(StoreError::io("list", path)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(StoreError::io("list", path))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if layout::check_name(&name, "a directory").is_ok() && entry.path().is_dir() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Days of which the series has any column.
pub(crate) fn days(directory: &Path) -> Result<BTreeSet<Day>, StoreError> {
    let names = names(directory)?;
    Ok(names.iter().filter_map(|name| layout::parse_file_name(name)).map(|(_, day)| day).collect())
}

/// Days of which the series has a file of that kind.
pub(crate) fn day_files(directory: &Path, kind: DayFile) -> Result<BTreeSet<Day>, StoreError> {
    let names = names(directory)?;
    Ok(names.iter().filter_map(|name| DayFile::parse(name)).filter(|(of, _)| *of == kind).map(|(_, day)| day).collect())
}

/// Names of all files in a series' directory, sorted; none if it is not there.
pub(crate) fn names(directory: &Path) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(names),
        Err(error) => return Err(StoreError::io("list", directory)(error)),
    };
    for entry in entries {
        let name = entry.map_err(StoreError::io("list", directory))?.file_name();
        names.extend(name.into_string().ok());
    }
    names.sort();
    Ok(names)
}

/// Row counts of some days, for a checkpoint.
pub(crate) type DayRows = BTreeMap<String, u64>;
