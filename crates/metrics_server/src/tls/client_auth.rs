//! What is asked of clients' certificates.

use super::any_client::AnyClient;
use super::client_sans::AllowedSans;
use super::error::TlsError;
use super::pem::PemText;
use crate::web_config::{ClientAuth, TlsConfig};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use std::sync::Arc;

pub(super) fn client_verifier(
    config: &TlsConfig,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let verifier: Arc<dyn ClientCertVerifier> = match config.client_auth {
        ClientAuth::None => return Ok(Arc::new(NoClientAuth)),
        ClientAuth::Request => Arc::new(AnyClient::new(provider, false)),
        ClientAuth::RequireAny => Arc::new(AnyClient::new(provider, true)),
        ClientAuth::VerifyIfGiven => verified(config, provider, false)?,
        ClientAuth::RequireAndVerify => verified(config, provider, true)?,
    };
    Ok(match config.client_allowed_sans.as_slice() {
        [] => verifier,
        sans => Arc::new(AllowedSans::new(verifier, sans)),
    })
}

fn verified(
    config: &TlsConfig,
    provider: &Arc<CryptoProvider>,
    required: bool,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let ca = PemText::open(config.client_ca.as_ref().ok_or(TlsError::NoClientCa)?, "client_ca")?;
    let mut roots = RootCertStore::empty();
    for (index, certificate) in ca.certificates()?.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| TlsError::BadCertificate {
            origin: ca.origin.clone(),
            number: index + 1,
            problem: error.to_string(),
        })?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = if required { builder } else { builder.allow_unauthenticated() };
    Ok(builder.build().map_err(|error| rustls::Error::General(error.to_string()))?)
}
