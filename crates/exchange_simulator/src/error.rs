//! What can go wrong while the simulator starts or runs.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::venue::VenueKind;

/// Shorthand for a result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can stop the simulator, with the place where it happened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that cannot work; `setting` is the command line's name of it.
    #[error("--{setting}: {reason}")]
    Setting {
        /// Name of the flag, without dashes.
        setting: &'static str,
        /// What is wrong with the value.
        reason: String,
    },
    /// A name that is no venue of the simulator.
    #[error("unknown exchange {0:?}: the simulator has coinbase, binance, kraken, okx and bitfinex")]
    UnknownVenue(String),
    /// A listener could not be opened.
    #[error("cannot listen on {address} for {venue}")]
    Listen {
        /// The venue the port was for.
        venue: VenueKind,
        /// Address and port asked for.
        address: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
    /// An input file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The ledger could not be written.
    #[error("cannot write the ledger {}", path.display())]
    Ledger {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A certificate or key that TLS cannot use.
    #[error("--tls-cert, --tls-key: {}: {reason}", path.display())]
    Tls {
        /// The PEM file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A line of a capture that is none of the known forms.
    #[error("{}:{line}: {reason}", path.display())]
    Capture {
        /// The capture file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What is wrong with the line.
        reason: String,
    },
    /// The ledger kept in memory reached its limit: a truncated ledger would lie.
    #[error("the ledger in memory is full at {limit} lines")]
    LedgerFull {
        /// The limit, in lines.
        limit: usize,
    },
    /// A task of the simulator panicked or was lost.
    #[error("the task {task} died: {reason}")]
    Task {
        /// Which one.
        task: String,
        /// Its panic message or the reason of its cancellation.
        reason: String,
    },
}

impl Error {
    /// Whether the operator's input is to blame (arguments, configuration, files named there) and not the running simulator.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Setting { .. } | Self::UnknownVenue(_) | Self::Read { .. } | Self::Tls { .. } | Self::Capture { .. }
        )
    }
}
