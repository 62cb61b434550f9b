//! TLS and tokens of the data port.

use metrics_server::{
    Registry, Security, SecurityError,
    tls::{ServerTls, TlsError, server_config},
    web_config::{Pem, Secret, TlsConfig},
};

use crate::config::{Config, DataTls};

/// The prefix of the metrics about it.
const PREFIX: &str = "gpu_charts_server_data";

/// Why the data port cannot be secured as configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataSecurityError {
    /// A file cannot be used.
    #[error(transparent)]
    Files(#[from] SecurityError),
    /// No certificate can be made.
    #[error("no certificate can be made for --tls-self-signed: {0}")]
    Make(#[from] rcgen::Error),
    /// The certificate that was made cannot be used.
    #[error("the certificate made for --tls-self-signed cannot be used")]
    Use(#[from] TlsError),
}

/// What the files of the data port say, and what handshakes are made with, if there are any.
///
/// # Errors
/// [`DataSecurityError`] names the file.
pub(crate) async fn start(
    config: &Config,
    registry: &mut Registry,
) -> Result<(Security, Option<ServerTls>), DataSecurityError> {
    let security = Security::start_as(config.data_security(), registry, PREFIX).await?;
    let tls = if config.tls == DataTls::SelfSigned { Some(self_signed()?) } else { security.tls() };
    Ok((security, tls))
}

fn self_signed() -> Result<ServerTls, DataSecurityError> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names)?;
    let pem = |text: String| Pem::Inline(Secret::new(text));
    let config = TlsConfig::new(pem(made.cert.pem()), pem(made.signing_key.serialize_pem()));
    tracing::warn!("TLS with a certificate made just now: clients have to be told to trust it");
    Ok(ServerTls::new(server_config(&config, true)?))
}
