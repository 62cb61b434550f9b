//! The accept loop: HTTP on a listener, with every way to hold it up bounded.
//!
//! Written here rather than taken from a framework because those bound neither how long a client may take to send its
//! headers nor how many connections it may open, and end the program when a port is taken.

mod accepted;
mod activity;
mod bind_error;
mod connection;
pub(crate) mod connection_metrics;
mod gathered;
mod handshake;
mod http_connection;
mod listener;
mod log_gate;
mod observer;
mod peer_address;
mod rewound;
mod socket;
mod streams;
mod systemd;
mod unix_socket;
mod watched;
mod write_stall;

use crate::limits::Limits;
use crate::listen_addr::ListenAddr;
use crate::tls::ServerTls;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use log_gate::LogGate;
use socket::Socket;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tower::Service;

pub use accepted::{Accepted, Detached};
pub use bind_error::BindError;
pub(crate) use connection::BoxError;
pub use http_connection::Protocol;
pub use listener::{Listener, http_bind, http_bind_all};
pub use observer::{ConnectionObserver, ConnectionTimeout, HandshakeFailure};
pub use peer_address::PeerAddress;
pub use socket::DetachedSocket;

/// How long accepting rests after an error. Out of file descriptors, the pending connection stays in the queue and
/// accept would fail again at once; this is short for a client and long for a processor.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Why serving ended before it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The listening socket itself is unusable; accepting again could never succeed.
    #[error("cannot accept connections on {address}")]
    Listener {
        /// Where it listened.
        address: ListenAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The task of an accept loop panicked.
    #[error("an accept loop died")]
    Died {
        /// How it ended.
        source: JoinError,
    },
}

/// Serves HTTP on `listener` until `shutdown` is cancelled: HTTP/1.1, over TLS if the listener [has it](Listener::tls),
/// and there HTTP/2 with the clients that agree on it.
///
/// Each connection is a task with a clone of `service`; its requests carry the [`PeerAddress`] as an extension. After
/// the cancellation nothing is accepted, idle connections close, requests under way may finish within
/// [`Limits::drain`], and what is left then is cut. [`Limits`] says what else is bounded. Dropping the future cuts
/// all connections.
///
/// # Errors
///
/// [`ServeError::Listener`] if the listening socket is unusable. Errors that pass, such as too many open files, are
/// waited out, and what happens on one connection never ends the loop.
pub async fn http_serve<S, B, O>(
    listener: impl Into<Listener>,
    service: S,
    limits: &Limits,
    observer: O,
    shutdown: CancellationToken,
) -> Result<(), ServeError>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
    O: ConnectionObserver,
{
    let serve = move |accepted: Accepted<O>| accepted.serve(service.clone());
    serve_connections(listener, limits, Arc::new(observer), shutdown, serve).await
}

/// Accepts as [`http_serve`] does, within the same limits, and leaves to `serve` what becomes of each connection: a program
/// that speaks a part of HTTP itself [detaches](Accepted::detach) the socket, and hands back what it does not speak.
///
/// A connection counts as open, and holds its place, until the future that `serve` returned for it ends.
///
/// # Errors
///
/// As [`http_serve`].
pub async fn serve_connections<O, F, C>(
    listener: impl Into<Listener>,
    limits: &Limits,
    observer: Arc<O>,
    shutdown: CancellationToken,
    serve: F,
) -> Result<(), ServeError>
where
    O: ConnectionObserver,
    F: Fn(Accepted<O>) -> C,
    C: Future<Output = ()> + Send + 'static,
{
    let listener = listener.into();
    let address = listener.address().clone();
    let mut accept_loop = AcceptLoop::new(&listener, limits, observer);
    let result = loop {
        // Ended connections first, so that panics are seen soon and the set does not grow.
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break Ok(()),
            Some(ended) = accept_loop.connections.join_next() => accept_loop.ended(ended),
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => accept_loop.accepted(socket, peer, &serve, &shutdown),
                Err(source) if is_permanent(&source) => break Err(ServeError::Listener { address, source }),
                Err(error) => {
                    accept_loop.accept_failed(&error);
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            },
        }
    };
    drop(listener);
    accept_loop.drain().await;
    result
}

/// Whether accept can never succeed again: the descriptor is closed, no socket, or not listening. Everything else
/// passes, or is about a single connection.
fn is_permanent(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::BADF, Errno::INVAL, Errno::NOTSOCK].map(Errno::raw_os_error).map(Some).contains(&error.raw_os_error())
}

/// The connections of one listener.
struct AcceptLoop<O> {
    address: ListenAddr,
    tls: Option<ServerTls>,
    limits: Limits,
    observer: Arc<O>,
    places: Arc<Semaphore>,
    connections: JoinSet<()>,
    accept_errors: LogGate,
    refusals: LogGate,
}

impl<O: ConnectionObserver> AcceptLoop<O> {
    fn new(listener: &Listener, limits: &Limits, observer: Arc<O>) -> Self {
        Self {
            address: listener.address().clone(),
            tls: listener.tls_in_use().cloned(),
            places: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
            limits: limits.clone(),
            observer,
            connections: JoinSet::new(),
            accept_errors: LogGate::default(),
            refusals: LogGate::default(),
        }
    }

    fn accepted<F, C>(&mut self, socket: Socket, peer: PeerAddress, serve: &F, shutdown: &CancellationToken)
    where
        F: Fn(Accepted<O>) -> C,
        C: Future<Output = ()> + Send + 'static,
    {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            // Closing at once tells the client; left in the queue it would wait for its own timeout.
            drop(socket);
            self.observer.refused();
            if let Some(unlogged) = self.refusals.pass() {
                let connections = self.limits.connections;
                tracing::warn!(address = %self.address, %peer, connections, unlogged, "connection refused, too many are open");
            }
            return;
        };
        let opened = Opened::new(Arc::clone(&self.observer));
        let tls = self.tls.clone();
        let (limits, observer, shutdown) = (self.limits.clone(), Arc::clone(&self.observer), shutdown.clone());
        let serve = serve(Accepted { socket, tls, rest: Detached { peer, limits, observer, shutdown } });
        self.connections.spawn(async move {
            let _held_while_open = (place, opened);
            serve.await;
        });
    }

    fn accept_failed(&mut self, error: &io::Error) {
        self.observer.accept_failed();
        if let Some(unlogged) = self.accept_errors.pass() {
            tracing::warn!(address = %self.address, %error, unlogged, "cannot accept connections, trying again");
        }
    }

    fn ended(&self, ended: Result<(), JoinError>) {
        if ended.is_err_and(|error| error.is_panic()) {
            self.observer.panicked();
            // The panic hook has printed the message and the place.
            tracing::error!(address = %self.address, "a connection ended in a panic");
        }
    }

    async fn drain(&mut self) {
        let deadline = Instant::now() + self.limits.drain;
        while let Ok(Some(ended)) = timeout_at(deadline, self.connections.join_next()).await {
            self.ended(ended);
        }
        if !self.connections.is_empty() {
            let connections = self.connections.len();
            tracing::warn!(address = %self.address, connections, drain = ?self.limits.drain, "connections cut, they did not finish in time");
            self.connections.shutdown().await;
        }
    }
}

/// Tells the observer of an opening, and of the closing even if the task panics or is aborted.
struct Opened<O: ConnectionObserver>(Arc<O>);

impl<O: ConnectionObserver> Opened<O> {
    fn new(observer: Arc<O>) -> Self {
        observer.opened();
        Self(observer)
    }
}

impl<O: ConnectionObserver> Drop for Opened<O> {
    fn drop(&mut self) {
        self.0.closed();
    }
}
