//! TLS for the WebSocket ports.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::Tls;
use crate::error::{Error, Result};

/// An acceptor that shows the configured certificate.
///
/// # Errors
///
/// [`Error::Tls`] naming the file that is missing, not PEM, empty, or does not fit the other.
pub(crate) fn acceptor(tls: &Tls) -> Result<TlsAcceptor> {
    let fail = |path: &Path, reason: String| Error::Tls { path: path.to_owned(), reason };
    let chain: Vec<_> = CertificateDer::pem_file_iter(&tls.cert)
        .and_then(Iterator::collect)
        .map_err(|error| fail(&tls.cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(fail(&tls.cert, "no certificate in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| fail(&tls.key, error.to_string()))?;
    // Named explicitly: a process-wide default would depend on who else is linked in.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| fail(&tls.cert, error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
