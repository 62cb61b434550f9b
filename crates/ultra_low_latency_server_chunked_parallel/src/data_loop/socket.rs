//! The socket of a connection on a loop.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    task::{Context, Poll},
};

use metrics_server::DetachedSocket;
use tokio::{
    io::{AsyncRead as _, Interest, ReadBuf},
    net::{TcpStream, UnixStream},
};

/// Of either kind.
#[derive(Debug)]
pub(super) enum LoopSocket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl LoopSocket {
    /// Gives it to the runtime of this thread.
    ///
    /// # Errors
    /// That takes no more.
    pub(super) fn attach(socket: DetachedSocket) -> io::Result<LoopSocket> {
        match socket {
            DetachedSocket::Tcp(stream) => TcpStream::from_std(stream).map(LoopSocket::Tcp),
            DetachedSocket::Unix(stream) => UnixStream::from_std(stream).map(LoopSocket::Unix),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Takes it back from the runtime.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn detach(self) -> io::Result<DetachedSocket> {
        match self {
            LoopSocket::Tcp(stream) => stream.into_std().map(DetachedSocket::Tcp),
            LoopSocket::Unix(stream) => stream.into_std().map(DetachedSocket::Unix),
        }
    }

    /// Reads what there is into `buffer`; 0 at the end.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let polled = match self {
            LoopSocket::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            LoopSocket::Unix(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
        };
        polled.map_ok(|()| buffer.filled().len())
    }

    /// Waits until `write` does not say `WouldBlock`.
    pub(super) async fn when_writable<T>(&self, mut write: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        match self {
            LoopSocket::Tcp(stream) => stream.async_io(Interest::WRITABLE, &mut write).await,
            LoopSocket::Unix(stream) => stream.async_io(Interest::WRITABLE, &mut write).await,
        }
    }

    /// Sends what was kept back because more was announced.
    pub(super) fn push(&self) -> io::Result<()> {
        match self {
            // Setting it again does that.
            LoopSocket::Tcp(stream) => stream.set_nodelay(true),
            // Nothing is kept back.
            LoopSocket::Unix(_) => Ok(()),
        }
    }
}

impl AsFd for LoopSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            LoopSocket::Tcp(stream) => stream.as_fd(),
            LoopSocket::Unix(stream) => stream.as_fd(),
        }
    }
}
