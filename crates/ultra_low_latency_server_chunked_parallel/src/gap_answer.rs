//! `/api/gaps`: what is missing from a series, and what is proven to be whole.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use column_store::{Covered, Day, Gap, Gaps, History, Reader, SeriesId, StoreError};
use http::{
    StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde::Serialize;
use warp::{Reply as _, reply::Response};

use crate::{
    limits::Limits,
    metrics::Metrics,
    missing::{Missing, X_MISSING},
    plan::PlanError,
    query::{GapQuery, QueryError},
    turns::Turns,
};

/// What answers these requests.
#[derive(Debug)]
pub(crate) struct GapAnswers {
    root: PathBuf,
    limits: Limits,
    metrics: Metrics,
    plans: Turns,
}

/// The order of the fields is the order of the keys.
#[derive(Serialize)]
struct Answer {
    coverage: Vec<Covered>,
    damaged_lines: u64,
    gaps: Vec<Gap>,
    truncated: bool,
}

/// Why there is no answer; the texts are the bodies.
#[derive(Debug, thiserror::Error)]
enum GapError {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("Not found: {0}")]
    NotFound(Missing),
    #[error(transparent)]
    Read(#[from] PlanError),
    #[error("The request was aborted")]
    Aborted,
}

impl GapAnswers {
    pub(crate) fn new(root: &Path, limits: Limits, metrics: Metrics, plans: Turns) -> GapAnswers {
        GapAnswers { root: root.to_owned(), limits, metrics, plans }
    }

    pub(crate) async fn answer(&self, query: Option<&str>) -> Response {
        match self.look(query).await {
            Ok((answer, missing)) => {
                // Strings and numbers always serialise.
                let json = serde_json::to_vec(&answer).unwrap_or_default();
                let mut response = http::Response::new(json).into_response();
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                if let Some(missing) = missing {
                    response.headers_mut().insert(X_MISSING, missing.header());
                }
                response
            }
            Err(error) => self.failure(&error),
        }
    }

    async fn look(&self, query: Option<&str>) -> Result<(Answer, Option<Missing>), GapError> {
        let query = GapQuery::parse(query, &self.limits)?;
        let strict = query.strict;
        let (root, limit) = (self.root.clone(), self.limits.api.gaps);
        let looked = self.plans.take(move || look(&root, &query, limit));
        match looked.await.map_err(|_| GapError::Aborted)?? {
            (_, Some(missing)) if strict => Err(GapError::NotFound(missing)),
            looked => Ok(looked),
        }
    }

    fn failure(&self, error: &GapError) -> Response {
        let status = match error {
            GapError::Query(error) => {
                error.refusal().into_iter().for_each(|refusal| self.metrics.refused(refusal));
                error.status()
            }
            GapError::NotFound(_) => StatusCode::NOT_FOUND,
            GapError::Read(PlanError::OpenFiles) => StatusCode::SERVICE_UNAVAILABLE,
            GapError::Read(_) | GapError::Aborted => {
                tracing::error!(error = ?error, "gaps cannot be read");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        let mut response = http::Response::new(error.to_string()).into_response();
        *response.status_mut() = status;
        if let GapError::NotFound(missing) = error {
            response.headers_mut().insert(X_MISSING, missing.header());
        }
        response
    }
}

/// The gaps and the coverage that lie at least partly in the range, each at most `limit`.
fn look(root: &Path, query: &GapQuery, limit: usize) -> Result<(Answer, Option<Missing>), PlanError> {
    let GapQuery { id, start, end, range_ns: (start_ns, end_ns), .. } = query;
    let none = || (Gaps::default(), History::default());
    let (Gaps { gaps, damaged_lines, truncated }, history) =
        match read(root, id, *start, *end, (*start_ns, *end_ns), limit) {
            Ok(found) => found,
            // No such series, or no data directory yet.
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => none(),
            Err(error) => return Err(error.into()),
        };
    let is_in_range = |range: &&Covered| range.from_ns <= *end_ns && range.to_ns >= *start_ns;
    let missing = (!root.join(id.path()).is_dir()).then(|| Missing::of_series(root, id, *start, *end));
    let answer = Answer {
        coverage: history.coverage.ranges().filter(is_in_range).cloned().collect(),
        damaged_lines: damaged_lines + history.damaged_lines,
        gaps,
        truncated: truncated || history.truncated,
    };
    Ok((answer, missing))
}

fn read(
    root: &Path,
    id: &SeriesId,
    start: u32,
    end: u32,
    (start_ns, end_ns): (u64, u64),
    limit: usize,
) -> Result<(Gaps, History), StoreError> {
    let reader = Reader::open(root)?;
    let gaps = reader.gaps(id, start_ns, end_ns, limit)?;
    let last = Day::from_seconds_clamped(end);
    // A range that ends after midnight is recorded on that day.
    let coverage = reader.coverage(id, Day::from_seconds_clamped(start), last.next().unwrap_or(last), limit)?;
    Ok((gaps, coverage))
}
