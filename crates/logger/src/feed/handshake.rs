//! TCP, TLS and the WebSocket handshake.

use std::{sync::Arc, time::Duration};

use tokio::net::TcpStream;
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{self, client::IntoClientRequest as _, protocol::WebSocketConfig},
};

use super::arrival::{Arrivals, Noted};
use crate::{clock::Clock, rest::in_seconds};

/// All three together.
pub(crate) const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// The largest message a venue sends: a snapshot of a large order book has a few MB.
const MESSAGE_LIMIT: usize = 16 << 20;
/// Bytes asked for at once. The library fills them with zeros before each read: with its 128 KiB that was a fifth of what
/// quiet symbols cost.
const READ_BUFFER: usize = 16 << 10;

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<Noted<TcpStream>>>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoConnection {
    #[error("no handshake in {} s", HANDSHAKE_LIMIT.as_secs())]
    Late,
    #[error("{0}")]
    Failed(String),
    /// The venue says that it does not want to be asked now.
    #[error("the venue answered with {status}{}", pause.map_or_else(String::new, |pause| format!(", try again in {} s", pause.as_secs())))]
    Refused {
        status: u16,
        /// Its `Retry-After`.
        pause: Option<Duration>,
    },
}

impl NoConnection {
    /// How long the venue wants no attempt from this address, if it says that it wants none; at least for a short time if
    /// it does not say how long.
    pub(crate) fn wants_silence(&self) -> Option<Duration> {
        match self {
            NoConnection::Refused { status: 418 | 429, pause } => Some(pause.unwrap_or_default()),
            NoConnection::Refused { pause, .. } => *pause,
            NoConnection::Late | NoConnection::Failed(_) => None,
        }
    }
}

/// Opens a connection.
pub(crate) async fn connect(
    url: &str,
    connector: Option<Connector>,
    arrivals: Arc<Arrivals>,
    clock: Clock,
) -> Result<Socket, NoConnection> {
    match tokio::time::timeout(HANDSHAKE_LIMIT, handshake(url, connector, arrivals)).await {
        Ok(Ok(socket)) => Ok(socket),
        Ok(Err(tungstenite::Error::Http(response))) => {
            let pause = response.headers().get(http::header::RETRY_AFTER);
            let seconds = pause.and_then(|pause| in_seconds(pause.to_str().ok()?, clock).trim().parse().ok());
            Err(NoConnection::Refused { status: response.status().as_u16(), pause: seconds.map(Duration::from_secs) })
        }
        Ok(Err(error)) => Err(NoConnection::Failed(error.to_string())),
        Err(_) => Err(NoConnection::Late),
    }
}

async fn handshake(
    url: &str,
    connector: Option<Connector>,
    arrivals: Arc<Arrivals>,
) -> Result<Socket, tungstenite::Error> {
    let request = url.into_client_request()?;
    let uri = request.uri();
    let no_host = || tungstenite::Error::Url(tungstenite::error::UrlError::NoHostName);
    // Brackets of an IPv6 address belong to the URL alone.
    let host = uri.host().ok_or_else(no_host)?.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("wss") { 443 } else { 80 });
    let socket = TcpStream::connect((host, port)).await?;
    socket.set_nodelay(true)?;
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_LIMIT))
        .max_frame_size(Some(MESSAGE_LIMIT))
        .read_buffer_size(READ_BUFFER);
    let connector = connector.unwrap_or(Connector::Plain);
    let noted = Noted::new(socket, arrivals);
    let (socket, _) = client_async_tls_with_config(request, noted, Some(limits), Some(connector)).await?;
    Ok(socket)
}
