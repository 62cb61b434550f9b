//! What lets charts on web pages of other sites read the answers.

use http::{
    HeaderMap, HeaderValue, Response, StatusCode, Uri,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, HOST, ORIGIN, VARY,
    },
};

use crate::missing::X_MISSING;

/// Lets pages of any origin read `response`, its `X-Missing` header included. [`Cors`] narrows it down where only some may.
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
    headers
        .insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Content-Type, Authorization, If-None-Match"));
    response
}

/// Which sites' pages may read the answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cors {
    /// All if it is empty.
    origins: Vec<HeaderValue>,
}

impl Cors {
    /// Of origins that were checked by [`origin`].
    pub(crate) fn new(origins: &[String]) -> Cors {
        Cors { origins: origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect() }
    }

    pub(crate) fn is_for_all(&self) -> bool {
        self.origins.is_empty()
    }

    /// What is true of answers to requests without an origin, as lines of a head.
    pub(crate) fn lines(&self) -> &'static [u8] {
        if self.is_for_all() { b"access-control-allow-origin: *\r\n" } else { b"vary: origin\r\n" }
    }

    /// The site that asks, if its pages may read the answer.
    pub(crate) fn allowed(&self, request: &HeaderMap) -> Option<HeaderValue> {
        if self.is_for_all() {
            return Some(HeaderValue::from_static("*"));
        }
        request.get(ORIGIN).filter(|origin| self.origins.contains(origin)).cloned()
    }

    /// Whether a WebSocket may be opened. Browsers let every page open one anywhere and leave it to the server to look who
    /// asks. What sends no origin is no page of a site, and the server's own page may ask its own server.
    pub(crate) fn admits_socket(&self, request: &HeaderMap) -> bool {
        let Some(origin) = request.get(ORIGIN) else { return true };
        let host = request.get(HOST).map(HeaderValue::as_bytes);
        let asked_from =
            origin.as_bytes().splitn(2, |byte| *byte == b'/').nth(1).and_then(|rest| rest.strip_prefix(b"/"));
        self.allowed(request).is_some() || (asked_from.is_some() && asked_from == host)
    }

    /// Puts what `allowed` said into an answer.
    pub(crate) fn apply(&self, allowed: Option<HeaderValue>, answer: &mut HeaderMap) {
        if !self.is_for_all() {
            answer.append(VARY, HeaderValue::from_static("origin"));
        }
        match allowed {
            Some(origin) => drop(answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin)),
            None => drop(answer.remove(ACCESS_CONTROL_ALLOW_ORIGIN)),
        }
    }
}

/// Checks an origin as browsers send it: scheme, host and maybe a port, or `*`.
pub(crate) fn origin(text: &str) -> Result<String, String> {
    let is_origin = |uri: &Uri| {
        uri.scheme().is_some() && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
    };
    let uri = text.parse::<Uri>().ok().filter(is_origin);
    // The path of a URI without one reads as a slash: it is the text that must not end in one.
    let is_bare = uri.is_some_and(|uri| uri.path() == "/" && uri.query().is_none() && !text.ends_with('/'));
    if text == "*" || is_bare {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not an origin, such as https://charts.example or http://localhost:3000, or *"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_what_browsers_send() {
        for text in ["https://charts.example", "http://localhost:3000", "http://[::1]:8080", "*"] {
            assert_eq!(origin(text).as_deref(), Ok(text));
        }
        for text in [
            "",
            "charts.example",
            "https://charts.example/",
            "https://a.example/x",
            "https://a?b",
            "https://u@a.example",
        ] {
            assert!(origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sockets_are_for_named_sites_and_the_own_page() {
        let ask = |cors: &Cors, origin: &'static str| {
            let lines = [(ORIGIN, origin), (HOST, "charts.example:8443")];
            let lines = lines.map(|(name, value)| (name, HeaderValue::from_static(value)));
            cors.admits_socket(&HeaderMap::from_iter(lines.into_iter().filter(|(_, value)| !value.is_empty())))
        };
        let named = Cors::new(&["https://a.example".to_owned()]);
        for origin in ["", "https://a.example", "https://charts.example:8443", "http://charts.example:8443"] {
            assert!(ask(&named, origin), "{origin}");
        }
        let others =
            ["https://b.example", "https://a.example.b.example", "null", "charts.example:8443", "https:/", "//"];
        for origin in others {
            assert!(!ask(&named, origin), "{origin}");
            assert!(ask(&Cors::new(&[]), origin), "{origin}");
        }
    }

    #[test]
    fn only_named_origins_are_allowed() {
        let cors = Cors::new(&["https://a.example".to_owned()]);
        let ask = |origin: &'static str| {
            let request = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static(origin))]);
            let mut answer = HeaderMap::from_iter([(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))]);
            cors.apply(cors.allowed(&request), &mut answer);
            assert_eq!(answer[VARY], "origin");
            answer.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|origin| origin.to_str().unwrap().to_owned())
        };
        assert_eq!(ask("https://a.example").as_deref(), Some("https://a.example"));
        assert_eq!(ask("https://b.example"), None);
    }
}
