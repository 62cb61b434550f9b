//! `GET /api/data` in other forms than the plain one: other formats, nanosecond ranges, rows chosen by their values.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use warp::{Reply as _, reply::Response};

use crate::{
    data_answer::{DataAnswers, DataError},
    formats::Format,
    missing::{Missing, X_MISSING},
    query::DataQuery,
    reduction::Reduction,
    table_plan::TablePlan,
    table_stream::TableStream,
    turns::Turns,
};

/// What answers these requests.
#[derive(Debug)]
pub(crate) struct TableAnswers {
    data: DataAnswers,
    plans: Turns,
    reductions: Turns,
}

/// Gives a plan up when its client does.
struct GivenUp(Arc<AtomicBool>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl TableAnswers {
    /// `plans` bounds the plans being made, see [`Limits::plans_at_once`](crate::Limits::plans_at_once).
    pub(crate) fn new(data: DataAnswers, plans: Turns) -> TableAnswers {
        let reductions = Turns::new(data.limits().api.reductions_at_once);
        TableAnswers { data, plans, reductions }
    }

    /// Answers one request; never without an answer. A HEAD is answered as a GET, whose body the HTTP implementation
    /// leaves away unread.
    pub(crate) async fn answer(&self, query: DataQuery, format: Format) -> Response {
        let (start, id, strict) = (Instant::now(), query.id.clone(), query.strict);
        let planned = self.plan(query, format).await;
        let missing = planned.as_ref().ok().and_then(|plan| plan.missing.as_ref());
        let has_symbol = planned.is_ok() && missing.is_none_or(Missing::has_symbol);
        self.data.metrics().queried(&id, has_symbol, start.elapsed());
        let planned = match planned {
            Ok(TablePlan { missing: Some(missing), rows, .. }) if strict && rows.len() == 0 => {
                Err(DataError::NotFound(missing))
            }
            Ok(plan) => self.data.check_rows(plan.rows.len()).map(|()| plan),
            Err(error) => Err(error),
        };
        let mut response = match planned {
            Ok(plan) => self.table(plan),
            Err(error) => self.data.failure(&error).into_response(),
        };
        response.headers_mut().insert(VARY, ACCEPT.into());
        response
    }

    async fn plan(&self, query: DataQuery, format: Format) -> Result<TablePlan, DataError> {
        // Reductions read whole columns: only few at once, and none of them in the way of short plans.
        let turns = if query.reduction == Reduction::Stride { &self.plans } else { &self.reductions };
        let data = self.data.clone();
        let given_up = Arc::new(AtomicBool::new(false));
        let _unless_answered = GivenUp(Arc::clone(&given_up));
        let planned = turns
            .take(move || TablePlan::make(data.index(), query, format, data.limits().api.reduced_points, &given_up));
        Ok(planned.await??)
    }

    fn table(&self, plan: TablePlan) -> Response {
        let (format, missing) = (plan.format, plan.missing.as_ref().map(Missing::header));
        let has_symbol = plan.missing.as_ref().is_none_or(Missing::has_symbol);
        let served = self.data.metrics().bytes_served(&plan.id, has_symbol);
        let stream = TableStream::new(plan, self.data.limits().chunk_bytes);
        let length = stream.length;
        let bytes = stream.bytes(self.data.reads().clone(), self.data.room().clone(), served);
        let mut response = warp::reply::stream(bytes).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, format.content_type());
        headers.extend(length.map(|length| (CONTENT_LENGTH, length.into())));
        headers.extend(missing.map(|missing| (X_MISSING, missing)));
        response
    }
}
