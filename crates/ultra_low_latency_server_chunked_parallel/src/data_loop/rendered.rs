//! Heads of answers, as bytes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;

use crate::{
    data_answer::{Failure, OCTETS, RETRY_SECONDS},
    missing::Missing,
    plan::Plan,
};

/// The `Date` of this second.
#[derive(Debug)]
pub(super) struct Date {
    second: u64,
    text: String,
}

impl Date {
    pub(super) fn new() -> Date {
        Date { second: u64::MAX, text: String::new() }
    }

    fn now(&mut self) -> &str {
        let second = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if second != self.second {
            self.second = second;
            self.text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
        }
        &self.text
    }
}

/// What the answers of one connection have in common.
pub(super) struct Style<'a> {
    /// What lets pages of other sites read them: header lines.
    pub(super) cors: &'a [u8],
    /// Whether the connection is closed after this one.
    pub(super) closes: bool,
    pub(super) date: &'a mut Date,
}

/// Appends the head of an answer with data; of `304` without.
pub(super) fn data(out: &mut Vec<u8>, plan: &Plan, is_unchanged: bool, style: &mut Style<'_>) {
    if is_unchanged {
        out.extend_from_slice(b"HTTP/1.1 304 Not Modified\r\n");
    } else {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: ");
        out.extend_from_slice(OCTETS.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    let missing = plan.missing.as_ref().map(Missing::header);
    let length = (!is_unchanged).then_some(plan.length);
    rest(out, missing.as_ref(), plan.etag.as_ref(), length, style);
}

/// Appends an answer without data.
pub(super) fn failure(out: &mut Vec<u8>, failure: &Failure, is_head: bool, style: &mut Style<'_>) {
    let status = failure.status;
    field(out, "HTTP/1.1 ", status.as_str());
    field(out, " ", status.canonical_reason().unwrap_or("Error"));
    // Clients show the text, and know no form of it: it has no type.
    out.extend_from_slice(b"\r\n");
    if failure.is_passing {
        field(out, "retry-after: ", RETRY_SECONDS);
        out.extend_from_slice(b"\r\n");
    }
    rest(out, failure.missing.as_ref(), None, Some(failure.text.len() as u64), style);
    if !is_head {
        out.extend_from_slice(failure.text.as_bytes());
    }
}

fn rest(
    out: &mut Vec<u8>,
    missing: Option<&HeaderValue>,
    etag: Option<&HeaderValue>,
    length: Option<u64>,
    style: &mut Style<'_>,
) {
    out.extend_from_slice(style.cors);
    if let Some(missing) = missing {
        out.extend_from_slice(b"x-missing: ");
        out.extend_from_slice(missing.as_bytes());
        out.extend_from_slice(b"\r\naccess-control-expose-headers: x-missing\r\n");
    }
    if let Some(etag) = etag {
        out.extend_from_slice(b"etag: ");
        out.extend_from_slice(etag.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if let Some(length) = length {
        field(out, "content-length: ", itoa::Buffer::new().format(length));
        out.extend_from_slice(b"\r\n");
    }
    if style.closes {
        out.extend_from_slice(b"connection: close\r\n");
    }
    field(out, "date: ", style.date.now());
    out.extend_from_slice(b"\r\n\r\n");
}

fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(value.as_bytes());
}
