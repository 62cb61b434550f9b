//! From a TCP stream to an accepted WebSocket.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Error as WsError};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

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
pub(super) type Socket = WebSocketStream<Box<dyn Duplex>>;

/// Accepts or turns down a client. A refusal is an HTTP answer and here an error.
pub(super) async fn handshake(
    exchange: &Exchange,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
) -> Result<(Socket, Session), WsError> {
    let accepted = async {
        stream.set_nodelay(true)?;
        let stream: Box<dyn Duplex> = match tls {
            None => Box::new(stream),
            Some(tls) => Box::new(tls.accept(stream).await?),
        };
        upgrade(exchange, stream).await
    };
    let late = |_| WsError::Io(io::Error::new(io::ErrorKind::TimedOut, "no handshake in time"));
    tokio::time::timeout(HANDSHAKE_TIMEOUT, accepted).await.map_err(late)?
}

async fn upgrade(exchange: &Exchange, stream: Box<dyn Duplex>) -> Result<(Socket, Session), WsError> {
    let mut session = None;
    // The error type is the WebSocket library's.
    #[allow(clippy::result_large_err)]
    let decide = |request: &Request, response: Response| {
        let uri = request.uri();
        let target = Target { path: uri.path().to_owned(), query: uri.query().unwrap_or_default().to_owned() };
        match exchange.open(&target) {
            Ok(opened) => {
                session = Some(opened);
                Ok(response)
            }
            Err(refusal) => Err(refuse(&refusal)),
        }
    };
    let config =
        WebSocketConfig::default().max_message_size(Some(MAX_INCOMING_BYTES)).max_frame_size(Some(MAX_INCOMING_BYTES));
    let socket = accept_hdr_async_with_config(stream, decide, Some(config)).await?;
    let lost = WsError::Protocol(tungstenite::error::ProtocolError::HandshakeIncomplete);
    Ok((socket, session.ok_or(lost)?))
}

fn refuse(refusal: &Refusal) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(refusal.text.to_owned()));
    *response.status_mut() = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    response
}
