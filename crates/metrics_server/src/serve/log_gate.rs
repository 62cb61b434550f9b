//! One line a minute for what may happen a thousand times a second.

use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_secs(60);

/// Lets one event a minute through and counts the others.
#[derive(Debug, Default)]
pub(super) struct LogGate {
    last: Option<Instant>,
    unlogged: u64,
}

impl LogGate {
    /// `Some` if this event is to be logged, with the number of those since the last one that were not.
    pub(super) fn pass(&mut self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    fn pass_at(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < INTERVAL) {
            self.unlogged += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_minute_with_the_number_of_the_others() {
        let (mut gate, start) = (LogGate::default(), Instant::now());
        let mut pass = |seconds| gate.pass_at(start + Duration::from_secs(seconds));
        assert_eq!(
            [pass(0), pass(1), pass(59), pass(60), pass(61), pass(300)],
            [Some(0), None, None, Some(2), None, Some(1)]
        );
    }
}
