//! Query strings, decoded as `application/x-www-form-urlencoded`.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The names and values of a query string, in order. A name without `=` has an empty value.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

/// The first value of a parameter in which `+` stands for itself: search boxes send it so.
pub(crate) fn first_with_plus(query: &str, name: &str) -> Option<String> {
    let values = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(this, _)| *this == name);
    values.map(|(_, value)| percent_decode_str(value).decode_utf8_lossy().into_owned()).next()
}

/// `+` is a space, `%XX` a byte; what is no UTF-8 becomes U+FFFD, and a `%` that starts no byte stays.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'+' | b'%')) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_decode() {
        let check = |query: &str, expected: &[(&str, &str)]| {
            let decoded: Vec<_> = pairs(query).collect();
            let decoded: Vec<_> = decoded.iter().map(|(name, value)| (&**name, &**value)).collect();
            assert_eq!(decoded, expected, "{query}");
        };
        check("", &[]);
        check("&&", &[]);
        check("a=1&a=2&b", &[("a", "1"), ("a", "2"), ("b", "")]);
        check("a=b=c", &[("a", "b=c")]);
        check("a=1+2%2B3&%73=%E2%82%AC", &[("a", "1 2+3"), ("s", "€")]);
        check("a=%FF&b=100%&c=%4", &[("a", "\u{fffd}"), ("b", "100%"), ("c", "%4")]);
        check("a=%252e", &[("a", "%2e")]);
    }

    #[test]
    fn a_plus_stays() {
        assert_eq!(first_with_plus("x=1&q=a+b%20c&q=d", "q").as_deref(), Some("a+b c"));
        assert_eq!(first_with_plus("q", "q"), None);
    }
}
