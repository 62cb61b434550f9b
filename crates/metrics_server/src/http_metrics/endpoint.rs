//! The requests to one endpoint, counted by whoever answers them.

use super::labels::Method;
use super::series::Series;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Counts and times requests that do not pass through the middleware; made by [`HttpMetrics::endpoint`].
///
/// [`HttpMetrics::endpoint`]: super::HttpMetrics::endpoint
#[derive(Clone)]
pub struct HttpEndpoint {
    series: Arc<Series>,
    place: usize,
}

impl HttpEndpoint {
    pub(super) fn new(series: Arc<Series>, place: usize) -> Self {
        Self { series, place }
    }

    /// A request has come. It counts as in flight until [`finished`](Self::finished) is called for it.
    pub fn started(&self) {
        self.series.started();
    }

    /// A request that [`started`](Self::started) is over; `response_bytes` of the body were handed out.
    pub fn finished(&self, method: &http::Method, status: u16, duration: Duration, response_bytes: u64) {
        self.series.finished(Method::of(method), self.place, status, duration, response_bytes);
    }
}

impl fmt::Debug for HttpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpEndpoint").field("endpoint", &self.series.endpoint(self.place)).finish_non_exhaustive()
    }
}
