//! A stream that fails when its reader takes nothing for too long.

use super::activity::{Activity, later};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Wraps a stream; a write that makes no progress for `limit` fails with [`io::ErrorKind::TimedOut`].
///
/// Only time spent waiting for the peer counts: between writes the clock is off.
pub(super) struct WriteStall<T> {
    stream: T,
    limit: Duration,
    /// Made when a write first has to wait, which most connections never do, and reused from then on.
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    /// Is told when a write waits, and when one fails here: the error itself passes through layers that wrap it in their
    /// own.
    activity: Activity,
}

impl<T> WriteStall<T> {
    pub(super) fn new(stream: T, limit: Duration, activity: Activity) -> Self {
        Self { stream, limit, timer: None, waiting: false, activity }
    }

    fn guard<R>(&mut self, progress: Poll<io::Result<R>>, cx: &mut Context<'_>) -> Poll<io::Result<R>> {
        if progress.is_ready() {
            if std::mem::take(&mut self.waiting) {
                self.activity.sending(false);
            }
            return progress;
        }
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !self.waiting {
            self.waiting = true;
            self.activity.sending(true);
            timer.as_mut().reset(later(Instant::now(), limit));
        }
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => {
                self.activity.stalled();
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes no data")))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for WriteStall<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for WriteStall<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.guard(progress, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.guard(progress, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_flush(cx);
        self.guard(progress, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.guard(progress, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    /// Far below any test timeout, far above the scheduling of one poll.
    const LIMIT: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_cut() {
        let (ours, _theirs) = duplex(16);
        let activity = Activity::new();
        let mut stream = WriteStall::new(ours, LIMIT, activity.clone());
        let error = stream.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(activity.has_stalled());
    }

    #[tokio::test]
    async fn a_slow_reader_that_advances_is_served() {
        let (ours, mut theirs) = duplex(16);
        let mut stream = WriteStall::new(ours, LIMIT, Activity::new());
        let reader = tokio::spawn(async move {
            let mut byte = [0; 16];
            let mut total = 0;
            // Altogether longer than the limit, each pause shorter.
            let mut pause = tokio::time::interval(LIMIT / 4);
            while total < 160 {
                pause.tick().await;
                total += theirs.read(&mut byte).await.unwrap();
            }
            total
        });
        stream.write_all(&[0; 160]).await.unwrap();
        assert_eq!(reader.await.unwrap(), 160);
    }
}
