//! The heads of requests that the data loop answers itself, told from all others.

use crate::metrics::DATA_PATH;

/// Header lines that are looked at; a request with more is for the general implementation.
const HEADERS: usize = 64;

/// Bytes that a head may have here; a longer one, complete or not, is for the general implementation.
pub(crate) const HEAD_BYTES: usize = 8 * 1024;

/// How HTTP/2 begins where it was not negotiated.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the bytes are that a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Head<'a> {
    /// The beginning of something.
    Incomplete,
    /// A request for plain data, and how many bytes its head has.
    Data(DataRequest<'a>, usize),
    /// HTTP/2.
    Http2,
    /// Anything else: other paths and methods, bodies, upgrades, mistakes.
    Other,
}

/// `GET` or `HEAD` of `/api/data`, without a body and without any wish but for the stored bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DataRequest<'a> {
    pub(crate) is_head: bool,
    /// As it was sent.
    pub(crate) query: &'a str,
    /// Tags of the answers that the client has.
    pub(crate) if_none_match: Option<&'a [u8]>,
    /// Whether the client sends no further request.
    pub(crate) closes: bool,
    /// Whether a page of another site asks.
    pub(crate) has_origin: bool,
}

/// Looks at the first request in `bytes`. Whatever is unusual about it makes it another's affair: leniency has one place,
/// and that is not here.
pub(crate) fn head(bytes: &[u8]) -> Head<'_> {
    let Some(is_head) = method(bytes) else {
        return if HTTP2_PREFACE.starts_with(bytes) {
            Head::Incomplete
        } else if bytes.starts_with(HTTP2_PREFACE) {
            Head::Http2
        } else if [b"GET ".as_slice(), b"HEAD "].iter().any(|method| is_beginning(bytes, method)) {
            Head::Incomplete
        } else {
            Head::Other
        };
    };
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes.get(..HEAD_BYTES).unwrap_or(bytes)) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES => return Head::Incomplete,
        _ => return Head::Other,
    };
    let query = request.path.and_then(|path| path.strip_prefix(DATA_PATH)?.strip_prefix('?'));
    let Some(query) = query.filter(|query| request.version == Some(1) && is_plain(query)) else { return Head::Other };
    let has_bare_line_feed = bytes
        .get(..length)
        .is_none_or(|head| head.split_inclusive(|byte| *byte == b'\n').any(|line| !line.ends_with(b"\r\n")));
    let mut data = DataRequest { is_head, query, if_none_match: None, closes: false, has_origin: false };
    let fields = request.headers.iter().map(|header| (header.name, header.value));
    if has_bare_line_feed || !takes(&mut data, fields) { Head::Other } else { Head::Data(data, length) }
}

/// Whether it is HEAD, not GET; `None` for anything but these two of the data path.
fn method(bytes: &[u8]) -> Option<bool> {
    let (is_head, rest) = match bytes.strip_prefix(b"GET ") {
        Some(rest) => (false, rest),
        None => (true, bytes.strip_prefix(b"HEAD ")?),
    };
    rest.strip_prefix(DATA_PATH.as_bytes())?.starts_with(b"?").then_some(is_head)
}

/// Whether `bytes` may still become a request of this method for the data path.
fn is_beginning(bytes: &[u8], method: &[u8]) -> bool {
    let target = method.iter().chain(DATA_PATH.as_bytes()).chain(b"?");
    bytes.len() < method.len() + DATA_PATH.len() + 1 && bytes.iter().zip(target).all(|(byte, wanted)| byte == wanted)
}

/// Whether the query asks for the stored bytes: the parameters that ask for more are answered elsewhere.
fn is_plain(query: &str) -> bool {
    let mut names = query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    let is_other = |name: &str| {
        name.contains(['%', '+', '#']) || matches!(name, "format" | "reduce" | "reduce_column" | "start_ns" | "end_ns")
    };
    !query.contains('#') && !names.any(is_other)
}

/// Takes what the headers say; false if that is more than is understood here.
fn takes<'a>(data: &mut DataRequest<'a>, fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> bool {
    let (mut hosts, mut connections) = (0, 0);
    for (name, value) in fields {
        // Names by their length first: most differ there.
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("host") {
            hosts += 1;
        } else if is("connection") {
            connections += 1;
            data.closes = value.eq_ignore_ascii_case(b"close");
            if !data.closes && !value.eq_ignore_ascii_case(b"keep-alive") {
                return false;
            }
        } else if is("if-none-match") {
            if data.if_none_match.replace(value).is_some() {
                return false;
            }
        } else if is("accept") {
            if !accepts_octets(value) {
                return false;
            }
        } else if is("origin") {
            data.has_origin = true;
        } else if ["content-length", "transfer-encoding", "upgrade", "expect"].into_iter().any(is) {
            return false;
        }
    }
    hosts == 1 && connections <= 1
}

/// Whether the form that is the default may be sent: the value names it, or whatever the server likes.
fn accepts_octets(value: &[u8]) -> bool {
    let mut ranges = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    match (ranges.next(), ranges.next()) {
        (Some(only), None) => matches!(only, b"" | b"*/*" | b"application/octet-stream"),
        _ => false,
    }
}
