//! Who hears what happens to connections.

use super::http_connection::Protocol;

/// Hears what happens to connections, in order to count it. All methods do nothing by default, and must be quick.
///
/// `()` is the observer that does not care.
pub trait ConnectionObserver: Send + Sync + 'static {
    /// A connection is going to be served.
    fn opened(&self) {}
    /// A connection that was opened has ended, however that came.
    fn closed(&self) {}
    /// HTTP of this version is spoken on a connection from now on.
    fn speaks(&self, _protocol: Protocol) {}
    /// It is no longer.
    fn spoke(&self, _protocol: Protocol) {}
    /// A connection was closed unserved because [`Limits::connections`](crate::Limits::connections) were open and none made
    /// room.
    fn refused(&self) {}
    /// The service panicked; the connection it happened on is closed, the others go on.
    fn panicked(&self) {}
    /// Accepting failed, such as for want of file descriptors; it is tried again.
    fn accept_failed(&self) {}
    /// A connection took too long for something and was closed. That of a TLS handshake is told by
    /// [`handshake_failed`](Self::handshake_failed).
    fn timed_out(&self, _timeout: ConnectionTimeout) {}
    /// A TLS handshake came to nothing.
    fn handshake_failed(&self, _failure: HandshakeFailure) {}
}

impl ConnectionObserver for () {}

/// What a connection was closed for taking too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionTimeout {
    /// The headers of a request did not come within [`Limits::header_read`](crate::Limits::header_read).
    Header,
    /// There was no request for [`Limits::idle`](crate::Limits::idle).
    Idle,
    /// The client took nothing of an answer for [`Limits::write_stall`](crate::Limits::write_stall).
    WriteStall,
}

impl ConnectionTimeout {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Header, Self::Idle, Self::WriteStall];

    /// The value of the label `kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Idle => "idle",
            Self::WriteStall => "write_stall",
        }
    }
}

/// Why a TLS handshake came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandshakeFailure {
    /// It took longer than [`Limits::tls_handshake`](crate::Limits::tls_handshake).
    Timeout,
    /// The client does not speak TLS, or nothing in common with us: no version, no suite, no protocol.
    Protocol,
    /// The client's certificate is missing, or not one that is let in.
    ClientCertificate,
    /// The client hung up or refused ours, or something broke.
    Other,
}

impl HandshakeFailure {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Timeout, Self::Protocol, Self::ClientCertificate, Self::Other];

    /// The value of the label `reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::ClientCertificate => "client_certificate",
            Self::Other => "other",
        }
    }
}
