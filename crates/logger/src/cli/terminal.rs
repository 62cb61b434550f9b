//! What the commands say, and to whom.

use std::{
    env, fmt,
    io::{self, IsTerminal as _, Write as _},
};

/// Writes to stdout. Whoever closed the pipe has read enough.
pub(crate) fn print(text: &str) {
    _ = io::stdout().lock().write_all(text.as_bytes());
}

/// Writes a line to stderr.
pub(crate) fn complain(line: fmt::Arguments<'_>) {
    _ = writeln!(io::stderr().lock(), "{line}");
}

/// Whether stderr is a terminal on which a line can be drawn anew.
pub(crate) fn can_redraw() -> bool {
    io::stderr().is_terminal() && env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}
