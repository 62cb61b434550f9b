//! One connection: HTTP on a stream, until either side is done.

use super::PeerAddress;
use super::write_stall::WriteStall;
use crate::limits::Limits;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use std::pin::pin;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};

/// The error of a service or a body, as the HTTP implementation takes it.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The least buffer the HTTP parser accepts, in bytes; it panics below.
const BUFFER_BYTES_MIN: usize = 8192;

/// A stream that is going to be served.
pub(super) struct Connection {
    stream: TcpStream,
    peer: PeerAddress,
    write_stall: Duration,
    http: auto::Builder<TokioExecutor>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, peer: PeerAddress, limits: &Limits) -> Self {
        // Restricted to HTTP/1 on purpose: the builder would otherwise wait without any timeout for the bytes that
        // tell the versions apart, and a client that sends none would stay for ever.
        let mut http = auto::Builder::new(TokioExecutor::new()).http1_only();
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_read)
            .max_buf_size(limits.connection_buffer_bytes.max(BUFFER_BYTES_MIN));
        Self { stream, peer, write_stall: limits.write_stall, http }
    }

    /// Answers requests until the client is done, a limit is reached, or `shutdown` is cancelled and the request
    /// under way is answered.
    pub(super) async fn serve<S, B>(self, service: S, shutdown: CancellationToken)
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let peer = self.peer;
        // Answers are written whole; waiting for more would only delay the last packet. A failure means the client
        // is gone already, which the first read tells as well.
        let _ = self.stream.set_nodelay(true);
        let service = service.map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request
        });
        let io = TokioIo::new(WriteStall::new(self.stream, self.write_stall));
        let mut connection = pin!(self.http.serve_connection(io, TowerToHyperService::new(service)));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        // Clients that hang up, time out or speak nonsense are their own affair.
        if let Err(error) = ended {
            tracing::debug!(?peer, %error, "connection ended early");
        }
    }
}
