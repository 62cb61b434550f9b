//! The heads of requests that the data loop answers itself, told from all others.

use crate::{metrics::DATA_PATH, plain::is_plain};

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
        let may_be_data = [b"GET ".as_slice(), b"HEAD "].iter().any(|method| is_beginning(bytes, method));
        return if bytes.starts_with(HTTP2_PREFACE) {
            Head::Http2
        } else if may_be_data || HTTP2_PREFACE.starts_with(bytes) {
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

#[cfg(test)]
#[path = "../../fuzz/src/entry.rs"]
mod entry;

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "/api/data?symbol=A&type=MD&start=0&end=1&columns=time";

    /// A request with these lines after the first.
    fn request(lines: &str) -> Vec<u8> {
        format!("GET {TARGET} HTTP/1.1\r\n{lines}\r\n").into_bytes()
    }

    fn is_fast(bytes: &[u8]) -> bool {
        matches!(head(bytes), Head::Data(..))
    }

    #[test]
    fn plain_requests_are_taken() {
        let browser = "Host: a\r\nConnection: keep-alive\r\nUser-Agent: x\r\nAccept: */*\r\nAccept-Encoding: gzip, br\r\n\
                       Referer: http://a/\r\nAccept-Language: en\r\n";
        for lines in ["Host: a\r\n", "host:a\r\n", browser, "Accept: application/octet-stream\r\nHost: a\r\n"] {
            let bytes = request(lines);
            let Head::Data(data, length) = head(&bytes) else { panic!("{lines}") };
            assert_eq!((data.is_head, data.query, length), (false, &TARGET[10..], bytes.len()));
            assert!(!data.closes && !data.has_origin && data.if_none_match.is_none());
        }
        let bytes =
            b"HEAD /api/data? HTTP/1.1\r\nHost: a\r\nConnection: Close\r\nOrigin: b\r\nIf-None-Match: \"c\"\r\n\r\nGET";
        let Head::Data(data, length) = head(bytes) else { panic!() };
        assert!(data.is_head && data.closes && data.has_origin);
        assert_eq!((data.query, data.if_none_match, length), ("", Some(&b"\"c\""[..]), bytes.len() - 3));
    }

    #[test]
    fn every_beginning_is_incomplete() {
        for whole in [
            request("Host: a\r\nX: y\r\n"),
            HTTP2_PREFACE.to_vec(),
            b"HEAD /api/data?x HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        ] {
            for length in 1..whole.len() {
                assert_eq!(head(&whole[..length]), Head::Incomplete, "{}", String::from_utf8_lossy(&whole[..length]));
            }
        }
        assert_eq!(head(HTTP2_PREFACE), Head::Http2);
    }

    #[test]
    fn whatever_is_odd_is_not_taken() {
        let odd = [
            "",
            "Host: a\r\nHost: a\r\n",
            "Host: a\r\nContent-Length: 0\r\n",
            "Host: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
            "Host: a\r\nTransfer-Encoding: chunked\r\n",
            "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n",
            "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
            "Host: a\r\nConnection: close, x\r\n",
            "Host: a\r\nConnection: keep-alive\r\nConnection: close\r\n",
            "Host: a\r\nExpect: 100-continue\r\n",
            "Host: a\r\nAccept: text/csv\r\n",
            "Host: a\r\nAccept: text/html, */*\r\n",
            "Host: a\r\nIf-None-Match: \"a\"\r\nIf-None-Match: \"b\"\r\n",
            "Host : a\r\n",
            "Host: a\nX: b\r\n",
            "Host: a\r\n folded\r\n",
            "Host: a\r\nX: \0\r\n",
            "Host: a\r\nX Y: z\r\n",
            "Host: a\r\n: z\r\n",
        ];
        for lines in odd {
            assert!(!is_fast(&request(lines)), "{lines:?}");
        }
        let many = "Host: a\r\n".to_owned() + &"X: y\r\n".repeat(HEADERS);
        let long = format!("Host: a\r\nX: {}\r\n", "y".repeat(HEAD_BYTES));
        assert_eq!(head(&request(&many)), Head::Other);
        assert_eq!(head(&request(&long)), Head::Other);
        let unfinished = &request(&long)[..HEAD_BYTES];
        assert_eq!(head(unfinished), Head::Other);
        for line in [
            "GET /api/data HTTP/1.1",
            "GET /api/data/?a HTTP/1.1",
            "GET /api/data?a HTTP/1.0",
            "GET /api/data?a HTTP/1.10",
            "GET /api/data?a",
            "GET  /api/data?a HTTP/1.1",
            "get /api/data?a HTTP/1.1",
            "POST /api/data?a HTTP/1.1",
            "GET http://a/api/data?a HTTP/1.1",
            "GET /api/data?a#b HTTP/1.1",
            "GET /api/data?format=csv HTTP/1.1",
            "GET /api/data?f%6Frmat=csv HTTP/1.1",
            "GET /api/data?a&reduce=lttb HTTP/1.1",
            "GET /api/data?start_ns=1 HTTP/1.1",
            "PRI * HTTP/1.1",
            "\r\nGET /api/data?a HTTP/1.1",
        ] {
            let bytes = format!("{line}\r\nHost: a\r\n\r\n");
            assert_eq!(head(bytes.as_bytes()), Head::Other, "{line}");
        }
    }

    /// Requests with some of their bytes changed, cut out or doubled; `cargo fuzz` goes on where this ends.
    #[test]
    fn changed_requests_are_taken_consistently() {
        let seeds = [
            request("Host: a\r\nConnection: close\r\nAccept: */*\r\n"),
            request("Host: a\r\nIf-None-Match: W/\"1\", \"2\"\r\nContent-Length: 0\r\n"),
            b"HEAD /api/data?x=%41&y=+ HTTP/1.1\r\nhOsT:\t a \r\nUpgrade: h2c\r\n\r\n".to_vec(),
            HTTP2_PREFACE.to_vec(),
        ];
        let parts: [&[u8]; 12] = [
            b"\r\n",
            b"\n",
            b"\0",
            b" ",
            b":",
            b"\r\n ",
            b"HTTP/1.1",
            b"Host: b\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"?",
            b"#",
            b"\xff",
        ];
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below.max(1) as u64).unwrap()
        };
        for _ in 0..20_000 {
            let mut bytes = seeds[random(seeds.len())].clone();
            for _ in 0..=random(3) {
                let at = random(bytes.len());
                match random(4) {
                    0 => bytes[at] = u8::try_from(random(256)).unwrap(),
                    1 => drop(bytes.drain(at..(at + 1 + random(8)).min(bytes.len()))),
                    2 => drop(bytes.splice(at..at, parts[random(parts.len())].iter().copied())),
                    _ => bytes.extend_from_within(at..),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            entry::head_is_consistent(&bytes);
        }
    }
}
