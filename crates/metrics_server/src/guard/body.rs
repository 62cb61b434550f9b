//! The body of an answer: the service's, or a refusal.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// The response body of a [`GuardService`](super::GuardService).
    #[derive(Debug)]
    pub struct GuardBody<B> {
        #[pin]
        inner: Option<B>,
        // The text of a refusal, until it is taken.
        text: Option<Bytes>,
    }
}

impl<B> GuardBody<B> {
    pub(super) fn of_service(inner: B) -> Self {
        Self { inner: Some(inner), text: None }
    }

    pub(super) fn of_refusal(text: Bytes) -> Self {
        Self { inner: None, text: Some(text).filter(|text| !text.is_empty()) }
    }
}

impl<B: Body> Body for GuardBody<B>
where
    B::Data: From<Bytes>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        match this.inner.as_pin_mut() {
            Some(inner) => inner.poll_frame(cx),
            None => Poll::Ready(this.text.take().map(|text| Ok(Frame::data(text.into())))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Some(inner) => inner.is_end_stream(),
            None => self.text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::with_exact(self.text.as_ref().map_or(0, |text| text.len() as u64)),
        }
    }
}
