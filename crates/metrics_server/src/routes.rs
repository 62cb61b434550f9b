//! The three paths and what answers them.

use crate::exposition::OPENMETRICS_TEXT;
use crate::health::{Health, liveness_json, readiness_json};
use crate::scrape::{ScrapeError, Scraper};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use std::convert::Infallible;
use warp::reject::{MethodNotAllowed, Rejection};
use warp::{Filter, Reply};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// `/metrics`, `/health` and `/ready` for GET and HEAD; 404 and 405 for the rest.
pub(crate) fn routes(
    scraper: Scraper,
    health: Health,
) -> impl Filter<Extract = (impl Reply,), Error = Infallible> + Clone + Send + Sync + 'static {
    // hyper leaves the body of an answer to HEAD away and keeps its length.
    let read = warp::get().or(warp::head()).unify();
    let metrics = warp::path!("metrics").and(read).then(move || metrics(scraper.clone()));
    let live = health.clone();
    let liveness = warp::path!("health").and(read).map(move || json(liveness_json(&live.liveness(), live.service())));
    let readiness =
        warp::path!("ready").and(read).map(move || json(readiness_json(&health.readiness(), health.service())));
    metrics.or(liveness).unify().or(readiness).unify().recover(refusal)
}

/// Always answers in OpenMetrics and says so, whatever `Accept` asks for: it is the only format there is. Prometheus
/// reads it, and people can. There is something to negotiate once there is a second one.
async fn metrics(scraper: Scraper) -> Response<String> {
    match scraper.scrape().await {
        Ok(body) => answer(StatusCode::OK, HeaderValue::from_static(OPENMETRICS_TEXT), body),
        Err(error) => {
            let status = match error {
                ScrapeError::Refused => StatusCode::SERVICE_UNAVAILABLE,
                ScrapeError::Encode(_) | ScrapeError::Aborted(_) => {
                    tracing::error!(error = %error, source = ?std::error::Error::source(&error), "scrape failed");
                    StatusCode::INTERNAL_SERVER_ERROR
                }
            };
            answer(status, TEXT, format!("{error}\n"))
        }
    }
}

fn json((status, body): (StatusCode, String)) -> Response<String> {
    answer(status, JSON, body)
}

async fn refusal(rejection: Rejection) -> Result<Response<String>, Infallible> {
    if rejection.find::<MethodNotAllowed>().is_some() {
        let mut response = answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "use GET or HEAD\n".to_owned());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        Ok(response)
    } else {
        Ok(answer(StatusCode::NOT_FOUND, TEXT, "not found; there is /metrics, /health and /ready\n".to_owned()))
    }
}

/// Nothing served here may come out of a cache: all of it is about this moment.
fn answer(status: StatusCode, content_type: HeaderValue, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
