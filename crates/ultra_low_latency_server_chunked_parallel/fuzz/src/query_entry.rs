//! What is fuzzed, and what the test suite runs for a bounded time.

use super::{DataQuery, GapQuery, QueryError};
use crate::{formats::Format, limits::Limits, plain::is_plain};

/// Any text after the `?`: no panic; what is taken is within the limits and names nothing outside the data directory, whatever
/// is ignored in it; what the fast way takes for plain is plain; and what is refused is told in words of bounded length.
pub(crate) fn query_is_consistent(text: &str) {
    let limits = Limits { days: 40, columns: 5, files: 60, ..Limits::default() };
    match DataQuery::parse(Some(text), &limits) {
        Ok(query) => data_query_is_consistent(text, &query, &limits),
        Err(error) => error_is_consistent(&error),
    }
    match GapQuery::parse(Some(text), &limits) {
        Ok(GapQuery { id, start, end, range_ns, .. }) => {
            names_are_plain(&id.exchange, &id.symbol);
            range_is_consistent(start, end, range_ns, limits.days);
        }
        Err(error) => error_is_consistent(&error),
    }
}

fn data_query_is_consistent(text: &str, query: &DataQuery, limits: &Limits) {
    names_are_plain(&query.id.exchange, &query.id.symbol);
    range_is_consistent(query.start, query.end, query.range_ns(), limits.days);
    assert!((1..=limits.columns).contains(&query.columns.len()), "{} columns", query.columns.len());
    assert!(query.columns.iter().all(|column| query.id.table.column(column.name).is_some()));
    assert!((1..=limits.files).contains(&query.files()), "{} files", query.files());
    assert_ne!(query.max_points, Some(0));
    assert!(query.reduction.column().is_none() || query.max_points.is_some(), "a reduction to any number of rows");
    if is_plain(text) {
        assert!(query.format.is_none() && query.is_plain(Format::Binary), "the fast way would take it");
    }
    let with_more = DataQuery::parse(Some(&format!("{text}&&unknown=1")), limits);
    assert_eq!(with_more.ok().as_ref(), Some(query), "an unknown parameter changes it");
}

fn names_are_plain(exchange: &str, symbol: &str) {
    for name in [exchange, symbol] {
        assert!(!name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']), "{name:?}");
    }
}

fn range_is_consistent(start: u32, end: u32, (start_ns, end_ns): (u64, u64), days_max: u32) {
    assert!(start <= end && start_ns <= end_ns && end / 86_400 - start / 86_400 < days_max);
    assert_eq!((start_ns / 1_000_000_000, end_ns / 1_000_000_000), (u64::from(start), u64::from(end)));
}

fn error_is_consistent(error: &QueryError) {
    let text = error.to_string();
    assert!((1..1_000).contains(&text.len()) && !text.contains(char::is_control), "{text:?}");
    assert_eq!(error.status().as_u16(), if error.refusal().is_some() { 413 } else { 400 }, "{text}");
}
