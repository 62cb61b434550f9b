//! What an HTTP/2 connection writes between two waits, written at once: the implementation hands over, and flushes, each frame for
//! itself, which over TLS would make a record and a packet of each.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are gathered at most: four records of TLS. More is written as it comes.
const GATHERED: usize = 64 * 1024;

/// A stream whose flushes wait for [`push`](Gathered::push). All clones are the same one.
pub(super) struct Gathered<T>(Arc<Mutex<State<T>>>);

struct State<T> {
    stream: T,
    waiting: Vec<u8>,
    /// How many of these bytes are written.
    written: usize,
    is_flushed: bool,
    /// A write found no room.
    is_awaited: bool,
}

impl<T> Clone for Gathered<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Gathered<T> {
    pub(super) fn new(stream: T) -> Self {
        let state = State { stream, waiting: Vec::new(), written: 0, is_flushed: true, is_awaited: false };
        Self(Arc::new(Mutex::new(state)))
    }

    /// One task has all clones, so nobody ever waits here.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: AsyncWrite + Unpin> Gathered<T> {
    /// Writes what was gathered. Says whether a write that found no room has some now.
    pub(super) fn push(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut state = self.state();
        if !state.is_flushed {
            ready!(state.drain(cx))?;
            ready!(Pin::new(&mut state.stream).poll_flush(cx))?;
            state.is_flushed = true;
        }
        Poll::Ready(Ok(std::mem::take(&mut state.is_awaited)))
    }
}

impl<T: AsyncWrite + Unpin> State<T> {
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.waiting.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        // An idle connection holds nothing.
        (self.waiting, self.written) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }

    fn gather(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.waiting.len() >= GATHERED {
            let drained = self.drain(cx)?;
            self.is_awaited = drained.is_pending();
            ready!(drained);
        }
        if self.waiting.is_empty() {
            self.waiting.reserve_exact(GATHERED);
        }
        let before = self.waiting.len();
        for buf in bufs {
            let room = GATHERED - self.waiting.len();
            self.waiting.extend_from_slice(buf.get(..room).unwrap_or(buf));
        }
        self.is_flushed = false;
        Poll::Ready(Ok(self.waiting.len() - before))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Gathered<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.state().stream).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Gathered<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.state().gather(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.state().gather(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        ready!(state.drain(cx))?;
        Pin::new(&mut state.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::poll_fn;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    /// Frames that were each flushed, for themselves.
    async fn write(gathered: &mut Gathered<tokio::io::DuplexStream>, frames: &[&[u8]]) {
        for frame in frames {
            gathered.write_all(frame).await.unwrap();
            gathered.flush().await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_was_flushed_goes_when_it_is_pushed() {
        let (near, mut far) = duplex(1 << 20);
        let mut gathered = Gathered::new(near);
        write(&mut gathered, &[b"one ", b"two ", b"three"]).await;
        let mut buffer = [0; 64];
        let early = tokio::time::timeout(std::time::Duration::from_millis(20), far.read(&mut buffer));
        assert!(early.await.is_err(), "it was written before");
        assert!(!poll_fn(|cx| gathered.push(cx)).await.unwrap());
        let read = far.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..read], b"one two three");
        assert_eq!(gathered.state().waiting.capacity(), 0, "an idle connection holds a buffer");
        write(&mut gathered, &[b"four"]).await;
        gathered.shutdown().await.unwrap();
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"four", "what is gathered goes before the end");
    }

    #[tokio::test]
    async fn no_more_is_gathered_than_there_is_room_for_and_whoever_waits_is_told() {
        let (near, mut far) = duplex(1_000);
        let mut gathered = Gathered::new(near);
        let all: Vec<u8> = (0..GATHERED * 3).map(|at| (at % 251) as u8).collect();
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut sent = 0;
        while let Poll::Ready(written) =
            Pin::new(&mut gathered).poll_write_vectored(&mut context, &[IoSlice::new(&all[sent..]), IoSlice::new(b"")])
        {
            sent += written.unwrap();
            assert!(sent <= GATHERED + 1_000);
        }
        assert_eq!(sent, GATHERED, "that is what fits");
        let mut read = vec![0; GATHERED];
        let (told, got) = tokio::join!(poll_fn(|cx| gathered.push(cx)), far.read_exact(&mut read));
        assert!(told.unwrap(), "a write waits for this");
        got.unwrap();
        assert_eq!(read, all[..GATHERED]);
        assert!(!poll_fn(|cx| gathered.push(cx)).await.unwrap(), "it was told already");
        drop(far);
        write_fails(&mut gathered).await;
    }

    async fn write_fails(gathered: &mut Gathered<tokio::io::DuplexStream>) {
        gathered.write_all(b"late").await.unwrap();
        assert!(poll_fn(|cx| gathered.push(cx)).await.is_err());
    }
}
