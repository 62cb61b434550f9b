//! Why TLS cannot be had as configured. No message holds any of the key material.

use std::io;

/// Why a [`TlsConfig`](crate::web_config::TlsConfig) cannot be used. `source` in the messages is a file's path, or
/// `inline cert` and the like.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{what} {path}: cannot be read: {error}")]
    Read {
        /// Which part of the configuration it is for.
        what: &'static str,
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// A text is not PEM.
    #[error("{origin}: not valid PEM: {problem}")]
    Pem {
        /// The file, or the key of the configuration.
        origin: String,
        /// What is wrong, without the text itself.
        problem: &'static str,
    },
    /// There is no certificate where one must be.
    #[error("{origin}: no certificate in it (-----BEGIN CERTIFICATE-----)")]
    NoCertificate {
        /// The file, or the key of the configuration.
        origin: String,
    },
    /// A certificate cannot be understood.
    #[error("{origin}: certificate number {number} is broken: {problem}")]
    BadCertificate {
        /// The file, or the key of the configuration.
        origin: String,
        /// Which one in it, from 1.
        number: usize,
        /// What is wrong.
        problem: String,
    },
    /// There is no private key where one must be.
    #[error("{origin}: no private key in it (-----BEGIN PRIVATE KEY-----, PKCS#8, PKCS#1 or SEC1)")]
    NoKey {
        /// The file, or the key of the configuration.
        origin: String,
    },
    /// The private key needs a password.
    #[error(
        "{origin}: the private key is encrypted, which is not supported; decrypt it with `openssl pkey -in … -out …`"
    )]
    EncryptedKey {
        /// The file, or the key of the configuration.
        origin: String,
    },
    /// The private key is of no kind that can be used.
    #[error(
        "{origin}: the private key cannot be used; it must be RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519"
    )]
    BadKey {
        /// The file, or the key of the configuration.
        origin: String,
    },
    /// Certificate and key do not belong together.
    #[error("the private key of {key} does not belong to the certificate of {cert}")]
    KeyMismatch {
        /// Where the certificate is from.
        cert: String,
        /// Where the key is from.
        key: String,
    },
    /// The versions leave nothing.
    #[error("min_version is above max_version: no version of TLS is left")]
    NoVersion,
    /// The cipher suites leave nothing for TLS 1.2.
    #[error("cipher_suites holds no suite of TLS 1.2 that is supported, and TLS 1.2 is asked for")]
    NoCipherSuite,
    /// The curves leave nothing.
    #[error("curve_preferences holds no curve that is supported: CurveP256, CurveP384, X25519")]
    NoCurve,
    /// Clients are to be verified and there is nothing to verify them with.
    #[error("client_auth_type asks for verified client certificates, and there is no client_ca_file")]
    NoClientCa,
    /// Anything else that the TLS library does not like.
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
}
