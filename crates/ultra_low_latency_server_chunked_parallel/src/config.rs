//! The configuration: flag over environment over default, read once.

mod arguments;
mod limits;
mod tls;
mod told;

use std::{ffi::OsString, path::PathBuf};

use clap::Parser as _;
use metrics_server::{ListenAddr, ListenAddrError, MetricsArgsError, Security, SecurityError, SecuritySource};
use serde::Serialize;
use tracing_subscriber::EnvFilter;

use crate::{cors, limits::Limits};
use arguments::Arguments;
use told::{Told, port};

pub use tls::DataTls;

const DEFAULT_HOST: &str = "0.0.0.0";
const DEFAULT_PORT: u16 = 8443;
const DEFAULT_METRICS_PORT: u16 = 9091;
const DEFAULT_DATA_PATH: &str = "./data";
const DEFAULT_LOG: &str = "info";

/// What the server does and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the data port listens; at least one.
    pub listen: Vec<ListenAddr>,
    /// TLS of the data port.
    pub tls: DataTls,
    /// Sites whose pages may read the answers; all if it is empty.
    pub cors_origins: Vec<String>,
    /// Tokens of which clients must have one; none if anybody may ask.
    pub bearer_tokens_file: Option<PathBuf>,
    /// Where the metrics endpoint listens; at least one.
    pub metrics_listen: Vec<ListenAddr>,
    /// TLS and credentials of the metrics endpoint.
    pub metrics_security: SecuritySource,
    /// The data directory. It need not exist yet.
    pub data_path: PathBuf,
    /// What is logged, in the syntax of `RUST_LOG`.
    pub log: String,
    /// Whether nobody said that plain HTTP is meant, which deserves a warning.
    pub warn_plain: bool,
    /// What requests and clients may use up.
    pub limits: Limits,
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// To serve.
    Serve(Box<Config>),
    /// To print this on standard output and end: the help, the version, or the effective configuration.
    Print(String),
}

/// What is wrong with the configuration; the text names the flag or the environment variable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An unknown flag, a missing value, a flag given twice.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// A value that cannot be used.
    #[error("error: {by}: {reason}")]
    Value {
        /// The flag or the environment variable.
        by: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS or credentials of the metrics endpoint.
    #[error("error: {0}")]
    Security(#[from] SecurityError),
    /// The certificate, the key or the tokens of the data port.
    #[error("error: the data port: {0}")]
    DataSecurity(#[source] SecurityError),
    /// A flag or a variable of the metrics endpoint.
    #[error("error: {0}")]
    Metrics(#[from] MetricsArgsError),
}

/// What `--print-config` prints.
#[derive(Serialize)]
struct Effective<'a> {
    listen: Vec<String>,
    tls: &'a DataTls,
    cors_origins: &'a [String],
    bearer_tokens_file: &'a Option<PathBuf>,
    metrics_listen: Vec<String>,
    #[serde(flatten)]
    metrics_security: &'a SecuritySource,
    data_path: String,
    log: &'a str,
    limits: &'a Limits,
}

impl Config {
    /// Reads the command line, the program's name first, and the environment. An empty variable counts as unset: that
    /// is how compose files write it.
    ///
    /// # Errors
    /// [`ConfigError`]; its text is meant for standard error, and the exit code for it is 64.
    pub fn load(
        arguments: impl IntoIterator<Item = OsString>,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Invocation, ConfigError> {
        let arguments = match Arguments::try_parse_from(arguments) {
            Ok(arguments) => arguments,
            Err(asked) if !asked.use_stderr() => return Ok(Invocation::Print(asked.render().to_string())),
            Err(error) => return Err(error.into()),
        };
        let print_config = arguments.print_config;
        let config = Config::resolve(arguments, &environment)?;
        if print_config {
            return Ok(Invocation::Print(config.effective()));
        }
        Security::check(&config.metrics_security)?;
        Security::check(&config.data_security()).map_err(ConfigError::DataSecurity)?;
        Ok(Invocation::Serve(Box::new(config)))
    }

    fn resolve(arguments: Arguments, environment: &dyn Fn(&str) -> Option<OsString>) -> Result<Config, ConfigError> {
        let told = |flag, flag_name, variable| Told::by(flag, flag_name, variable, environment);
        let (tls, warn_plain) = tls::data_tls(&arguments, environment)?;
        let data_port = told(arguments.port, "--port", "PORT").map_or(Ok(DEFAULT_PORT), |told| told.parse(port))?;
        let host = arguments.listen.unwrap_or_else(|| DEFAULT_HOST.to_owned());
        let data_path = told(arguments.data_path, "--data-path", "DATA_PATH")
            .map_or_else(|| DEFAULT_DATA_PATH.into(), |told| PathBuf::from(told.value));
        if data_path.as_os_str().is_empty() {
            return Err(ConfigError::Value { by: "--data-path", reason: "the path is empty".to_owned() });
        }
        let log = told(None, "", "RUST_LOG").map_or(Ok(DEFAULT_LOG.to_owned()), |told| told.parse(log_filter))?;
        let metrics_listen = arguments.metrics.listen(DEFAULT_METRICS_PORT)?;
        let metrics_security = arguments.metrics.security()?;
        let limits = arguments.limits.limits()?;
        let mut listen = Told::all_by(arguments.data_listen, "--data-listen", "DATA_LISTEN", environment)
            .into_iter()
            .map(|told| told.parse(|text| text.parse().map_err(|error: ListenAddrError| error.to_string())))
            .collect::<Result<Vec<_>, _>>()?;
        if listen.is_empty() {
            listen.push(data_listen(&host, data_port)?);
        }
        let cors_origins = Told::all_by(arguments.cors_origin, "--cors-origin", "CORS_ORIGINS", environment)
            .into_iter()
            .map(|told| told.parse(cors::origin))
            .collect::<Result<Vec<_>, _>>()?;
        // Whoever writes `*` means the default.
        let cors_origins = if cors_origins.iter().any(|origin| origin == "*") { Vec::new() } else { cors_origins };
        let tokens = told(arguments.bearer_tokens_file, "--bearer-tokens-file", "BEARER_TOKENS_FILE");
        let bearer_tokens_file = tokens.map(|told| PathBuf::from(told.value));
        Ok(Config {
            listen,
            tls,
            cors_origins,
            bearer_tokens_file,
            metrics_listen,
            metrics_security,
            data_path,
            log,
            warn_plain,
            limits,
        })
    }

    /// The files that the security of the data port is made of.
    pub(crate) fn data_security(&self) -> SecuritySource {
        let cert_and_key = match &self.tls {
            DataTls::Files { cert, key } => Some((cert.clone(), key.clone())),
            DataTls::Plain | DataTls::SelfSigned => None,
        };
        SecuritySource::files(cert_and_key, self.bearer_tokens_file.clone())
    }

    fn effective(&self) -> String {
        let effective = Effective {
            listen: self.listen.iter().map(ToString::to_string).collect(),
            tls: &self.tls,
            cors_origins: &self.cors_origins,
            bearer_tokens_file: &self.bearer_tokens_file,
            metrics_listen: self.metrics_listen.iter().map(ToString::to_string).collect(),
            metrics_security: &self.metrics_security,
            data_path: self.data_path.to_string_lossy().into_owned(),
            log: &self.log,
            limits: &self.limits,
        };
        // Strings and numbers always serialise.
        let mut text = serde_json::to_string_pretty(&effective).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// The data port's address: a host, an IPv4 address, or an IPv6 address with or without brackets.
fn data_listen(host: &str, port: u16) -> Result<ListenAddr, ConfigError> {
    let bracketed = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
    let reason =
        || format!("{host:?} is not an address to listen on, such as 0.0.0.0 or ::1; the port has its own flag");
    // Only IPv6 addresses have colons: anything else with one has a port in it.
    let is_address = !host.contains(':') || host.trim_matches(['[', ']']).parse::<std::net::Ipv6Addr>().is_ok();
    let parsed = format!("{bracketed}:{port}").parse().ok().filter(|_| is_address);
    parsed.ok_or_else(|| ConfigError::Value { by: "--listen", reason: reason() })
}

fn log_filter(text: &str) -> Result<String, String> {
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{text:?} is not a log filter, such as info or debug: {error}")),
    }
}

#[cfg(test)]
mod tests;
