//! The TLS handshake, with an end to it.

use super::http_connection::Protocol;
use super::observer::HandshakeFailure;
use crate::tls::{ALPN_HTTP2, ServerTls};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Shakes hands on `stream` with the configuration of this moment, and tells which HTTP was agreed on: HTTP/1.1 unless
/// the client asked for something else by ALPN.
pub(super) async fn handshake<IO>(
    stream: IO,
    tls: &ServerTls,
    limit: Duration,
) -> Result<(TlsStream<IO>, Protocol), (HandshakeFailure, io::Error)>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    match timeout(limit, TlsAcceptor::from(tls.current()).accept(stream)).await {
        Ok(Ok(stream)) => {
            let http2 = stream.get_ref().1.alpn_protocol() == Some(ALPN_HTTP2);
            Ok((stream, if http2 { Protocol::Http2 } else { Protocol::Http1 }))
        }
        Ok(Err(error)) => Err((failure(&error), error)),
        Err(_) => {
            Err((HandshakeFailure::Timeout, io::Error::new(io::ErrorKind::TimedOut, "the client takes too long")))
        }
    }
}

fn failure(error: &io::Error) -> HandshakeFailure {
    use rustls::Error;
    match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(_) | Error::NoCertificatesPresented) => HandshakeFailure::ClientCertificate,
        Some(
            Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::InvalidMessage(_)
            | Error::PeerIncompatible(_)
            | Error::PeerMisbehaved(_)
            | Error::PeerSentOversizedRecord
            | Error::NoApplicationProtocol,
        ) => HandshakeFailure::Protocol,
        _ => HandshakeFailure::Other,
    }
}
