//! The paths of the data port and what answers them.

use std::{convert::Infallible, fmt, path::Path, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};
use warp::{
    Filter, Reply as _,
    filters::path::FullPath,
    reject::{self, Rejection},
    reply::Response,
};

use crate::{
    cors::{self, Cors},
    data_answer::DataAnswers,
    form,
    formats::Format,
    gap_answer::GapAnswers,
    limits::Limits,
    metrics::{DATA_PATH, Metrics, SYMBOLS_PATH},
    page::{FILES, PageFile},
    query::DataQuery,
    status::Status,
    stream::{Streams, upgrade_required},
    symbols::Symbols,
    table_answer::TableAnswers,
    turns::Turns,
};

const SEARCH_PATH: &str = "/api/symbol-search";
const STATUS_PATH: &str = "/api/status";
const GAPS_PATH: &str = "/api/gaps";
const STREAM_PATH: &str = "/api/stream";

/// The paths of the data port; requests for others share one label value.
pub(crate) const PATHS: [&str; 8] =
    [DATA_PATH, SYMBOLS_PATH, SEARCH_PATH, STATUS_PATH, GAPS_PATH, STREAM_PATH, "/", "/api/openapi.json"];

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const X_CACHE_STATUS: HeaderName = HeaderName::from_static("x-cache-status");
const X_FETCH_TIME_MS: HeaderName = HeaderName::from_static("x-fetch-time-ms");

/// Searches under way at once; further ones wait. Each looks at every pair, some milliseconds with very many.
const SEARCHES_AT_ONCE: usize = 2;

/// What the paths need.
#[derive(Debug)]
pub(crate) struct Api {
    limits: Limits,
    data: DataAnswers,
    tables: TableAnswers,
    gaps: GapAnswers,
    symbols: Symbols,
    searches: Turns,
    status: Status,
    streams: Streams,
}

/// A filter that answers whatever passes it.
trait Answering: Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {}

impl<F: Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static> Answering for F {}

impl Api {
    /// Must be called within the runtime: the index of symbols is kept up to date from here on.
    pub(crate) fn new(root: &Path, limits: &Limits, metrics: &Metrics, cors: Cors) -> Api {
        let plans = Turns::new(limits.plans_at_once);
        let listed = metrics.api.symbols_listed.clone();
        let limits = limits.clone();
        let data = DataAnswers::new(root, limits.clone(), metrics.clone(), plans.clone());
        Api {
            tables: TableAnswers::new(data.clone(), plans.clone()),
            gaps: GapAnswers::new(root, limits.clone(), metrics.clone(), plans),
            data,
            symbols: Symbols::watch(root.to_owned(), limits.api.listed_symbols, listed),
            searches: Turns::new(SEARCHES_AT_ONCE),
            status: Status::new(root.to_owned()),
            streams: Streams::start(root, &limits, metrics, cors),
            limits,
        }
    }

    /// What answers data requests.
    pub(crate) fn answers(&self) -> DataAnswers {
        self.data.clone()
    }

    /// The paths for GET and HEAD, `OPTIONS` of anything, and 404 for the rest, all of them readable for pages of any
    /// origin. The HTTP implementation leaves the body of an answer to HEAD away and keeps its length.
    pub(crate) fn routes(
        self,
    ) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
        let api = Arc::new(self);
        let preflight = warp::options().map(cors::preflight);
        let answered = preflight
            .or(api.data_route())
            .unify()
            .or(api.listing_routes())
            .unify()
            .or(api.stream_route())
            .unify()
            .or(page_route())
            .unify();
        answered.recover(not_found).unify().map(cors::allow_any_origin)
    }

    fn data_route(self: &Arc<Self>) -> impl Answering + use<> {
        let api = Arc::clone(self);
        let request = exact(DATA_PATH).and(is_head()).and(query()).and(warp::header::optional("accept"));
        request.then(move |is_head, query: Option<String>, accept: Option<String>| {
            let api = Arc::clone(&api);
            async move { api.data(query.as_deref(), accept.as_deref(), is_head).await }
        })
    }

    fn listing_routes(self: &Arc<Self>) -> impl Answering + use<> {
        let symbols = self.route(SYMBOLS_PATH, async |api, query| api.list_symbols(query.as_deref()).await);
        let search = self.route(SEARCH_PATH, async |api, query| api.search(query.as_deref()).await);
        let status = self.route(STATUS_PATH, async |api, _| api.status().await);
        let gaps = self.route(GAPS_PATH, async |api, query| api.gaps.answer(query.as_deref()).await);
        symbols.or(search).unify().or(status).unify().or(gaps).unify()
    }

    fn stream_route(self: &Arc<Self>) -> impl Answering + use<> {
        let streams = self.streams.clone();
        let asked = exact(STREAM_PATH).and(warp::ws()).and(warp::header::headers_cloned());
        let upgraded = asked.map(move |handshake, request| streams.accept(handshake, &request));
        upgraded.or(exact(STREAM_PATH).and(is_head()).map(|_| upgrade_required())).unify()
    }

    /// A path whose answer depends on its query alone.
    fn route<A, F>(self: &Arc<Self>, path: &'static str, answer: A) -> impl Answering + use<A, F>
    where
        A: Fn(Arc<Api>, Option<String>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let api = Arc::clone(self);
        exact(path).and(is_head()).and(query()).then(move |_, query| answer(Arc::clone(&api), query))
    }

    /// The plain form is the data path's own affair, and so is telling what is wrong with a query.
    async fn data(&self, query: Option<&str>, accept: Option<&str>, is_head: bool) -> Response {
        match DataQuery::parse(query, &self.limits) {
            Ok(parsed) => {
                let accepted = || accept.and_then(Format::accepted).filter(|form| parsed.answerable_as(*form).is_ok());
                let format = parsed.format.or_else(accepted).unwrap_or(Format::Binary);
                if parsed.is_plain(format) {
                    self.data.answer(query, is_head).await
                } else {
                    self.tables.answer(parsed, format).await
                }
            }
            Err(_) => self.data.answer(query, is_head).await,
        }
    }

    async fn list_symbols(&self, query: Option<&str>) -> Response {
        // Of a repeated `exchange` the first counts here, as clients know it; it is decoded like any other value.
        let exchange = form::pairs(query.unwrap_or_default()).find(|(name, _)| name == "exchange");
        let exchange = exchange.map(|(_, exchange)| exchange);
        match self.symbols.list().await.map(|listing| listing.json(exchange.as_deref())) {
            Ok(Ok(listed)) => {
                let mut response = json(listed);
                response.headers_mut().insert(X_CACHE_STATUS, HeaderValue::from_static("MEMORY"));
                response.headers_mut().insert(X_FETCH_TIME_MS, 0.into());
                response
            }
            Ok(Err(error)) => unlisted(&error),
            // The index logged it.
            Err(_) => cannot_list(),
        }
    }

    async fn search(&self, query: Option<&str>) -> Response {
        let text = form::first_with_plus(query.unwrap_or_default(), "q").unwrap_or_default();
        let Ok(listing) = self.symbols.list().await else { return cannot_list() };
        match self.searches.take(move || listing.search().answer(&text)).await {
            Ok(Ok(found)) => json(found),
            Ok(Err(error)) => unlisted(&error),
            Err(error) => unlisted(&error),
        }
    }

    async fn status(&self) -> Response {
        let Ok(listing) = self.symbols.list().await else { return cannot_list() };
        let answer = match self.status.answer(listing).await {
            Ok(answer) => answer,
            Err(error) => return unlisted(&error),
        };
        let mut response = json(answer.json);
        let headers = response.headers_mut();
        headers.insert(X_CACHE_STATUS, HeaderValue::from_static(answer.took.map_or("HIT", |_| "MISS")));
        if let Some(took) = answer.took {
            headers.insert(X_FETCH_TIME_MS, u64::try_from(took.as_millis()).unwrap_or(u64::MAX).into());
        }
        response
    }
}

/// The files of the page.
fn page_route() -> impl Answering {
    let asked = warp::path::full().and(is_head()).and_then(|full: FullPath, _| async move {
        FILES.into_iter().find(|file| file.path == full.as_str()).ok_or_else(reject::not_found)
    });
    asked.map(PageFile::answer)
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

fn json(body: impl Into<Bytes>) -> Response {
    let mut response = http::Response::new(body.into()).into_response();
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

fn cannot_list() -> Response {
    answer(StatusCode::INTERNAL_SERVER_ERROR, "The data directory cannot be listed; the server's log says why")
}

fn unlisted(error: &dyn fmt::Debug) -> Response {
    tracing::error!(?error, "the listing cannot be answered");
    cannot_list()
}
