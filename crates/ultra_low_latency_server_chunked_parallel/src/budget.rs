//! What of the process's open files goes to column files and what to connections.

use rustix::process::{Resource, getrlimit};

/// What counts as no limit.
const UNLIMITED: usize = 1 << 28;

/// Descriptors that are neither columns nor connections: listeners, pollers, scrapes, logs, listings.
const OTHERS: usize = 20;

/// Column files that may be open: half of the files that the process may open. The other half stays for connections,
/// scrapes and listings, which must work also when slow clients hold many answers.
pub(crate) fn column_files() -> usize {
    process_files() / 2
}

/// Connections that there are descriptors for, beside the column files.
pub(crate) fn connections() -> usize {
    process_files().saturating_sub(column_files() + OTHERS).max(1)
}

fn process_files() -> usize {
    let soft = getrlimit(Resource::Nofile).current;
    soft.map_or(UNLIMITED, |soft| usize::try_from(soft).unwrap_or(UNLIMITED)).max(2)
}
