//! What clients and the server say to each other, all of it JSON.

use column_store::Column;
use serde::{Deserialize, Serialize};

use super::WRITE_BYTES_MAX;
use crate::formats::{json_cell_bytes_max, push_json_cell};

/// A client's wish.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Wish {
    /// To follow a series.
    Subscribe(Subscribe),
    /// To follow it no longer.
    Unsubscribe {
        /// The name that the subscription was given.
        id: String,
    },
}

/// Which series to follow, and from where.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subscribe {
    pub(super) id: String,
    pub(super) exchange: Option<String>,
    pub(super) symbol: String,
    #[serde(rename = "type")]
    pub(super) table: String,
    pub(super) columns: Vec<String>,
    pub(super) since_ns: Option<Nanoseconds>,
    pub(super) cursor: Option<String>,
}

/// A number, or its digits in a string: numbers of JavaScript end at 2^53.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Nanoseconds {
    Number(u64),
    Digits(String),
}

impl Nanoseconds {
    pub(super) fn ns(&self) -> Option<u64> {
        match self {
            Nanoseconds::Number(ns) => Some(*ns),
            Nanoseconds::Digits(digits) => digits.parse().ok(),
        }
    }
}

/// What the server tells, apart from rows.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(super) enum Event<'a> {
    /// Rows follow from the cursor on.
    Subscribed { id: &'a str, columns: Vec<&'static str>, cursor: String },
    /// Everything that is committed was sent; from here on rows come as they are.
    Live { id: &'a str },
    /// A day was left out, because it lacks a column.
    Missing { id: &'a str, day: String, column: &'static str },
    /// Rows that were sent are no longer there; it goes on from the cursor.
    Cut { id: &'a str, cursor: String },
    /// No more rows of it.
    Unsubscribed { id: &'a str },
    /// A wish that cannot be granted.
    Error { id: Option<&'a str>, error: String },
}

impl Event<'_> {
    pub(super) fn text(&self) -> String {
        // Strings always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Bytes of a message's rows at most.
const ROWS_BYTES_MAX: usize = WRITE_BYTES_MAX - 64 * 1024;

/// Rows of these columns that surely fit into a message: what is longer would not be taken for sending at all.
pub(super) fn rows_that_fit(columns: &[&'static Column]) -> u64 {
    // Each cell and each row with a comma, the row in brackets.
    let row: usize = 3 + columns.iter().map(|column| json_cell_bytes_max(column.kind) + 1).sum::<usize>();
    (ROWS_BYTES_MAX / row).max(1) as u64
}

/// `{"event":"rows","id":…,"cursor":…,"rows":[[…],…]}`: each row's cells in the order of the columns; the cursor is where
/// the next rows will be.
pub(super) fn rows(id: &str, cursor: &str, columns: &[(&'static Column, Vec<u8>)], rows: u64) -> String {
    let mut text = Vec::new();
    text.extend_from_slice(b"{\"event\":\"rows\",\"id\":");
    // A string always serialises.
    text.extend_from_slice(&serde_json::to_vec(id).unwrap_or_default());
    text.extend_from_slice(format!(",\"cursor\":\"{cursor}\",\"rows\":[").as_bytes());
    let mut cells: Vec<_> =
        columns.iter().map(|(column, bytes)| (column.kind, bytes.chunks_exact(column.kind.width()))).collect();
    for row in 0..rows {
        text.extend_from_slice(if row == 0 { b"[" } else { b",[" });
        for (at, (kind, cells)) in cells.iter_mut().enumerate() {
            if at > 0 {
                text.push(b',');
            }
            if let Some(cell) = cells.next() {
                push_json_cell(&mut text, *kind, cell);
            }
        }
        text.push(b']');
    }
    text.extend_from_slice(b"]}");
    // Digits, names and what serde made of a string: always UTF-8.
    String::from_utf8(text).unwrap_or_default()
}
