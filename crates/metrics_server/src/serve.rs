//! The accept loop: HTTP on a listener, with every way to hold it up bounded.
//!
//! Written here rather than taken from a framework because those bound neither how long a client may take to send its
//! headers nor how many connections it may open, and end the program when a port is taken.

mod connection;
mod log_gate;
mod write_stall;

use crate::limits::Limits;
use crate::listen_addr::ListenAddr;
use connection::{BoxError, Connection};
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use log_gate::LogGate;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tower::Service;

/// How long accepting rests after an error. Out of file descriptors, the pending connection stays in the queue and
/// accept would fail again at once; this is short for a client and long for a processor.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// The other end of a connection; every request served by [`http_serve`] carries it as an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerAddress {
    /// A TCP client, or the proxy before it.
    Tcp(SocketAddr),
}

impl PeerAddress {
    /// The IP address, where the connection has one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
        }
    }
}

/// Hears what happens to connections, in order to count it. All methods do nothing by default, and must be quick.
///
/// `()` is the observer that does not care.
pub trait ConnectionObserver: Send + Sync + 'static {
    /// A connection is going to be served.
    fn opened(&self) {}
    /// A connection that was opened has ended, however that came.
    fn closed(&self) {}
    /// A connection was closed at once because [`Limits::connections`] were open.
    fn refused(&self) {}
    /// The service panicked; the connection it happened on is closed, the others go on.
    fn panicked(&self) {}
    /// Accepting failed, such as for want of file descriptors; it is tried again.
    fn accept_failed(&self) {}
}

impl ConnectionObserver for () {}

/// Why an endpoint could not listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// An address that cannot be listened on: taken, not of this host, or not permitted.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address as it was given.
        address: ListenAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The endpoint was given nothing to listen on.
    #[error("no address to listen on")]
    NoAddress,
}

/// Why serving ended before it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The listening socket itself is unusable; accepting again could never succeed.
    #[error("cannot accept connections on {address}")]
    Listener {
        /// Where it listened.
        address: SocketAddr,
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

/// Opens a listening socket for [`http_serve`], with `SO_REUSEADDR`, so that a restarted program gets its port back
/// while old connections linger. Of a name with several addresses the first that works is taken.
///
/// # Errors
///
/// [`BindError::Listen`] names the address and what the system said.
pub async fn http_bind(address: &ListenAddr) -> Result<TcpListener, BindError> {
    let ListenAddr::Tcp { host, port } = address;
    // tokio sets SO_REUSEADDR here on Unix.
    let bound = TcpListener::bind((host.as_str(), *port)).await;
    bound.map_err(|source| BindError::Listen { address: address.clone(), source })
}

/// Serves HTTP/1.1 on `listener` until `shutdown` is cancelled.
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
    listener: TcpListener,
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
    let address = listener.local_addr().map_err(|source| unusable(&listener, source))?;
    let mut accept_loop = AcceptLoop::new(address, limits, observer);
    let result = loop {
        // Ended connections first, so that panics are seen soon and the set does not grow.
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break Ok(()),
            Some(ended) = accept_loop.connections.join_next() => accept_loop.ended(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => accept_loop.accepted(stream, peer, &service, &shutdown),
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

fn unusable(listener: &TcpListener, source: io::Error) -> ServeError {
    let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
    ServeError::Listener { address: listener.local_addr().unwrap_or(unspecified), source }
}

/// Whether accept can never succeed again: the descriptor is closed, no socket, or not listening. Everything else
/// passes, or is about a single connection.
fn is_permanent(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::BADF, Errno::INVAL, Errno::NOTSOCK].map(Errno::raw_os_error).map(Some).contains(&error.raw_os_error())
}

/// The connections of one listener.
struct AcceptLoop<O> {
    address: SocketAddr,
    limits: Limits,
    observer: Arc<O>,
    places: Arc<Semaphore>,
    connections: JoinSet<()>,
    accept_errors: LogGate,
    refusals: LogGate,
}

impl<O: ConnectionObserver> AcceptLoop<O> {
    fn new(address: SocketAddr, limits: &Limits, observer: O) -> Self {
        Self {
            address,
            places: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
            limits: limits.clone(),
            observer: Arc::new(observer),
            connections: JoinSet::new(),
            accept_errors: LogGate::default(),
            refusals: LogGate::default(),
        }
    }

    fn accepted<S, B>(&mut self, stream: TcpStream, peer: SocketAddr, service: &S, shutdown: &CancellationToken)
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            // Closing at once tells the client; left in the queue it would wait for its own timeout.
            drop(stream);
            self.observer.refused();
            if let Some(unlogged) = self.refusals.pass() {
                let connections = self.limits.connections;
                tracing::warn!(address = %self.address, %peer, connections, unlogged, "connection refused, too many are open");
            }
            return;
        };
        let opened = Opened::new(Arc::clone(&self.observer));
        let connection = Connection::new(stream, PeerAddress::Tcp(peer), &self.limits);
        let serve = connection.serve(service.clone(), shutdown.clone());
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
