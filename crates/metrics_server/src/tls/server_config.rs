//! From a [`TlsConfig`] to what rustls takes.

use super::client_auth::client_verifier;
use super::error::TlsError;
use super::pem::PemText;
use super::{ALPN_HTTP1, ALPN_HTTP2};
use crate::web_config::{TlsConfig, TlsVersion};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::ProducesTickets;
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, InconsistentKeys, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion, version};
use std::sync::Arc;

/// Builds the TLS side of a server from its configuration; HTTP/2 is offered to clients if `http2`.
///
/// Reads the files that the configuration names.
///
/// # Errors
///
/// [`TlsError`] names the file or key of the configuration, and what is wrong with it.
pub fn server_config(config: &TlsConfig, http2: bool) -> Result<ServerConfig, TlsError> {
    let versions = versions(config)?;
    let provider = Arc::new(provider(config)?);
    let key = certified_key(config, &provider)?;
    let verifier = client_verifier(config, &provider)?;
    let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key)));
    server.ignore_client_order = config.prefer_server_cipher_suites;
    server.alpn_protocols =
        if http2 { vec![ALPN_HTTP2, ALPN_HTTP1] } else { vec![ALPN_HTTP1] }.into_iter().map(<[u8]>::to_vec).collect();
    server.ticketer = aws_lc_rs::Ticketer::new().map(|ticketer| -> Arc<dyn ProducesTickets> { ticketer })?;
    Ok(server)
}

fn versions(config: &TlsConfig) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let all = [(TlsVersion::Tls13, &version::TLS13), (TlsVersion::Tls12, &version::TLS12)];
    let wanted = config.min_version..=config.max_version;
    let versions: Vec<_> = all.into_iter().filter(|(name, _)| wanted.contains(name)).map(|(_, known)| known).collect();
    if versions.is_empty() { Err(TlsError::NoVersion) } else { Ok(versions) }
}

fn provider(config: &TlsConfig) -> Result<CryptoProvider, TlsError> {
    let mut provider = aws_lc_rs::default_provider();
    // The short key first: nobody breaks either, and large answers are mostly this work.
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    if !config.cipher_suites.is_empty() {
        // Those of TLS 1.3 cannot be chosen, as in Go.
        let of_tls13 = |suite: &SupportedCipherSuite| suite.tls13().is_some();
        let known = std::mem::take(&mut provider.cipher_suites);
        provider.cipher_suites = known.iter().copied().filter(of_tls13).collect();
        let chosen = config.cipher_suites.iter();
        let chosen = chosen.filter_map(|name| known.iter().find(|suite| suite.suite() == *name && !of_tls13(suite)));
        let before = provider.cipher_suites.len();
        provider.cipher_suites.extend(chosen);
        if provider.cipher_suites.len() == before && config.min_version == TlsVersion::Tls12 {
            return Err(TlsError::NoCipherSuite);
        }
    }
    if !config.curves.is_empty() {
        let known = std::mem::take(&mut provider.kx_groups);
        let chosen = config.curves.iter().filter_map(|name| known.iter().find(|group| group.name() == *name));
        provider.kx_groups = chosen.copied().collect();
        if provider.kx_groups.is_empty() {
            return Err(TlsError::NoCurve);
        }
    }
    Ok(provider)
}

fn certified_key(config: &TlsConfig, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let cert = PemText::open(&config.cert, "cert")?;
    let key = PemText::open(&config.key, "key")?;
    let chain = cert.certificates()?;
    let signing = provider.key_provider.load_private_key(key.private_key()?);
    let signing = signing.map_err(|_| TlsError::BadKey { origin: key.origin.clone() })?;
    let certified = CertifiedKey::new(chain, signing);
    match certified.keys_match() {
        // Unknown: the key does not tell its public half, so that nobody can say before the first handshake.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => Err(TlsError::KeyMismatch { cert: cert.origin, key: key.origin }),
        Err(other) => Err(TlsError::BadCertificate { origin: cert.origin, number: 1, problem: other.to_string() }),
    }
}
