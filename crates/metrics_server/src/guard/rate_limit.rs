//! `rate_limit`: a token bucket.

use crate::web_config::RateLimit;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Lets `burst` requests through at once, and one each `interval` in the long run.
pub(super) struct TokenBucket {
    limit: RateLimit,
    /// When the bucket will be full again; each request moves it by an interval.
    full_at: Mutex<Instant>,
}

impl TokenBucket {
    pub(super) fn new(limit: RateLimit) -> Self {
        Self { limit, full_at: Mutex::new(Instant::now()) }
    }

    pub(super) fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Takes a token, or says how long it takes until there is one.
    pub(super) fn take(&self, now: Instant) -> Result<(), Duration> {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let next = full_at.checked_duration_since(now).unwrap_or_default().saturating_add(self.limit.interval);
        let capacity = self.limit.interval.saturating_mul(self.limit.burst);
        match next.checked_sub(capacity).filter(|wait| !wait.is_zero()) {
            Some(wait) => Err(wait),
            None => {
                *full_at = now + next;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_each_interval() {
        let second = Duration::from_secs(1);
        let bucket = TokenBucket::new(RateLimit { interval: second, burst: 3 });
        let start = Instant::now() + second;
        let take = |after: Duration| bucket.take(start + after).err();
        let at_once = |after| [take(after), take(after), take(after), take(after)];
        assert_eq!(at_once(Duration::ZERO), [None, None, None, Some(second)]);
        assert_eq!(take(second / 4), Some(second * 3 / 4));
        assert_eq!([take(second), take(second)], [None, Some(second)]);
        assert_eq!(at_once(second * 60), [None, None, None, Some(second)]);
    }
}
