//! A request from its arrival to the end of its response.

use super::labels::Method;
use super::series::Series;
use std::sync::Arc;
use std::time::Instant;

/// The status counted for a handler or a body that failed or panicked.
pub(super) const FAILED: u16 = 500;

/// The status counted for a client that hung up; the number that nginx uses.
const CLIENT_HUNG_UP: u16 = 499;

/// Counts a request exactly once: by [`finish`](Self::finish), or when it is dropped because nobody waits for the
/// response any more.
#[derive(Debug)]
pub(super) struct RequestGuard {
    series: Arc<Series>,
    method: Method,
    endpoint: usize,
    start: Instant,
    finished: bool,
}

impl RequestGuard {
    pub(super) fn new(series: Arc<Series>, method: Method, endpoint: usize) -> Self {
        series.started();
        Self { series, method, endpoint, start: Instant::now(), finished: false }
    }

    pub(super) fn is_head(&self) -> bool {
        self.method == Method::Head
    }

    pub(super) fn finish(mut self, status: u16) {
        self.record(status);
    }

    fn record(&mut self, status: u16) {
        if !self.finished {
            self.finished = true;
            self.series.finished(self.method, self.endpoint, status, self.start.elapsed());
        }
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.record(CLIENT_HUNG_UP);
    }
}
