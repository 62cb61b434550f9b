//! How far a venue's clock stands from ours.
//!
//! Where the venue tells its time in answer to a request, it told it between our sending and our receiving: the quickest
//! answer says most. Elsewhere a message that arrived before it happened proves that the venue's clock is ahead by at least
//! that much; a clock that is behind cannot be told from a slow connection.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// What is older says nothing about now: clocks are set and drift.
const WINDOW: Duration = Duration::from_secs(300);
const SAMPLES: usize = 64;

/// The estimate of one venue.
#[derive(Debug, Default)]
pub(crate) struct ClockOffset {
    /// When, how long the answer took, and venue minus ours in its middle, ns.
    answers: VecDeque<(Instant, Duration, i64)>,
    /// When, and the least of receive minus event time, ns.
    latencies: VecDeque<(Instant, i64)>,
}

impl ClockOffset {
    /// The venue said that it was `venue_ns` in answer to what was sent at `sent_ns`; that came at `receive_ns`.
    pub(crate) fn answered(&mut self, now: Instant, sent_ns: u64, receive_ns: u64, venue_ns: u64) {
        let Some(took) = receive_ns.checked_sub(sent_ns) else { return };
        let middle = sent_ns + took / 2;
        let offset = i64::try_from(i128::from(venue_ns) - i128::from(middle)).unwrap_or(0);
        if self.answers.len() == SAMPLES {
            self.answers.pop_front();
        }
        self.answers.push_back((now, Duration::from_nanos(took), offset));
    }

    /// The least latency of some time up to now.
    pub(crate) fn latency(&mut self, now: Instant, least_ns: i64) {
        if self.latencies.len() == SAMPLES {
            self.latencies.pop_front();
        }
        // What came before and is greater says nothing that this does not say for longer.
        while self.latencies.back().is_some_and(|(_, latency)| *latency >= least_ns) {
            self.latencies.pop_back();
        }
        self.latencies.push_back((now, least_ns));
    }

    /// The venue's clock minus ours, seconds; 0 while nothing shows that they differ.
    pub(crate) fn seconds(&mut self, now: Instant) -> f64 {
        let is_old = |at: Instant| now.saturating_duration_since(at) >= WINDOW;
        while self.answers.front().is_some_and(|(at, ..)| is_old(*at)) {
            self.answers.pop_front();
        }
        while self.latencies.front().is_some_and(|(at, _)| is_old(*at)) {
            self.latencies.pop_front();
        }
        let quickest = self.answers.iter().min_by_key(|(_, took, _)| *took).map(|(.., offset)| *offset);
        let ahead = self.latencies.front().map_or(0, |(_, latency)| latency.saturating_neg().max(0));
        quickest.unwrap_or(ahead) as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn the_quickest_answer_counts() {
        let (mut offset, start) = (ClockOffset::default(), Instant::now());
        assert_eq!(offset.seconds(start), 0.0);
        offset.answered(start, 100 * S, 104 * S, 110 * S);
        assert_eq!(offset.seconds(start), 8.0);
        offset.answered(start, 200 * S, 202 * S, 196 * S);
        assert_eq!(offset.seconds(start), -5.0);
        offset.answered(start, 300 * S, 303 * S, 1_000 * S);
        assert_eq!(offset.seconds(start), -5.0, "it took longer");
        offset.answered(start, 300 * S, 299 * S, 1_000 * S);
        assert_eq!(offset.seconds(start), -5.0, "the clock was set in between");
        assert_eq!(offset.seconds(start + WINDOW), 0.0);
    }

    #[test]
    fn else_what_arrives_before_it_happened_shows_a_clock_that_is_ahead() {
        let (mut offset, start) = (ClockOffset::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        offset.latency(start, 20_000_000);
        assert_eq!(offset.seconds(start), 0.0);
        offset.latency(after(10), -2_000_000_000);
        offset.latency(after(200), -1_000_000_000);
        offset.latency(after(201), 5);
        assert_eq!(offset.seconds(after(300)), 2.0);
        assert_eq!(offset.seconds(after(311)), 1.0);
        assert_eq!(offset.seconds(after(500)), 0.0);
        offset.answered(after(500), 0, 2, S);
        assert_eq!(offset.seconds(after(500)), 0.999_999_999);
    }
}
