//! `GET /api/data` in other forms than the plain one: other formats, nanosecond ranges, rows chosen by their values.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use http::{
    HeaderValue, StatusCode,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, VARY},
};
use tokio::{
    sync::Semaphore,
    task::{JoinError, spawn_blocking},
};
use warp::{Reply as _, reply::Response};

use crate::{
    api_limits::ApiLimits,
    budget::FileBudget,
    formats::Format,
    limits::Limits,
    metrics::{Metrics, Refusal},
    missing::{Missing, X_MISSING},
    plan::PlanError,
    query::DataQuery,
    reduction::Reduction,
    table_plan::{TablePlan, files, is_given_up},
    table_stream::TableStream,
};

/// Seconds after which a client may hope again.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// What answers these requests.
#[derive(Debug)]
pub(crate) struct TableAnswers {
    root: Arc<Path>,
    limits: Limits,
    metrics: Metrics,
    plans: Arc<Semaphore>,
    reductions: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    files: FileBudget,
}

/// Why a request has no data as its answer; the texts are the bodies.
#[derive(Debug, thiserror::Error)]
enum TableError {
    #[error("Not found: {0}")]
    NotFound(Missing),
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The plan panicked, or the process is ending.
    #[error("The request was aborted")]
    Aborted(#[from] JoinError),
}

/// Gives a plan up when its client does.
struct GivenUp(Arc<AtomicBool>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl TableAnswers {
    /// `plans` bounds the plans being made, see [`Limits::plans_at_once`].
    pub(crate) fn new(
        root: &Path,
        limits: Limits,
        metrics: Metrics,
        plans: Arc<Semaphore>,
        files: FileBudget,
    ) -> TableAnswers {
        let ApiLimits { reductions_at_once, .. } = limits.api;
        let (reads, reductions) = (Semaphore::new(limits.reads_at_once), Semaphore::new(reductions_at_once));
        TableAnswers {
            root: root.into(),
            limits,
            metrics,
            plans,
            reductions: Arc::new(reductions),
            reads: Arc::new(reads),
            files,
        }
    }

    /// Answers one request; never without an answer. A HEAD is answered as a GET, whose body the HTTP implementation
    /// leaves away unread.
    pub(crate) async fn answer(&self, query: DataQuery, format: Format) -> Response {
        let (start, id, strict) = (Instant::now(), query.id.clone(), query.strict);
        let planned = self.plan(query, format).await;
        let missing = planned.as_ref().ok().and_then(|plan| plan.missing.as_ref());
        let has_symbol = planned.is_ok() && missing.is_none_or(Missing::has_symbol);
        self.metrics.queried(&id, has_symbol, start.elapsed());
        let mut response = match planned {
            Ok(TablePlan { missing: Some(missing), rows, .. }) if strict && rows.len() == 0 => {
                failure(&self.metrics, &TableError::NotFound(missing))
            }
            Ok(plan) => self.data(plan),
            Err(error) => failure(&self.metrics, &error),
        };
        response.headers_mut().insert(VARY, ACCEPT.into());
        response
    }

    async fn plan(&self, query: DataQuery, format: Format) -> Result<TablePlan, TableError> {
        // Reductions read whole columns: only few at once, and none of them in the way of short plans.
        let turns = if query.reduction == Reduction::Stride { &self.plans } else { &self.reductions };
        // Never closed; if it were, planning without a turn would still be correct.
        let turn = Arc::clone(turns).acquire_owned().await.ok();
        let files = self.files.take(files(&query)).ok_or(PlanError::OpenFiles)?;
        let (root, points_max) = (Arc::clone(&self.root), self.limits.api.reduced_points);
        let given_up = Arc::new(AtomicBool::new(false));
        let _unless_answered = GivenUp(Arc::clone(&given_up));
        // Held by the work itself, so that clients which ask and hang up cannot pile plans up.
        let planned = spawn_blocking(move || {
            let _held_until_planned = turn;
            TablePlan::make(&root, query, format, files, points_max, &given_up)
        });
        Ok(planned.await??)
    }

    fn data(&self, plan: TablePlan) -> Response {
        let (format, missing) = (plan.format, plan.missing.as_ref().map(Missing::header));
        let has_symbol = plan.missing.as_ref().is_none_or(Missing::has_symbol);
        let served = self.metrics.bytes_served(&plan.id, has_symbol);
        let stream = TableStream::new(plan, self.limits.chunk_bytes);
        let length = stream.length;
        let mut response = warp::reply::stream(stream.bytes(Arc::clone(&self.reads), served)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, format.content_type());
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, length.into());
        }
        if let Some(missing) = missing {
            headers.insert(X_MISSING, missing);
        }
        response
    }
}

fn failure(metrics: &Metrics, error: &TableError) -> Response {
    let status = match error {
        TableError::NotFound(_) => StatusCode::NOT_FOUND,
        TableError::Plan(PlanError::OpenFiles) => {
            metrics.refused(Refusal::OpenFiles);
            StatusCode::SERVICE_UNAVAILABLE
        }
        TableError::Plan(PlanError::Cut(_)) => StatusCode::SERVICE_UNAVAILABLE,
        TableError::Plan(error) if is_given_up(error) => StatusCode::SERVICE_UNAVAILABLE,
        TableError::Plan(_) | TableError::Aborted(_) => StatusCode::INTERNAL_SERVER_ERROR,
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
    if let TableError::NotFound(missing) = error {
        response.headers_mut().insert(X_MISSING, missing.header());
    }
    response
}
