//! What the configuration says of TLS on the data port.

use std::{ffi::OsString, path::PathBuf};

use serde::Serialize;

use super::{
    ConfigError,
    arguments::Arguments,
    told::{Told, boolean},
};

/// Where the certificate of the data port is from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DataTls {
    /// There is none: plain HTTP.
    #[default]
    Plain,
    /// From files, which are read again when they change.
    Files {
        /// The certificate chain, PEM.
        cert: PathBuf,
        /// Its private key, PEM.
        key: PathBuf,
    },
    /// Made at the start, for `localhost`; no client trusts it unless it is told to.
    SelfSigned,
}

/// What the flags and variables say, and whether plain HTTP deserves a warning, since nobody asked for it.
pub(super) fn data_tls(
    arguments: &Arguments,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<(DataTls, bool), ConfigError> {
    let wish = Told::by(arguments.use_tls.clone(), "--use-tls", "USE_TLS", environment);
    let wanted = wish.as_ref().map(|told| told.parse(boolean)).transpose()?;
    if wanted == Some(false) {
        return Ok((DataTls::Plain, false));
    }
    let cert = Told::by(arguments.ssl_cert_path.clone(), "--ssl-cert-path", "SSL_CERT_PATH", environment);
    let key = Told::by(arguments.ssl_private_file.clone(), "--ssl-private-file", "SSL_PRIVATE_FILE", environment);
    let refused = |by, reason: &str| Err(ConfigError::Value { by, reason: reason.to_owned() });
    match (cert, key) {
        (Some(given), _) | (_, Some(given)) if arguments.tls_self_signed => {
            refused("--tls-self-signed", &format!("there is a certificate by {} too; only one can be shown", given.by))
        }
        _ if arguments.tls_self_signed => Ok((DataTls::SelfSigned, false)),
        (Some(cert), Some(key)) => Ok((DataTls::Files { cert: cert.value.into(), key: key.value.into() }, false)),
        (Some(cert), None) => refused(cert.by, "a certificate needs its key: --ssl-private-file, or SSL_PRIVATE_FILE"),
        (None, Some(key)) => refused(key.by, "a key needs its certificate: --ssl-cert-path, or SSL_CERT_PATH"),
        (None, None) => match wish {
            None => Ok((DataTls::Plain, true)),
            Some(wish) => refused(
                wish.by,
                "TLS needs a certificate: give SSL_CERT_PATH and SSL_PRIVATE_FILE, or --tls-self-signed for a trial. One \
                 for this host alone is made by: openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=localhost \
                 -addext subjectAltName=DNS:localhost -keyout localhost.key -out localhost.crt",
            ),
        },
    }
}
