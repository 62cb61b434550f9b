//! What lets charts on any web page read the answers.

use http::{
    HeaderValue, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS,
    },
};

use crate::missing::X_MISSING;

/// What lets pages of any origin read an answer, as the line of a head.
pub(crate) const ANY_ORIGIN: &[u8] = b"access-control-allow-origin: *\r\n";

/// Lets pages of any origin read `response`, its `X-Missing` header included.
pub(crate) fn allow_any_origin<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    if headers.contains_key(&X_MISSING) {
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from(X_MISSING));
    }
    response
}

/// The answer to a browser that asks what it may send.
pub(crate) fn preflight<B: Default>() -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Content-Type"));
    response
}
