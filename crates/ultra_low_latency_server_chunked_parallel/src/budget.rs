//! How many column files answers may hold open together.

use rustix::process::{Resource, getrlimit};

/// What counts as no limit.
const UNLIMITED: usize = 1 << 28;

/// Column files that may be open: half of the files that the process may open. The other half stays for connections,
/// scrapes and listings, which must work also when slow clients hold many answers.
pub(crate) fn column_files() -> usize {
    let soft = getrlimit(Resource::Nofile).current;
    soft.map_or(UNLIMITED, |soft| usize::try_from(soft / 2).unwrap_or(UNLIMITED)).max(1)
}
