//! Timestamps of the wire, as nanoseconds since the Unix epoch.

/// RFC 3339 with 0 to 9 fraction digits; `None` if it is not that or lies before 1970 (Coinbase sends the year 1 at times).
pub(crate) fn rfc3339(text: &str) -> Option<u64> {
    utc(text.as_bytes()).or_else(|| any_zone(text))
}

fn any_zone(text: &str) -> Option<u64> {
    let timestamp: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(timestamp.as_nanosecond()).ok().filter(|ns| *ns > 0)
}

/// `YYYY-MM-DDThh:mm:ss[.f…]Z` of 1970 to 2199, the form that venues send; `None` for anything else, which is no judgement.
fn utc(text: &[u8]) -> Option<u64> {
    let number = |from: usize, to: usize| -> Option<u64> {
        text.get(from..to)?
            .iter()
            .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0')))
    };
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, byte)| text.get(*at) != Some(byte)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days_in_month = match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1970..2200).contains(&year) || !(1..=days_in_month).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let fraction_end = text.len() - 1;
    let fraction = match (text.get(19)?, fraction_end) {
        (b'Z', 19) => 0,
        (b'.', 21..=29) if text.last() == Some(&b'Z') => {
            number(20, fraction_end)? * 10_u64.pow(29 - u32::try_from(fraction_end).ok()?)
        }
        _ => return None,
    };
    // Days since the epoch by the years that end with February, so that the leap day is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1_000_000_000 + fraction).filter(|ns| *ns > 0)
}

/// Seconds with a fraction, as a JSON number: digits beyond nanoseconds are cut. `None` if it is not that.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .fold(0, |nanos, byte| nanos * 10 + u64::from(byte - b'0'));
    whole.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos).filter(|ns| *ns > 0)
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
        assert_eq!(seconds("1688671200.1234"), Some(1_688_671_200_123_400_000));
        assert_eq!(seconds("1688671200"), Some(1_688_671_200_000_000_000));
        assert_eq!(seconds("1688671200.1234567899"), Some(1_688_671_200_123_456_789));
        for bad in ["", "-1", "1.", "1e9", ".5", "0", "99999999999999999999"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        /// The quick way agrees with the library wherever it answers, calendar and all.
        #[test]
        fn utc_is_what_the_library_says(
            year in 1960_u32..2210, month in 0_u32..14, day in 0_u32..33, hour in 0_u32..25, minute in 0_u32..61,
            second in 0_u32..62, fraction in "(\\.[0-9]{0,10})?", zone in "Z|z|\\+01:00",
        ) {
            let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}");
            if let Some(ns) = utc(text.as_bytes()) {
                assert_eq!(Some(ns), any_zone(&text), "{text}");
            }
        }
    }

    #[test]
    fn utc_covers_what_venues_send() {
        for text in ["1970-01-01T00:00:00.000000001Z", "2024-02-29T23:59:59Z", "2100-02-28T00:00:00.1Z"] {
            assert_eq!(utc(text.as_bytes()), any_zone(text), "{text}");
            assert!(utc(text.as_bytes()).is_some(), "{text}");
        }
    }
}
