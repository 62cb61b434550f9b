//! A UTC calendar day, as it stands in file names.

use std::{fmt, str::FromStr};

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

const NANOS_PER_DAY: u64 = 86_400 * 1_000_000_000;
/// 2000-01-01 in days since 1970-01-01: two-digit years in file names mean 2000 to 2099.
const FIRST: u32 = 10_957;
/// 2099-12-31.
const LAST: u32 = 47_481;

/// A UTC day from 2000-01-01 to 2099-12-31; prints and parses as `DD.MM.YY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(u32);

impl Day {
    /// The day that holds `ns` nanoseconds since the Unix epoch; `None` outside 2000 to 2099.
    pub fn from_ns(ns: u64) -> Option<Day> {
        u32::try_from(ns / NANOS_PER_DAY).ok().filter(|day| (FIRST..=LAST).contains(day)).map(Day)
    }

    /// The day that holds `seconds` since the Unix epoch, clamped to 2000 to 2099.
    pub fn from_seconds_clamped(seconds: u32) -> Day {
        Day((seconds / 86_400).clamp(FIRST, LAST))
    }

    /// Days since 1970-01-01.
    pub fn number(self) -> u32 {
        self.0
    }

    /// When the day begins, ns since the Unix epoch.
    pub fn start_ns(self) -> u64 {
        u64::from(self.0) * NANOS_PER_DAY
    }

    /// When the next day begins, ns since the Unix epoch.
    pub fn end_ns(self) -> u64 {
        self.start_ns() + NANOS_PER_DAY
    }

    /// The following day; the last day of 2099 has none.
    pub fn next(self) -> Option<Day> {
        (self.0 < LAST).then(|| Day(self.0 + 1))
    }

    fn date(self) -> Date {
        // The range of `Day` is far inside jiff's, so the addition cannot fail.
        Date::constant(1970, 1, 1).saturating_add(jiff::Span::new().days(i64::from(self.0)))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.date();
        write!(f, "{:02}.{:02}.{:02}", date.day(), date.month(), date.year() % 100)
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Day, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The text is not a day of the form `DD.MM.YY`.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a day of the form DD.MM.YY")]
pub struct ParseDayError(String);

impl FromStr for Day {
    type Err = ParseDayError;

    fn from_str(text: &str) -> Result<Day, ParseDayError> {
        parse(text).ok_or_else(|| ParseDayError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Day> {
    let [d1, d2, b'.', m1, m2, b'.', y1, y2] = *text.as_bytes() else { return None };
    let pair = |a: u8, b: u8| -> Option<i8> {
        (a.is_ascii_digit() && b.is_ascii_digit()).then(|| i8::try_from((a - b'0') * 10 + (b - b'0')).ok())?
    };
    let date = Date::new(2000 + i16::from(pair(y1, y2)?), pair(m1, m2)?, pair(d1, d2)?).ok()?;
    let days = date.since(Date::constant(1970, 1, 1)).ok()?.get_days();
    u32::try_from(days).ok().map(Day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_parses() {
        for (seconds, text) in [
            (946_684_800_u32, "01.01.00"),
            (951_782_400, "29.02.00"),
            (1_794_960_000, "18.11.26"),
            (4_102_444_799, "31.12.99"),
        ] {
            let day = Day::from_ns(u64::from(seconds) * 1_000_000_000).unwrap();
            assert_eq!(day.to_string(), text);
            assert_eq!(text.parse::<Day>().unwrap(), day);
            assert_eq!(day.number(), seconds / 86_400);
        }
    }

    #[test]
    fn refuses_what_is_no_day() {
        for text in ["", "1.1.26", "31.02.26", "00.01.26", "18-11-26", "18.11.2026", "aa.bb.cc", "१8.11.26"] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
        assert_eq!(Day::from_ns(0), None);
        assert_eq!(Day::from_ns(4_102_444_800 * 1_000_000_000), None);
    }
}
