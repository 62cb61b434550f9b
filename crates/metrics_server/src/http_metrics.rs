//! Middleware that counts and times the requests of any HTTP service.

mod body;
mod future;
mod labels;
mod request;
mod series;

pub use body::HttpMetricsBody;
pub use future::HttpMetricsFuture;
use http::{Request, Response};
use http_body::Body;
use labels::{Endpoints, Method};
use prometheus_client::registry::Registry;
use request::RequestGuard;
use series::Series;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// A [`tower::Layer`] that measures every request of the service it wraps.
///
/// - `<prefix>_http_requests_total{method,endpoint,status}`
/// - `<prefix>_http_request_duration_seconds{method,endpoint}`, a histogram from 25 µs to 10 s
/// - `<prefix>_http_requests_in_flight`
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
/// ```
/// # use metrics_server::HttpMetrics;
/// # use tower::Layer as _;
/// let mut registry = prometheus_client::registry::Registry::default();
/// let metrics = HttpMetrics::register(&mut registry, "gpu_charts_server", &["/api/data", "/api/symbols/{exchange}"]);
/// # let service = tower::service_fn(|_: http::Request<()>| async { Ok::<_, std::convert::Infallible>(http::Response::new(String::new())) });
/// let service = metrics.layer(service);
/// ```
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    endpoints: Endpoints,
    series: Arc<Series>,
}

impl HttpMetrics {
    /// Registers the metrics under names that start with `prefix` and `_`.
    ///
    /// `templates` are the paths the service has, compared segment by segment; a segment `{name}` matches any one
    /// segment that is not empty. A template without such a segment wins over one with it, else the first that
    /// matches.
    pub fn register(registry: &mut Registry, prefix: &str, templates: &[&str]) -> Self {
        let endpoints = Endpoints::new(templates);
        let series = Arc::new(Series::new(prefix, endpoints.labels()));
        registry.register_collector(Box::new(Arc::clone(&series)));
        Self { inner: Arc::new(Inner { endpoints, series }) }
    }

    fn start<B>(&self, request: &Request<B>) -> RequestGuard {
        let method = Method::of(request.method());
        let endpoint = self.inner.endpoints.index(request.uri().path());
        RequestGuard::new(Arc::clone(&self.inner.series), method, endpoint)
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
                guard.finish(request::FAILED);
                resume_unwind(panic)
            }
        }
    }
}
