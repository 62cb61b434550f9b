//! Brings a directory that the ancestor wrote under our format, as a copy in another directory.
//!
//! The source is only read, so nothing can be lost, and a copy that was interrupted is taken up where it ended: a day is copied
//! column by column, `time` last, compared with what was read, and sealed. The seal says that a day is done.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{
    Column, Day, Disk as _, OsDisk, Progress, SealDraft, SeriesId, StoreError, Table, disk,
    layout::{self, FORMAT_FILE},
    recovery::{self, Found},
    seal::{self, Seal},
    store,
};

/// Bytes copied at once.
const BLOCK: usize = 1 << 20;

/// What became of a day of the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Its whole rows are in the target, byte for byte, and sealed.
    Copied,
    /// They were there before.
    There,
    /// It has not been over for ten minutes: to be copied by a later migration.
    NotOver,
    /// It has columns, but no `time`.
    NoTime,
    /// The target has other bytes in this file. Nothing of it was changed.
    Conflict {
        /// The target's file.
        file: PathBuf,
    },
}

/// A day of the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MigratedDay {
    /// Which series.
    pub series: SeriesId,
    /// Which day.
    pub day: Day,
    /// Its whole rows.
    pub rows: u64,
    /// Bytes beyond these, which are kept beside the columns in `*.torn` files.
    pub torn_bytes: u64,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Copies all days of the ancestor's directory `source` that are over into `target`, which is created if need be. What is in
/// `source` beside column files is returned: it was not copied. `on_day` hears of every day when it is done.
///
/// # Errors
/// [`StoreError::Name`] if one directory lies in the other, the source is of our format already or holds no column files, [`StoreError::Locked`] if
/// a logger has the target, [`StoreError::Changed`] if somebody wrote to a file meanwhile, or what the operating system says.
/// A later call goes on from there.
pub fn migrate(
    source: &Path,
    target: &Path,
    now_ns: u64,
    on_progress: &mut dyn FnMut(&Progress),
    on_day: &mut dyn FnMut(&MigratedDay),
) -> Result<Vec<PathBuf>, StoreError> {
    let source = fs::canonicalize(source).map_err(StoreError::io("open", source))?;
    let mut todo = Vec::new();
    for id in recovery::series(&source)? {
        let days = recovery::days(&source.join(id.path()))?;
        todo.extend(days.into_iter().map(|day| (id.clone(), day)));
    }
    // Such as with source and target mixed up: then the target must not be made one of ours.
    if todo.is_empty() {
        return Err(refused(&source, "the source of a migration", "it holds no column files"));
    }
    fs::create_dir_all(target).map_err(StoreError::io("create", target))?;
    let target = fs::canonicalize(target).map_err(StoreError::io("open", target))?;
    check_directories(&source, &target)?;
    let _lock = store::lock(&target)?;
    store::check_format(&target, true)?;
    let total = todo.len() as u64;
    for (done, (series, day)) in (0..).zip(todo) {
        on_progress(&Progress { series: series.clone(), done, total });
        on_day(&migrate_day(&source, &target, series, day, now_ns)?);
    }
    // The directories above the files; what a power loss takes before this is copied again.
    let root = File::open(&target).map_err(StoreError::io("open", &target))?;
    OsDisk.sync(&root).map_err(StoreError::io("sync", &target))?;
    not_ours(&source)
}

fn check_directories(source: &Path, target: &Path) -> Result<(), StoreError> {
    if source.starts_with(target) || target.starts_with(source) {
        return Err(refused(target, "the target of a migration", "one directory lies in the other"));
    }
    if source.join(FORMAT_FILE).exists() {
        return Err(refused(source, "the source of a migration", "it is of our format already"));
    }
    Ok(())
}

fn refused(path: &Path, what: &'static str, reason: &'static str) -> StoreError {
    StoreError::Name { name: path.display().to_string(), what, reason }
}

fn migrate_day(
    source: &Path,
    target: &Path,
    series: SeriesId,
    day: Day,
    now_ns: u64,
) -> Result<MigratedDay, StoreError> {
    let found = Found::on_disk(&source.join(series.path()), series.table, day)?;
    let rows = found.rows();
    let torn_bytes = found.columns().iter().map(|(column, _, length)| length - rows * column.kind.width() as u64).sum();
    let outcome = if !found.has_time() {
        Outcome::NoTime
    } else if !seal::is_over(day, now_ns) {
        Outcome::NotOver
    } else {
        copy_day(&found, target, &series, day, now_ns)?
    };
    Ok(MigratedDay { series, day, rows, torn_bytes, outcome })
}

fn copy_day(found: &Found, target: &Path, id: &SeriesId, day: Day, now_ns: u64) -> Result<Outcome, StoreError> {
    let directory = target.join(id.path());
    let rows = found.rows();
    if let Some(seal) = Seal::read(&directory, day)? {
        let is_same = seal.rows == rows && found.columns().iter().all(|(c, ..)| seal.columns.contains_key(c.name));
        let file = directory.join(layout::DayFile::Sealed.name(day));
        return Ok(if is_same { Outcome::There } else { Outcome::Conflict { file } });
    }
    fs::create_dir_all(&directory).map_err(StoreError::io("create", &directory))?;
    let columns = found.columns();
    let mut read = Vec::with_capacity(columns.len());
    // `time` last: without it there is no day.
    for (column, path, length) in columns.iter().skip(1).chain(columns.first()) {
        let copy = directory.join(layout::file_name(column.name, day));
        let keep = rows * column.kind.width() as u64;
        let mut name = copy.clone().into_os_string();
        name.push(format!(".{rows}.torn"));
        match copy_part(path, &copy, 0, keep)? {
            Some(checksum) => read.push((*column, checksum)),
            None => return Ok(Outcome::Conflict { file: copy }),
        }
        let torn = PathBuf::from(name);
        if *length > keep && copy_part(path, &torn, keep, *length)?.is_none() {
            return Ok(Outcome::Conflict { file: torn });
        }
        let now = fs::metadata(path).map_err(StoreError::io("look at", path))?.len();
        if now != *length {
            return Err(StoreError::Changed { path: path.clone(), found: now, expected: *length });
        }
    }
    seal_copy(target, id, day, now_ns, &read)
}

/// Seals the copy if it holds what was read from the source.
fn seal_copy(
    target: &Path,
    id: &SeriesId,
    day: Day,
    now_ns: u64,
    read: &[(&Column, String)],
) -> Result<Outcome, StoreError> {
    let directory = target.join(id.path());
    let Some(draft) = SealDraft::read(target, id, day, &mut |_| {})? else { return Ok(Outcome::NoTime) };
    let differs = read.iter().find(|(column, checksum)| draft.checksum(column.name) != Some(checksum));
    if let Some((column, _)) = differs {
        let path = directory.join(layout::file_name(column.name, day));
        return Err(StoreError::Damaged { path, reason: "it does not hold what was written to it".to_owned() });
    }
    draft.write(target, now_ns, &OsDisk)?;
    Ok(Outcome::Copied)
}

/// Copies the bytes `from..end` into a file of their own, which appears whole or not at all, and returns their checksum. A
/// file that is there is compared instead: `None` if it has other bytes.
fn copy_part(source: &Path, to: &Path, from: u64, end: u64) -> Result<Option<String>, StoreError> {
    let mut file = File::open(source).map_err(StoreError::io("open", source))?;
    file.seek(SeekFrom::Start(from)).map_err(StoreError::io("read", source))?;
    match File::open(to) {
        Ok(there) => {
            let length = there.metadata().map_err(StoreError::io("look at", to))?.len();
            let (_, theirs) = seal::checksum(&there, to, length, &mut |_| {})?;
            let (_, ours) = seal::checksum(&file, source, end - from, &mut |_| {})?;
            return Ok((theirs == ours).then_some(ours));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(StoreError::io("open", to)(error)),
    }
    let temporary = disk::temporary(to);
    let mut copy = File::create(&temporary).map_err(StoreError::io("create", &temporary))?;
    let (mut hash, mut block) = (Sha256::new(), vec![0; BLOCK]);
    let mut part = file.take(end - from);
    let mut copied = 0;
    loop {
        let count = part.read(&mut block).map_err(StoreError::io("read", source))?;
        let Some(bytes) = block.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        copy.write_all(bytes).map_err(StoreError::io("write", &temporary))?;
        hash.update(bytes);
        copied += count as u64;
    }
    if copied != end - from {
        return Err(StoreError::Changed { path: source.to_owned(), found: from + copied, expected: end });
    }
    copy.sync_all().map_err(StoreError::io("sync", &temporary))?;
    fs::rename(&temporary, to).map_err(StoreError::io("rename", to))?;
    Ok(Some(seal::hex(&hash.finalize())))
}

/// Everything below the source that is no column file of a series.
fn not_ours(source: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut left = Vec::new();
    let mut walk = vec![(source.to_owned(), 0)];
    while let Some((directory, depth)) = walk.pop() {
        let entries = fs::read_dir(&directory).map_err(StoreError::io("list", &directory))?;
        for entry in entries {
            let path = entry.map_err(StoreError::io("list", &directory))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let is_directory = path.is_dir();
            let is_known = match depth {
                0 | 1 => is_directory && layout::check_name(name, "a directory").is_ok(),
                2 => is_directory && Table::from_name(name).is_some(),
                _ => !is_directory && is_column(&directory, name),
            };
            match is_known {
                true if is_directory => walk.push((path, depth + 1)),
                true => {}
                false => left.push(path),
            }
        }
    }
    left.sort();
    Ok(left)
}

fn is_column(directory: &Path, name: &str) -> bool {
    let table = directory.file_name().and_then(|name| name.to_str()).and_then(Table::from_name);
    let column = layout::parse_file_name(name).map(|(column, _)| column);
    table.zip(column).is_some_and(|(table, column)| table.column(column).is_some())
}
