//! A listening socket of any kind.

use super::bind_error::BindError;
use super::peer_address::PeerAddress;
use super::socket::Socket;
use super::systemd;
use super::unix_socket::{self, SocketFile};
use crate::listen_addr::{ListenAddr, ListenSocket};
use crate::tls::ServerTls;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use tokio::net::{TcpListener, UnixListener};

/// A socket that clients can connect to; [`http_serve`](crate::http_serve) answers them.
///
/// Dropping it closes the socket, and removes the file of a unix socket that it made.
#[derive(Debug)]
pub struct Listener {
    accepting: Accepting,
    address: ListenAddr,
    tls: Option<ServerTls>,
    /// Removed when this is dropped; none where somebody else made it.
    _file: Option<SocketFile>,
}

#[derive(Debug)]
pub(super) enum Accepting {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    pub(super) fn new(accepting: Accepting, address: ListenAddr) -> Self {
        Self { accepting, address, tls: None, _file: None }
    }

    /// Asks for TLS on every connection, unless the address it was bound for says `plain`.
    #[must_use]
    pub fn tls(mut self, tls: Option<ServerTls>) -> Self {
        self.tls = tls.filter(|_| !self.address.plain);
        self
    }

    /// Whether clients must speak TLS.
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    pub(super) fn tls_in_use(&self) -> Option<&ServerTls> {
        self.tls.as_ref()
    }

    /// Where it listens: an IP address and the port that the system chose for port 0, or the path of a socket file.
    pub fn address(&self) -> &ListenAddr {
        &self.address
    }

    /// The IP address and port of a TCP listener.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Unsupported`] if it is a unix socket; else what the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.accepting {
            Accepting::Tcp(listener) => listener.local_addr(),
            Accepting::Unix(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "a unix socket has no IP address")),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(Socket, PeerAddress)> {
        match &self.accepting {
            Accepting::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Socket::Tcp(stream), PeerAddress::Tcp(peer)))
            }
            Accepting::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let credentials = stream.peer_cred().ok();
                let uid = credentials.as_ref().map(tokio::net::unix::UCred::uid);
                let pid = credentials.as_ref().and_then(tokio::net::unix::UCred::pid);
                Ok((Socket::Unix(stream), PeerAddress::Unix { uid, pid }))
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.accepting {
            Accepting::Tcp(listener) => listener.as_fd(),
            Accepting::Unix(listener) => listener.as_fd(),
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
        let address = listener.local_addr().unwrap_or(unspecified).into();
        Self::new(Accepting::Tcp(listener), address)
    }
}

/// Opens one listening socket for [`http_serve`](crate::http_serve).
///
/// TCP has `SO_REUSEADDR`, so that a restarted program gets its port back while old connections linger. Of a name with
/// several addresses the first that works is taken. The file of a unix socket that nobody accepts on is replaced.
///
/// # Errors
///
/// [`BindError`] names the address and what is wrong; also if systemd passed several sockets, which
/// [`http_bind_all`] takes.
pub async fn http_bind(address: &ListenAddr) -> Result<Listener, BindError> {
    let mut listeners = http_bind_all(address).await?;
    match (listeners.pop(), listeners.len()) {
        (Some(listener), 0) => Ok(listener),
        (_, others) => {
            let problem = format!("systemd passed {} sockets and one can be used here: say systemd:NAME", others + 1);
            Err(BindError::Systemd { address: address.clone(), problem })
        }
    }
}

/// Opens the listening sockets of an address: one, or as many as systemd passed for it.
///
/// # Errors
///
/// [`BindError`] names the address and what is wrong.
pub async fn http_bind_all(address: &ListenAddr) -> Result<Vec<Listener>, BindError> {
    match &address.socket {
        ListenSocket::Tcp { host, port } => {
            let failed = |source| BindError::Listen { address: address.clone(), source };
            // tokio sets SO_REUSEADDR here on Unix.
            let listener = TcpListener::bind((host.as_str(), *port)).await.map_err(failed)?;
            let bound = ListenAddr { plain: address.plain, ..listener.local_addr().map_err(failed)?.into() };
            Ok(vec![Listener::new(Accepting::Tcp(listener), bound)])
        }
        ListenSocket::Unix { path, mode, group } => {
            let (listener, file) = unix_socket::bind(address, path, *mode, group.as_deref())?;
            let listener = Listener::new(Accepting::Unix(listener), address.clone());
            Ok(vec![Listener { _file: Some(file), ..listener }])
        }
        ListenSocket::Systemd { name } => systemd::take(address, name.as_deref()),
    }
}
