//! The wait for a response.

use super::body::HttpMetricsBody;
use super::request::{FAILED, RequestGuard};
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// The response future of an [`HttpMetricsService`](super::HttpMetricsService).
    #[derive(Debug)]
    pub struct HttpMetricsFuture<F> {
        #[pin]
        inner: F,
        guard: Option<RequestGuard>,
    }
}

impl<F> HttpMetricsFuture<F> {
    pub(super) fn new(inner: F, guard: Option<RequestGuard>) -> Self {
        Self { inner, guard }
    }
}

impl<F, B, E> Future for HttpMetricsFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<HttpMetricsBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // The panic goes on to whoever contains it; here it only decides the status.
        let polled = match catch_unwind(AssertUnwindSafe(|| this.inner.poll(cx))) {
            Ok(polled) => polled,
            Err(panic) => {
                panicked(this.guard);
                resume_unwind(panic)
            }
        };
        match ready!(polled) {
            Ok(response) => {
                let guard = this.guard.take();
                Poll::Ready(Ok(HttpMetricsBody::wrap(response, guard)))
            }
            Err(error) => {
                finish(this.guard, FAILED);
                Poll::Ready(Err(error))
            }
        }
    }
}

pub(super) fn finish(guard: &mut Option<RequestGuard>, status: u16) {
    if let Some(guard) = guard.take() {
        guard.finish(status);
    }
}

pub(super) fn panicked(guard: &mut Option<RequestGuard>) {
    if let Some(guard) = guard.take() {
        guard.panicked();
    }
}
