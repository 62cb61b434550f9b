//! The one file that says which rows are proven to be on disk.

use std::{collections::BTreeMap, fs, io::ErrorKind, path::Path};

use serde::{Deserialize, Serialize};

use crate::{Day, Disk, SeriesId, StoreError, disk, layout::CHECKPOINT_FILE};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Row counts noted before a `syncfs` that succeeded.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Checkpoint {
    /// Which boot of the machine wrote it: on another one the page cache is gone, and only what stands here is proven.
    pub(crate) boot_id: String,
    /// Wall clock when the counts were noted, ns since the Unix epoch.
    pub(crate) noted_ns: u64,
    /// Series (`exchange/symbol/TABLE`) → day (`DD.MM.YY`) → rows. Only the days that were still being written: older
    /// ones were complete and durable when a newer one was first noted.
    pub(crate) rows: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Checkpoint {
    /// Reads `{root}/checkpoint`; `None` if there is none.
    pub(crate) fn read(root: &Path) -> Result<Option<Checkpoint>, StoreError> {
        let path = root.join(CHECKPOINT_FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", path)(error)),
        };
        match serde_json::from_slice(&text) {
            Ok(checkpoint) => Ok(Some(checkpoint)),
            Err(error) => Err(StoreError::Damaged { path, reason: error.to_string() }),
        }
    }

    /// Durably replaces `{root}/checkpoint`: it is always the old one or the new one.
    pub(crate) fn write(&self, root: &Path, disk: &dyn Disk) -> Result<(), StoreError> {
        let path = root.join(CHECKPOINT_FILE);
        let json = serde_json::to_vec(self)
            .map_err(|error| StoreError::Damaged { path: path.clone(), reason: error.to_string() })?;
        disk::replace(disk, &path, &json)
    }

    /// The proven rows of a series, by day.
    pub(crate) fn days(&self, id: &SeriesId) -> Result<BTreeMap<Day, u64>, StoreError> {
        let Some(days) = self.rows.get(&id.to_string()) else { return Ok(BTreeMap::new()) };
        days.iter()
            .map(|(day, rows)| match day.parse() {
                Ok(day) => Ok((day, *rows)),
                Err(error) => Err(StoreError::Damaged { path: CHECKPOINT_FILE.into(), reason: format!("{error}") }),
            })
            .collect()
    }
}

/// Which boot of the machine this is.
pub(crate) fn boot_id() -> Result<String, StoreError> {
    let id = fs::read_to_string(BOOT_ID).map_err(StoreError::io("read", BOOT_ID))?;
    Ok(id.trim().to_owned())
}
