//! `GET /api/data`: from a query string to an answer.

use std::{path::Path, sync::Arc, time::Instant};

use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
};
use tokio::{
    sync::Semaphore,
    task::{JoinError, spawn_blocking},
};
use warp::{Reply as _, reply::Response};

use crate::{
    budget::FileBudget,
    chunks::chunks,
    limits::Limits,
    metrics::{Metrics, Refusal},
    missing::{Missing, X_MISSING},
    plan::{Plan, PlanError},
    query::{DataQuery, QueryError},
};

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Seconds after which a client may hope again.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// What answers data requests.
#[derive(Debug)]
pub(crate) struct DataAnswers {
    root: Arc<Path>,
    limits: Limits,
    metrics: Metrics,
    plans: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    files: FileBudget,
}

/// Why a data request has no data as its answer; the texts are the bodies.
#[derive(Debug, thiserror::Error)]
enum DataError {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("Not found: {0}")]
    NotFound(Missing),
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The plan panicked, or the process is ending.
    #[error("The request was aborted")]
    Aborted(#[from] JoinError),
}

impl DataAnswers {
    /// `plans` bounds the plans being made, see [`Limits::plans_at_once`].
    pub(crate) fn new(root: &Path, limits: Limits, metrics: Metrics, plans: Arc<Semaphore>) -> DataAnswers {
        let reads = Arc::new(Semaphore::new(limits.reads_at_once));
        DataAnswers { root: root.into(), limits, metrics, plans, reads, files: FileBudget::of_process() }
    }

    /// Answers one request; never without an answer.
    pub(crate) async fn answer(&self, query: Option<&str>, is_head: bool) -> Response {
        match self.plan(query).await {
            Ok(plan) => self.data(plan, is_head),
            Err(error) => self.failure(&error),
        }
    }

    async fn plan(&self, query: Option<&str>) -> Result<Plan, DataError> {
        let start = Instant::now();
        let query = DataQuery::parse(query, &self.limits)?;
        let (id, strict) = (query.id.clone(), query.strict);
        let planned = self.plan_on_disk(query).await;
        let has_symbol = planned.as_ref().is_ok_and(Plan::has_symbol);
        self.metrics.queried(&id, has_symbol, start.elapsed());
        match planned? {
            Plan { rows: 0, missing: Some(missing), .. } if strict => Err(DataError::NotFound(missing)),
            plan => Ok(plan),
        }
    }

    async fn plan_on_disk(&self, query: DataQuery) -> Result<Plan, DataError> {
        // Never closed; if it were, planning without a turn would still be correct.
        let turn = Arc::clone(&self.plans).acquire_owned().await.ok();
        let files = self.files.take(query.files()).ok_or(PlanError::OpenFiles)?;
        let (root, limits) = (Arc::clone(&self.root), self.limits.clone());
        // Held by the work itself, so that clients which ask and hang up cannot pile plans up.
        let planned = spawn_blocking(move || {
            let _held_until_planned = turn;
            Plan::make(&root, query, files, &limits)
        });
        Ok(planned.await??)
    }

    fn data(&self, plan: Plan, is_head: bool) -> Response {
        let length = plan.length;
        let missing = plan.missing.as_ref().map(Missing::header);
        let mut response = if is_head {
            Response::default()
        } else {
            let served = self.metrics.bytes_served(&plan.id, plan.has_symbol());
            if plan.columns.is_empty() {
                served.add(plan.head.len() as u64);
                http::Response::new(plan.head).into_response()
            } else {
                let chunks = chunks(plan, self.limits.chunk_bytes, Arc::clone(&self.reads), served);
                warp::reply::stream(chunks).into_response()
            }
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, OCTETS);
        headers.insert(CONTENT_LENGTH, length.into());
        if let Some(missing) = missing {
            headers.insert(X_MISSING, missing);
        }
        response
    }

    fn failure(&self, error: &DataError) -> Response {
        let status = match error {
            DataError::Query(error) => {
                error.refusal().into_iter().for_each(|refusal| self.metrics.refused(refusal));
                StatusCode::BAD_REQUEST
            }
            DataError::NotFound(_) => StatusCode::NOT_FOUND,
            DataError::Plan(PlanError::OpenFiles) => {
                self.metrics.refused(Refusal::OpenFiles);
                StatusCode::SERVICE_UNAVAILABLE
            }
            DataError::Plan(PlanError::Cut(_)) => StatusCode::SERVICE_UNAVAILABLE,
            DataError::Plan(_) | DataError::Aborted(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        // The rest is the client's affair, or counted: a flood of requests must not become one of log lines.
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = ?error, "data request failed");
        }
        let mut response = http::Response::new(error.to_string()).into_response();
        *response.status_mut() = status;
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
        }
        if let DataError::NotFound(missing) = error {
            response.headers_mut().insert(X_MISSING, missing.header());
        }
        response
    }
}
