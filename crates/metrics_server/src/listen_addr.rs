//! Where an endpoint listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

mod parse;

/// The permission bits of a unix socket for which none are given: the owner and the group may connect, nobody else.
const MODE_DEFAULT: u32 = 0o660;

/// An address to listen on, as an operator writes it, with options after commas:
///
/// - `HOST:PORT`;
/// - `unix:PATH`, with `mode=0660` and `group=NAME` (or its number) for the socket file;
/// - `systemd` for the sockets that systemd passed to the program, `systemd:NAME` for those with that
///   `FileDescriptorName=`;
/// - `plain` on any of them: no TLS here, even where TLS is configured.
///
/// ```
/// # use metrics_server::ListenAddr;
/// for text in ["0.0.0.0:9090", "127.0.0.1:9090,plain", "unix:/run/logger.sock,mode=0600", "systemd:metrics"] {
///     let address: ListenAddr = text.parse()?;
///     assert_eq!(address.to_string(), text);
/// }
/// # Ok::<(), metrics_server::ListenAddrError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ListenAddr {
    /// The kind of socket and where it is.
    pub socket: ListenSocket,
    /// No TLS on this listener, even where TLS is configured.
    pub plain: bool,
}

/// The socket of a [`ListenAddr`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListenSocket {
    /// A TCP port.
    Tcp {
        /// An IPv4 address, an IPv6 address (without brackets) or a name; a name is resolved when the socket is bound.
        host: String,
        /// The port; 0 lets the system choose a free one.
        port: u16,
    },
    /// A unix stream socket in the file system.
    Unix {
        /// The socket file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Its group; none leaves the group that the system gives it.
        group: Option<String>,
    },
    /// Sockets that systemd opened and passed on (`sd_listen_fds(3)`).
    Systemd {
        /// Only those of this name; none for all that no other listener names.
        name: Option<String>,
    },
}

/// Why a text is no [`ListenAddr`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListenAddrError {
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
    /// `unix:` without a path.
    #[error("listen address {value:?}: no path after `unix:`, such as unix:/run/gpu-charts/logger.sock")]
    Path {
        /// The text as given.
        value: String,
    },
    /// `systemd:` without a name, or with a name that systemd does not allow.
    #[error("listen address {value:?}: after `systemd:` stands the FileDescriptorName= of the socket unit")]
    SystemdName {
        /// The text as given.
        value: String,
    },
    /// An option that this kind of listener does not have.
    #[error("listen address {value:?}: {option:?} is no option of this listener; there is {known}")]
    Option {
        /// The text as given.
        value: String,
        /// The option.
        option: String,
        /// The options there are.
        known: &'static str,
    },
    /// An option given twice.
    #[error("listen address {value:?}: {option:?} is given twice")]
    Twice {
        /// The text as given.
        value: String,
        /// The option's name.
        option: String,
    },
    /// Permission bits that are none.
    #[error("listen address {value:?}: mode {mode:?} is not an octal number from 0 to 0777, such as 0660")]
    Mode {
        /// The text as given.
        value: String,
        /// What was given as mode.
        mode: String,
    },
    /// `group=` without a group.
    #[error("listen address {value:?}: no group after `group=`")]
    Group {
        /// The text as given.
        value: String,
    },
}

impl FromStr for ListenAddr {
    type Err = ListenAddrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse::listen_addr(text)
    }
}

impl From<SocketAddr> for ListenAddr {
    fn from(address: SocketAddr) -> Self {
        let socket = ListenSocket::Tcp { host: address.ip().to_string(), port: address.port() };
        Self { socket, plain: false }
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            ListenSocket::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}")?,
            ListenSocket::Tcp { host, port } => write!(f, "{host}:{port}")?,
            ListenSocket::Unix { path, mode, group } => {
                write!(f, "unix:{}", path.display())?;
                if *mode != MODE_DEFAULT {
                    write!(f, ",mode={mode:04o}")?;
                }
                if let Some(group) = group {
                    write!(f, ",group={group}")?;
                }
            }
            ListenSocket::Systemd { name: None } => f.write_str("systemd")?,
            ListenSocket::Systemd { name: Some(name) } => write!(f, "systemd:{name}")?,
        }
        if self.plain { f.write_str(",plain") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_what_operators_write() {
        for text in [
            "0.0.0.0:9090",
            "127.0.0.1:0",
            "[::]:9091",
            "localhost:65535",
            "metrics.internal:1",
            "127.0.0.1:9090,plain",
            "unix:/run/gpu-charts/service/logger.sock",
            "unix:relative.sock,plain",
            "unix:/run/a.sock,mode=0600,group=gpu-charts,plain",
            "unix:/run/a.sock,group=33",
            "systemd",
            "systemd,plain",
            "systemd:metrics",
            "systemd:gpu-charts.socket,plain",
        ] {
            let address: ListenAddr = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
        let socket: SocketAddr = "[::1]:9090".parse().unwrap();
        assert_eq!(ListenAddr::from(socket), "[::1]:9090".parse().unwrap());
    }

    #[test]
    fn options_are_understood() {
        let address: ListenAddr = "unix:/run/a.sock,group=adm,mode=777".parse().unwrap();
        let (path, group) = (PathBuf::from("/run/a.sock"), Some("adm".to_owned()));
        let socket = ListenSocket::Unix { path: path.clone(), mode: 0o777, group };
        assert_eq!(address, ListenAddr { socket, plain: false });
        let address: ListenAddr = "unix:/run/a.sock,plain".parse().unwrap();
        assert_eq!(address, ListenAddr { socket: ListenSocket::Unix { path, mode: 0o660, group: None }, plain: true });
    }

    #[test]
    fn errors_name_the_value() {
        let check = |text: &str, expected: &str| {
            let message = text.parse::<ListenAddr>().unwrap_err().to_string();
            assert!(message.contains(&format!("{text:?}")) && message.contains(expected), "{text}: {message}");
        };
        for text in ["", ":9090", "9090", "::1:9090", "[::1:9090", "[]:1", "http://a:1", "a b:1", "systemdx", ",plain"]
        {
            check(text, "not of the form HOST:PORT");
        }
        for text in ["host:", "host:65536", "host:-1", "host:+1", "host:http"] {
            check(text, "is not a port");
        }
        check("unix:", "no path");
        check("unix:,mode=0600", "no path");
        for text in ["systemd:", "systemd:a:b"] {
            check(text, "FileDescriptorName=");
        }
        check("127.0.0.1:1,mode=0600", "\"mode=0600\" is no option of this listener; there is plain");
        check("systemd,group=adm", "\"group=adm\" is no option");
        check("unix:/a,tls", "\"tls\" is no option of this listener; there is mode=0660, group=NAME and plain");
        check("127.0.0.1:1,", "\"\" is no option");
        check("unix:/a,mode=0600,mode=0660", "\"mode\" is given twice");
        check("unix:/a,plain,plain", "\"plain\" is given twice");
        for text in ["unix:/a,mode=", "unix:/a,mode=1777", "unix:/a,mode=0o66", "unix:/a,mode=rw", "unix:/a,mode=+7"] {
            check(text, "is not an octal number");
        }
        check("unix:/a,group=", "no group");
    }
}
