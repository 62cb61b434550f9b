//! Decimals of the wire, as the correctly rounded `f64`.

use crate::DecodeError;

/// A decimal of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decimal {
    /// The nearest `f64`.
    pub value: f64,
    /// Whether the `f64`, printed with as many significant digits as the frame had, gives the frame's digits back.
    pub exact: bool,
}

/// Every decimal of up to this many significant digits survives the way through an `f64` (`DBL_DIG`).
const ALWAYS_EXACT: usize = 15;

impl Decimal {
    /// Parses `[-]digits[.digits][e[±]digits]`, the form that JSON allows, also with leading zeros.
    ///
    /// # Errors
    /// [`DecodeError::Value`] naming `field`: anything else, such as `NaN`, `inf`, an empty text or an overflow.
    pub fn parse(field: &'static str, text: &str) -> Result<Decimal, DecodeError> {
        match short(text) {
            Some(decimal) => Ok(decimal),
            None => Decimal::parse_any(field, text),
        }
    }

    fn parse_any(field: &'static str, text: &str) -> Result<Decimal, DecodeError> {
        let bad = || DecodeError::value(field, text);
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (text, None),
        };
        let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let exponent_digits = exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
        if !digits(whole) || !digits(fraction) || !exponent_digits.is_none_or(digits) {
            return Err(bad());
        }
        let value = text.parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(bad)?;
        Ok(Decimal { value, exact: gives_digits_back(unsigned, value) })
    }

    /// The same for what cannot be negative, such as a size.
    ///
    /// # Errors
    /// As [`Decimal::parse`], and for a minus sign.
    pub fn parse_unsigned(field: &'static str, text: &str) -> Result<Decimal, DecodeError> {
        if text.starts_with('-') { Err(DecodeError::value(field, text)) } else { Decimal::parse(field, text) }
    }
}

/// Powers of ten that an `f64` holds exactly, as far as they are needed here.
const POWERS: [f64; 20] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19];

/// The decimals of nearly all frames: few digits, no exponent. Such a mantissa and such a power of ten are both exact, so
/// that their one division rounds correctly. `None` where that is not so, or the text is no decimal.
fn short(text: &str) -> Option<Decimal> {
    let unsigned = text.strip_prefix('-').unwrap_or(text).as_bytes();
    // One of them may be the point: 19 digits cannot overflow.
    if unsigned.len() > 19 {
        return None;
    }
    let mut mantissa = 0_u64;
    let mut point = None;
    for (at, byte) in unsigned.iter().enumerate() {
        match byte {
            b'0'..=b'9' => mantissa = mantissa * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() && at > 0 => point = Some(at),
            _ => return None,
        }
    }
    let fraction = match point {
        None if unsigned.is_empty() => return None,
        None => 0,
        Some(point) => unsigned.len() - point - 1,
    };
    if mantissa >= 10_u64.pow(ALWAYS_EXACT as u32) || point.is_some() && fraction == 0 {
        return None;
    }
    let value = mantissa as f64 / POWERS.get(fraction)?;
    Some(Decimal { value: if text.starts_with('-') { -value } else { value }, exact: true })
}

fn gives_digits_back(unsigned: &str, value: f64) -> bool {
    if value == 0.0 {
        // Too small a number is rounded to 0.
        return !unsigned.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    }
    if unsigned.len() <= ALWAYS_EXACT {
        return true;
    }
    let digits: String = unsigned.chars().filter(char::is_ascii_digit).collect();
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.len() <= ALWAYS_EXACT {
        return true;
    }
    let printed = format!("{:.*e}", significant.len() - 1, value.abs());
    let printed: String = printed.split('e').next().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    printed == significant
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_json_allows() {
        for (text, expected) in [
            ("0", 0.0),
            ("1285.22", 1285.22),
            ("0.00000001", 1e-8),
            ("-0.25", -0.25),
            ("007.50", 7.5),
            ("1e-7", 1e-7),
            ("1.5E+3", 1500.0),
            ("0.35210000", 0.3521),
        ] {
            assert_eq!(Decimal::parse("p", text).unwrap(), Decimal { value: expected, exact: true }, "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in ["", "-", ".", "1.", ".5", "+1", "NaN", "inf", "infinity", "1e", "1e400", "0x10", "1,5", " 1", "１"]
        {
            let error = Decimal::parse("price", text).unwrap_err();
            assert_eq!(error, DecodeError::Value { field: "price", value: text.to_owned() }, "{text}");
        }
    }

    proptest::proptest! {
        /// The short way and the long way agree wherever the short one goes.
        #[test]
        fn short_decimals_are_the_same(text in "-?[0-9]{0,12}(\\.[0-9]{0,12})?") {
            if let Some(decimal) = short(&text) {
                assert_eq!(Ok(decimal), Decimal::parse_any("p", &text), "{text}");
            }
        }
    }

    #[test]
    fn tells_when_digits_do_not_fit() {
        for (text, exact) in [
            ("123456789012345", true),
            ("0.00000000123456789012345", true),
            ("123456789012345600000000", true),
            ("9007199254740993", false),
            ("0.30000000000000001", false),
            ("19403.244049780002", true),
            ("123456.123456789012", false),
            ("0.000", true),
            ("1e-400", false),
        ] {
            assert_eq!(Decimal::parse("p", text).unwrap().exact, exact, "{text}");
        }
    }
}
