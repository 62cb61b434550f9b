//! The `name[]` parameters of a query: which families a scrape wants.

use super::limits::{NAME_BYTES_MAX, NAMES_MAX};
use std::sync::Arc;

/// The names a scrape is restricted to: sorted, each once, so that equal filters are equal values.
pub(crate) type Names = Arc<[String]>;

/// A filter that is no filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameQueryError {
    #[error("at most {NAMES_MAX} name[] parameters are allowed")]
    TooMany,
    #[error("a name[] may have at most {NAME_BYTES_MAX} bytes")]
    TooLong,
    #[error("a name[] is not UTF-8")]
    NotUtf8,
}

/// The names in `query`; `None` if it has no `name[]`. Other parameters are ignored, as scrape configurations put all
/// kinds of them there.
pub(crate) fn names(query: Option<&str>) -> Result<Option<Names>, NameQueryError> {
    let Some(query) = query else { return Ok(None) };
    let mut names = Vec::new();
    for parameter in query.split('&') {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if decode(key) != b"name[]" {
            continue;
        }
        if names.len() == NAMES_MAX {
            return Err(NameQueryError::TooMany);
        }
        let name = decode(value);
        if name.len() > NAME_BYTES_MAX {
            return Err(NameQueryError::TooLong);
        }
        names.push(String::from_utf8(name).map_err(|_| NameQueryError::NotUtf8)?);
    }
    names.sort_unstable();
    names.dedup();
    Ok((!names.is_empty()).then(|| names.into()))
}

/// Percent-decoding as forms have it: `+` is a space, and a `%` without two digits stands for itself.
fn decode(text: &str) -> Vec<u8> {
    let (bytes, mut decoded, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).and_then(|digits| Some((hex(digits[0])?, hex(digits[1])?)));
        match (byte, digits) {
            (b'%', Some((high, low))) => {
                decoded.push(high * 16 + low);
                at += 3;
            }
            _ => {
                decoded.push(if byte == b'+' { b' ' } else { byte });
                at += 1;
            }
        }
    }
    decoded
}

fn hex(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decoded_sorted_and_bounded() {
        let check = |query: &str, expected: Option<&[&str]>| {
            let names = names(Some(query)).unwrap();
            let names = names.as_deref().map(|names| names.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(names.as_deref(), expected, "{query}");
        };
        assert_eq!(names(None), Ok(None));
        check("", None);
        check("name=up&names[]=up&name[=up&debug", None);
        check("name[]=up", Some(&["up"]));
        check("name%5B%5D=up&x=1&name%5b]=a%5Fb&name[]=up", Some(&["a_b", "up"]));
        check("name[]=%zz+%4", Some(&["%zz %4"]));
        check("name[]", Some(&[""]));
        check("name[]=a=b", Some(&["a=b"]));
        check("name[]=%C3%A4", Some(&["ä"]));
        assert_eq!(names(Some("name[]=%ff")), Err(NameQueryError::NotUtf8));
        let longest = format!("name[]={}", "%41".repeat(NAME_BYTES_MAX));
        check(&longest, Some(&[&"A".repeat(NAME_BYTES_MAX)]));
        assert_eq!(names(Some(&(longest + "A"))), Err(NameQueryError::TooLong));
        let most: Vec<String> = (0..NAMES_MAX).map(|index| format!("name[]={index}")).collect();
        assert_eq!(names(Some(&most.join("&"))).unwrap().map(|names| names.len()), Some(NAMES_MAX));
        assert_eq!(names(Some(&(most.join("&") + "&name[]=x"))), Err(NameQueryError::TooMany));
    }
}
