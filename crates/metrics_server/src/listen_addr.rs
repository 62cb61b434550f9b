//! Where an endpoint listens.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// An address to listen on, as an operator writes it: `HOST:PORT`.
///
/// ```
/// # use metrics_server::ListenAddr;
/// let address: ListenAddr = "0.0.0.0:9090".parse()?;
/// assert_eq!(address.to_string(), "0.0.0.0:9090");
/// # Ok::<(), metrics_server::ListenAddrError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListenAddr {
    /// A TCP port.
    Tcp {
        /// An IPv4 address, an IPv6 address (without brackets) or a name; a name is resolved when the socket is bound.
        host: String,
        /// The port; 0 lets the system choose a free one.
        port: u16,
    },
}

/// Why a text is no [`ListenAddr`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListenAddrError {
    /// A kind of listener that this version does not have.
    #[error("listen address {value:?}: {kind} listeners are not supported yet, use HOST:PORT")]
    NotSupported {
        /// The text as given.
        value: String,
        /// The kind of listener it asks for.
        kind: &'static str,
    },
    /// The host is missing, or an IPv6 address has no brackets around it.
    #[error("listen address {value:?}: not of the form HOST:PORT, such as 0.0.0.0:9090 or [::]:9090")]
    Form {
        /// The text as given.
        value: String,
    },
    /// What stands after the last colon is no port.
    #[error("listen address {value:?}: {port:?} is not a port from 0 to 65535")]
    Port {
        /// The text as given.
        value: String,
        /// The part of it that should have been a port.
        port: String,
    },
}

impl FromStr for ListenAddr {
    type Err = ListenAddrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let value = || text.to_owned();
        if text.starts_with("unix:") {
            return Err(ListenAddrError::NotSupported { value: value(), kind: "unix socket" });
        }
        if text == "systemd" || text.starts_with("systemd:") {
            return Err(ListenAddrError::NotSupported { value: value(), kind: "systemd socket" });
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(|| ListenAddrError::Form { value: value() })?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => bracketed.strip_suffix(']').unwrap_or_default(),
            // A bare IPv6 address would read as a host with a port made of its last group.
            None if host.contains(':') => "",
            None => host,
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "/[]@".contains(c)) {
            return Err(ListenAddrError::Form { value: value() });
        }
        // `u16::from_str` takes a leading `+`, which is no way to write a port.
        let number = Some(port).filter(|port| !port.starts_with('+')).and_then(|port| port.parse().ok());
        let port = number.ok_or_else(|| ListenAddrError::Port { value: value(), port: port.to_owned() })?;
        Ok(Self::Tcp { host: host.to_owned(), port })
    }
}

impl From<SocketAddr> for ListenAddr {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp { host: address.ip().to_string(), port: address.port() }
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_what_operators_write() {
        for text in ["0.0.0.0:9090", "127.0.0.1:0", "[::]:9091", "localhost:65535", "metrics.internal:1"] {
            let address: ListenAddr = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
        let socket: SocketAddr = "[::1]:9090".parse().unwrap();
        assert_eq!(ListenAddr::from(socket), "[::1]:9090".parse().unwrap());
    }

    #[test]
    fn errors_name_the_value() {
        let check = |text: &str, expected: &str| {
            let message = text.parse::<ListenAddr>().unwrap_err().to_string();
            assert!(message.contains(&format!("{text:?}")) && message.contains(expected), "{text}: {message}");
        };
        check("unix:/run/gpu-charts/logger.sock", "unix socket listeners are not supported yet");
        check("systemd", "systemd socket listeners are not supported yet");
        for text in ["", ":9090", "9090", "::1:9090", "[::1:9090", "[]:1", "http://a:1", "a b:1"] {
            check(text, "not of the form HOST:PORT");
        }
        for text in ["host:", "host:65536", "host:-1", "host:+1", "host:http"] {
            check(text, "is not a port");
        }
    }
}
