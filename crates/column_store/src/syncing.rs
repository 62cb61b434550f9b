//! A sync on a thread of its own: with thousands of files it takes the disk hundreds of milliseconds, during which rows are
//! to be written on.

use std::{
    fs::File,
    io,
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
};

use crate::{Disk, StoreError, checkpoint::Checkpoint};

/// A sync under way.
pub(crate) struct Syncing {
    thread: JoinHandle<(Checkpoint, Proof)>,
}

/// How a sync ended.
pub(crate) enum Proof {
    /// The rows that were noted are on disk, and the checkpoint says so.
    Noted,
    /// They are, and it does not; the old one still stands.
    Unnoted(StoreError),
    /// Nobody knows what is on disk.
    Failed(StoreError),
}

impl Syncing {
    /// Makes everything that was written durable, then the checkpoint that says so.
    pub(crate) fn begin(
        checkpoint: Checkpoint,
        root: PathBuf,
        root_file: Arc<File>,
        disk: Arc<dyn Disk>,
    ) -> Result<Syncing, StoreError> {
        let error_root = root.clone();
        let prove = move || {
            let proof = match disk.sync(&root_file) {
                Err(error) => Proof::Failed(StoreError::io("sync", root)(error)),
                Ok(()) => checkpoint.write(&root, &*disk).map_or_else(Proof::Unnoted, |()| Proof::Noted),
            };
            (checkpoint, proof)
        };
        let thread = thread::Builder::new().name("sync".to_owned()).spawn(prove);
        Ok(Syncing { thread: thread.map_err(StoreError::io("start a thread to sync", error_root))? })
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for its end; none if the thread died.
    pub(crate) fn wait(self) -> Option<(Checkpoint, Proof)> {
        self.thread.join().ok()
    }
}

/// What a sync says whose thread died.
pub(crate) fn died() -> io::Error {
    io::Error::other("its thread ended before it was done")
}
