//! A stream whose handshake response waits for the first frame, so that both leave in one write and so in one TCP segment.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Nothing is held back.
const OPEN: u8 = 0;
/// Whatever is written waits.
const HOLDING: u8 = 1;
/// What waited leaves with the next flush.
const RELEASED: u8 = 2;

/// Says whether the stream it belongs to holds back.
#[derive(Clone, Debug, Default)]
pub(super) struct Glue(Arc<AtomicU8>);

impl Glue {
    /// Holds back what is written from now on.
    pub(super) fn hold(&self) {
        self.0.store(HOLDING, Ordering::Relaxed);
    }

    /// Whether it holds back.
    pub(super) fn holds(&self) -> bool {
        self.0.load(Ordering::Relaxed) == HOLDING
    }

    /// Lets the next flush take everything.
    pub(super) fn release(&self) {
        if self.holds() {
            self.0.store(RELEASED, Ordering::Relaxed);
        }
    }
}

/// A stream that obeys a [`Glue`].
#[derive(Debug)]
pub(super) struct Glued<S> {
    stream: S,
    glue: Glue,
    waiting: Vec<u8>,
}

impl<S> Glued<S> {
    pub(super) fn new(stream: S, glue: Glue) -> Self {
        Self { stream, glue, waiting: Vec::new() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Glued<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Glued<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.glue.0.load(Ordering::Relaxed) != OPEN {
            self.waiting.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.glue.holds() {
            return Poll::Ready(Ok(()));
        }
        let this = &mut *self;
        while !this.waiting.is_empty() {
            let written = ready!(Pin::new(&mut this.stream).poll_write(context, &this.waiting))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            this.waiting.drain(..written);
        }
        this.glue.0.store(OPEN, Ordering::Relaxed);
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.glue.release();
        ready!(self.as_mut().poll_flush(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
