//! The security of an endpoint, as an operator writes it down: exporter-toolkit's `web-config.yml`, with keys of our own
//! beside its. Everything here has been checked; nothing has been opened or started yet.

use http::{HeaderName, HeaderValue};
use rustls::{CipherSuite, NamedGroup};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A whole `web-config.yml`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct WebConfig {
    /// `tls_server_config`; without it the endpoint speaks plain HTTP.
    pub tls: Option<TlsConfig>,
    /// `http_server_config.http2`: whether HTTP/2 is offered, over TLS only.
    pub http2: bool,
    /// `http_server_config.headers`, added to every answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// `basic_auth_users`: name to bcrypt or argon2id hash.
    pub basic_auth_users: BTreeMap<String, Secret>,
    /// `bearer_tokens_file`, ours: one token a line.
    pub bearer_tokens_file: Option<PathBuf>,
    /// `rate_limit`.
    pub rate_limit: Option<RateLimit>,
    /// `authenticate_health`, ours: whether `/health` and `/ready` need credentials too.
    pub authenticate_health: bool,
}

/// `tls_server_config`.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// The certificate chain, the server's own first.
    pub cert: Pem,
    /// The private key: PKCS#8, PKCS#1 or SEC1.
    pub key: Pem,
    /// Certificates that a client's may be signed by.
    pub client_ca: Option<Pem>,
    /// What is asked of clients.
    pub client_auth: ClientAuth,
    /// Of the subject alternative names of a client's certificate one must be among these, unless there are none.
    pub client_allowed_sans: Vec<String>,
    /// The oldest version spoken.
    pub min_version: TlsVersion,
    /// The newest version spoken.
    pub max_version: TlsVersion,
    /// Of TLS 1.2; empty for all that rustls has.
    pub cipher_suites: Vec<CipherSuite>,
    /// Whether the server's order of suites counts.
    pub prefer_server_cipher_suites: bool,
    /// Empty for all that rustls has.
    pub curves: Vec<NamedGroup>,
}

/// `client_auth_type`, by Go's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// `NoClientCert`: none is asked for.
    #[default]
    None,
    /// `RequestClientCert`: one is asked for, none is needed and none is verified.
    Request,
    /// `RequireAnyClientCert`, `RequireClientCert`: one is needed, none is verified.
    RequireAny,
    /// `VerifyClientCertIfGiven`.
    VerifyIfGiven,
    /// `RequireAndVerifyClientCert`.
    RequireAndVerify,
}

/// A version of TLS that rustls speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// Where PEM text comes from.
#[derive(Clone, Debug)]
pub enum Pem {
    /// A file, read again when it changes.
    File(PathBuf),
    /// Written into the configuration itself.
    Inline(Secret),
}

/// `rate_limit`: a request each `interval` in the long run, `burst` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The time in which one more request is allowed; never 0.
    pub interval: Duration,
    /// Requests allowed at once; at least 1.
    pub burst: u32,
}

/// A text that must not be shown, not even by `{:?}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for whoever has to compare or parse it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hidden>")
    }
}
