//! What ends the logger.

use column_store::StoreError;
use metrics_server::{BindError, RegisterError, SecurityError, ServeError};

/// An error of the logger.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoggerError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A metrics address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// TLS or credentials of the metrics endpoint cannot be used.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// The metrics endpoint broke.
    #[error("the metrics endpoint ended: {0}")]
    Endpoint(#[from] ServeError),
    /// A metric cannot be registered: a mistake in this program.
    #[error(transparent)]
    Metric(#[from] RegisterError),
    /// Certificates for `wss://` cannot be used.
    #[error("{0}")]
    Tls(String),
    /// There is no listing of a venue's instruments.
    #[error("{exchange} does not say which symbols it has ({url}): {reason}")]
    Listing {
        /// Which venue.
        exchange: String,
        /// Where it was asked.
        url: String,
        /// Why it does not.
        reason: String,
    },
    /// The configuration's patterns match nothing.
    #[error("exchanges.{exchange}.symbols: the venue lists nothing that they match and `exclude` does not")]
    NoSymbols {
        /// Which venue.
        exchange: String,
    },
    /// The raw capture cannot begin.
    #[error("cannot capture into {directory}: {source}")]
    Capture {
        /// The directory.
        directory: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A part of the logger ended although nobody asked it to.
    #[error("the {part} ended unexpectedly: {reason}")]
    PartEnded {
        /// Which part.
        part: &'static str,
        /// What is known about why.
        reason: String,
    },
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
    /// The files hold rows of the future.
    #[error(
        "the newest row of {series} lies {} ahead of our clock: set the clock right, or move the days of the future away",
        humantime::format_duration(*ahead)
    )]
    Future {
        /// Which series.
        series: String,
        /// How far.
        ahead: std::time::Duration,
    },
    /// The venue of a symbol has no metrics: a mistake in this program.
    #[error("no metrics were registered for {exchange}")]
    NoMetrics {
        /// Which venue.
        exchange: String,
    },
    /// Rows were still in memory at the end.
    #[error("{rows} rows could not be written before the end: {source}")]
    Unwritten {
        /// How many.
        rows: u64,
        /// Why not.
        source: StoreError,
    },
    /// Not everything ended in time.
    #[error("the {part} did not end within {seconds} s; giving up on it")]
    Late {
        /// Which part.
        part: &'static str,
        /// The grace period.
        seconds: u64,
    },
}
