//! What of the process's open files goes to column files and what to connections.

use rustix::process::{Resource, getrlimit};

/// What counts as no limit.
const UNLIMITED: usize = 1 << 28;

/// Descriptors that are neither columns nor connections: listeners, pollers, scrapes, logs, listings.
const OTHERS: usize = 20;

/// Column files that many connections leave: twice what one request may need.
const COLUMN_FILES_KEPT: usize = 4_096;

/// Column files that may be open beside so many connections: half of the files that the process may open. The other half
/// stays for connections, scrapes and listings, which must work also when slow clients hold many answers. Who wants more
/// connections than fit there has them, as long as [`COLUMN_FILES_KEPT`] stay for columns.
pub(crate) fn column_files(connections: usize) -> usize {
    column_files_of(process_files(), connections)
}

/// Connections that there are descriptors for, beside the column files, of so many that are wanted.
pub(crate) fn connections(wanted: usize) -> usize {
    let all = process_files();
    let rest = all.saturating_sub(column_files_of(all, wanted) + OTHERS).max(1);
    wanted.min(rest)
}

fn column_files_of(all: usize, connections: usize) -> usize {
    all.saturating_sub(connections.saturating_add(OTHERS)).clamp(COLUMN_FILES_KEPT.min(all / 2), all / 2)
}

fn process_files() -> usize {
    let soft = getrlimit(Resource::Nofile).current;
    soft.map_or(UNLIMITED, |soft| usize::try_from(soft).unwrap_or(UNLIMITED)).max(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_are_asked_for_go_before_half_of_the_columns() {
        for (all, connections, expected) in [
            (20_000, 1_024, 10_000),
            (20_000, 9_980, 10_000),
            (20_000, 10_500, 9_480),
            (20_000, 15_000, 4_980),
            (20_000, 1_000_000, 4_096),
            (64, 1_024, 32),
            (2, usize::MAX, 1),
        ] {
            assert_eq!(column_files_of(all, connections), expected, "{all} {connections}");
        }
    }
}
