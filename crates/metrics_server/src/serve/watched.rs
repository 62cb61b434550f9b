//! A request's answer and a connection's input, watched for the limits on them.

use super::activity::{Activity, UnderWay};
use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most handed to HTTP/2 at a time, in bytes: what is left over a full window stays in the body, where its waiting
/// is seen, and not in a buffer.
const PART_BYTES: usize = 16 * 1024;

pin_project! {
    /// An answer's body that tells when it is asked for more, and when it is done.
    pub(super) struct WatchedBody<B> {
        #[pin]
        body: Option<B>,
        // What of the last data frame has not been handed over.
        rest: Bytes,
        parts: usize,
        under_way: UnderWay,
    }
}

impl<B> WatchedBody<B> {
    /// Watches whole frames, where the write to the socket tells of a client that takes nothing.
    pub(super) fn whole(body: B, under_way: UnderWay) -> Self {
        Self { body: Some(body), rest: Bytes::new(), parts: usize::MAX, under_way }
    }

    /// The answer to HEAD.
    pub(super) fn left_away(under_way: UnderWay) -> Self {
        Self { body: None, rest: Bytes::new(), parts: PART_BYTES, under_way }
    }

    /// Watches small parts, where a client may hold up an answer while the socket takes all.
    pub(super) fn in_parts(body: B, under_way: UnderWay) -> Self {
        Self { body: Some(body), rest: Bytes::new(), parts: PART_BYTES, under_way }
    }
}

impl<B: Body> Body for WatchedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let Some(body) = this.body.as_pin_mut() else { return Poll::Ready(None) };
        let in_parts = *this.parts < usize::MAX;
        if in_parts {
            this.under_way.asked_for_more();
        }
        if this.rest.is_empty() {
            let frame = match ready!(body.poll_frame(cx)) {
                Some(Ok(frame)) => frame.map_data(|mut data| data.copy_to_bytes(data.remaining())),
                other => return Poll::Ready(other.map(|frame| frame.map(|frame| frame.map_data(|_| Bytes::new())))),
            };
            match frame.into_data() {
                Ok(data) => *this.rest = data,
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
        let part = this.rest.split_to(this.rest.len().min(*this.parts));
        if in_parts {
            this.under_way.handed_over();
        }
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint);
        let rest = self.rest.len() as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

/// A stream that tells when something was read from it.
pub(super) struct WatchedInput<T> {
    stream: T,
    activity: Activity,
}

impl<T> WatchedInput<T> {
    pub(super) fn new(stream: T, activity: Activity) -> Self {
        Self { stream, activity }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for WatchedInput<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.activity.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for WatchedInput<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
