//! The metrics of the program as one text.

use crate::encoding::{EncodeError, Encoder, Format, NameFilter};
use crate::registry::Registry;
use crate::scrape;
use crate::serve::connection_metrics::ConnectionMetrics;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry as ClientRegistry;
use std::sync::Arc;
use std::time::Duration;

/// The media type of what [`Exposition::encode`] makes.
pub const OPENMETRICS_TEXT: &str = Format::OpenMetrics.content_type();

/// Seconds; an empty registry encodes in microseconds, 100,000 series in milliseconds, the client library's in a tenth
/// of a second.
const SCRAPE_SECONDS: [f64; 12] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.5, 5.5];

/// A registry and the metrics about its own scraping.
///
/// Cheap to clone; all clones are the same exposition.
#[derive(Clone, Debug)]
pub struct Exposition {
    registry: Arc<Registry>,
    metrics: ScrapeMetrics,
    scrapes: scrape::ScrapeMetrics,
    connections: ConnectionMetrics,
}

impl Exposition {
    /// Takes the registry, ours or the client library's, to which nothing can be added from here on, and adds the
    /// `metrics_server_*` metrics.
    pub fn new(registry: impl Into<Registry>) -> Self {
        let mut registry = registry.into();
        let metrics = ScrapeMetrics::register(registry.client());
        let scrapes = scrape::ScrapeMetrics::register(registry.client());
        let connections = ConnectionMetrics::register(registry.client());
        Self { registry: Arc::new(registry), metrics, scrapes, connections }
    }

    /// Starts a document of all metrics, or of those that `names` asks for. Quick: the work is done by
    /// [`Encoder::encode_chunk`].
    pub fn encoder(&self, format: Format, names: Option<NameFilter>) -> Encoder {
        Encoder::new(self.clone(), format, names)
    }

    /// Encodes all metrics as [OpenMetrics text](OPENMETRICS_TEXT), ending in `# EOF`.
    ///
    /// Runs on the calling thread and takes as long as it takes; the endpoint calls it off the async workers.
    ///
    /// # Errors
    ///
    /// A collector in the client library's registry failed or panicked.
    pub fn encode(&self) -> Result<String, EncodeError> {
        String::from_utf8(self.encode_as(Format::OpenMetrics)?).map_err(|_| EncodeError::NotUtf8)
    }

    /// Encodes all metrics in a format of choice, as a whole.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode).
    pub fn encode_as(&self, format: Format) -> Result<Vec<u8>, EncodeError> {
        // The next exposition is about as long as the last one: one allocation instead of twenty, and a margin for
        // the series that came since.
        let last = usize::try_from(self.metrics.size_bytes.get()).unwrap_or(0);
        let mut body = Vec::with_capacity(last + last / 16 + 4096);
        let mut encoder = self.encoder(format, None);
        while encoder.encode_chunk(&mut body)? {}
        Ok(body)
    }

    pub(crate) fn metrics(&self) -> &ScrapeMetrics {
        &self.metrics
    }

    pub(crate) fn scrape_metrics(&self) -> &scrape::ScrapeMetrics {
        &self.scrapes
    }

    pub(crate) fn connections(&self) -> &ConnectionMetrics {
        &self.connections
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// The metrics about scraping and about the connections scrapes come over.
#[derive(Clone, Debug)]
pub(crate) struct ScrapeMetrics {
    duration_seconds: Histogram,
    size_bytes: Gauge,
}

impl ScrapeMetrics {
    /// An exposition is complete: how long the encoding took, without the waiting between its pieces, and its length
    /// if it is that of all metrics.
    pub(crate) fn encoded(&self, spent: Duration, bytes: Option<usize>) {
        self.duration_seconds.observe(spent.as_secs_f64());
        if let Some(bytes) = bytes {
            self.size_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
    }

    fn register(registry: &mut ClientRegistry) -> Self {
        let metrics = Self { duration_seconds: Histogram::new(SCRAPE_SECONDS), size_bytes: Gauge::default() };
        registry.register(
            "metrics_server_scrape_duration_seconds",
            "Time to encode an exposition, waiting and sending not included; the scrape that reads this is not in it yet",
            metrics.duration_seconds.clone(),
        );
        registry.register(
            "metrics_server_scrape_size_bytes",
            "Size of the previous exposition of all metrics, not compressed",
            metrics.size_bytes.clone(),
        );
        metrics
    }
}
