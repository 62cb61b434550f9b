//! What the data port counts.

use std::{sync::Arc, time::Duration};

use column_store::{SeriesId, Table};
use metrics_server::{ConnectionObserver, HttpMetrics};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{limits::Limits, symbol_labels::SymbolLabels};

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
    connections: Family<ConnectionLabels, Gauge>,
    bytes_served: Family<SeriesLabels, Counter>,
    query_seconds: Family<SymbolLabel, Histogram, fn() -> Histogram>,
    refused: Family<RefusalLabel, Counter>,
    symbols: Arc<SymbolLabels>,
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
    /// The process's limit of open files.
    OpenFiles,
    /// [`Limits::connections`].
    Connections,
}

impl Refusal {
    const ALL: [Refusal; 5] = [Self::Days, Self::Columns, Self::Files, Self::OpenFiles, Self::Connections];

    fn name(self) -> &'static str {
        match self {
            Self::Days => "days",
            Self::Columns => "columns",
            Self::Files => "files",
            Self::OpenFiles => "open_files",
            Self::Connections => "connections",
        }
    }
}

impl EncodeLabelValue for Refusal {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.name().encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectionLabels {
    protocol: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SeriesLabels {
    symbol: Arc<str>,
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SymbolLabel {
    symbol: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabel {
    reason: Refusal,
}

/// The only protocol there is so far, by its ALPN name.
const HTTP_1_1: ConnectionLabels = ConnectionLabels { protocol: "http/1.1" };

impl Metrics {
    /// Registers all of them. Counters go without `_total`, which the encoder appends.
    pub(crate) fn register(registry: &mut Registry, limits: &Limits) -> Metrics {
        let metrics = Metrics {
            http: HttpMetrics::register(registry, "gpu_charts_server", &[DATA_PATH, SYMBOLS_PATH]),
            connections: Family::default(),
            bytes_served: Family::default(),
            query_seconds: Family::new_with_constructor(|| Histogram::new(QUERY_SECONDS)),
            refused: Family::default(),
            symbols: Arc::new(SymbolLabels::new(limits.symbol_labels)),
        };
        registry.register(
            "gpu_charts_server_concurrent_connections",
            "Open connections to the data port",
            metrics.connections.clone(),
        );
        registry.register(
            "gpu_charts_server_data_bytes_served",
            "Bytes of data answers handed to the network, header lines included",
            metrics.bytes_served.clone(),
        );
        registry.register(
            "gpu_charts_server_data_query_duration_seconds",
            "Time from a data request's arrival until its answer is ready to be sent",
            metrics.query_seconds.clone(),
        );
        registry.register(
            "gpu_charts_server_requests_refused",
            "Requests and connections refused by a limit",
            metrics.refused.clone(),
        );
        // They start at 0, so that rates are right from the first one on.
        drop(metrics.connections.get_or_create(&HTTP_1_1));
        for reason in Refusal::ALL {
            drop(metrics.refused.get_or_create(&RefusalLabel { reason }));
        }
        metrics
    }

    /// A request for data was planned in `duration`.
    pub(crate) fn queried(&self, id: &SeriesId, exists: bool, duration: Duration) {
        let symbol = self.symbols.label(&id.symbol, exists);
        self.query_seconds.get_or_create(&SymbolLabel { symbol }).observe(duration.as_secs_f64());
    }

    /// The counter of bytes served of a series.
    pub(crate) fn bytes_served(&self, id: &SeriesId, exists: bool) -> Counter {
        let symbol = self.symbols.label(&id.symbol, exists);
        let r#type = Table::name(id.table);
        self.bytes_served.get_or_create(&SeriesLabels { symbol, r#type }).clone()
    }

    /// A limit refused something.
    pub(crate) fn refused(&self, reason: Refusal) {
        self.refused.get_or_create(&RefusalLabel { reason }).inc();
    }
}

impl ConnectionObserver for Metrics {
    fn opened(&self) {
        self.connections.get_or_create(&HTTP_1_1).inc();
    }

    fn closed(&self) {
        self.connections.get_or_create(&HTTP_1_1).dec();
    }

    fn refused(&self) {
        Metrics::refused(self, Refusal::Connections);
    }
}
