//! What can go wrong with a store.

use std::{io, path::PathBuf};

use crate::Day;

/// An error of the store; each names the file it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another logger holds the directory.
    #[error("{path} is locked by another logger (process {holder}): two must not write one data directory")]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// What the lock file says of its holder.
        holder: String,
    },
    /// The directory was written by a newer version of this software.
    #[error("{path} says format {found}, this program knows up to {known}: use a newer version")]
    NewerFormat {
        /// The format file.
        path: PathBuf,
        /// The version it names.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// A bookkeeping file cannot be understood.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A column file is shorter than what was proven to be on disk.
    #[error(
        "{path} holds {rows} rows, but {proven} were proven to be on disk; refusing to cut the other columns down to it. \
         Restore the file from a backup, or accept the loss by removing {checkpoint}"
    )]
    BelowCheckpoint {
        /// The short file.
        path: PathBuf,
        /// Whole rows in it.
        rows: u64,
        /// Rows that the checkpoint proves.
        proven: u64,
        /// The checkpoint file.
        checkpoint: PathBuf,
    },
    /// A column file changed under the writer.
    #[error("{path} is {found} bytes long, but this logger wrote {expected}: something else changed it")]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its length now.
        found: u64,
        /// The length it should have.
        expected: u64,
    },
    /// An earlier `syncfs` failed, so nothing written since the last good one is proven to be on disk.
    #[error(
        "an earlier sync of {path} failed: rows since then may not survive a power loss; check the disk and restart"
    )]
    SyncFailed {
        /// The data directory.
        path: PathBuf,
    },
    /// A name cannot be a directory name.
    #[error("`{name}` cannot be {what}: {reason}")]
    Name {
        /// The name.
        name: String,
        /// What it should have named.
        what: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// A gap or coverage record cannot be a line of its file.
    #[error("{what} of {series} cannot be recorded: {reason}")]
    Record {
        /// What it is, such as "a gap".
        what: &'static str,
        /// The series.
        series: String,
        /// Why not.
        reason: &'static str,
    },
    /// A day that is not over cannot be removed.
    #[error("{day} cannot be removed: it is not over")]
    NotOver {
        /// The day.
        day: Day,
    },
    /// A day that is not sealed may still be written, or fills may be under way.
    #[error("{series} of {day} is not sealed, and is only removed if that is forced; nothing was removed")]
    Unsealed {
        /// The series.
        series: String,
        /// The day.
        day: Day,
    },
    /// Our clock is outside 2000 to 2099, which file names cannot tell.
    #[error("the clock says {ns} ns since 1970: file names can only tell the years 2000 to 2099")]
    Clock {
        /// The time.
        ns: u64,
    },
}

impl StoreError {
    /// For `map_err` on an I/O operation.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.into();
        move |source| StoreError::Io { action, path, source }
    }
}
