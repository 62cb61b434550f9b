//! What is fuzzed, and what the test suite runs for a bounded time.

use super::{Head, head};

/// Any bytes: no panic; a request ends where its head does, whatever follows; no beginning of one is anything but
/// incomplete; and what is taken as a request is one to the parser of the general way as well.
pub(crate) fn head_is_consistent(data: &[u8]) {
    let Head::Data(request, length) = head(data) else { return };
    assert!(data[..length].ends_with(b"\r\n\r\n"), "a head that does not end in an empty line");
    assert_eq!(head(&data[..length]), Head::Data(request, length), "what follows a head changes it");
    for end in 1..length {
        assert_eq!(head(&data[..end]), Head::Incomplete, "a beginning of {end} bytes");
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    assert_eq!(parsed.parse(data), Ok(httparse::Status::Complete(length)));
    let named = |name: &str| parsed.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)).count();
    assert_eq!((named("host"), named("content-length"), named("transfer-encoding"), named("upgrade")), (1, 0, 0, 0));
}
