//! When bytes arrived: at the read that brought them, so that decoding a burst does not make its later messages look late,
//! and one look at the clock serves all messages of a read.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock::Clock;

/// A point in time, by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    /// Our clock, ns since the Unix epoch.
    pub(crate) receive_ns: u64,
}

/// The newest read of a connection.
#[derive(Debug)]
pub(crate) struct Arrivals {
    clock: Clock,
    base: Instant,
    since_base_ns: AtomicU64,
    receive_ns: AtomicU64,
}

impl Arrivals {
    pub(crate) fn new(clock: Clock) -> Arc<Arrivals> {
        let receive_ns = AtomicU64::new(clock.now_ns());
        Arc::new(Arrivals { clock, base: Instant::now(), since_base_ns: AtomicU64::new(0), receive_ns })
    }

    /// When the newest bytes came.
    pub(crate) fn newest(&self) -> Arrival {
        let since_base = Duration::from_nanos(self.since_base_ns.load(Ordering::Relaxed));
        Arrival { at: self.base + since_base, receive_ns: self.receive_ns.load(Ordering::Relaxed) }
    }

    fn note(&self) {
        let since_base = u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.since_base_ns.store(since_base, Ordering::Relaxed);
        self.receive_ns.store(self.clock.now_ns(), Ordering::Relaxed);
    }
}

/// A socket whose reads are noted.
#[derive(Debug)]
pub(crate) struct Noted<S> {
    socket: S,
    arrivals: Arc<Arrivals>,
}

impl<S> Noted<S> {
    pub(crate) fn new(socket: S, arrivals: Arc<Arrivals>) -> Noted<S> {
        Noted { socket, arrivals }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.socket).poll_read(cx, buf));
        self.arrivals.note();
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
