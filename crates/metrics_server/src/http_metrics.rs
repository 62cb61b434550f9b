//! Middleware that counts and times the requests of any HTTP service.

mod body;
mod builder;
mod endpoint;
mod future;
mod labels;
mod request;
mod series;

use crate::registry::Registry;
pub use body::HttpMetricsBody;
pub use builder::{HttpLabel, HttpMetricsBuilder};
pub use endpoint::HttpEndpoint;
pub use future::HttpMetricsFuture;
use http::{Request, Response};
use http_body::Body;
use labels::Endpoints;
pub use request::FinishedRequest;
use request::{OnFinished, RequestGuard};
use series::Series;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tower::{Layer, Service};

/// A [`tower::Layer`] that measures every request of the service it wraps.
///
/// - `<prefix>_http_requests_total{method,endpoint,status}`
/// - `<prefix>_http_request_duration_seconds{method,endpoint}`, a histogram from 25 µs to 10 s
/// - `<prefix>_http_response_size_bytes{method,endpoint}`, a histogram of the bodies' bytes
/// - `<prefix>_http_requests_in_flight`
/// - `<prefix>_http_request_panics_total`
///
/// `endpoint` is one of the route templates given at registration, never the path a client sent; paths that match
/// none share `other`, as do methods beyond the common ones. A request lasts until its response's body has ended.
/// `status` is that of the response, with two exceptions: `499` for a client that hung up before the response was
/// complete or was cut off, and `500` for a handler or a body that failed or panicked.
///
/// A response whose last piece was handed to the HTTP implementation is complete; whether the client received it is
/// not known here.
///
/// Requests touch no lock that a scrape holds for longer than one series, and allocate nothing once a series exists.
/// Cheap to clone; all clones count into the same series.
///
/// A warp filter is measured as a service, `metrics.layer(warp::service(filter))`, and not with `Filter::with`: what
/// wraps a filter sees neither the status of a rejection, nor the end of a body, nor a client that hangs up.
///
/// ```
/// # use metrics_server::HttpMetrics;
/// # use tower::Layer as _;
/// let mut registry = metrics_server::Registry::new();
/// let metrics = HttpMetrics::register(&mut registry, "gpu_charts_server", &["/api/data", "/api/symbols/{exchange}"]);
/// # let service = tower::service_fn(|_: http::Request<()>| async { Ok::<_, std::convert::Infallible>(http::Response::new(String::new())) });
/// let service = metrics.layer(service);
/// ```
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    inner: Arc<Inner>,
}

struct Inner {
    endpoints: Endpoints,
    series: Arc<Series>,
    clock: Clock,
    on_finished: Option<OnFinished>,
}

/// A monotonic clock.
type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

impl HttpMetrics {
    /// Registers the metrics under names that start with `prefix` and `_`; `templates` are the paths the service has.
    /// There is more to choose with a [`builder`](Self::builder), which also says how templates match.
    pub fn register(registry: &mut Registry, prefix: &str, templates: &[&str]) -> Self {
        templates.iter().fold(Self::builder(prefix), |builder, template| builder.route(template)).register(registry)
    }

    /// Starts with no route, all labels, and the system's clock.
    pub fn builder(prefix: &str) -> HttpMetricsBuilder {
        HttpMetricsBuilder::new(prefix)
    }

    /// The requests to the path `path`, for a program that answers them without this middleware. `None` for a path that
    /// is not measured.
    pub fn endpoint(&self, path: &str) -> Option<HttpEndpoint> {
        let place = self.inner.endpoints.place(path)?;
        Some(HttpEndpoint::new(Arc::clone(&self.inner.series), place))
    }

    /// `None` for a path that is not measured.
    fn start<B>(&self, request: &Request<B>) -> Option<RequestGuard> {
        let endpoint = self.inner.endpoints.place(request.uri().path())?;
        Some(RequestGuard::new(&self.inner, endpoint, request))
    }
}

impl<S> Layer<S> for HttpMetrics {
    type Service = HttpMetricsService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        HttpMetricsService { inner, metrics: self.clone() }
    }
}

/// A service whose requests are measured; see [`HttpMetrics`].
#[derive(Clone, Debug)]
pub struct HttpMetricsService<S> {
    inner: S,
    metrics: HttpMetrics,
}

impl<S, A, B> Service<Request<A>> for HttpMetricsService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: Body,
{
    type Response = Response<HttpMetricsBody<B>>;
    type Error = S::Error;
    type Future = HttpMetricsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let guard = self.metrics.start(&request);
        match catch_unwind(AssertUnwindSafe(|| self.inner.call(request))) {
            Ok(future) => HttpMetricsFuture::new(future, guard),
            Err(panic) => {
                if let Some(guard) = guard {
                    guard.panicked();
                }
                resume_unwind(panic)
            }
        }
    }
}
