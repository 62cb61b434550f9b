//! Both versions of HTTP, with their limits.

use super::connection::BoxError;
use super::streams::OnConnection;
use crate::limits::Limits;
use http_body::Body;
use hyper::body::Incoming;
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::HttpService;
use hyper_util::rt::TokioTimer;
use std::pin::Pin;

/// The least buffer the HTTP/1 parser accepts, in bytes; it panics below.
const BUFFER_BYTES_MIN: usize = 8192;

/// The largest list of headers taken over HTTP/2, in bytes as its specification counts them; those of a scrape are
/// below 1 KiB.
const HTTP2_HEADERS_BYTES_MAX: u32 = 16 * 1024;

/// A version of HTTP. It is never guessed from the first bytes: there is no limit to how long those may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Protocol {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Http1, Self::Http2];

    /// Its ALPN name, which serves as a label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
        }
    }
}

/// HTTP/1.1. Slow headers and idle connections are not its affair: [`Activity`](super::activity::Activity) knows both.
pub(super) fn http1(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(limits.connection_buffer_bytes.max(BUFFER_BYTES_MIN));
    http
}

/// What a client may send unasked of a request's body, in bytes. No route here reads one; the data port's requests have
/// none either.
const HTTP2_WINDOW_BYTES: u32 = 16 * 1024;

/// The same for all requests of a connection; the least that HTTP/2 allows.
const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 65_535;

/// The least of an answer that one stream may hold ready, in bytes.
const HTTP2_SEND_BYTES_MIN: usize = 1024;

/// HTTP/2. What it does against floods of resets and of empty frames by itself stays as it is.
pub(super) fn http2(limits: &Limits, executor: OnConnection) -> http2::Builder<OnConnection> {
    let mut http = http2::Builder::new(executor);
    http.timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2_streams)
        .max_header_list_size(HTTP2_HEADERS_BYTES_MAX)
        .initial_stream_window_size(HTTP2_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(limits.http2_send_bytes.clamp(HTTP2_SEND_BYTES_MIN, u32::MAX as usize));
    http
}

/// A connection that can be asked to end once it has answered.
pub(super) trait GracefulEnd {
    fn end(self: Pin<&mut Self>);
}

impl<IO, S, B> GracefulEnd for http1::UpgradeableConnection<IO, S>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<BoxError>,
    IO: Read + Write + Unpin + Send + 'static,
    B: Body + 'static,
    B::Error: Into<BoxError>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<IO, S, B> GracefulEnd for http2::Connection<IO, S, OnConnection>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<BoxError>,
    IO: Read + Write + Unpin,
    B: Body + 'static,
    B::Error: Into<BoxError>,
    OnConnection: Http2ServerConnExec<S::Future, B>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}
