//! The requests of one HTTP/2 connection, answered by the task that serves it: to hand each to a task of its own, on another
//! thread, costs more than most answers do.

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use hyper::rt::Executor;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

type Stream = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Takes the requests from the HTTP implementation.
#[derive(Clone, Debug)]
pub(super) struct OnConnection(mpsc::UnboundedSender<Stream>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for OnConnection {
    fn execute(&self, stream: F) {
        // Fails only when the connection is gone, and its requests with it.
        _ = self.0.send(Box::pin(stream));
    }
}

/// Answers them. A panic in one ends the connection, which its task then tells.
#[derive(Debug)]
pub(super) struct Streams {
    /// As many as may be under way at once, at most.
    opened: mpsc::UnboundedReceiver<Stream>,
    under_way: FuturesUnordered<Stream>,
}

impl Streams {
    pub(super) fn new() -> (OnConnection, Streams) {
        let (sender, opened) = mpsc::unbounded_channel();
        (OnConnection(sender), Streams { opened, under_way: FuturesUnordered::new() })
    }

    /// Goes on with all that can go on; true if some began or ended, so that the connection has something to do.
    pub(super) fn advance(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        while let Poll::Ready(Some(stream)) = self.opened.poll_recv(cx) {
            self.under_way.push(stream);
            moved = true;
        }
        while let Poll::Ready(Some(())) = self.under_way.poll_next_unpin(cx) {
            moved = true;
        }
        moved
    }
}
