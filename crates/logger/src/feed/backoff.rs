//! How long to wait before connecting again.

use std::time::Duration;

use rand::Rng;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);

/// Exponential with full jitter; the first retry is immediate.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next wait.
    pub(crate) fn next(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        rand::rng().random_range(Duration::ZERO..=self.longest())
    }

    /// The most that the next wait can be; jitter takes it down to anything above zero.
    fn longest(&self) -> Duration {
        match self.failures {
            0 | 1 => Duration::ZERO,
            failures => FIRST.saturating_mul(2_u32.saturating_pow(failures - 2)).min(LONGEST),
        }
    }

    /// The connection proved itself.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_at_once_then_longer_and_longer_up_to_a_minute() {
        let mut backoff = Backoff::default();
        let mut bounds = Vec::new();
        for _ in 0..12 {
            let wait = backoff.next();
            assert!(wait <= backoff.longest());
            bounds.push(backoff.longest().as_millis());
        }
        assert_eq!(bounds, [0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000, 60_000]);
        backoff.reset();
        assert_eq!(backoff.next(), Duration::ZERO);
    }
}
