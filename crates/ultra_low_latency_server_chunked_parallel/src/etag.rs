//! Names for answers that will always be the same.

use column_store::Column;
use http::HeaderValue;

use crate::query::DataQuery;

/// The answer's name, made of what its rows are (`validator`, see [`column_store::Found`]) and of what is answered of them
/// in which order.
pub(crate) fn of(validator: u128, query: &DataQuery) -> HeaderValue {
    let points = query.max_points.unwrap_or(0);
    let columns = fingerprint(&query.columns);
    let tag = format!("\"{validator:032x}-{:x}-{:x}-{points:x}-{columns:016x}\"", query.start, query.end);
    HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""))
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
