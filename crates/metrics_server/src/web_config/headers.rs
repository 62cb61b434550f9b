//! `http_server_config`.

use super::WebConfigError;
use super::yaml::{Entry, Section};
use http::{HeaderName, HeaderValue, header};

/// The headers that may be added, with the values they may have; none listed for any.
const HEADERS: [(HeaderName, &[&str]); 5] = [
    (header::CONTENT_SECURITY_POLICY, &[]),
    (header::X_FRAME_OPTIONS, &["deny", "sameorigin"]),
    (header::X_CONTENT_TYPE_OPTIONS, &["nosniff"]),
    (header::X_XSS_PROTECTION, &[]),
    (header::STRICT_TRANSPORT_SECURITY, &[]),
];

/// Whether HTTP/2 is wanted, and the headers of every answer.
pub(super) fn read(mut section: Section<'_>) -> Result<(bool, Vec<(HeaderName, HeaderValue)>), WebConfigError> {
    let http2 = section.switch("http2")?.unwrap_or(true);
    let entries = section.take("headers").map(Entry::section).transpose()?.flatten();
    section.finish()?;
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for entry in entries.into_iter().flat_map(Section::into_entries) {
        let name = entry.name("http_server_config.headers");
        let Some((name, values)) = HEADERS.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_str()))
        else {
            return Err(entry.error(
                "cannot be set; allowed are Content-Security-Policy, X-Frame-Options, X-Content-Type-Options, \
                 X-XSS-Protection and Strict-Transport-Security",
            ));
        };
        if headers.iter().any(|(other, _)| *other == name) {
            return Err(entry.error("stands there twice, in different spellings"));
        }
        let text = entry.text()?;
        let value = text.value.expose();
        if !values.is_empty() && !values.contains(&value.to_ascii_lowercase().as_str()) {
            return Err(text.error(format!("must be {}", values.join(" or "))));
        }
        let value = HeaderValue::from_str(value).ok().filter(|value| !value.is_empty());
        headers.push((name, value.ok_or_else(|| text.error("must be one line of visible characters"))?));
    }
    Ok((http2, headers))
}
