//! The forms in which rows can be answered.

mod arrow;
mod cell_text;
mod csv;
mod json_lines;

pub(crate) use arrow::ArrowStream;
pub(crate) use cell_text::{json_cell_bytes_max, push_csv_cell, push_json_cell};
pub(crate) use csv::{csv_head, push_csv_rows};
pub(crate) use json_lines::push_json_lines;

use http::HeaderValue;

/// A form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// A JSON line that describes the columns, then their bytes.
    Binary,
    /// An Arrow IPC stream.
    Arrow,
    /// Comma-separated values, RFC 4180.
    Csv,
    /// One JSON object a line.
    JsonLines,
}

impl Format {
    pub(crate) const ALL: [Format; 4] = [Format::Binary, Format::Arrow, Format::Csv, Format::JsonLines];

    /// Its name in `format=`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Format::Binary => "binary",
            Format::Arrow => "arrow",
            Format::Csv => "csv",
            Format::JsonLines => "jsonl",
        }
    }

    /// The format with that name.
    pub(crate) fn from_name(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name() == name)
    }

    const fn media_type(self) -> &'static str {
        match self {
            Format::Binary => "application/octet-stream",
            Format::Arrow => "application/vnd.apache.arrow.stream",
            Format::Csv => "text/csv",
            Format::JsonLines => "application/x-ndjson",
        }
    }

    /// The value of `Content-Type`.
    pub(crate) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Format::Csv => "text/csv; charset=utf-8; header=present",
            other => other.media_type(),
        })
    }

    /// The format that an `Accept` header names with the highest weight, the first of equals. Whoever names none of ours
    /// gets the default: today's clients send all kinds of headers and mean the binary form.
    pub(crate) fn accepted(accept: &str) -> Option<Format> {
        let mut best: Option<(f32, Format)> = None;
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let Some(format) = Format::ALL.into_iter().find(|format| format.media_type().eq_ignore_ascii_case(name))
            else {
                continue;
            };
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            let weight = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
            if weight > 0.0 && best.is_none_or(|(other, _)| weight > other) {
                best = Some((weight, format));
            }
        }
        best.map(|(_, format)| format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_headers() {
        for (accept, expected) in [
            ("*/*", None),
            ("", None),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", None),
            ("application/json", None),
            ("text/csv", Some(Format::Csv)),
            ("TEXT/CSV; header=present", Some(Format::Csv)),
            ("application/vnd.apache.arrow.stream, */*", Some(Format::Arrow)),
            ("text/csv;q=0.5, application/x-ndjson", Some(Format::JsonLines)),
            ("text/csv;q=0.5, application/x-ndjson;q=0.5", Some(Format::Csv)),
            ("text/csv;q=0", None),
            ("text/csv;q=x, application/octet-stream;q=0.1", Some(Format::Binary)),
        ] {
            assert_eq!(Format::accepted(accept), expected, "{accept}");
        }
    }
}
