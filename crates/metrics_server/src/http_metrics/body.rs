//! A response's body, measured to its end.

use super::future::{finish, panicked};
use super::request::{FAILED, RequestGuard};
use bytes::Buf;
use http::{Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// The response body of an [`HttpMetricsService`](super::HttpMetricsService): the service's own, with its end
    /// noticed.
    #[derive(Debug)]
    pub struct HttpMetricsBody<B> {
        #[pin]
        inner: B,
        status: u16,
        // Bytes still to come where the length is known. The HTTP implementation stops asking once it has them,
        // without waiting for the end.
        remaining: Option<u64>,
        guard: Option<RequestGuard>,
    }
}

impl<B: Body> HttpMetricsBody<B> {
    pub(super) fn wrap(response: Response<B>, mut guard: Option<RequestGuard>) -> Response<Self> {
        let status = response.status();
        let length = response.headers().get(header::CONTENT_LENGTH);
        let declared = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let remaining = declared.or_else(|| response.body().size_hint().exact());
        // Answers whose body is never asked for, so their end cannot be waited for.
        if let Some(guard) = &mut guard {
            guard.answered(&response);
        }
        let is_bodiless = guard.as_ref().is_some_and(RequestGuard::is_head)
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::SWITCHING_PROTOCOLS)
            || remaining == Some(0)
            || response.body().is_end_stream();
        if is_bodiless {
            finish(&mut guard, status.as_u16());
        }
        response.map(|inner| Self { inner, status: status.as_u16(), remaining, guard })
    }
}

impl<B: Body> Body for HttpMetricsBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let polled = match catch_unwind(AssertUnwindSafe(|| this.inner.as_mut().poll_frame(cx))) {
            Ok(polled) => polled,
            Err(panic) => {
                panicked(this.guard);
                resume_unwind(panic)
            }
        };
        let frame = ready!(polled);
        match &frame {
            None => finish(this.guard, *this.status),
            Some(Err(_)) => finish(this.guard, FAILED),
            Some(Ok(frame)) => {
                let sent = frame.data_ref().map_or(0, |data| data.remaining() as u64);
                if let Some(guard) = this.guard {
                    guard.sent(sent);
                }
                *this.remaining = this.remaining.map(|remaining| remaining.saturating_sub(sent));
                if *this.remaining == Some(0) || this.inner.is_end_stream() {
                    finish(this.guard, *this.status);
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
