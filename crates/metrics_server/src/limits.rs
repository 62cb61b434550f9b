//! Everything an endpoint bounds, in one struct.

use std::time::Duration;

/// The limits of an accept loop and of the endpoint behind it.
///
/// Change single values with struct update syntax:
///
/// ```
/// # use metrics_server::Limits;
/// let limits = Limits { connections: 4096, ..Limits::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once on **one** listener (default 256). For a further one, one that waits for nothing but another
    /// request is ended: of the peer with the most, and only if that has more than the new one's. Without such a connection
    /// the further one is accepted, closed and counted.
    ///
    /// So a host that keeps many connections open keeps nobody out by that.
    ///
    /// Per listener, so that a flood on a public address cannot lock out a private one. 256 leaves room for a scrape
    /// beside a flood of a few hundred idle clients, and stays well below the usual 1,024 file descriptors a process
    /// may open, which recording needs too.
    pub connections: usize,

    /// How long a client may take for its part of a TLS handshake (default 10 s).
    ///
    /// A handshake is two round trips; 10 s is for the worst of links. A client that never says anything holds its
    /// place for no longer.
    pub tls_handshake: Duration,

    /// How long a client may take to send a request's headers (default 20 s), counted from their first byte, and for
    /// the first request from the connection's opening.
    ///
    /// Short enough that clients which send a byte now and then do not hold places for long.
    pub header_read: Duration,

    /// How long a connection without a request under way is kept (default 75 s).
    ///
    /// Longer than a scrape interval of a minute, so that a scraper keeps its connection and need not shake hands
    /// each time. Over HTTP/2 it is also the time to send the headers of any request but the first.
    pub idle: Duration,

    /// How long a client may refuse to take a single byte of a response before it is cut off (default 30 s).
    ///
    /// It bounds the time without any progress, not the transfer: a slow download that advances goes on. Without it a
    /// client that asks and never reads keeps the whole response in memory. Over HTTP/2 it also bounds the time for
    /// the client to make room for 16 KiB of a response.
    pub write_stall: Duration,

    /// Requests under way at once on one HTTP/2 connection (default 32).
    ///
    /// With [`connections`](Self::connections) it bounds the requests of a flood; a page of charts asks for a dozen
    /// things at once.
    pub http2_streams: u32,

    /// Bytes of an answer that one HTTP/2 stream may hold ready (default 2 KiB: with 32 streams as many as
    /// [`connection_buffer_bytes`](Self::connection_buffer_bytes)). More makes large answers faster.
    pub http2_send_bytes: usize,

    /// Largest request head, and the response bytes held for one connection, in bytes (default 64 KiB; values below
    /// 8 KiB count as 8 KiB, which is the least the HTTP parser works with).
    ///
    /// Times [`connections`](Self::connections) this is what a flood can make the process hold in buffers: 16 MiB.
    pub connection_buffer_bytes: usize,

    /// How long requests under way may take to finish once shutdown was asked for (default 5 s); then their
    /// connections are cut.
    ///
    /// Supervisors kill after 10 s by default (Docker; systemd waits longer), and the data that is still to be
    /// flushed has priority over a slow client.
    pub drain: Duration,

    /// Scrapes that wait for their first byte (default 64); a further one is answered 503 and counted.
    ///
    /// Those that ask for the same share one document, so this many cost no more than the few kinds among them;
    /// documents are encoded one after the other. 64 is far beyond the scrapers that anybody has, and few enough that
    /// what they hold stays small.
    pub scrapes_in_flight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            tls_handshake: Duration::from_secs(10),
            header_read: Duration::from_secs(20),
            idle: Duration::from_secs(75),
            write_stall: Duration::from_secs(30),
            http2_streams: 32,
            http2_send_bytes: 2 * 1024,
            connection_buffer_bytes: 64 * 1024,
            drain: Duration::from_secs(5),
            scrapes_in_flight: 64,
        }
    }
}
