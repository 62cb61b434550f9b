//! `GET /api/data`: from a query string to an answer. Both ways to serve it ask here, so that they mean the same.

use std::{path::Path, sync::Arc, time::Instant};

use bytes::Bytes;
use column_store::{Access, Index};
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, RETRY_AFTER},
};
use tokio::task::JoinError;
use warp::{Reply as _, reply::Response};

use crate::{
    budget::column_files,
    chunks::chunks,
    limits::Limits,
    metrics::{Metrics, Refusal},
    missing::{Missing, X_MISSING},
    plan::{Plan, PlanError},
    query::{DataQuery, QueryError},
    room::Room,
    served::Served,
    turns::Turns,
};

/// What the answers are, as their `Content-Type`.
pub(crate) const OCTETS: &str = "application/octet-stream";

/// Seconds after which a client may hope again.
pub(crate) const RETRY_SECONDS: &str = "1";

/// What answers data requests. Cheap to clone; all clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct DataAnswers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    index: Index,
    limits: Limits,
    metrics: Metrics,
    plans: Turns,
    reads: Turns,
    room: Room,
}

/// Why a data request has no data as its answer; the texts are the bodies.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataError {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("Not found: {0}")]
    NotFound(Missing),
    #[error("Invalid end: {rows} rows, at most {limit} are answered at once; max_points asks for fewer")]
    TooManyRows { rows: u64, limit: u64 },
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The plan panicked, or the process is ending.
    #[error("The request was aborted")]
    Aborted(#[from] JoinError),
}

/// An answer that is no data.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
    /// Whether asking again soon may help.
    pub(crate) is_passing: bool,
    pub(crate) missing: Option<HeaderValue>,
}

/// A plan, and its whole answer if that is small.
pub(crate) type Planned = (Plan, Option<Vec<u8>>);

impl DataAnswers {
    /// `plans` bounds the plans being made, see [`Limits::plans_at_once`]. To be called within the runtime whose blocking
    /// threads may wait for disks.
    pub(crate) fn new(root: &Path, limits: Limits, metrics: Metrics, plans: Turns) -> DataAnswers {
        let reads = Turns::new(limits.reads_at_once);
        let index = Index::new(root, column_files(limits.connections)).keeping(limits.block_cache_bytes);
        let room = Room::new(limits.answer_bytes);
        DataAnswers(Arc::new(Inner { index, limits, metrics, plans, reads, room }))
    }

    pub(crate) fn index(&self) -> &Index {
        &self.0.index
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// A bound for reads of large answers.
    pub(crate) fn reads(&self) -> &Turns {
        &self.0.reads
    }

    /// A bound for what is ready of large answers, where one connection may have many.
    pub(crate) fn room(&self) -> &Room {
        &self.0.room
    }

    /// Answers one request; never without an answer.
    pub(crate) async fn answer(&self, query: Option<&str>, is_head: bool) -> Response {
        match self.planned(query, !is_head).await {
            Ok(planned) => self.data(planned, is_head),
            Err(error) => self.failure(&error).into_response(),
        }
    }

    async fn planned(&self, query: Option<&str>, with_data: bool) -> Result<Planned, DataError> {
        let start = Instant::now();
        let query = DataQuery::parse(query, &self.0.limits)?;
        match self.plan_in_memory(&query, with_data) {
            Err(PlanError::NotResident) => self.plan_on_disk(query, with_data, start).await,
            planned => {
                self.answered_from_memory();
                self.all_settled(&query, planned, start)
            }
        }
    }

    fn plan_in_memory(&self, query: &DataQuery, with_data: bool) -> Result<Planned, PlanError> {
        let plan = Plan::make(&self.0.index, query, Access::Resident)?;
        self.with_data(plan, with_data, Access::Resident)
    }

    fn with_data(&self, plan: Plan, with_data: bool, access: Access) -> Result<Planned, PlanError> {
        let mut whole = None;
        if with_data && plan.is_small(&self.0.limits) {
            plan.append_to(whole.insert(Vec::new()), access)?;
        }
        Ok((plan, whole))
    }

    /// Plans where a disk may be waited for, and reads the answer there too if it is small.
    pub(crate) async fn plan_on_disk(
        &self,
        query: DataQuery,
        with_data: bool,
        start: Instant,
    ) -> Result<Planned, DataError> {
        let this = self.clone();
        let planned = self.0.plans.take(move || {
            let plan = Plan::make(&this.0.index, &query, Access::Disk);
            let planned = plan.and_then(|plan| this.with_data(plan, with_data, Access::Disk));
            let days_looked_up = planned.as_ref().map_or(0, |(plan, _)| plan.days_looked_up);
            this.0.metrics.looked_up(days_looked_up == 0, false);
            this.all_settled(&query, planned, start)
        });
        planned.await?
    }

    fn all_settled(
        &self,
        query: &DataQuery,
        planned: Result<Planned, PlanError>,
        start: Instant,
    ) -> Result<Planned, DataError> {
        let (plan, whole) = match planned {
            Ok((plan, whole)) => (Ok(plan), whole),
            Err(error) => (Err(error), None),
        };
        Ok((self.settled(query, plan, start)?, whole))
    }

    /// Notes that a request was answered without a disk.
    pub(crate) fn answered_from_memory(&self) {
        self.0.metrics.looked_up(true, true);
    }

    /// Refuses an answer of too many rows.
    ///
    /// # Errors
    /// [`DataError::TooManyRows`].
    pub(crate) fn check_rows(&self, rows: u64) -> Result<(), DataError> {
        let limit = self.0.limits.rows;
        if rows > limit { Err(DataError::TooManyRows { rows, limit }) } else { Ok(()) }
    }

    /// Counts a query and applies `strict` and the limit of rows.
    pub(crate) fn settled(
        &self,
        query: &DataQuery,
        plan: Result<Plan, PlanError>,
        start: Instant,
    ) -> Result<Plan, DataError> {
        let has_symbol = plan.as_ref().is_ok_and(Plan::has_symbol);
        self.0.metrics.queried(&query.id, has_symbol, start.elapsed());
        self.checked(query, plan)
    }

    /// Applies `strict` and the limit of rows.
    pub(crate) fn checked(&self, query: &DataQuery, plan: Result<Plan, PlanError>) -> Result<Plan, DataError> {
        match plan? {
            Plan { rows: 0, missing: Some(missing), .. } if query.strict => Err(DataError::NotFound(missing)),
            plan => self.check_rows(plan.rows).map(|()| plan),
        }
    }

    fn data(&self, (plan, whole): Planned, is_head: bool) -> Response {
        let length = plan.length;
        let (missing, etag) = (plan.missing.as_ref().map(Missing::header), plan.etag.clone());
        let mut response = if is_head {
            Response::default()
        } else {
            let served = self.0.metrics.bytes_served(&plan.id, plan.has_symbol());
            match whole {
                Some(whole) => {
                    let served = Served { counter: served, bytes: whole.len() as u64 };
                    let mut response = http::Response::new(Bytes::from(whole)).into_response();
                    // The client may turn out to have it.
                    response.extensions_mut().insert(served);
                    response
                }
                None => {
                    let (reads, room) = (self.reads().clone(), self.room().clone());
                    let chunks = chunks(plan, self.0.limits.chunk_bytes, reads, Some(room), Some(served));
                    warp::reply::stream(chunks).into_response()
                }
            }
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(OCTETS));
        headers.insert(CONTENT_LENGTH, length.into());
        headers.extend(missing.map(|missing| (X_MISSING, missing)));
        headers.extend(etag.map(|etag| (ETAG, etag)));
        response
    }

    /// What to answer if there is no data, counted and logged.
    pub(crate) fn failure(&self, error: &DataError) -> Failure {
        let status = match error {
            DataError::Query(error) => {
                error.refusal().into_iter().for_each(|refusal| self.0.metrics.refused(refusal));
                error.status()
            }
            DataError::TooManyRows { .. } => {
                self.0.metrics.refused(Refusal::Rows);
                StatusCode::PAYLOAD_TOO_LARGE
            }
            DataError::NotFound(_) => StatusCode::NOT_FOUND,
            DataError::Plan(PlanError::OpenFiles) => {
                self.0.metrics.refused(Refusal::OpenFiles);
                StatusCode::SERVICE_UNAVAILABLE
            }
            DataError::Plan(PlanError::Cut(_)) => StatusCode::SERVICE_UNAVAILABLE,
            DataError::Plan(_) | DataError::Aborted(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        // The rest is the client's affair, or counted: a flood of requests must not become one of log lines.
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = ?error, "data request failed");
        }
        let missing = if let DataError::NotFound(missing) = error { Some(missing.header()) } else { None };
        let is_passing = status == StatusCode::SERVICE_UNAVAILABLE;
        Failure { status, text: error.to_string(), is_passing, missing }
    }
}

impl Failure {
    pub(crate) fn into_response(self) -> Response {
        let mut response = http::Response::new(self.text).into_response();
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if self.is_passing {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
        }
        headers.extend(self.missing.map(|missing| (X_MISSING, missing)));
        response
    }
}
