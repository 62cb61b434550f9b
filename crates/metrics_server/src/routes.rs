//! The paths of an endpoint and what answers them.

mod body;
mod program;

use crate::health::{Health, liveness_json, readiness_json};
use crate::landing_page::LandingPage;
use crate::scrape::{ScrapeError, Scraper};
pub(crate) use body::RoutesBody;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER, VARY};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
pub use program::ProgramRoutes;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// When a client that found too many scrapes in flight may ask again; those there are take a fraction of it.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// `/`, `/metrics`, `/health` and `/ready` for GET and HEAD. Other paths are the program's own, if it has any, else 404;
/// other methods are 405.
pub(crate) fn routes(scraper: Scraper, health: Health, page: LandingPage, program: Option<ProgramRoutes>) -> Routes {
    Routes { inner: Arc::new(Inner { scraper, health, page }), program }
}

/// The service of an endpoint. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Routes {
    inner: Arc<Inner>,
    program: Option<ProgramRoutes>,
}

#[derive(Debug)]
struct Inner {
    scraper: Scraper,
    health: Health,
    page: LandingPage,
}

#[derive(Clone, Copy)]
enum Route {
    Landing,
    Metrics,
    Health,
    Ready,
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        match path {
            "/" => Some(Self::Landing),
            "/metrics" => Some(Self::Metrics),
            "/health" => Some(Self::Health),
            "/ready" => Some(Self::Ready),
            _ => None,
        }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<RoutesBody>, Infallible>> + Send>>;

impl Service<Request<Incoming>> for Routes {
    type Response = Response<RoutesBody>;
    type Error = Infallible;
    type Future = Answer;

    /// Always ready: what is bounded here is refused with an answer.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Answer {
        let Some(route) = Route::of(request.uri().path()) else {
            return match &self.program {
                Some(program) => program.call(request),
                None => {
                    let text = format!("not found; there is {}\n", self.inner.page.paths());
                    ready(answer(StatusCode::NOT_FOUND, TEXT, text))
                }
            };
        };
        // hyper leaves the body of an answer to HEAD away and keeps its length.
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "use GET or HEAD\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return ready(response);
        }
        let inner = &self.inner;
        match route {
            Route::Landing => ready(answer(StatusCode::OK, HTML, inner.page.html(&inner.health))),
            Route::Health => ready(json(liveness_json(&inner.health.liveness(), inner.health.service()))),
            Route::Ready => ready(json(readiness_json(&inner.health.readiness(), inner.health.service()))),
            Route::Metrics => {
                let (inner, request) = (Arc::clone(inner), request.into_parts().0);
                Box::pin(async move { Ok(metrics(&inner.scraper, &request).await) })
            }
        }
    }
}

fn ready(response: Response<RoutesBody>) -> Answer {
    Box::pin(std::future::ready(Ok(response)))
}

async fn metrics(scraper: &Scraper, request: &Parts) -> Response<RoutesBody> {
    let scrape = match scraper.request(&request.headers, request.uri.query(), request.version) {
        Ok(request) => scraper.scrape(request).await,
        Err(error) => Err(error),
    };
    let mut response = match scrape {
        Ok(scrape) => {
            let content_type = HeaderValue::from_static(scrape.content_type);
            let mut response = answer(StatusCode::OK, content_type, RoutesBody::Scrape { body: scrape.body });
            if let Some(encoding) = scrape.content_encoding {
                response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
            }
            response
        }
        Err(error) => refusal(&error),
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    response
}

fn refusal(error: &ScrapeError) -> Response<RoutesBody> {
    let status = match error {
        ScrapeError::Busy | ScrapeError::Timeout(_) => StatusCode::SERVICE_UNAVAILABLE,
        ScrapeError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        ScrapeError::TooLongForHttp10 => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        ScrapeError::Names(_) => StatusCode::BAD_REQUEST,
        ScrapeError::NoAcceptableCoding => StatusCode::NOT_ACCEPTABLE,
    };
    let mut response = answer(status, TEXT, format!("{error}\n"));
    if matches!(error, ScrapeError::Busy) {
        response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    response
}

fn json((status, body): (StatusCode, String)) -> Response<RoutesBody> {
    answer(status, JSON, body)
}

/// Nothing served here may come out of a cache: all of it is about this moment.
fn answer(status: StatusCode, content_type: HeaderValue, body: impl Into<RoutesBody>) -> Response<RoutesBody> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl From<String> for RoutesBody {
    fn from(text: String) -> Self {
        Self::Whole { bytes: Some(text.into()) }
    }
}

impl From<&'static str> for RoutesBody {
    fn from(text: &'static str) -> Self {
        Self::Whole { bytes: Some(Bytes::from_static(text.as_bytes())) }
    }
}

#[cfg(test)]
mod tests;
