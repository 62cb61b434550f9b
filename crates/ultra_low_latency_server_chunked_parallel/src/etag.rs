//! Names for answers that will always be the same.

use bytes::Bytes;
use column_store::Column;
use http::HeaderValue;

use crate::query::DataQuery;

/// The answer's name, made of what its rows are (`validator`, see [`column_store::Found`]) and of what is answered of them
/// in which order.
pub(crate) fn of(validator: u128, query: &DataQuery) -> HeaderValue {
    let points = query.max_points.unwrap_or(0);
    let columns = fingerprint(&query.columns);
    let mut tag = Vec::with_capacity(96);
    tag.push(b'"');
    for (number, digits) in [
        ((validator >> 64) as u64, 16),
        (validator as u64, 16),
        (query.start.into(), 1),
        (query.end.into(), 1),
        (points, 1),
        (columns, 16),
    ] {
        hex(&mut tag, number, digits);
    }
    if let Some(last) = tag.last_mut() {
        *last = b'"';
    }
    HeaderValue::from_maybe_shared(Bytes::from(tag)).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Appends a number with at least so many digits, and a hyphen. Every answer has a tag: `format!` would take a microsecond.
fn hex(tag: &mut Vec<u8>, number: u64, digits: u32) {
    let needed = 16 - number.leading_zeros() / 4;
    for digit in (0..needed.max(digits)).rev() {
        let nibble = (number >> (4 * digit)) as u8 & 0xF;
        tag.push(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
    }
    tag.push(b'-');
}

/// FNV-1a of the names. Columns are few and known: no two lists of them need more.
fn fingerprint(columns: &[&'static Column]) -> u64 {
    let names = columns.iter().flat_map(|column| column.name.bytes().chain([b',']));
    names.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Whether an `If-None-Match` names the answer. Weak tags count too, as for any such comparison.
pub(crate) fn is_named(etag: &HeaderValue, if_none_match: &[u8]) -> bool {
    let tags = if_none_match.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let mut tags = tags.map(|tag| tag.strip_prefix(b"W/").unwrap_or(tag));
    tags.any(|tag| tag == b"*" || tag == etag.as_bytes())
}
