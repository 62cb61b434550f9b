//! Who is at the other end.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The other end of a connection; every request served by [`http_serve`](crate::http_serve) carries it as an
/// extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerAddress {
    /// A TCP client, or the proxy before it.
    Tcp(SocketAddr),
    /// A client on a unix socket.
    Unix {
        /// The user it runs as, as the kernel says; none if the kernel does not say.
        uid: Option<u32>,
        /// Its process, in the same way.
        pid: Option<i32>,
    },
}

impl PeerAddress {
    /// The IP address, where the connection has one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Unix { .. } => None,
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { uid: Some(uid), pid: Some(pid) } => write!(f, "unix uid {uid} pid {pid}"),
            Self::Unix { uid: Some(uid), pid: None } => write!(f, "unix uid {uid}"),
            Self::Unix { uid: None, .. } => f.write_str("unix"),
        }
    }
}
