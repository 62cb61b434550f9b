//! `GET /`: a page that draws what is recorded, out of the program itself, and nothing from elsewhere; and the
//! description of the API.

use http::{
    HeaderName, HeaderValue,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
};
use warp::{Reply as _, reply::Response};

/// A file of the page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageFile {
    /// Where it is found.
    pub(crate) path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// All files of the page.
pub(crate) const FILES: [PageFile; 7] = [
    PageFile { path: "/", content_type: "text/html; charset=utf-8", text: include_str!("../static/index.html") },
    PageFile {
        path: "/static/style.css",
        content_type: "text/css; charset=utf-8",
        text: include_str!("../static/style.css"),
    },
    PageFile { path: "/static/page.js", content_type: SCRIPT, text: include_str!("../static/page.js") },
    PageFile { path: "/static/chart.js", content_type: SCRIPT, text: include_str!("../static/chart.js") },
    PageFile { path: "/static/columns.js", content_type: SCRIPT, text: include_str!("../static/columns.js") },
    PageFile { path: "/static/stream.js", content_type: SCRIPT, text: include_str!("../static/stream.js") },
    PageFile {
        path: "/api/openapi.json",
        content_type: "application/json",
        text: include_str!("../static/openapi.json"),
    },
];

/// Nothing but our own files, connections to where they came from, and the empty icon.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);
const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");

impl PageFile {
    /// The file as an answer.
    pub(crate) fn answer(self) -> Response {
        let mut response = http::Response::new(self.text).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(CONTENT_SECURITY_POLICY, POLICY);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        // Another version of the program has other files at the same paths.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
}
