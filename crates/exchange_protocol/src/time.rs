//! Timestamps of the wire, as nanoseconds since the Unix epoch.

/// RFC 3339 with 0 to 9 fraction digits; `None` if it is not that or lies before 1970 (Coinbase sends the year 1 at times).
pub(crate) fn rfc3339(text: &str) -> Option<u64> {
    let timestamp: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(timestamp.as_nanosecond()).ok().filter(|ns| *ns > 0)
}

/// Whole milliseconds or microseconds, told apart by their size: as microseconds anything below 10^14 would lie before
/// April 1973, as milliseconds anything above it after the year 5138.
pub(crate) fn millis_or_micros(value: u64) -> Option<u64> {
    let to_ns = if value < 100_000_000_000_000 { 1_000_000 } else { 1_000 };
    value.checked_mul(to_ns).filter(|ns| *ns > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms() {
        assert_eq!(rfc3339("2022-10-19T23:28:22.061769Z"), Some(1_666_222_102_061_769_000));
        assert_eq!(rfc3339("2022-10-19T23:28:22Z"), Some(1_666_222_102_000_000_000));
        assert_eq!(rfc3339("2026-07-26T12:00:00.123456789Z"), Some(1_785_067_200_123_456_789));
        assert_eq!(rfc3339("0001-01-01T00:00:00Z"), None);
        assert_eq!(rfc3339("yesterday"), None);
        assert_eq!(millis_or_micros(1_672_515_782_136), Some(1_672_515_782_136_000_000));
        assert_eq!(millis_or_micros(1_672_515_782_136_123), Some(1_672_515_782_136_123_000));
        assert_eq!(millis_or_micros(0), None);
        assert_eq!(millis_or_micros(u64::MAX), None);
    }
}
