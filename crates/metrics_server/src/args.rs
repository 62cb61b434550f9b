//! The flags of a metrics endpoint, the same for every program.

use crate::listen_addr::{ListenAddr, ListenAddrError};
use crate::web_config::{Pem, TlsConfig, WebConfig, WebConfigError};
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Also takes what is empty, and counts as not given here: that is how compose files leave a variable away.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// Where the metrics endpoint listens and who may see it; flattened into the flags of a program. What is empty counts
/// as not given.
#[derive(Clone, Debug, Default, Args)]
#[group(skip)]
pub struct MetricsArgs {
    /// Port of /metrics, /health and /ready on all addresses
    #[arg(long, env = "METRICS_PORT", value_name = "PORT")]
    pub metrics_port: Option<String>,
    /// Address of /metrics, /health and /ready, repeatable, in the environment separated by spaces; replaces the port
    #[arg(long, env = "METRICS_LISTEN", value_name = "ADDRESS", value_delimiter = ' ')]
    pub metrics_listen: Vec<String>,
    /// TLS, users and limits of the metrics endpoint: a Prometheus web-config.yml
    #[arg(long, env = "WEB_CONFIG_FILE", value_name = "FILE", value_parser = path())]
    pub web_config: Option<PathBuf>,
    /// Certificate chain (PEM) of the metrics endpoint, instead of --web-config
    #[arg(long, env = "METRICS_TLS_CERT", value_name = "FILE", value_parser = path())]
    pub metrics_tls_cert: Option<PathBuf>,
    /// Private key (PEM) of that certificate
    #[arg(long, env = "METRICS_TLS_KEY", value_name = "FILE", value_parser = path())]
    pub metrics_tls_key: Option<PathBuf>,
    /// User who may see the metrics, instead of --web-config
    #[arg(long, env = "METRICS_USER", value_name = "NAME")]
    pub metrics_user: Option<String>,
    /// File with the password of that user on its one line
    #[arg(long, env = "METRICS_PASSWORD_FILE", value_name = "FILE", value_parser = path())]
    pub metrics_password_file: Option<PathBuf>,
}

/// Where the security of an endpoint is written down; read again whenever it changes.
///
/// Serialised it has the names of the flags as keys, with `_` for `-`; nothing in it is secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecuritySource {
    source: Source,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Source {
    #[default]
    Open,
    WebConfig(PathBuf),
    Flags {
        cert_and_key: Option<(PathBuf, PathBuf)>,
        user_and_password: Option<(String, PathBuf)>,
    },
    /// Files of another endpoint than that of the metrics.
    Files {
        cert_and_key: Option<(PathBuf, PathBuf)>,
        bearer_tokens: Option<PathBuf>,
    },
}

impl Serialize for SecuritySource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match &self.source {
            Source::Open => {}
            Source::WebConfig(path) => map.serialize_entry("web_config", path)?,
            Source::Flags { cert_and_key, user_and_password } => {
                if let Some((cert, key)) = cert_and_key {
                    map.serialize_entry("metrics_tls_cert", cert)?;
                    map.serialize_entry("metrics_tls_key", key)?;
                }
                if let Some((user, password_file)) = user_and_password {
                    map.serialize_entry("metrics_user", user)?;
                    map.serialize_entry("metrics_password_file", password_file)?;
                }
            }
            Source::Files { cert_and_key, bearer_tokens } => {
                map.serialize_entry("cert_and_key", cert_and_key)?;
                map.serialize_entry("bearer_tokens_file", bearer_tokens)?;
            }
        }
        map.end()
    }
}

/// Flags that do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsArgsError {
    /// A port that is none.
    #[error("--metrics-port (METRICS_PORT): {port:?} is not a port from 0 to 65535")]
    Port {
        /// As it was given.
        port: String,
    },
    /// An address that is none.
    #[error("--metrics-listen (METRICS_LISTEN): {0}")]
    Listen(#[from] ListenAddrError),
    /// One of the simple flags beside a web config, which says the same.
    #[error("{flag} and --web-config (WEB_CONFIG_FILE) exclude each other; write it into {}", web_config.display())]
    Both {
        /// The flag, with its variable.
        flag: &'static str,
        /// The web config.
        web_config: PathBuf,
    },
    /// A flag without the one it needs.
    #[error("{given} needs {missing}")]
    Half {
        /// The flag that was given.
        given: &'static str,
        /// The one that was not.
        missing: &'static str,
    },
    /// A name that clients cannot send.
    #[error("--metrics-user (METRICS_USER): a user name cannot be empty, nor have `:` or control characters in it")]
    User,
}

const CERT: &str = "--metrics-tls-cert (METRICS_TLS_CERT)";
const KEY: &str = "--metrics-tls-key (METRICS_TLS_KEY)";
const USER: &str = "--metrics-user (METRICS_USER)";
const PASSWORD: &str = "--metrics-password-file (METRICS_PASSWORD_FILE)";

impl MetricsArgs {
    /// Where to listen: the addresses, else the port on all IPv4 addresses, else `default_port` on them.
    ///
    /// # Errors
    ///
    /// [`MetricsArgsError::Listen`] names the address and what is wrong with it.
    pub fn listen(&self, default_port: u16) -> Result<Vec<ListenAddr>, MetricsArgsError> {
        let given: Vec<&String> = self.metrics_listen.iter().filter(|address| !address.is_empty()).collect();
        if given.is_empty() {
            let port = match self.metrics_port.as_deref().filter(|port| !port.is_empty()) {
                Some(port) => port.parse().map_err(|_| MetricsArgsError::Port { port: port.to_owned() })?,
                None => default_port,
            };
            return Ok(vec![SocketAddr::from(([0, 0, 0, 0], port)).into()]);
        }
        given.into_iter().map(|address| Ok(address.parse()?)).collect()
    }

    /// Where the security of the endpoint is written down, if it is.
    ///
    /// # Errors
    ///
    /// [`MetricsArgsError`] names the flags and variables that do not go together.
    pub fn security(&self) -> Result<SecuritySource, MetricsArgsError> {
        let path = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        let (cert, key) = (path(&self.metrics_tls_cert), path(&self.metrics_tls_key));
        let user = self.metrics_user.clone().filter(|user| !user.is_empty());
        let password = path(&self.metrics_password_file);
        if let Some(web_config) = path(&self.web_config) {
            let given =
                [(CERT, cert.is_some()), (KEY, key.is_some()), (USER, user.is_some()), (PASSWORD, password.is_some())];
            return match given.into_iter().find(|(_, is_given)| *is_given) {
                Some((flag, _)) => Err(MetricsArgsError::Both { flag, web_config }),
                None => Ok(SecuritySource::web_config(web_config)),
            };
        }
        if user.as_ref().is_some_and(|user| user.contains(|c: char| c == ':' || c.is_control())) {
            return Err(MetricsArgsError::User);
        }
        let cert_and_key = both(cert, key, [CERT, KEY])?;
        let user_and_password = both(user, password, [USER, PASSWORD])?;
        if cert_and_key.is_none() && user_and_password.is_none() {
            return Ok(SecuritySource::default());
        }
        Ok(SecuritySource { source: Source::Flags { cert_and_key, user_and_password } })
    }
}

fn both<A, B>(
    one: Option<A>,
    other: Option<B>,
    [one_flag, other_flag]: [&'static str; 2],
) -> Result<Option<(A, B)>, MetricsArgsError> {
    match (one, other) {
        (Some(one), Some(other)) => Ok(Some((one, other))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(MetricsArgsError::Half { given: one_flag, missing: other_flag }),
        (None, Some(_)) => Err(MetricsArgsError::Half { given: other_flag, missing: one_flag }),
    }
}

impl SecuritySource {
    /// A certificate with its key, and a file of bearer tokens, of an endpoint beside that of the metrics.
    pub fn files(cert_and_key: Option<(PathBuf, PathBuf)>, bearer_tokens: Option<PathBuf>) -> Self {
        if cert_and_key.is_none() && bearer_tokens.is_none() {
            return Self::default();
        }
        Self { source: Source::Files { cert_and_key, bearer_tokens } }
    }

    /// A `web-config.yml`.
    pub fn web_config(path: impl Into<PathBuf>) -> Self {
        Self { source: Source::WebConfig(path.into()) }
    }

    /// Whether nothing is written down: plain HTTP for everybody, and nothing to watch.
    pub fn is_open(&self) -> bool {
        self.source == Source::Open
    }

    /// The file itself, apart from those it names.
    pub fn path(&self) -> Option<&Path> {
        match &self.source {
            Source::WebConfig(path) => Some(path),
            Source::Open | Source::Flags { .. } | Source::Files { .. } => None,
        }
    }

    /// Reads what is written down.
    ///
    /// # Errors
    ///
    /// [`WebConfig::load`]; flags cannot be wrong here.
    pub fn load(&self) -> Result<WebConfig, WebConfigError> {
        match &self.source {
            Source::Open => Ok(WebConfig::default()),
            Source::WebConfig(path) => WebConfig::load(path),
            Source::Flags { cert_and_key, user_and_password } => {
                let tls = cert_and_key.clone().map(|(cert, key)| TlsConfig::new(Pem::File(cert), Pem::File(key)));
                let password_file = user_and_password.clone();
                Ok(WebConfig { http2: tls.is_some(), tls, password_file, ..WebConfig::default() })
            }
            Source::Files { cert_and_key, bearer_tokens } => {
                let tls = cert_and_key.clone().map(|(cert, key)| TlsConfig::new(Pem::File(cert), Pem::File(key)));
                let bearer_tokens_file = bearer_tokens.clone();
                Ok(WebConfig { http2: tls.is_some(), tls, bearer_tokens_file, ..WebConfig::default() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    /// What the program does.
    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        metrics: MetricsArgs,
    }

    fn args(flags: &[&str]) -> MetricsArgs {
        Program::try_parse_from([&["program"], flags].concat()).unwrap().metrics
    }

    #[test]
    fn the_help_of_a_program_stays_its_own() {
        let command = Program::command();
        assert_eq!(command.get_about().map(ToString::to_string).as_deref(), Some("What the program does"));
        assert!(command.get_arguments().all(|argument| argument.get_help().is_some()));
    }

    #[test]
    fn flags_are_read() {
        let args =
            args(&["--metrics-port", "9", "--metrics-listen", "a:1", "--metrics-listen", "b:2 unix:/run/c,mode=0600"]);
        assert_eq!(args.metrics_port.as_deref(), Some("9"));
        assert_eq!(args.metrics_listen, ["a:1", "b:2", "unix:/run/c,mode=0600"]);
        assert!(args.security().unwrap().is_open());
        let listen: Vec<String> = args.listen(1).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["a:1", "b:2", "unix:/run/c,mode=0600"]);
    }

    #[test]
    fn what_is_empty_is_not_given() {
        let args = args(&["--metrics-port", "", "--metrics-listen", "", "--web-config", "", "--metrics-user", ""]);
        assert!(args.security().unwrap().is_open());
        assert_eq!(args.listen(9090).unwrap(), ["0.0.0.0:9090".parse().unwrap()]);
    }

    #[test]
    fn a_bad_port_or_address_names_its_flag() {
        let error = |flags: &[&str]| args(flags).listen(1).unwrap_err().to_string();
        let port = "--metrics-port (METRICS_PORT): \"65536\" is not a port from 0 to 65535";
        assert_eq!(error(&["--metrics-port", "65536"]), port);
        assert!(error(&["--metrics-listen", "nowhere"]).starts_with("--metrics-listen (METRICS_LISTEN): "));
    }

    #[test]
    fn simple_flags_make_a_configuration() {
        let args = args(&[
            "--metrics-tls-cert",
            "c.pem",
            "--metrics-tls-key",
            "k.pem",
            "--metrics-user",
            "alice",
            "--metrics-password-file",
            "p",
        ]);
        let source = args.security().unwrap();
        let config = source.load().unwrap();
        let files: Vec<_> = config.files().into_iter().map(|path| path.display().to_string()).collect();
        assert_eq!(files, ["c.pem", "k.pem", "p"]);
        assert!(config.http2 && config.asks_for_credentials() && !source.is_open());
        assert_eq!(config.password_file, Some(("alice".to_owned(), PathBuf::from("p"))));
    }

    #[test]
    fn a_web_config_is_the_source() {
        let source = args(&["--web-config", "w.yml", "--metrics-user", ""]).security().unwrap();
        assert_eq!(source, SecuritySource::web_config("w.yml"));
        assert_eq!(source.path(), Some(Path::new("w.yml")));
    }

    #[test]
    fn flags_that_do_not_go_together_are_named() {
        let check = |flags: &[&str], expected: &str| {
            assert_eq!(args(flags).security().unwrap_err().to_string(), expected);
        };
        for (name, flag) in [("--metrics-tls-cert", CERT), ("--metrics-tls-key", KEY), ("--metrics-user", USER)] {
            let expected = format!("{flag} and --web-config (WEB_CONFIG_FILE) exclude each other; write it into w.yml");
            check(&["--web-config", "w.yml", name, "x"], &expected);
        }
        check(&["--metrics-tls-cert", "c"], &format!("{CERT} needs {KEY}"));
        check(&["--metrics-tls-key", "c"], &format!("{KEY} needs {CERT}"));
        check(&["--metrics-user", "c"], &format!("{USER} needs {PASSWORD}"));
        check(&["--metrics-password-file", "c"], &format!("{PASSWORD} needs {USER}"));
        check(&["--metrics-user", "a:b", "--metrics-password-file", "c"], &MetricsArgsError::User.to_string());
    }
}
