//! Durations as Go writes them.

use std::time::Duration;

/// A day: a limit of less than one request a day is a mistake.
const MAX: Duration = Duration::from_secs(86_400);

/// Reads `1s`, `100ms`, `1m30s`, `1.5h` or `0`.
///
/// # Errors
///
/// The text is none, or longer than a day.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let total = if text == "0" { Some(Duration::ZERO) } else { parts(text) };
    match total {
        Some(total) if total <= MAX => Ok(total),
        Some(_) => Err("must not be longer than 24h".to_owned()),
        None => Err("must be a duration such as 1s, 100ms or 1m30s, or 0 for no limit".to_owned()),
    }
}

fn parts(mut text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    if text.is_empty() {
        return None;
    }
    while !text.is_empty() {
        let (number, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, rest) = rest.split_at(rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len()));
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        total = total.checked_add(part)?;
        text = rest;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_writes() {
        let check = |text, milliseconds| assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        check("0", 0);
        check("0s", 0);
        check("1s", 1_000);
        check("100ms", 100);
        check("1m30s", 90_000);
        check("1.5h", 5_400_000);
        check("2000us", 2);
        check(".5s", 500);
        for text in ["", "1", "s", "1 s", "-1s", "1d", "1s2", "..s", "25h"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
