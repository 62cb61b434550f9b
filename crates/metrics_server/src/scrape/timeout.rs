//! How long a scrape's client is going to wait.

use super::limits::{SCRAPE_TIMEOUT_MAX, TIMEOUT_MARGIN_MAX};
use http::HeaderMap;
use std::time::Duration;
use tokio::time::Instant;

/// The header in which Prometheus tells how long it waits for a scrape.
pub(super) const TIMEOUT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";

/// The points in time that a scrape's timeout means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScrapeTimeout {
    /// The client's own, or the longest there is.
    pub(crate) timeout: Duration,
    /// When the answer has to have begun, earlier by a margin for the way back.
    pub(crate) answer_by: Instant,
    /// When nobody waits for the rest any more.
    pub(crate) deadline: Instant,
}

impl ScrapeTimeout {
    /// A value that is no time counts as absent: a scrape without a timeout is better than none.
    pub(crate) fn of(headers: &HeaderMap, arrived: Instant) -> Self {
        let seconds = headers.get(TIMEOUT_HEADER).and_then(|value| value.to_str().ok()?.trim().parse::<f64>().ok());
        let told =
            seconds.filter(|seconds| *seconds > 0.0).map(|seconds| seconds.min(SCRAPE_TIMEOUT_MAX.as_secs_f64()));
        let timeout = told.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(SCRAPE_TIMEOUT_MAX);
        let margin = (timeout / 10).min(TIMEOUT_MARGIN_MAX);
        Self { timeout, answer_by: arrived + timeout - margin, deadline: arrived + timeout }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_honoured_within_reason() {
        let check = |value: &str, timeout_ms: u64, answer_after_ms: u64| {
            let now = Instant::now();
            let headers = [(TIMEOUT_HEADER.parse().unwrap(), value.parse().unwrap())].into_iter().collect();
            let actual = ScrapeTimeout::of(&headers, now);
            let after = |ms| now + Duration::from_millis(ms);
            assert_eq!((actual.answer_by, actual.deadline), (after(answer_after_ms), after(timeout_ms)), "{value}");
        };
        check("10", 10_000, 9500);
        check("10.000000", 10_000, 9500);
        check(" 2.5 ", 2500, 2250);
        check("0.1", 100, 90);
        for nonsense in ["", "0", "-1", "ten", "NaN", "inf", "1e300", "10s"] {
            check(nonsense, 300_000, 299_500);
        }
    }
}
