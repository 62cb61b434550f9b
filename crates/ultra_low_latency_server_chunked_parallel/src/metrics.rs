//! What the data port counts.

use std::{sync::Arc, time::Duration};

use column_store::{SeriesId, Table};
use metrics_server::{
    ConnectionObserver, ConnectionTimeout, Counter, Family, Handle, HandshakeFailure, Histogram, HttpMetrics, IntGauge,
    Protocol, RegisterError, Registry, ShardedCounter,
};

use crate::{api::PATHS, api_metrics::ApiMetrics, limits::Limits, symbol_labels::SymbolLabels};

/// The paths of the data port; requests for others share one label value.
pub(crate) const DATA_PATH: &str = "/api/data";
/// See [`DATA_PATH`].
pub(crate) const SYMBOLS_PATH: &str = "/api/symbols";

/// Seconds: from an answer out of the page cache to beyond any patience. Rules must not select `le="1"` or `"10"`: whole
/// numbers are written `1.0` in one text format and `1` in the other.
const QUERY_SECONDS: [f64; 19] = [
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0, 30.0,
];

/// The metrics of the data port. Cheap to clone; all clones are the same metrics.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    /// Requests and their durations, by route.
    pub(crate) http: HttpMetrics,
    /// Those of the other paths.
    pub(crate) api: ApiMetrics,
    connections: [Handle<IntGauge>; Protocol::ALL.len()],
    bytes_served: Family<Counter, 2>,
    query_seconds: Family<Histogram, 1>,
    refused: [Handle<Counter>; Refusal::ALL.len()],
    file_lookups: Lookups,
    page_lookups: Lookups,
    kept_bytes: Handle<IntGauge>,
    panics: Handle<Counter>,
    accept_errors: Handle<Counter>,
    // In the order of `ALL`.
    timeouts: [Handle<Counter>; ConnectionTimeout::ALL.len()],
    handshake_errors: [Handle<Counter>; HandshakeFailure::ALL.len()],
    symbols: Arc<SymbolLabels>,
}

/// What is counted of one series.
#[derive(Clone, Debug)]
pub(crate) struct SeriesMetrics {
    pub(crate) query_seconds: Handle<Histogram>,
    pub(crate) bytes_served: Handle<Counter>,
}

/// How often something was at hand.
#[derive(Clone, Debug)]
struct Lookups {
    hits: Handle<ShardedCounter>,
    misses: Handle<ShardedCounter>,
}

impl Lookups {
    fn count(&self, is_hit: bool) {
        if is_hit { self.hits.inc() } else { self.misses.inc() }
    }
}

/// A limit that refused a request or a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Refusal {
    /// [`Limits::days`].
    Days,
    /// [`Limits::columns`].
    Columns,
    /// [`Limits::files`].
    Files,
    /// [`Limits::rows`].
    Rows,
    /// The process's limit of open files.
    OpenFiles,
    /// [`Limits::connections`].
    Connections,
    /// [`ApiLimits::stream_clients`](crate::ApiLimits::stream_clients).
    StreamClients,
    /// [`ApiLimits::stream_subscriptions`](crate::ApiLimits::stream_subscriptions).
    StreamSubscriptions,
    /// A page of a site that is not named.
    StreamOrigin,
}

impl Refusal {
    const ALL: [Refusal; 9] = [
        Self::Days,
        Self::Columns,
        Self::Files,
        Self::Rows,
        Self::OpenFiles,
        Self::Connections,
        Self::StreamClients,
        Self::StreamSubscriptions,
        Self::StreamOrigin,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Days => "days",
            Self::Columns => "columns",
            Self::Files => "files",
            Self::Rows => "rows",
            Self::OpenFiles => "open_files",
            Self::Connections => "connections",
            Self::StreamClients => "stream_clients",
            Self::StreamSubscriptions => "stream_subscriptions",
            Self::StreamOrigin => "stream_origin",
        }
    }
}

impl Metrics {
    /// Registers all of them. Counters go without `_total`, which the exposition appends.
    pub(crate) fn register(registry: &mut Registry, limits: &Limits) -> Result<Metrics, RegisterError> {
        let help = "Open connections to the data port";
        let connections = registry.int_gauge("gpu_charts_server_concurrent_connections", help).labels(["protocol"]);
        let connections = connections.register()?;
        let connections = Protocol::ALL.map(|protocol| connections.handle([protocol.as_str()]));
        // The label values are bounded by `SymbolLabels`; those for what has no place come on top.
        let symbols = limits.symbol_labels + 2;
        let help = "Bytes of data answers handed to the network, header lines included";
        let bytes_served = registry.counter("gpu_charts_server_data_bytes_served", help).labels(["symbol", "type"]);
        let bytes_served = bytes_served.cap(2 * symbols).register()?;
        let help = "Time from a data request's arrival until its answer is ready to be sent";
        let query_seconds = registry.histogram("gpu_charts_server_data_query_duration_seconds", help);
        let query_seconds = query_seconds.buckets(QUERY_SECONDS).labels(["symbol"]).cap(symbols).register()?;
        let help = "Requests and connections refused by a limit";
        let refused = registry.counter("gpu_charts_server_requests_refused", help).labels(["reason"]).register()?;
        let help = "Requests whose column files were open (files), whose bytes were in the page cache (pages)";
        let hits = registry.sharded_counter("gpu_charts_server_cache_hits", help).labels(["cache_type"]).register()?;
        let help = "Requests that had to look column files up (files), that had to wait for a disk or for that (pages)";
        let misses =
            registry.sharded_counter("gpu_charts_server_cache_misses", help).labels(["cache_type"]).register()?;
        let lookups = |kind: &str| Lookups { hits: hits.handle([kind]), misses: misses.handle([kind]) };
        let help = "Bytes that a cache of the data server holds: blocks of sealed days for small answers";
        let kept = registry.int_gauge("gpu_charts_server_cache_bytes", help).labels(["cache_type"]).register()?;
        let help = "Column files mapped into memory: none ever is, they are sent by sendfile or read, so that no file that \
                    is cut can end the server";
        let mapped =
            registry.int_gauge("gpu_charts_server_memory_mapped_files", help).labels(["data_type"]).register()?;
        Table::ALL.iter().for_each(|table| drop(mapped.handle([table.name()])));
        let help = "Data connections that ended in a panic";
        let panics = registry.counter("gpu_charts_server_connection_panics", help).register()?;
        let help = "Failed attempts to accept a data connection, such as out of file descriptors";
        let accept_errors = registry.counter("gpu_charts_server_accept_errors", help).register()?;
        let help = "Data connections closed because the client took too long for headers, a request or an answer";
        let timeouts = registry.counter("gpu_charts_server_connection_timeouts", help).labels(["kind"]).register()?;
        let help = "TLS handshakes on the data port that came to nothing";
        let handshakes =
            registry.counter("gpu_charts_server_tls_handshake_errors", help).labels(["reason"]).register()?;
        Ok(Metrics {
            panics,
            accept_errors,
            timeouts: ConnectionTimeout::ALL.map(|timeout| timeouts.handle([timeout.as_str()])),
            handshake_errors: HandshakeFailure::ALL.map(|failure| handshakes.handle([failure.as_str()])),
            file_lookups: lookups("files"),
            page_lookups: lookups("pages"),
            kept_bytes: kept.handle(["blocks"]),
            http: HttpMetrics::register(registry, "gpu_charts_server", &PATHS),
            api: ApiMetrics::register(registry)?,
            connections,
            bytes_served,
            query_seconds,
            // They start at 0, so that rates are right from the first one on.
            refused: Refusal::ALL.map(|reason| refused.handle([reason.name()])),
            symbols: Arc::new(SymbolLabels::new(limits.symbol_labels)),
        })
    }

    /// The metrics of a series; `exists` says whether its symbol is on disk.
    pub(crate) fn series(&self, id: &SeriesId, exists: bool) -> SeriesMetrics {
        let symbol = self.symbols.label(&id.symbol, exists);
        SeriesMetrics {
            query_seconds: self.query_seconds.handle([&symbol]),
            bytes_served: self.bytes_served(id, exists),
        }
    }

    /// A request for data was planned in `duration`.
    pub(crate) fn queried(&self, id: &SeriesId, exists: bool, duration: Duration) {
        let symbol = self.symbols.label(&id.symbol, exists);
        self.query_seconds.with([&symbol]).observe(duration.as_secs_f64());
    }

    /// The counter of bytes served of a series.
    pub(crate) fn bytes_served(&self, id: &SeriesId, exists: bool) -> Handle<Counter> {
        let symbol = self.symbols.label(&id.symbol, exists);
        self.bytes_served.handle([&symbol, Table::name(id.table)])
    }

    /// A request found its files open or did not, and its bytes in the page cache or not.
    pub(crate) fn looked_up(&self, files: bool, pages: bool) {
        self.file_lookups.count(files);
        self.page_lookups.count(pages);
    }

    /// The cache of blocks holds so many bytes.
    pub(crate) fn keeps(&self, bytes: usize) {
        self.kept_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// A limit refused something.
    pub(crate) fn refused(&self, reason: Refusal) {
        if let Some(counter) = self.refused.get(reason as usize) {
            counter.inc();
        }
    }
}

impl ConnectionObserver for Metrics {
    fn speaks(&self, protocol: Protocol) {
        self.speaking(protocol, 1);
    }

    fn spoke(&self, protocol: Protocol) {
        self.speaking(protocol, -1);
    }

    fn refused(&self) {
        Metrics::refused(self, Refusal::Connections);
    }

    fn panicked(&self) {
        self.panics.inc();
    }

    fn accept_failed(&self) {
        self.accept_errors.inc();
    }

    fn timed_out(&self, timeout: ConnectionTimeout) {
        if let Some(counter) = self.timeouts.get(timeout as usize) {
            counter.inc();
        }
    }

    fn handshake_failed(&self, failure: HandshakeFailure) {
        if let Some(counter) = self.handshake_errors.get(failure as usize) {
            counter.inc();
        }
    }
}

impl Metrics {
    fn speaking(&self, protocol: Protocol, change: i64) {
        if let Some(connections) = self.connections.get(protocol as usize) {
            connections.add(change);
        }
    }
}
