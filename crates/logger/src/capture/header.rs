//! The first line of each file of a capture.

use serde::{Deserialize, Serialize};

/// Grows when older readers would misunderstand what is written.
pub(crate) const VERSION: u32 = 1;

/// Which run the file is of, and what it needs to be understood.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// Of the format.
    pub(crate) capture: u32,
    /// The logger's version.
    pub(crate) logger: String,
    /// When the run began, ns since the Unix epoch: its name.
    pub(crate) run: u64,
    /// Files of the run before this one.
    pub(crate) file: u64,
    /// Symbols, which facts name by their place among all, and the rules by which the recorder worked: in the keys of
    /// the configuration.
    pub(crate) rules: serde_json::Value,
}

impl Header {
    /// Of the first file of a run.
    pub(crate) fn new(run: u64, rules: serde_json::Value) -> Header {
        Header { capture: VERSION, logger: env!("CARGO_PKG_VERSION").to_owned(), run, file: 0, rules }
    }
}
