//! The `Authorization` header of a request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

/// Bytes of a header that is looked into; a password manager's longest password is far below.
const HEADER_BYTES_MAX: usize = 2048;

/// What a request has to show. No `Debug`: it must not be logged.
pub(super) enum Presented {
    Nothing,
    /// Neither Basic nor Bearer, or not of their form.
    Malformed,
    Basic {
        user: String,
        password: Vec<u8>,
    },
    Bearer(Vec<u8>),
}

impl Presented {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Self::Nothing };
        if values.next().is_some() || value.len() > HEADER_BYTES_MAX {
            return Self::Malformed;
        }
        value.to_str().ok().and_then(parse).unwrap_or(Self::Malformed)
    }
}

fn parse(value: &str) -> Option<Presented> {
    let (scheme, rest) = value.trim().split_once(' ')?;
    let rest = rest.trim_start();
    if scheme.eq_ignore_ascii_case("bearer") {
        return (!rest.is_empty() && !rest.contains(' ')).then(|| Presented::Bearer(rest.as_bytes().to_vec()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let mut user = STANDARD.decode(rest).ok()?;
    let colon = user.iter().position(|byte| *byte == b':')?;
    let password = user.get(colon + 1..)?.to_vec();
    user.truncate(colon);
    Some(Presented::Basic { user: String::from_utf8(user).ok()?, password })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(values: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        match Presented::read(&headers) {
            Presented::Nothing => "nothing".to_owned(),
            Presented::Malformed => "malformed".to_owned(),
            Presented::Basic { user, password } => format!("{user}|{}", String::from_utf8_lossy(&password)),
            Presented::Bearer(token) => format!("token {}", String::from_utf8_lossy(&token)),
        }
    }

    #[test]
    fn reads_both_schemes() {
        assert_eq!(read(&[]), "nothing");
        assert_eq!(read(&["Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]), "Aladdin|open sesame");
        assert_eq!(read(&["bAsIc   YTpiOmM="]), "a|b:c");
        assert_eq!(read(&["Basic Og=="]), "|");
        assert_eq!(read(&["bearer abc"]), "token abc");
    }

    #[test]
    fn everything_else_is_malformed() {
        for value in
            ["", "Basic", "Basic ", "Basic ###", "Basic YWJj", "Basic /zph", "Digest a=b", "Bearer ", "Bearer a b"]
        {
            assert_eq!(read(&[value]), "malformed", "{value}");
        }
        assert_eq!(read(&["Bearer abc", "Bearer abc"]), "malformed");
        assert_eq!(read(&[&format!("Bearer {}", "a".repeat(4096))]), "malformed");
    }
}
