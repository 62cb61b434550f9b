//! How many files the process may open: column stores open many.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the process's soft limit of open files to the hard one, and tells it; `None` is no limit. The usual soft limit of
/// 1,024 is meant for programs that use `select`.
///
/// # Errors
/// The operating system's; the limit is then what it was.
pub fn raise_open_files_limit() -> io::Result<Option<u64>> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum)
}
