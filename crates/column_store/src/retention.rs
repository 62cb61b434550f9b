//! Removing old days, and how long the disk will last.
//!
//! A day goes in this order, so that a crash at any point leaves it whole or on its way out, and never a torn day:
//! its marker `removed.*.json` is durable; `time`, without which there is no day; its other files; the marker. What a crash
//! leaves of it is removed when the store is opened next.

use std::{collections::BTreeMap, fs, io::ErrorKind, path::Path};

use serde::Serialize;

use crate::{
    Day, Disk, SeriesId, StoreError,
    disk::{replace, sync_directory},
    layout::{self, DayFile},
    recovery,
    seal::Seal,
};

/// A day that was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RemovedDay {
    /// Of which series.
    pub series: SeriesId,
    /// Which day.
    pub day: Day,
    /// Bytes that its files had.
    pub bytes: u64,
}

/// The days before `before` of every series, oldest first within each, but not the newest `keep` that a series has. Nothing is
/// written; [`Store::remove_day`](crate::Store::remove_day) removes them.
///
/// # Errors
/// [`StoreError::Unsealed`] if one of them is not sealed, unless `force`; or what the operating system says.
pub fn days_to_remove(root: &Path, before: Day, keep: usize, force: bool) -> Result<Vec<(SeriesId, Day)>, StoreError> {
    let mut plan = Vec::new();
    for id in recovery::series(root)? {
        let directory = root.join(id.path());
        let mut days: Vec<Day> = recovery::names(&directory)?.iter().filter_map(|name| day_of(name)).collect();
        days.sort_unstable();
        days.dedup();
        days.truncate(days.len().saturating_sub(keep));
        for day in days.into_iter().filter(|day| *day < before) {
            if !force {
                check_sealed(&directory, &id, day)?;
            }
            plan.push((id.clone(), day));
        }
    }
    Ok(plan)
}

/// Refuses a day that has rows and no marker.
pub(crate) fn check_sealed(directory: &Path, id: &SeriesId, day: Day) -> Result<(), StoreError> {
    let has_rows = directory.join(layout::file_name("time", day)).exists();
    if has_rows && Seal::read_sound(directory, day)?.is_none() {
        return Err(StoreError::Unsealed { series: id.to_string(), day });
    }
    Ok(())
}

/// The day that a file of ours belongs to: a column, a record, a marker, and what recovery cut off or a crash left of them.
fn day_of(name: &str) -> Option<Day> {
    let ours = |name: &str| {
        let column = layout::parse_file_name(name).map(|(_, day)| day);
        column.or_else(|| DayFile::parse(name).map(|(_, day)| day))
    };
    ours(name).or_else(|| {
        let cut = name.strip_suffix(".torn").and_then(|stem| stem.rsplit_once('.')).map(|(whole, _)| whole);
        ours(cut.or_else(|| name.strip_suffix(".tmp"))?)
    })
}

/// Removes a day and returns the bytes that it had.
pub(crate) fn remove(directory: &Path, day: Day, disk: &dyn Disk) -> Result<u64, StoreError> {
    let marker = directory.join(DayFile::Removed.name(day));
    replace(disk, &marker, b"{}\n")?;
    finish(directory, day, disk)
}

/// Takes up the removals that a crash cut short.
pub(crate) fn finish_removals(directory: &Path, disk: &dyn Disk) -> Result<(), StoreError> {
    for day in recovery::day_files(directory, DayFile::Removed)? {
        finish(directory, day, disk)?;
    }
    Ok(())
}

fn finish(directory: &Path, day: Day, disk: &dyn Disk) -> Result<u64, StoreError> {
    let (time, marker) = (layout::file_name("time", day), DayFile::Removed.name(day));
    let names = recovery::names(directory)?;
    let others = names.iter().filter(|name| day_of(name) == Some(day) && **name != time && **name != marker);
    let mut bytes = 0;
    for name in std::iter::once(&time).chain(others) {
        let path = directory.join(name);
        let length = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(StoreError::io("look at", path)(error)),
        };
        disk.remove(&path).map_err(StoreError::io("remove", &path))?;
        bytes += length;
    }
    let marker = directory.join(marker);
    // Nothing of the day may come back after its marker is gone.
    sync_directory(disk, &marker)?;
    disk.remove(&marker).map_err(StoreError::io("remove", &marker))?;
    Ok(bytes)
}

/// Bytes of a data directory by day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DiskUse {
    /// Day → bytes of all its files in all series.
    pub bytes: BTreeMap<Day, u64>,
}

impl DiskUse {
    /// Adds up the lengths of all files of all days; this looks at every file, so it is no work for every minute.
    ///
    /// # Errors
    /// The operating system's.
    pub fn of(root: &Path) -> Result<DiskUse, StoreError> {
        let mut usage = DiskUse::default();
        for id in recovery::series(root)? {
            let directory = root.join(id.path());
            for name in recovery::names(&directory)? {
                let Some(day) = day_of(&name) else { continue };
                // A file may be removed meanwhile.
                let length = fs::symlink_metadata(directory.join(&name)).map_or(0, |metadata| metadata.len());
                *usage.bytes.entry(day).or_default() += length;
            }
        }
        Ok(usage)
    }

    /// How many more days like the last `days` whole ones before `today` fit into `free_bytes`; `None` if none of these has
    /// any data. A day among them without data counts as it is.
    pub fn days_left(&self, free_bytes: u64, today: Day, days: u32) -> Option<f64> {
        let recent = self.bytes.range(..today).rev().take_while(|(day, _)| today.number() - day.number() <= days);
        let (mut bytes, mut oldest) = (0_u64, today);
        for (day, of_day) in recent {
            bytes += of_day;
            oldest = *day;
        }
        let span = today.number() - oldest.number();
        (bytes > 0).then(|| free_bytes as f64 / (bytes as f64 / f64::from(span)))
    }
}
