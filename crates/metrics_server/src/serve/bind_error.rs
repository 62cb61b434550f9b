//! Why an endpoint could not listen.

use crate::listen_addr::ListenAddr;
use std::io;
use std::path::PathBuf;

/// Why an endpoint could not listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// An address that cannot be listened on: taken, not of this host, in no directory, or not permitted.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address as it was given.
        address: ListenAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The endpoint was given nothing to listen on.
    #[error("no address to listen on")]
    NoAddress,
    /// Another program accepts connections on the socket file.
    #[error("cannot listen on {address}: another program accepts connections there")]
    InUse {
        /// The address as it was given.
        address: ListenAddr,
    },
    /// Something that is no socket stands where the socket file is to be; it is left alone.
    #[error("cannot listen on {address}: {} exists and is no socket", path.display())]
    NoSocket {
        /// The address as it was given.
        address: ListenAddr,
        /// What is in the way.
        path: PathBuf,
    },
    /// The group of a socket file is not known.
    #[error("cannot listen on {address}: there is no group {group:?} in /etc/group, and it is no number")]
    Group {
        /// The address as it was given.
        address: ListenAddr,
        /// The group as it was given.
        group: String,
    },
    /// The socket file cannot get the mode or the group asked for.
    #[error("cannot listen on {address}: the socket file cannot be given its {what}")]
    Permissions {
        /// The address as it was given.
        address: ListenAddr,
        /// `mode` or `group`.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// systemd passed nothing that could be listened on here.
    #[error("cannot listen on {address}: {problem}")]
    Systemd {
        /// The address as it was given.
        address: ListenAddr,
        /// What is missing, and which variable says so.
        problem: String,
    },
}
