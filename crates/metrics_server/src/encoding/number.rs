//! Numbers as text.

use super::Format;

/// The value of a sample, exact as long as the metric was.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

/// Every whole number up to here is exactly an `f64`, and is written without a fraction.
const WHOLE: f64 = 9_007_199_254_740_992.0;

impl Number {
    #[inline]
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Unsigned(value) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
            Self::Signed(value) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
            Self::Float(value) => float(value, out),
        }
    }

    /// What the binary format carries.
    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Self::Unsigned(value) => value as f64,
            Self::Signed(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

/// `1` and not `1.0`, `+Inf`, `-Inf`, `NaN`; else the shortest text that reads back as the same number.
pub(super) fn float(value: f64, out: &mut Vec<u8>) {
    if value.abs() < WHOLE && value.fract() == 0.0 && !(value == 0.0 && value.is_sign_negative()) {
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else if value.is_finite() {
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(if value.is_nan() {
            b"NaN"
        } else if value > 0.0 {
            b"+Inf"
        } else {
            b"-Inf"
        });
    }
}

/// The bound of a bucket: OpenMetrics wants `1.0` where the older format has `1`.
pub(super) fn bound(value: f64, format: Format, out: &mut Vec<u8>) {
    if format == Format::OpenMetrics && value.is_finite() {
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
    } else {
        float(value, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_are_short_and_exact() {
        let check = |value, expected: &str| assert_eq!(text(|out| float(value, out)), expected);
        check(1.0, "1");
        check(-3.0, "-3");
        check(0.1, "0.1");
        check(-0.0, "-0.0");
        check(1e300, "1e300");
        check(9_007_199_254_740_991.0, "9007199254740991");
        check(f64::NAN, "NaN");
        check(f64::INFINITY, "+Inf");
        check(f64::NEG_INFINITY, "-Inf");
    }

    #[test]
    fn whole_bounds_differ_between_the_formats() {
        assert_eq!(text(|out| bound(1.0, Format::OpenMetrics, out)), "1.0");
        assert_eq!(text(|out| bound(1.0, Format::Text, out)), "1");
        assert_eq!(text(|out| bound(0.25, Format::OpenMetrics, out)), "0.25");
        assert_eq!(text(|out| bound(f64::INFINITY, Format::OpenMetrics, out)), "+Inf");
    }
}
