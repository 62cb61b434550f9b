//! Certificates for `wss://`.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tokio_tungstenite::Connector;

use crate::{config::Exchange, error::LoggerError};

/// A TLS client that trusts the system's certificates and those of `ca_file`; none for a `ws://` address.
pub(crate) fn connector(exchange: &Exchange) -> Result<Option<Connector>, LoggerError> {
    if exchange.ws_url.starts_with("ws://") {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    if let Some(path) = &exchange.ca_file {
        let bad = |reason: String| {
            LoggerError::Tls(format!("exchanges.{}.ca_file: {}: {reason}", exchange.venue.facts().name, path.display()))
        };
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| bad(error.to_string()))?;
            roots.add(certificate).map_err(|error| bad(error.to_string()))?;
        }
    }
    if roots.is_empty() {
        return Err(LoggerError::Tls(format!(
            "no certificates to trust for {}: install the system's (Debian: ca-certificates) or name a ca_file",
            exchange.ws_url
        )));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| LoggerError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Some(Connector::Rustls(Arc::new(config))))
}
