//! Which certificates are trusted, for `wss://` and `https://`.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use crate::{config::Exchange, error::LoggerError};

/// A TLS client that trusts the system's certificates and those of `ca_file`. There must be some if `url` needs TLS.
pub(crate) fn client_config(exchange: &Exchange, url: &str) -> Result<ClientConfig, LoggerError> {
    let needs_tls = url.starts_with("wss://") || url.starts_with("https://");
    let mut roots = RootCertStore::empty();
    if needs_tls {
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
    }
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
    if needs_tls && roots.is_empty() {
        return Err(LoggerError::Tls(format!(
            "no certificates to trust for {url}: install the system's (Debian: ca-certificates) or name a ca_file"
        )));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| LoggerError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
