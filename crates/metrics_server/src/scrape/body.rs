//! The body of a scrape's answer.

use super::cut::BodyError;
use super::document::{Membership, Piece};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Pulls a document's pieces as fast as the client takes them.
#[derive(Debug)]
pub(crate) struct ScrapeBody {
    source: Source,
    /// Bytes still to come, where that is known.
    remaining: Option<u64>,
}

#[derive(Debug)]
enum Source {
    Document(Membership),
    Collected(VecDeque<Bytes>),
    Ended,
}

impl ScrapeBody {
    pub(super) fn new(membership: Membership, length: Option<u64>) -> Self {
        Self { source: Source::Document(membership), remaining: length }
    }

    pub(super) fn is_length_known(&self) -> bool {
        self.remaining.is_some()
    }

    /// Reads the whole into memory; `Ok(None)` if it is longer than `bytes_max`.
    pub(super) async fn collect(mut self, bytes_max: u64) -> Result<Option<Self>, BodyError> {
        let (mut pieces, mut length) = (VecDeque::new(), 0);
        while let Some(piece) = std::future::poll_fn(|cx| self.poll_bytes(cx)).await {
            let piece = piece?;
            length += piece.len() as u64;
            if length > bytes_max {
                return Ok(None);
            }
            pieces.push_back(piece);
        }
        Ok(Some(Self { source: Source::Collected(pieces), remaining: Some(length) }))
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let piece = match &mut self.source {
            Source::Document(membership) => ready!(membership.poll_piece(cx)),
            Source::Collected(pieces) => {
                pieces.pop_front().map(|bytes| Ok(Piece { is_last: pieces.is_empty(), bytes }))
            }
            Source::Ended => None,
        };
        if piece.as_ref().is_none_or(|piece| piece.as_ref().is_ok_and(|piece| piece.is_last)) {
            // The place in the document is given up at once, and not when the client's next request comes.
            self.source = Source::Ended;
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
        matches!(self.source, Source::Ended)
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
