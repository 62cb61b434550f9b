//! Text of a client, made fit to be shown in an answer or a header.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What ordinary names consist of; everything else is percent-encoded.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b':');

/// Longest text shown, in characters; the rest is cut off.
const LENGTH_MAX: usize = 128;

/// `text` percent-encoded as in a URL and of bounded length, so that it can neither break a header nor be read as HTML.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = utf8_percent_encode(text, PLAIN).flat_map(str::chars).take(LENGTH_MAX + 1).collect();
    if shown.len() > LENGTH_MAX {
        shown.truncate(LENGTH_MAX);
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_plain_text_is_shown() {
        for (text, expected) in [
            ("BTC-USD", "BTC-USD"),
            ("tDUSK:USD", "tDUSK:USD"),
            ("a b\r\nX: y", "a%20b%0D%0AX:%20y"),
            ("<script>", "%3Cscript%3E"),
            ("币", "%E5%B8%81"),
            ("", ""),
        ] {
            assert_eq!(shown(text), expected);
        }
        assert_eq!(shown(&"<".repeat(9_000)).len(), LENGTH_MAX + 3);
    }
}
