//! The paths of the data port and what answers them.

use std::{convert::Infallible, path::Path, sync::Arc};

use http::{HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};
use tokio::sync::Semaphore;
use warp::{
    Filter, Reply as _,
    filters::path::FullPath,
    reject::{self, Rejection},
    reply::Response,
};

use crate::{
    cors,
    data_answer::DataAnswers,
    form,
    limits::Limits,
    metrics::{DATA_PATH, Metrics, SYMBOLS_PATH},
    symbols::{Listed, Symbols},
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const X_CACHE_STATUS: HeaderName = HeaderName::from_static("x-cache-status");
const X_FETCH_TIME_MS: HeaderName = HeaderName::from_static("x-fetch-time-ms");

/// What the paths need.
#[derive(Debug)]
pub(crate) struct Api {
    data: DataAnswers,
    symbols: Symbols,
}

impl Api {
    pub(crate) fn new(root: &Path, limits: &Limits, metrics: &Metrics) -> Api {
        let plans = Arc::new(Semaphore::new(limits.plans_at_once));
        let symbols = Symbols::new(root.to_owned(), Arc::clone(&plans));
        Api { data: DataAnswers::new(root, limits.clone(), metrics.clone(), plans), symbols }
    }

    /// What answers data requests.
    pub(crate) fn answers(&self) -> DataAnswers {
        self.data.clone()
    }

    /// `/api/data` and `/api/symbols` for GET and HEAD, `OPTIONS` of anything, and 404 for the rest, all of them
    /// readable for pages of any origin.
    pub(crate) fn routes(
        self,
    ) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
        let api = Arc::new(self);
        let preflight = warp::options().map(cors::preflight);
        let for_data = Arc::clone(&api);
        let data = exact(DATA_PATH).and(is_head()).and(query()).then(move |is_head, query: Option<String>| {
            let api = Arc::clone(&for_data);
            async move { api.data.answer(query.as_deref(), is_head).await }
        });
        // The HTTP implementation leaves the body of an answer to HEAD away and keeps its length.
        let symbols = exact(SYMBOLS_PATH).and(is_head()).and(query()).then(move |_, query: Option<String>| {
            let api = Arc::clone(&api);
            async move { api.list_symbols(query.as_deref()).await }
        });
        let answered = preflight.or(data).unify().or(symbols).unify();
        answered.recover(not_found).unify().map(cors::allow_any_origin)
    }

    async fn list_symbols(&self, query: Option<&str>) -> Response {
        // Of a repeated `exchange` the first counts here, as clients know it; it is decoded like any other value.
        let exchange = form::pairs(query.unwrap_or_default()).find(|(name, _)| name == "exchange");
        let exchange = exchange.map(|(_, exchange)| exchange);
        let answered = self.symbols.list().await.and_then(|Listed { listing, walked }| {
            let mut response = http::Response::new(listing.json(exchange.as_deref())?).into_response();
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, JSON);
            headers.insert(X_CACHE_STATUS, HeaderValue::from_static(walked.map_or("MEMORY", |_| "MISS")));
            let milliseconds = walked.map_or(0, |walked| walked.as_millis());
            headers.insert(X_FETCH_TIME_MS, u64::try_from(milliseconds).unwrap_or(u64::MAX).into());
            Ok(response)
        });
        answered.unwrap_or_else(|error| {
            tracing::error!(error = ?error, "symbols cannot be listed");
            let body = "The data directory cannot be listed; the server's log says why";
            answer(StatusCode::INTERNAL_SERVER_ERROR, body)
        })
    }
}

/// The path as it was sent: not decoded, and without the slash at the end that `warp::path!` would allow.
fn exact(path: &'static str) -> impl Filter<Extract = (), Error = Rejection> + Copy + Send + Sync + 'static {
    warp::path::full()
        .and_then(
            move |full: FullPath| async move { if full.as_str() == path { Ok(()) } else { Err(reject::not_found()) } },
        )
        .untuple_one()
}

/// Takes GET and HEAD and tells which.
fn is_head() -> impl Filter<Extract = (bool,), Error = Rejection> + Copy + Send + Sync + 'static {
    warp::get().map(|| false).or(warp::head().map(|| true)).unify()
}

/// The raw query string, if there is one: without `?` there is none.
fn query() -> impl Filter<Extract = (Option<String>,), Error = Infallible> + Copy + Send + Sync + 'static {
    warp::query::raw().map(Some).or(warp::any().map(|| None)).unify()
}

/// Unknown paths, and methods that a path does not have.
async fn not_found(_: Rejection) -> Result<Response, Infallible> {
    Ok(answer(StatusCode::NOT_FOUND, "Not Found"))
}

/// A bare text: clients show it, and know no other form of error.
fn answer(status: StatusCode, body: &'static str) -> Response {
    let mut response = http::Response::new(body).into_response();
    *response.status_mut() = status;
    response
}
