//! The metrics of the program as one text.

use crate::serve::connection_metrics::ConnectionMetrics;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Instant;

/// The media type of what [`Exposition::encode`] makes.
pub const OPENMETRICS_TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds; an empty registry encodes in microseconds, 100,000 series in a tenth of a second.
const SCRAPE_SECONDS: [f64; 12] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.5, 5.5];

/// A registry and the metrics about its own scraping.
///
/// Cheap to clone; all clones are the same exposition.
#[derive(Clone, Debug)]
pub struct Exposition {
    registry: Arc<Registry>,
    metrics: ScrapeMetrics,
    connections: ConnectionMetrics,
}

/// The registry could not be encoded; one of its collectors reported an error.
#[derive(Debug, thiserror::Error)]
#[error("a metric could not be encoded")]
pub struct EncodeError(#[from] std::fmt::Error);

impl Exposition {
    /// Takes the registry, to which nothing can be added from here on, and adds the `metrics_server_*` metrics.
    pub fn new(mut registry: Registry) -> Self {
        let metrics = ScrapeMetrics::register(&mut registry);
        let connections = ConnectionMetrics::register(&mut registry);
        Self { registry: Arc::new(registry), metrics, connections }
    }

    /// Encodes all metrics as [OpenMetrics text](OPENMETRICS_TEXT), ending in `# EOF`.
    ///
    /// Runs on the calling thread and takes as long as it takes; the endpoint calls it off the async workers.
    ///
    /// # Errors
    ///
    /// A collector in the registry may report an error.
    pub fn encode(&self) -> Result<String, EncodeError> {
        let start = Instant::now();
        // The next exposition is about as long as the last one: one allocation instead of twenty, and a margin for
        // the series that came since.
        let last = usize::try_from(self.metrics.size_bytes.get()).unwrap_or(0);
        let mut body = String::with_capacity(last + last / 16 + 4096);
        text::encode(&mut body, &self.registry)?;
        self.metrics.duration_seconds.observe(start.elapsed().as_secs_f64());
        self.metrics.size_bytes.set(i64::try_from(body.len()).unwrap_or(i64::MAX));
        Ok(body)
    }

    pub(crate) fn metrics(&self) -> &ScrapeMetrics {
        &self.metrics
    }

    pub(crate) fn connections(&self) -> &ConnectionMetrics {
        &self.connections
    }
}

/// The metrics about scraping.
#[derive(Clone, Debug)]
pub(crate) struct ScrapeMetrics {
    duration_seconds: Histogram,
    size_bytes: Gauge,
    pub(crate) in_flight: Gauge,
    pub(crate) refused: Counter,
    pub(crate) errors: Counter,
}

impl ScrapeMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            duration_seconds: Histogram::new(SCRAPE_SECONDS),
            size_bytes: Gauge::default(),
            in_flight: Gauge::default(),
            refused: Counter::default(),
            errors: Counter::default(),
        };
        registry.register(
            "metrics_server_scrape_duration_seconds",
            "Time to encode an exposition, waiting and sending not included; the scrape that reads this is not in it yet",
            metrics.duration_seconds.clone(),
        );
        registry.register(
            "metrics_server_scrape_size_bytes",
            "Size of the previous exposition",
            metrics.size_bytes.clone(),
        );
        registry.register(
            "metrics_server_scrapes_in_flight",
            "Scrapes being encoded or waiting for their turn, this one included",
            metrics.in_flight.clone(),
        );
        registry.register(
            "metrics_server_scrapes_refused",
            "Scrapes answered 503 because too many were in flight",
            metrics.refused.clone(),
        );
        registry.register(
            "metrics_server_scrape_errors",
            "Scrapes answered 500 because a metric could not be encoded",
            metrics.errors.clone(),
        );
        metrics
    }
}
