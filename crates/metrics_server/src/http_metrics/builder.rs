//! What can be chosen about the middleware.

use super::labels::{Endpoints, Labels};
use super::request::{FinishedRequest, OnFinished};
use super::series::Series;
use super::{Clock, HttpMetrics, Inner};
use crate::registry::Registry;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// A label of the middleware's series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpLabel {
    /// `method`
    Method,
    /// `endpoint`
    Endpoint,
    /// `status`
    Status,
}

/// An [`HttpMetrics`] to be; made by [`HttpMetrics::builder`].
///
/// A template is compared segment by segment. A segment `{name}` matches any one segment that is not empty, and
/// `{*name}` at the end any rest. A template without them wins over one with them, else the first that matches.
///
/// ```
/// # let mut registry = metrics_server::Registry::new();
/// # let large = prometheus_client::metrics::counter::Counter::<u64>::default();
/// use metrics_server::{HttpLabel, HttpMetrics};
/// let metrics = HttpMetrics::builder("gpu_charts_server")
///     .route("/api/items/{id}")
///     .group("/static/{*file}", "static")
///     .group("/favicon.ico", "static")
///     .skip("/health")
///     .without(HttpLabel::Method)
///     .on_finished(move |request| {
///         if request.response_bytes > 1 << 20 {
///             large.inc();
///         }
///     })
///     .register(&mut registry);
/// ```
#[must_use = "a builder does nothing before it is registered"]
pub struct HttpMetricsBuilder {
    prefix: String,
    endpoints: Endpoints,
    labels: Labels,
    clock: Clock,
    on_finished: Option<OnFinished>,
}

impl HttpMetricsBuilder {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            endpoints: Endpoints::default(),
            labels: Labels::ALL,
            clock: Box::new(Instant::now),
            on_finished: None,
        }
    }

    /// Counts paths that match `template` under it.
    pub fn route(self, template: &str) -> Self {
        self.group(template, template)
    }

    /// Counts paths that match `template` as `endpoint="<label>"`; several templates may share a label.
    pub fn group(mut self, template: &str, label: &str) -> Self {
        self.endpoints.group(template, label);
        self
    }

    /// Leaves requests to paths that match `template` out of all metrics, such as those of health checks.
    pub fn skip(mut self, template: &str) -> Self {
        self.endpoints.skip(template);
        self
    }

    /// Drops a label, for fewer series; may be called more than once.
    pub fn without(mut self, label: HttpLabel) -> Self {
        match label {
            HttpLabel::Method => self.labels.method = false,
            HttpLabel::Endpoint => self.labels.endpoint = false,
            HttpLabel::Status => self.labels.status = false,
        }
        self
    }

    /// Calls a function at every request's end, for metrics of the program's own made from request and response.
    /// Requests then cost a copy of both their headers. The last function given counts; a panic in it is contained.
    pub fn on_finished(mut self, function: impl Fn(&FinishedRequest<'_>) + Send + Sync + 'static) -> Self {
        self.on_finished = Some(Box::new(function));
        self
    }

    /// Replaces the monotonic clock that requests are timed on; for tests that do not want to wait.
    pub fn clock(mut self, clock: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Registers the metrics.
    pub fn register(self, registry: &mut Registry) -> HttpMetrics {
        let Self { prefix, endpoints, labels, clock, on_finished } = self;
        let series = Arc::new(Series::new(&prefix, endpoints.labels(), labels));
        registry.client().register_collector(Box::new(Arc::clone(&series)));
        HttpMetrics { inner: Arc::new(Inner { endpoints, series, clock, on_finished }) }
    }
}

impl fmt::Debug for HttpMetricsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("HttpMetricsBuilder");
        debug.field("prefix", &self.prefix).field("endpoints", &self.endpoints).field("labels", &self.labels);
        debug.finish_non_exhaustive()
    }
}
