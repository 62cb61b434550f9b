//! How many column files answers may hold open together.

use std::sync::Arc;

use rustix::process::{Resource, getrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

/// What counts as no limit: no answer set ever comes near, and a semaphore can hold it.
const UNLIMITED: u32 = 1 << 28;

/// Descriptors that are neither columns nor connections: listeners, pollers, scrapes, logs, listings.
const OTHERS: usize = 20;

/// Column files that may be open: half of the files that the process may open, as for [`FileBudget`].
pub(crate) fn column_files() -> usize {
    process_files() / 2
}

/// Connections that there are descriptors for, beside the column files.
pub(crate) fn connections() -> usize {
    process_files().saturating_sub(column_files() + OTHERS).max(1)
}

fn process_files() -> usize {
    let soft = getrlimit(Resource::Nofile).current;
    soft.map_or(UNLIMITED as usize, |soft| usize::try_from(soft).unwrap_or(UNLIMITED as usize)).max(2)
}

/// Half of the files that the process may open. The other half stays for connections, scrapes and listings, which must
/// work also when slow clients hold many answers.
#[derive(Clone, Debug)]
pub(crate) struct FileBudget {
    files: Arc<Semaphore>,
    total: u32,
}

/// Files that an answer may open; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Files(OwnedSemaphorePermit);

impl FileBudget {
    /// The budget by the process's limit as it stands now.
    pub(crate) fn of_process() -> FileBudget {
        let soft = getrlimit(Resource::Nofile).current;
        FileBudget::new(soft.and_then(|soft| u32::try_from(soft / 2).ok()).unwrap_or(UNLIMITED))
    }

    fn new(total: u32) -> FileBudget {
        let total = total.clamp(1, UNLIMITED);
        FileBudget { files: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Takes `files`, or all there are if that is less: a request whose estimate is larger than what exists on disk may
    /// well find few. `None` if other answers hold too many.
    pub(crate) fn take(&self, files: usize) -> Option<Files> {
        let files = u32::try_from(files).unwrap_or(u32::MAX).min(self.total);
        match Arc::clone(&self.files).try_acquire_many_owned(files) {
            Ok(permit) => Some(Files(permit)),
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => None,
        }
    }
}

impl Files {
    /// Gives back all but `needed`.
    pub(crate) fn keep(&mut self, needed: usize) {
        let surplus = self.0.num_permits().saturating_sub(needed);
        drop(self.0.split(surplus));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_back() {
        let budget = FileBudget::new(10);
        let mut first = budget.take(8).unwrap();
        assert!(budget.take(3).is_none());
        first.keep(2);
        let second = budget.take(8).unwrap();
        assert!(budget.take(1).is_none());
        drop((first, second));
        assert!(budget.take(1_000_000).is_some(), "more than there are is all there are");
    }
}
