//! Cells as text. Floats are written with the fewest digits that give back the same float.

use column_store::Kind;

/// Appends a cell for CSV; what is unknown is an empty field.
pub(crate) fn push_csv_cell(text: &mut Vec<u8>, kind: Kind, cell: &[u8]) {
    match number(kind, cell) {
        Some(Number::F64(float)) if float.is_infinite() => push_infinite(text, float > 0.0),
        Some(Number::F32(float)) if float.is_infinite() => push_infinite(text, float > 0.0),
        Some(number) => push_number(text, number),
        None => push_uuid(text, cell),
    }
}

/// Appends a cell for JSON; what is unknown, and what JSON has no number for, is null.
pub(crate) fn push_json_cell(text: &mut Vec<u8>, kind: Kind, cell: &[u8]) {
    let before = text.len();
    match number(kind, cell) {
        Some(number) => push_number(text, number),
        None => {
            text.push(b'"');
            push_uuid(text, cell);
            text.push(b'"');
        }
    }
    // A float without digits or a nil UUID.
    if text.len() == before || text.ends_with(b"\"\"") {
        text.truncate(before);
        text.extend_from_slice(b"null");
    }
}

/// Bytes of a cell in JSON at most: the digits of an integer, what `ryu` may need for a float, a UUID in quotes.
pub(crate) const fn json_cell_bytes_max(kind: Kind) -> usize {
    match kind {
        Kind::U32 => 10,
        Kind::U64 => 20,
        Kind::F32 => 16,
        Kind::F64 => 24,
        Kind::Uuid => 38,
    }
}

#[derive(Clone, Copy)]
enum Number {
    U32(u32),
    U64(u64),
    F32(f32),
    F64(f64),
}

/// `None` for a UUID. A cell always has its kind's width; if it had not, it would read as 0.
fn number(kind: Kind, cell: &[u8]) -> Option<Number> {
    let four = || cell.try_into().unwrap_or_default();
    let eight = || cell.try_into().unwrap_or_default();
    match kind {
        Kind::U32 => Some(Number::U32(u32::from_le_bytes(four()))),
        Kind::U64 => Some(Number::U64(u64::from_le_bytes(eight()))),
        Kind::F32 => Some(Number::F32(f32::from_le_bytes(four()))),
        Kind::F64 => Some(Number::F64(f64::from_le_bytes(eight()))),
        Kind::Uuid => None,
    }
}

/// Appends nothing for a float that is not finite.
fn push_number(text: &mut Vec<u8>, number: Number) {
    match number {
        Number::U32(number) => text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        Number::U64(number) => text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        Number::F32(float) if float.is_finite() => {
            text.extend_from_slice(ryu::Buffer::new().format_finite(float).as_bytes());
        }
        Number::F64(float) if float.is_finite() => {
            text.extend_from_slice(ryu::Buffer::new().format_finite(float).as_bytes());
        }
        Number::F32(_) | Number::F64(_) => {}
    }
}

fn push_infinite(text: &mut Vec<u8>, is_positive: bool) {
    text.extend_from_slice(if is_positive { b"inf" } else { b"-inf" });
}

/// `8-4-4-4-12` digits; nothing for the nil UUID, which means none.
fn push_uuid(text: &mut Vec<u8>, cell: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    if cell.iter().all(|byte| *byte == 0) {
        return;
    }
    for (at, byte) in cell.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push(b'-');
        }
        let digit = |value: u8| DIGITS.get(usize::from(value & 15)).copied().unwrap_or(b'0');
        text.extend([digit(byte >> 4), digit(*byte)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, cell: &[u8], csv: &str, json: &str) {
        let (mut in_csv, mut in_json) = (Vec::new(), Vec::new());
        push_csv_cell(&mut in_csv, kind, cell);
        push_json_cell(&mut in_json, kind, cell);
        assert_eq!((std::str::from_utf8(&in_csv), std::str::from_utf8(&in_json)), (Ok(csv), Ok(json)));
        assert!(json.len() <= json_cell_bytes_max(kind), "{json}");
    }

    #[test]
    fn cells() {
        check(Kind::U32, &u32::MAX.to_le_bytes(), "4294967295", "4294967295");
        check(Kind::U64, &u64::MAX.to_le_bytes(), "18446744073709551615", "18446744073709551615");
        check(Kind::F32, &0.1_f32.to_le_bytes(), "0.1", "0.1");
        check(Kind::F64, &0.1_f64.to_le_bytes(), "0.1", "0.1");
        check(Kind::F64, &1e300_f64.to_le_bytes(), "1e300", "1e300");
        check(Kind::F64, &(-0.0_f64).to_le_bytes(), "-0.0", "-0.0");
        let long = "-2.2250738585072014e-308";
        check(Kind::F64, &(-f64::MIN_POSITIVE).to_le_bytes(), long, long);
        check(Kind::F32, &(-f32::MIN_POSITIVE).to_le_bytes(), "-1.1754944e-38", "-1.1754944e-38");
        check(Kind::F64, &f64::NAN.to_le_bytes(), "", "null");
        check(Kind::F32, &f32::NAN.to_le_bytes(), "", "null");
        check(Kind::F32, &f32::INFINITY.to_le_bytes(), "inf", "null");
        check(Kind::F64, &f64::NEG_INFINITY.to_le_bytes(), "-inf", "null");
        check(Kind::Uuid, &[0; 16], "", "null");
        let uuid = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef_u128.to_be_bytes();
        let text = "01234567-89ab-cdef-0123-456789abcdef";
        check(Kind::Uuid, &uuid, text, &format!("\"{text}\""));
    }
}
