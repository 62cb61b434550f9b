//! A TCP stream that can end with a RST.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Makes the stream it belongs to end with a RST.
#[derive(Clone, Debug, Default)]
pub(super) struct Abort(Arc<AtomicBool>);

impl Abort {
    /// From now on dropping the stream resets the connection.
    pub(super) fn arm(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A TCP stream whose [`Abort`] may be armed.
#[derive(Debug)]
pub(super) struct Resettable {
    stream: TcpStream,
    abort: Abort,
}

impl Resettable {
    pub(super) fn new(stream: TcpStream, abort: Abort) -> Self {
        Self { stream, abort }
    }
}

impl Drop for Resettable {
    fn drop(&mut self) {
        if self.abort.0.load(Ordering::Relaxed)
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::warn!(%error, "the connection ends without a reset");
        }
    }
}

impl AsyncRead for Resettable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Resettable {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
