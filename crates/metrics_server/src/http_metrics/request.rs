//! A request from its arrival to the end of its response.

use super::Inner;
use super::labels::Method;
use http::{Request, Response, request, response};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The status counted for a handler or a body that failed or panicked.
pub(super) const FAILED: u16 = 500;

/// The status counted for a client that hung up; the number that nginx uses.
const CLIENT_HUNG_UP: u16 = 499;

/// A request that is over, as functions given to
/// [`HttpMetricsBuilder::on_finished`](super::HttpMetricsBuilder::on_finished) see it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FinishedRequest<'a> {
    /// What was asked: method, URI, headers, extensions. Anything in it may be the client's invention, so it must not
    /// become a label value unchecked.
    pub request: &'a request::Parts,
    /// What was answered; `None` if there was no answer.
    pub response: Option<&'a response::Parts>,
    /// The method as a label value: one of a closed set.
    pub method: &'static str,
    /// The endpoint as a label value: one of those given at registration, or `other`.
    pub endpoint: &'a str,
    /// The status as it is counted: `499` for a client that hung up, `500` for a failure or a panic.
    pub status: u16,
    /// From the request's headers to the end of the response's body.
    pub duration: Duration,
    /// The length of the request's body as its headers tell it.
    pub request_bytes: Option<u64>,
    /// Bytes of the response's body that were handed out.
    pub response_bytes: u64,
}

/// A function that is told of every request's end.
pub(super) type OnFinished = Box<dyn Fn(&FinishedRequest<'_>) + Send + Sync>;

/// Counts a request exactly once: by [`finish`](Self::finish), or when it is dropped because nobody waits for the
/// response any more.
pub(super) struct RequestGuard {
    metrics: Arc<Inner>,
    method: Method,
    endpoint: usize,
    start: Instant,
    response_bytes: u64,
    /// Only where a function wants to see them.
    parts: Option<Box<(request::Parts, Option<response::Parts>)>>,
    finished: bool,
}

impl RequestGuard {
    pub(super) fn new<B>(metrics: &Arc<Inner>, endpoint: usize, request: &Request<B>) -> Self {
        metrics.series.started();
        let parts = metrics.on_finished.is_some().then(|| Box::new((request_parts(request), None)));
        Self {
            metrics: Arc::clone(metrics),
            method: Method::of(request.method()),
            endpoint,
            start: (metrics.clock)(),
            response_bytes: 0,
            parts,
            finished: false,
        }
    }

    pub(super) fn is_head(&self) -> bool {
        self.method == Method::Head
    }

    pub(super) fn answered<B>(&mut self, response: &Response<B>) {
        if let Some(parts) = &mut self.parts {
            let mut copy = Response::new(());
            *copy.status_mut() = response.status();
            *copy.version_mut() = response.version();
            *copy.headers_mut() = response.headers().clone();
            *copy.extensions_mut() = response.extensions().clone();
            parts.1 = Some(copy.into_parts().0);
        }
    }

    pub(super) fn sent(&mut self, bytes: u64) {
        self.response_bytes += bytes;
    }

    pub(super) fn finish(mut self, status: u16) {
        self.record(status);
    }

    pub(super) fn panicked(self) {
        self.metrics.series.panicked();
        self.finish(FAILED);
    }

    fn record(&mut self, status: u16) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let duration = (self.metrics.clock)().saturating_duration_since(self.start);
        self.metrics.series.finished(self.method, self.endpoint, status, duration, self.response_bytes);
        let (Some(on_finished), Some(parts)) = (&self.metrics.on_finished, &self.parts) else { return };
        let (request, response) = &**parts;
        let length = request.headers.get(http::header::CONTENT_LENGTH);
        let finished = FinishedRequest {
            request,
            response: response.as_ref(),
            method: self.method.as_str(),
            endpoint: self.metrics.series.endpoint(self.endpoint),
            status,
            duration,
            request_bytes: length.and_then(|length| length.to_str().ok()?.parse().ok()),
            response_bytes: self.response_bytes,
        };
        // This may run while a panic unwinds, where a second one would end the program. The hook has printed it.
        let _ = catch_unwind(AssertUnwindSafe(|| on_finished(&finished)));
    }
}

fn request_parts<B>(request: &Request<B>) -> request::Parts {
    let mut copy = Request::new(());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    copy.into_parts().0
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.record(CLIENT_HUNG_UP);
    }
}

impl fmt::Debug for RequestGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestGuard")
            .field("method", &self.method)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}
