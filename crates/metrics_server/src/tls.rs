//! TLS on the side of the server: what a handshake is made with, built from a [`TlsConfig`] and replaceable while
//! connections are served.
//!
//! [`TlsConfig`]: crate::web_config::TlsConfig

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use std::fmt;
use std::sync::Arc;

mod any_client;
mod client_auth;
mod client_sans;
mod error;
mod pem;
mod server_config;

pub use error::TlsError;
pub use server_config::server_config;

/// HTTP/2 over TLS, as ALPN calls it.
pub(crate) const ALPN_HTTP2: &[u8] = b"h2";

/// HTTP/1.1, as ALPN calls it.
pub(crate) const ALPN_HTTP1: &[u8] = b"http/1.1";

/// What TLS handshakes are made with. All clones are the same: a replacement is seen by each of them.
#[derive(Clone)]
pub struct ServerTls(Arc<ArcSwap<ServerConfig>>);

impl ServerTls {
    /// Starts with `config`, such as [`server_config`] makes one.
    pub fn new(config: ServerConfig) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(config)))
    }

    /// Takes `config` for all handshakes that begin from now on; open connections go on with what they have.
    ///
    /// Tickets of sessions made before are worth nothing afterwards, so that nobody is let in on the ground of a
    /// certificate authority that is trusted no longer.
    pub fn replace(&self, config: ServerConfig) {
        self.0.store(Arc::new(config));
    }

    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        self.0.load_full()
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}
