//! What requests and clients may use up, on the command line. Limits have a flag only: they are tuned once, by whoever starts
//! the program.

use std::ffi::OsString;

use super::{
    ConfigError,
    told::{Told, number},
};
use crate::limits::Limits;

/// The limits; each is a number from 1 on.
#[derive(Debug, clap::Args)]
pub(super) struct LimitArguments {
    /// UTC days that one request may touch [default: 366]
    #[arg(long, value_name = "N")]
    max_days: Option<OsString>,

    /// Columns that one request may name [default: 64]
    #[arg(long, value_name = "N")]
    max_columns: Option<OsString>,

    /// Column files that one request may need, days times columns [default: 2048]
    #[arg(long, value_name = "N")]
    max_files: Option<OsString>,

    /// Rows of one answer [default: 2000000000]
    #[arg(long, value_name = "N")]
    max_rows: Option<OsString>,

    /// Rows that reduce=minmax and lttb give at most [default: 100000]
    #[arg(long, value_name = "N")]
    max_reduced_points: Option<OsString>,

    /// Reductions under way at once; further ones wait [default: 2]
    #[arg(long, value_name = "N")]
    max_reductions: Option<OsString>,

    /// Gaps, and ranges of coverage, in one answer [default: 10000]
    #[arg(long, value_name = "N")]
    max_gaps: Option<OsString>,

    /// Symbols in listings and in the search [default: 100000]
    #[arg(long, value_name = "N")]
    max_listed_symbols: Option<OsString>,

    /// Data connections open at once [default: 1024]
    #[arg(long, value_name = "N")]
    max_connections: Option<OsString>,

    /// Clients of /api/stream at once [default: 256]
    #[arg(long, value_name = "N")]
    max_stream_clients: Option<OsString>,

    /// Series that one client of /api/stream follows [default: 32]
    #[arg(long, value_name = "N")]
    max_stream_subscriptions: Option<OsString>,

    /// Rows in one message of /api/stream [default: 2000]
    #[arg(long, value_name = "N")]
    max_stream_message_rows: Option<OsString>,

    /// Rows by which a client of /api/stream may fall behind once it had all [default: 200000]
    #[arg(long, value_name = "N")]
    max_stream_behind_rows: Option<OsString>,

    /// Time between two looks at the files that are followed, ms [default: 200]
    #[arg(long, value_name = "MS")]
    stream_poll_ms: Option<OsString>,

    /// Time that a client of /api/stream may take for a message, ms [default: 10000]
    #[arg(long, value_name = "MS")]
    stream_stall_ms: Option<OsString>,

    /// MiB of sealed days that small answers keep in memory [default: 64]
    #[arg(long, value_name = "MIB")]
    block_cache_mib: Option<OsString>,

    /// Symbols with metrics of their own; further ones share `other` [default: 500]
    #[arg(long, value_name = "N")]
    max_symbol_labels: Option<OsString>,
}

impl LimitArguments {
    /// The limits in effect.
    ///
    /// # Errors
    /// A value that is no number from 1 on.
    pub(super) fn limits(self) -> Result<Limits, ConfigError> {
        let mut limits = Limits::default();
        let api = &mut limits.api;
        replace("--max-reduced-points", self.max_reduced_points, &mut api.reduced_points)?;
        replace("--max-reductions", self.max_reductions, &mut api.reductions_at_once)?;
        replace("--max-gaps", self.max_gaps, &mut api.gaps)?;
        replace("--max-listed-symbols", self.max_listed_symbols, &mut api.listed_symbols)?;
        replace("--max-stream-clients", self.max_stream_clients, &mut api.stream_clients)?;
        replace("--max-stream-subscriptions", self.max_stream_subscriptions, &mut api.stream_subscriptions)?;
        replace("--max-stream-message-rows", self.max_stream_message_rows, &mut api.stream_message_rows)?;
        replace("--max-stream-behind-rows", self.max_stream_behind_rows, &mut api.stream_behind_rows)?;
        replace("--stream-poll-ms", self.stream_poll_ms, &mut api.stream_poll_ms)?;
        replace("--stream-stall-ms", self.stream_stall_ms, &mut api.stream_stall_ms)?;
        replace("--max-days", self.max_days, &mut limits.days)?;
        replace("--max-columns", self.max_columns, &mut limits.columns)?;
        replace("--max-files", self.max_files, &mut limits.files)?;
        replace("--max-rows", self.max_rows, &mut limits.rows)?;
        replace("--max-connections", self.max_connections, &mut limits.connections)?;
        let mut mib = limits.block_cache_bytes >> 20;
        replace("--block-cache-mib", self.block_cache_mib, &mut mib)?;
        limits.block_cache_bytes = mib.saturating_mul(1 << 20);
        replace("--max-symbol-labels", self.max_symbol_labels, &mut limits.symbol_labels)?;
        Ok(limits)
    }
}

fn replace<T: TryFrom<u32>>(by: &'static str, flag: Option<OsString>, limit: &mut T) -> Result<(), ConfigError> {
    if let Some(value) = flag {
        *limit = Told { by, value }.parse(number)?;
    }
    Ok(())
}
