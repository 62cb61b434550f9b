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
mod open;
mod peer;
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
use activity::Activity;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use log_gate::LogGate;
use open::Open;
use socket::Socket;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tower::Service;

pub use accepted::{Accepted, Detached};
pub use bind_error::BindError;
pub(crate) use connection::BoxError;
pub use http_connection::Protocol;
pub use listener::{Listener, http_bind, http_bind_all};
pub use observer::{ConnectionObserver, ConnectionTimeout, HandshakeFailure};
pub(crate) use peer::Peer;
pub use peer_address::PeerAddress;
pub use socket::DetachedSocket;

/// How long accepting rests after an error. Out of file descriptors, the pending connection stays in the queue and
/// accept would fail again at once; this is short for a client and long for a processor.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// How long a new connection waits for the place of one that is ended for it, which a client that is alive leaves in one
/// round trip, and others once they have had their time for it.
const ROOM_WAIT: Duration = Duration::from_secs(2);

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
            Some(ended) = accept_loop.connections.join_next_with_id() => accept_loop.ended(ended),
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
    open: Open<Id>,
    accept_errors: LogGate,
    refusals: LogGate,
    made_room: LogGate,
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
            open: Open::new(),
            accept_errors: LogGate::default(),
            refusals: LogGate::default(),
            made_room: LogGate::default(),
        }
    }

    fn accepted<F, C>(&mut self, socket: Socket, peer: PeerAddress, serve: &F, shutdown: &CancellationToken)
    where
        F: Fn(Accepted<O>) -> C,
        C: Future<Output = ()> + Send + 'static,
    {
        let from = Peer::of(Some(&peer));
        let place = Arc::clone(&self.places).try_acquire_owned().ok();
        let connections = self.limits.connections;
        if place.is_none() && !self.open.make_room(from) {
            // Closing at once tells the client; left in the queue it would wait for its own timeout.
            drop(socket);
            self.observer.refused();
            if let Some(unlogged) = self.refusals.pass() {
                tracing::warn!(address = %self.address, %peer, connections, unlogged, "connection refused, too many are open");
            }
            return;
        }
        if place.is_none()
            && let Some(unlogged) = self.made_room.pass()
        {
            tracing::warn!(address = %self.address, %peer, connections, unlogged, "a quiet connection makes room, too many are open");
        }
        let (tls, activity, end) = (self.tls.clone(), Activity::new(), shutdown.child_token());
        let (limits, observer, places) = (self.limits.clone(), Arc::clone(&self.observer), Arc::clone(&self.places));
        let rest = Detached {
            peer,
            limits,
            activity: activity.clone(),
            observer: Arc::clone(&observer),
            shutdown: end.clone(),
        };
        let serve = serve(Accepted { socket, tls, rest });
        let task = self.connections.spawn(async move {
            let place = match place {
                Some(place) => place,
                None => match timeout(ROOM_WAIT, places.acquire_owned()).await {
                    Ok(Ok(place)) => place,
                    Ok(Err(_)) | Err(_) => return observer.refused(),
                },
            };
            let _held_while_open = (place, Opened::new(observer));
            serve.await;
        });
        self.open.add(task.id(), from, activity, end);
    }

    fn accept_failed(&mut self, error: &io::Error) {
        self.observer.accept_failed();
        if let Some(unlogged) = self.accept_errors.pass() {
            tracing::warn!(address = %self.address, %error, unlogged, "cannot accept connections, trying again");
        }
    }

    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        self.open.remove(match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        });
        if ended.is_err_and(|error| error.is_panic()) {
            self.observer.panicked();
            // The panic hook has printed the message and the place.
            tracing::error!(address = %self.address, "a connection ended in a panic");
        }
    }

    async fn drain(&mut self) {
        let deadline = Instant::now() + self.limits.drain;
        while let Ok(Some(ended)) = timeout_at(deadline, self.connections.join_next_with_id()).await {
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
