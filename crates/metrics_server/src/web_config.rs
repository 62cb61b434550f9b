//! The security of an endpoint, as an operator writes it down: exporter-toolkit's `web-config.yml`, with keys of our own
//! beside its. Everything here has been checked; nothing has been opened or started yet.

mod duration;
mod headers;
mod password_hash;
mod secret_file;
mod tls;
mod yaml;

pub(crate) use password_hash::PasswordHash;
pub(crate) use secret_file::{bearer_tokens, is_exposed, password};

use http::{HeaderName, HeaderValue};
use rustls::{CipherSuite, NamedGroup};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;
use yaml::{Entry, Section};

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
    /// A user whose password stands in a file, from `--metrics-user` and `--metrics-password-file`; no key of the file.
    pub password_file: Option<(String, PathBuf)>,
    /// `bearer_tokens_file`, ours: one token a line.
    pub bearer_tokens_file: Option<PathBuf>,
    /// `rate_limit`.
    pub rate_limit: Option<RateLimit>,
    /// `authenticate_health`, ours: whether `/health` and `/ready` need credentials too.
    pub authenticate_health: bool,
}

impl WebConfig {
    /// Reads and checks a `web-config.yml`. Paths in it are relative to its own directory. The files it names are
    /// not opened.
    ///
    /// # Errors
    ///
    /// [`WebConfigError`] names the file, the line and the key, and says what is allowed there. Secrets are not shown.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, WebConfigError> {
        let path = path.as_ref();
        let directory = path.parent().unwrap_or(Path::new(""));
        let mut root = yaml::read(path)?;
        let tls = root.take("tls_server_config").map(Entry::section).transpose()?.flatten();
        let tls = tls.map(|section| tls::read(section, directory)).transpose()?.flatten();
        let http = root.take("http_server_config").map(Entry::section).transpose()?.flatten();
        let (http2, headers) = http.map(headers::read).transpose()?.unwrap_or((true, Vec::new()));
        let users = root.take("basic_auth_users").map(Entry::section).transpose()?.flatten();
        let limit = root.take("rate_limit").map(Entry::section).transpose()?.flatten();
        let config = Self {
            // HTTP/2 is negotiated by TLS; without it the key means nothing, as in exporter-toolkit.
            http2: http2 && tls.is_some(),
            tls,
            headers,
            basic_auth_users: users.map(basic_auth_users).transpose()?.unwrap_or_default(),
            password_file: None,
            rate_limit: limit.map(rate_limit).transpose()?.flatten(),
            bearer_tokens_file: root.text("bearer_tokens_file")?.map(|text| directory.join(text.value.expose())),
            authenticate_health: root.switch("authenticate_health")?.unwrap_or(false),
        };
        root.finish()?;
        if config.authenticate_health && !config.asks_for_credentials() {
            let reason = "there is nothing to authenticate with; add basic_auth_users or bearer_tokens_file";
            return Err(root.error("authenticate_health", reason));
        }
        Ok(config)
    }

    /// Whether anything but `/health` and `/ready` needs a user or a token.
    pub fn asks_for_credentials(&self) -> bool {
        !self.basic_auth_users.is_empty() || self.password_file.is_some() || self.bearer_tokens_file.is_some()
    }

    /// All files the configuration names; what it means changes when one of them does.
    pub fn files(&self) -> Vec<&Path> {
        let pems = self.tls.iter().flat_map(|tls| [Some(&tls.cert), Some(&tls.key), tls.client_ca.as_ref()]);
        let pems = pems.flatten().filter_map(|pem| match pem {
            Pem::File(path) => Some(path.as_path()),
            Pem::Inline(_) => None,
        });
        let password = self.password_file.iter().map(|(_, path)| path.as_path());
        pems.chain(password).chain(self.bearer_tokens_file.as_deref()).collect()
    }
}

/// Why a configuration cannot be used. Never shows a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebConfigError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The system gave no random numbers to keep credentials under.
    #[error("the system gives no random numbers")]
    Random,
    /// The file is not of the form it must have.
    #[error("{path}:{line}: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1; 0 if it is about the whole file.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A key that does not exist, or a value that is not allowed.
    #[error("{path}:{line}: {key}: {reason}")]
    Key {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The key, with those above it, separated by dots.
        key: String,
        /// What is wrong and what would be right.
        reason: String,
    },
}

fn basic_auth_users(section: Section<'_>) -> Result<BTreeMap<String, Secret>, WebConfigError> {
    let mut users = BTreeMap::new();
    for entry in section.into_entries() {
        let name = entry.name("basic_auth_users");
        if name.is_empty() || name.contains(|c: char| c == ':' || c.is_control()) {
            return Err(
                entry.error("a user name cannot be empty, and clients cannot send `:` or control characters in it")
            );
        }
        let text = entry.text()?;
        PasswordHash::parse(text.value.expose()).map_err(|reason| text.error(reason))?;
        users.insert(name, text.value);
    }
    Ok(users)
}

fn rate_limit(mut section: Section<'_>) -> Result<Option<RateLimit>, WebConfigError> {
    let interval = section.text("interval")?;
    let burst = section.text("burst")?;
    section.finish()?;
    let parsed = interval.map(|text| duration::parse(text.value.expose()).map_err(|reason| text.error(reason)));
    let interval = parsed.transpose()?.unwrap_or_default();
    let burst = burst.map(|text| match text.value.expose().parse() {
        Ok(burst) if burst > 0 || interval.is_zero() => Ok(burst),
        _ => Err(text.error(format!("must be a whole number from 1 to {}; requests allowed at once", u32::MAX))),
    });
    let burst = burst.transpose()?.unwrap_or(1);
    Ok((!interval.is_zero()).then_some(RateLimit { interval, burst }))
}

/// Reads a file of text, which must not be longer than `limit` bytes.
fn read_limited(path: &Path, limit: u64) -> Result<String, WebConfigError> {
    let error = |source| WebConfigError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    // A FIFO or /dev/zero in its place must neither hang nor fill the memory.
    if !std::fs::metadata(path).map_err(error)?.is_file() {
        return Err(error(io::Error::other("not a regular file")));
    }
    let file = std::fs::File::open(path).map_err(error)?;
    file.take(limit + 1).read_to_string(&mut text).map_err(error)?;
    if text.len() as u64 > limit {
        return Err(error(io::Error::other(format!("longer than {limit} bytes"))));
    }
    Ok(text)
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

impl TlsConfig {
    /// A certificate and its key, and the default for everything else.
    pub fn new(cert: Pem, key: Pem) -> Self {
        Self {
            cert,
            key,
            client_ca: None,
            client_auth: ClientAuth::None,
            client_allowed_sans: Vec::new(),
            min_version: TlsVersion::Tls12,
            max_version: TlsVersion::Tls13,
            cipher_suites: Vec::new(),
            prefer_server_cipher_suites: true,
            curves: Vec::new(),
        }
    }
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
