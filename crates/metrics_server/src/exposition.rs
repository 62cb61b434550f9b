//! The metrics of the program as one text.

use crate::scrape;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::Arc;

/// The media type of what [`Exposition::encode`] makes.
pub const OPENMETRICS_TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A registry and the metrics about its own scraping.
///
/// Cheap to clone; all clones are the same exposition.
#[derive(Clone, Debug)]
pub struct Exposition {
    pub(crate) registry: Arc<Registry>,
    metrics: ScrapeMetrics,
    scrapes: scrape::ScrapeMetrics,
}

/// The registry could not be encoded; one of its collectors reported an error.
#[derive(Debug, thiserror::Error)]
#[error("a metric could not be encoded")]
pub struct EncodeError(#[from] std::fmt::Error);

impl Exposition {
    /// Takes the registry, to which nothing can be added from here on, and adds the `metrics_server_*` metrics.
    pub fn new(mut registry: Registry) -> Self {
        let scrapes = scrape::ScrapeMetrics::register(&mut registry);
        let metrics = ScrapeMetrics::register(&mut registry);
        Self { registry: Arc::new(registry), metrics, scrapes }
    }

    /// Encodes all metrics as [OpenMetrics text](OPENMETRICS_TEXT), ending in `# EOF`.
    ///
    /// Runs on the calling thread and takes as long as it takes; the endpoint calls it off the async workers.
    ///
    /// # Errors
    ///
    /// A collector in the registry may report an error.
    pub fn encode(&self) -> Result<String, EncodeError> {
        let mut body = String::new();
        text::encode(&mut body, &self.registry)?;
        Ok(body)
    }

    pub(crate) fn scrape_metrics(&self) -> &scrape::ScrapeMetrics {
        &self.scrapes
    }

    pub(crate) fn metrics(&self) -> &ScrapeMetrics {
        &self.metrics
    }
}

/// The metrics about the connections scrapes come over.
#[derive(Clone, Debug)]
pub(crate) struct ScrapeMetrics {
    pub(crate) connections: Gauge,
    pub(crate) connections_refused: Counter,
    pub(crate) connection_panics: Counter,
    pub(crate) accept_errors: Counter,
}

impl ScrapeMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            connections: Gauge::default(),
            connections_refused: Counter::default(),
            connection_panics: Counter::default(),
            accept_errors: Counter::default(),
        };
        registry.register(
            "metrics_server_connections",
            "Open connections to the metrics endpoint",
            metrics.connections.clone(),
        );
        registry.register(
            "metrics_server_connections_refused",
            "Connections to the metrics endpoint closed at once because too many were open",
            metrics.connections_refused.clone(),
        );
        registry.register(
            "metrics_server_connection_panics",
            "Connections to the metrics endpoint that ended in a panic",
            metrics.connection_panics.clone(),
        );
        registry.register(
            "metrics_server_accept_errors",
            "Failed attempts to accept a connection to the metrics endpoint, such as out of file descriptors",
            metrics.accept_errors.clone(),
        );
        metrics
    }
}
