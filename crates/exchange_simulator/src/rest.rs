//! The HTTP shell around the venues' REST answers: GET only, JSON only.

use std::convert::Infallible;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use warp::http::{HeaderMap, Response};
use warp::path::FullPath;
use warp::{Filter, Rejection};

use crate::exchange::Exchange;

/// A GET as the venues see it.
#[derive(Debug, Default)]
pub(crate) struct RestRequest {
    segments: Vec<String>,
    query: Vec<(String, String)>,
    micros: bool,
}

impl RestRequest {
    fn new(path: &str, query: &str, headers: &HeaderMap) -> Self {
        let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        };
        let unit = headers.get("x-mbx-time-unit").and_then(|unit| unit.to_str().ok()).unwrap_or_default();
        Self {
            segments: path.trim_matches('/').split('/').map(decode).collect(),
            query: query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect(),
            micros: unit.eq_ignore_ascii_case("MICROSECOND"),
        }
    }

    /// The decoded parts of the path, to match against.
    pub(crate) fn segments(&self) -> Vec<&str> {
        self.segments.iter().map(String::as_str).collect()
    }

    /// The first value of a query parameter.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether Binance's header `X-MBX-TIME-UNIT` asks for microseconds.
    pub(crate) fn wants_micros(&self) -> bool {
        self.micros
    }
}

/// A JSON answer.
#[derive(Debug)]
pub(crate) struct RestAnswer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl RestAnswer {
    /// An answer with this status and body.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self { status, headers: Vec::new(), body: body.to_string() }
    }

    fn into_response(self) -> Response<String> {
        let mut response = Response::builder().status(self.status).header("content-type", "application/json");
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        response.body(self.body).unwrap_or_else(|error| {
            tracing::error!(%error, "REST answer could not be built");
            let mut response = Response::new(String::new());
            *response.status_mut() = warp::http::StatusCode::INTERNAL_SERVER_ERROR;
            response
        })
    }
}

/// Answers GETs until `stop`; then finishes those under way.
pub(crate) async fn serve(exchange: Arc<Exchange>, listener: TcpListener, stop: CancellationToken) {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let answers = warp::get().and(warp::path::full()).and(query).and(warp::header::headers_cloned()).and_then(
        move |path: FullPath, query: String, headers: HeaderMap| {
            let exchange = exchange.clone();
            async move {
                let gate = exchange.gate_rest();
                tokio::time::sleep(gate.delay).await;
                let request = || RestRequest::new(path.as_str(), &query, &headers);
                let answer = gate.refusal.unwrap_or_else(|| exchange.rest(&request()));
                Ok::<_, Rejection>(answer.into_response())
            }
        },
    );
    let routes = answers.recover(|_| async {
        let body = json!({"message": "only GET"});
        Ok::<_, Infallible>(RestAnswer::json(405, &body).into_response())
    });
    warp::serve(routes).incoming(listener).graceful(async move { stop.cancelled().await }).run().await;
}
