//! How `wss://` is spoken.

use std::sync::Arc;

use tokio_tungstenite::Connector;

use crate::{config::Exchange, error::LoggerError, tls::client_config};

/// A TLS client; none for a `ws://` address.
pub(crate) fn connector(exchange: &Exchange) -> Result<Option<Connector>, LoggerError> {
    if exchange.ws_url.starts_with("ws://") {
        return Ok(None);
    }
    Ok(Some(Connector::Rustls(Arc::new(client_config(exchange, &exchange.ws_url)?))))
}
