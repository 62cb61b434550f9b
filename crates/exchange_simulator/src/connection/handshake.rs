//! From a TCP stream to an accepted WebSocket.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Error as WsError};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use super::glue::{Glue, Glued};
use super::reset::{Abort, Resettable};
use crate::exchange::Exchange;
use crate::venue::{Refusal, Session, Target};

/// How long TLS and the upgrade may take together.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest message taken from a client; a subscription to 1,024 streams needs some 40 kB.
const MAX_INCOMING_BYTES: usize = 1 << 20;

/// A plain or a TLS stream.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// An accepted WebSocket.
pub(super) type Socket = WebSocketStream<Glued<Box<dyn Duplex>>>;

/// What a handshake leads to.
pub(super) struct Opened {
    pub(super) socket: Socket,
    pub(super) session: Session,
    /// Keeps the response until the first frame, if a fault says so.
    pub(super) glue: Glue,
    /// Ends the TCP connection with a RST.
    pub(super) abort: Abort,
}

/// Accepts or turns down a client. A refusal is an HTTP answer and here an error.
pub(super) async fn handshake(
    exchange: &Exchange,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
) -> Result<Opened, WsError> {
    let accepted = async {
        stream.set_nodelay(true)?;
        let abort = Abort::default();
        let stream = Resettable::new(stream, abort.clone());
        let stream: Box<dyn Duplex> = match tls {
            None => Box::new(stream),
            Some(tls) => Box::new(tls.accept(stream).await?),
        };
        let glue = Glue::default();
        let (socket, session) = upgrade(exchange, stream, &glue).await?;
        Ok(Opened { socket, session, glue, abort })
    };
    let late = |_| WsError::Io(io::Error::new(io::ErrorKind::TimedOut, "no handshake in time"));
    tokio::time::timeout(HANDSHAKE_TIMEOUT, accepted).await.map_err(late)?
}

async fn upgrade(exchange: &Exchange, stream: Box<dyn Duplex>, glue: &Glue) -> Result<(Socket, Session), WsError> {
    let mut session = None;
    // The error type is the WebSocket library's.
    #[allow(clippy::result_large_err)]
    let decide = |request: &Request, response: Response| {
        let uri = request.uri();
        let target = Target { path: uri.path().to_owned(), query: uri.query().unwrap_or_default().to_owned() };
        match exchange.open(&target) {
            Ok(opened) => {
                session = Some(opened);
                if exchange.glues() {
                    glue.hold();
                }
                Ok(response)
            }
            Err(refusal) => Err(refuse(&refusal)),
        }
    };
    let config =
        WebSocketConfig::default().max_message_size(Some(MAX_INCOMING_BYTES)).max_frame_size(Some(MAX_INCOMING_BYTES));
    let socket = accept_hdr_async_with_config(Glued::new(stream, glue.clone()), decide, Some(config)).await?;
    let lost = WsError::Protocol(tungstenite::error::ProtocolError::HandshakeIncomplete);
    Ok((socket, session.ok_or(lost)?))
}

fn refuse(refusal: &Refusal) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(refusal.text.to_owned()));
    if let Some(after) = refusal.retry_after
        && let Ok(value) = HeaderValue::from_str(&after.as_secs().to_string())
    {
        response.headers_mut().insert("retry-after", value);
    }
    *response.status_mut() = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    response
}
