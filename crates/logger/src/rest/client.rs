//! Sends the requests of [`exchange_protocol::Rest`] over HTTP/1.1.

use std::{
    io::Read as _,
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use exchange_protocol::{Answer, Request};
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, header};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::timeout;

use crate::{clock::Clock, config::Exchange, error::LoggerError, tls};

/// Bounds of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// For a TCP connection.
    pub(crate) connect: Duration,
    /// Until the head of the answer, the connection with it.
    pub(crate) head: Duration,
    /// From then on until the end of the body.
    pub(crate) body: Duration,
    /// Of the body, as sent and unpacked.
    pub(crate) bytes: usize,
}

impl Bounds {
    /// For a page of trades, which has at most 10,000.
    pub(crate) const PAGE: Bounds = Bounds {
        connect: Duration::from_secs(10),
        head: Duration::from_secs(20),
        body: Duration::from_secs(20),
        bytes: 8 << 20,
    };
    /// For a listing: Binance's has some 20 MB.
    pub(crate) const LISTING: Bounds = Bounds { body: Duration::from_secs(100), bytes: 64 << 20, ..Bounds::PAGE };
}

/// An answer as it came, its body unpacked.
#[derive(Debug)]
pub(crate) struct Response {
    status: u16,
    /// In seconds, also if the venue names a date.
    retry_after: Option<String>,
    body: Bytes,
}

impl Response {
    pub(crate) fn answer(&self) -> Answer<'_> {
        Answer { status: self.status, retry_after: self.retry_after.as_deref(), body: &self.body }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// No connection, or it broke.
    #[error("{0}")]
    Broken(String),
    /// It took too long.
    #[error("no {part} within {} s", .within.as_secs_f64())]
    Late { part: &'static str, within: Duration },
    /// It is more than any answer should be.
    #[error("the answer has more than {0} bytes")]
    Oversized(usize),
}

/// A client of one venue; its connections are kept open for the next request.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: HttpClient<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    url: String,
    clock: Clock,
}

impl Client {
    pub(crate) fn new(exchange: &Exchange, clock: Clock) -> Result<Client, LoggerError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(Bounds::PAGE.connect));
        let config = tls::client_config(exchange, &exchange.rest_url)?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
        let http = HttpClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(4)
            .build(connector.enable_http1().wrap_connector(tcp));
        Ok(Client { http, url: exchange.rest_url.clone(), clock })
    }

    /// Sends a request. Redirections are not followed: an answer from elsewhere is not the venue's.
    pub(crate) async fn send(&self, request: &Request, bounds: Bounds) -> Result<Response, SendError> {
        let mut http = http::Request::builder()
            .method(request.method)
            .uri(format!("{}{}", self.url, request.target))
            .header(header::USER_AGENT, concat!("gpu-charts-logger/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT_ENCODING, "gzip");
        for (name, value) in request.headers {
            http = http.header(*name, *value);
        }
        let http = http.body(Empty::new()).map_err(|error| SendError::Broken(error.to_string()))?;
        let late = |part, within| move |_| SendError::Late { part, within };
        let head = timeout(bounds.head, self.http.request(http)).await.map_err(late("answer", bounds.head))?;
        let (head, body) = head.map_err(|error| SendError::Broken(chain(&error)))?.into_parts();
        let body = timeout(bounds.body, Limited::new(body, bounds.bytes).collect());
        let body = match body.await.map_err(late("end of the answer", bounds.body))? {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(SendError::Oversized(bounds.bytes)),
            Err(error) => return Err(SendError::Broken(chain(error.as_ref()))),
        };
        let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        Ok(Response {
            status: head.status.as_u16(),
            retry_after: retry_after.map(|text| in_seconds(text, self.clock)),
            body: unpack(body, &head.headers, bounds.bytes).await?,
        })
    }
}

/// `Retry-After` in seconds; what it may also be is a date.
pub(crate) fn in_seconds(retry_after: &str, clock: Clock) -> String {
    let now = UNIX_EPOCH + Duration::from_nanos(clock.now_ns());
    httpdate::parse_http_date(retry_after.trim()).map_or_else(
        |_| retry_after.to_owned(),
        |date| date.duration_since(now).unwrap_or_default().as_secs().saturating_add(1).to_string(),
    )
}

/// The body, if it is compressed in the one way that was asked for.
async fn unpack(body: Bytes, headers: &HeaderMap, limit: usize) -> Result<Bytes, SendError> {
    let encoding = headers.get(header::CONTENT_ENCODING).map(|encoding| encoding.as_bytes());
    if encoding.is_none_or(|encoding| encoding == b"identity") {
        return Ok(body);
    }
    if encoding != Some(b"gzip") {
        return Err(SendError::Broken("the answer has an encoding that was not asked for".to_owned()));
    }
    // A listing takes a tenth of a second.
    let unpacking = tokio::task::spawn_blocking(move || {
        let mut plain = Vec::new();
        let beyond = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        MultiGzDecoder::new(body.as_ref()).take(beyond).read_to_end(&mut plain).map(|_| plain)
    });
    let broken = |error: &dyn std::error::Error| SendError::Broken(format!("the answer cannot be unpacked: {error}"));
    let plain = unpacking.await.map_err(|error| broken(&error))?.map_err(|error| broken(&error))?;
    if plain.len() > limit { Err(SendError::Oversized(limit)) } else { Ok(plain.into()) }
}

/// What an error and its causes say: hyper's own words are only where it happened.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_may_be_a_date() {
        let check = |text: &str, expected: &str| {
            // 2026-11-20T10:00:00Z
            let clock = Clock::shifted(1_795_168_800_000_000_000 - Clock::system().now_ns().cast_signed());
            assert_eq!(in_seconds(text, clock), expected, "{text}");
        };
        check("120", "120");
        check("soon", "soon");
        check("Fri, 20 Nov 2026 10:02:00 GMT", "120");
        check("Fri, 20 Nov 2026 09:00:00 GMT", "1");
    }
}
