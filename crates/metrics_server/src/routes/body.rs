//! The bodies of an endpoint's answers.

use crate::scrape::ScrapeBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Any error of a service or a body.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body whose type is forgotten.
pub(super) type BoxBody = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;

pin_project! {
    /// A text that is there, an exposition that is being made, or what the program answers on its own routes.
    #[project = Kind]
    pub(crate) enum RoutesBody {
        Whole { bytes: Option<Bytes> },
        Scrape { #[pin] body: ScrapeBody },
        Program { #[pin] body: BoxBody },
    }
}

impl Body for RoutesBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project() {
            Kind::Whole { bytes } => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Scrape { body } => body.poll_frame(cx).map_err(BoxError::from),
            Kind::Program { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole { bytes } => bytes.is_none(),
            Self::Scrape { body } => body.is_end_stream(),
            Self::Program { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole { bytes } => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Scrape { body } => body.size_hint(),
            Self::Program { body } => body.size_hint(),
        }
    }
}

pin_project! {
    /// Any body, with an error of the one type that can be boxed.
    pub(super) struct Boxable<B> {
        #[pin]
        pub(super) inner: B,
    }
}

impl<B> Body for Boxable<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.project().inner.poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
