//! The body of a scrape's answer.

use super::cut::BodyError;
use super::document::Membership;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Pulls a document's pieces as fast as the client takes them.
#[derive(Debug)]
pub(crate) struct ScrapeBody {
    /// Given up at the end.
    source: Option<Membership>,
    /// Bytes still to come, where that is known.
    remaining: Option<u64>,
}

impl ScrapeBody {
    pub(super) fn new(membership: Membership, length: Option<u64>) -> Self {
        Self { source: Some(membership), remaining: length }
    }

    pub(super) fn is_length_known(&self) -> bool {
        self.remaining.is_some()
    }

    /// Reads the whole into memory; `Ok(None)` if it is longer than `bytes_max`.
    pub(super) async fn collect(mut self, bytes_max: u64) -> Result<Option<Vec<Bytes>>, BodyError> {
        let (mut pieces, mut length) = (Vec::new(), 0);
        while let Some(piece) = std::future::poll_fn(|cx| self.poll_bytes(cx)).await {
            let piece = piece?;
            length += piece.len() as u64;
            if length > bytes_max {
                return Ok(None);
            }
            pieces.push(piece);
        }
        Ok(Some(pieces))
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let Some(membership) = &self.source else { return Poll::Ready(None) };
        let piece = ready!(membership.poll_piece(cx));
        if piece.as_ref().is_none_or(|piece| piece.as_ref().is_ok_and(|piece| piece.is_last)) {
            // The place in the document is given up at once, and not when the client's next request comes.
            self.source = None;
        }
        Poll::Ready(piece.map(|piece| piece.map(|piece| piece.bytes)))
    }
}

impl Body for ScrapeBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = ready!(self.poll_bytes(cx));
        if let Some(Ok(bytes)) = &polled {
            self.remaining = self.remaining.map(|remaining| remaining.saturating_sub(bytes.len() as u64));
        }
        Poll::Ready(polled.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
