//! A connection from its acceptance to its end.

use super::activity::Activity;
use super::connection::{BoxError, Session};
use super::handshake::handshake;
use super::http_connection::Protocol;
use super::observer::ConnectionObserver;
use super::peer_address::PeerAddress;
use super::rewound::Rewound;
use super::socket::{DetachedSocket, Socket};
use super::write_stall::WriteStall;
use crate::limits::Limits;
use crate::tls::ServerTls;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tower::Service;

/// A connection that was accepted and is going to be served; see [`serve_connections`](crate::serve_connections).
#[must_use = "a connection that nobody serves is closed"]
pub struct Accepted<O> {
    pub(super) socket: Socket,
    pub(super) tls: Option<ServerTls>,
    pub(super) rest: Detached<O>,
}

/// What is known of an accepted connection beside its socket.
#[derive(Debug)]
pub struct Detached<O> {
    pub(super) peer: PeerAddress,
    pub(super) limits: Limits,
    pub(super) activity: Activity,
    pub(super) observer: Arc<O>,
    pub(super) shutdown: CancellationToken,
}

impl<O: ConnectionObserver> Accepted<O> {
    /// Whether the client is to speak TLS, which only [`serve`](Self::serve) does.
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Answers requests until the client is done, a limit is reached, or the shutdown is asked for and the request
    /// under way is answered.
    pub async fn serve<S, B>(self, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        self.socket.send_at_once();
        let activity = self.rest.activity.clone();
        activity.opened();
        let stream = WriteStall::new(self.socket, self.rest.limits.write_stall, activity.clone());
        match self.tls {
            None => self.rest.serve_on(stream, Protocol::Http1, service).await,
            Some(tls) => {
                let shaken = tokio::select! {
                    shaken = handshake(stream, &tls, self.rest.limits.tls_handshake) => shaken,
                    () = self.rest.shutdown.cancelled() => return,
                };
                match shaken {
                    Ok((stream, protocol)) => {
                        // The time for the first request starts now.
                        activity.opened();
                        self.rest.serve_on(stream, protocol, service).await;
                    }
                    Err((failure, error)) => {
                        self.rest.observer.handshake_failed(failure);
                        tracing::debug!(peer = %self.rest.peer, reason = failure.as_str(), %error, "no TLS handshake");
                    }
                }
            }
        }
    }

    /// Takes the socket out, which is set to send at once and belongs to no runtime any more.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn detach(self) -> io::Result<(DetachedSocket, Detached<O>)> {
        self.socket.send_at_once();
        Ok((self.socket.detach()?, self.rest))
    }
}

impl<O: ConnectionObserver> Detached<O> {
    /// Who connected.
    pub fn peer(&self) -> PeerAddress {
        self.peer
    }

    /// Goes on with a connection of which `read` has been read already, as [`Accepted::serve`] would have.
    ///
    /// # Errors
    ///
    /// The runtime takes no more sockets.
    pub async fn serve<S, B>(
        self,
        socket: DetachedSocket,
        read: Bytes,
        protocol: Protocol,
        service: S,
    ) -> io::Result<()>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        self.activity.opened();
        let stream = Rewound::new(Socket::attach(socket)?, read);
        let stream = WriteStall::new(stream, self.limits.write_stall, self.activity.clone());
        self.serve_on(stream, protocol, service).await;
        Ok(())
    }

    async fn serve_on<IO, S, B>(self, stream: IO, protocol: Protocol, service: S)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let Detached { peer, limits, activity, observer, shutdown } = self;
        let _spoken = Spoken::new(&*observer, protocol);
        let session = Session { peer, limits, activity, shutdown };
        if let Some(timeout) = session.serve(stream, protocol, service).await {
            observer.timed_out(timeout);
        }
    }
}

/// Tells the observer for how long a protocol is spoken, even if the task panics or is aborted.
struct Spoken<'a, O: ConnectionObserver>(&'a O, Protocol);

impl<'a, O: ConnectionObserver> Spoken<'a, O> {
    fn new(observer: &'a O, protocol: Protocol) -> Self {
        observer.speaks(protocol);
        Self(observer, protocol)
    }
}

impl<O: ConnectionObserver> Drop for Spoken<'_, O> {
    fn drop(&mut self) {
        self.0.spoke(self.1);
    }
}
