//! The market's clock: the system clock, moved and sped up.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Nanoseconds in a microsecond.
pub(crate) const NANOS_PER_MICRO: u64 = 1_000;

/// How fast a clock runs: so many times as fast as the system's, from one moment on. Two clocks of the same pace show the same
/// time, also in two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockPace {
    /// The system's clock, ns since the Unix epoch, when both showed the same.
    pub since_ns: u64,
    /// Seconds that pass in a second, at least 1.
    pub speed: u32,
}

impl Default for ClockPace {
    fn default() -> Self {
        Self { since_ns: 0, speed: 1 }
    }
}

/// The clock every event time and ledger time is read from.
#[derive(Clone, Debug, Default)]
pub(crate) struct MarketClock {
    offset_ns: i64,
    pace: ClockPace,
    /// By how much a fault has set this clock and its clones ahead.
    skew_ns: Arc<AtomicI64>,
}

impl MarketClock {
    /// A clock that was `offset_ns` nanoseconds ahead of the system clock (behind it if negative) when its pace began.
    pub(crate) fn new(offset_ns: i64, pace: ClockPace) -> Self {
        Self { offset_ns, pace, skew_ns: Arc::default() }
    }

    /// Sets this clock and its clones ahead of what they would show, or behind.
    pub(crate) fn set_skew(&self, skew_ns: i64) {
        self.skew_ns.store(skew_ns, Ordering::Relaxed);
    }

    /// Now, in nanoseconds since the Unix epoch; never before the epoch.
    pub(crate) fn now_ns(&self) -> u64 {
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let system = i128::try_from(system).unwrap_or(i128::MAX);
        let gained = (system - i128::from(self.pace.since_ns)).max(0) * (i128::from(self.pace.speed) - 1);
        let moved = system.saturating_add(gained).saturating_add(i128::from(self.offset_ns));
        let moved = moved.saturating_add(i128::from(self.skew_ns.load(Ordering::Relaxed)));
        u64::try_from(moved.max(0)).unwrap_or(u64::MAX)
    }

    /// Now, in whole microseconds since the Unix epoch, cut off and not rounded: a rounded time could lie in the future.
    pub(crate) fn now_us(&self) -> u64 {
        self.now_ns() / NANOS_PER_MICRO
    }
}

/// `us` microseconds since the epoch as `2022-10-19T23:28:22.061769Z`, always with six fraction digits.
pub(crate) fn rfc3339_us(us: u64) -> String {
    let timestamp =
        i64::try_from(us).ok().and_then(|us| Timestamp::from_microsecond(us).ok()).unwrap_or(Timestamp::MAX);
    timestamp.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// The nanoseconds since the epoch that an RFC 3339 text names, if it names any after 1970.
pub(crate) fn parse_rfc3339_ns(text: &str) -> Option<u64> {
    let timestamp: Timestamp = text.parse().ok()?;
    u64::try_from(timestamp.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_reads_six_fraction_digits() {
        let text = rfc3339_us(1_666_222_102_061_700);
        assert_eq!(text, "2022-10-19T23:28:22.061700Z");
        assert_eq!(parse_rfc3339_ns(&text), Some(1_666_222_102_061_700_000));
        assert_eq!(parse_rfc3339_ns("0001-01-01T00:00:00Z"), None);
    }

    #[test]
    fn offset_moves_the_clock() {
        let plain = MarketClock::new(0, ClockPace::default()).now_ns();
        let ahead = MarketClock::new(3_600_000_000_000, ClockPace::default()).now_ns();
        assert!((3_590_000_000_000..3_610_000_000_000).contains(&(ahead - plain)));
    }

    #[test]
    fn a_faster_clock_gains_from_its_beginning_on() {
        let plain = MarketClock::new(0, ClockPace::default()).now_ns();
        let pace = ClockPace { since_ns: plain - 1_000_000_000, speed: 1_001 };
        let fast = MarketClock::new(0, pace).now_ns();
        assert!((1_000_000_000_000..1_100_000_000_000).contains(&(fast - plain)), "{}", fast - plain);
        let later = ClockPace { since_ns: plain + 3_600_000_000_000, speed: 1_001 };
        let same = MarketClock::new(0, later).now_ns();
        assert!(same - plain < 3_600_000_000_000, "before its beginning it shows the system's time");
    }
}
