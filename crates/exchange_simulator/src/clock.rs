//! The market's clock: the system clock moved by a fixed offset.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Nanoseconds in a microsecond.
pub(crate) const NANOS_PER_MICRO: u64 = 1_000;

/// The clock every event time and ledger time is read from.
#[derive(Clone, Debug, Default)]
pub(crate) struct MarketClock {
    offset_ns: i64,
    /// By how much a fault has set this clock and its clones ahead.
    skew_ns: Arc<AtomicI64>,
}

impl MarketClock {
    /// A clock that is `offset_ns` nanoseconds ahead of the system clock (behind it if negative).
    pub(crate) fn new(offset_ns: i64) -> Self {
        Self { offset_ns, skew_ns: Arc::default() }
    }

    /// Sets this clock and its clones ahead of what they would show, or behind.
    pub(crate) fn set_skew(&self, skew_ns: i64) {
        self.skew_ns.store(skew_ns, Ordering::Relaxed);
    }

    /// Now, in nanoseconds since the Unix epoch; never before the epoch.
    pub(crate) fn now_ns(&self) -> u64 {
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let moved = i128::try_from(system).unwrap_or(i128::MAX).saturating_add(i128::from(self.offset_ns));
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
        let ahead = MarketClock::new(3_600_000_000_000).now_ns();
        let plain = MarketClock::new(0).now_ns();
        assert!((3_590_000_000_000..3_610_000_000_000).contains(&(ahead - plain)));
    }
}
