//! Characters that would end a text too early.

use super::Format;

/// A label value, the same in both text formats.
pub(super) fn label_value(value: &str, out: &mut Vec<u8>) {
    escape(value, true, out);
}

/// A help text: only OpenMetrics escapes quotes there.
pub(super) fn help(help: &str, format: Format, out: &mut Vec<u8>) {
    escape(help, format == Format::OpenMetrics, out);
}

fn escape(text: &str, quotes: bool, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'"' if quotes => out.extend_from_slice(b"\\\""),
            byte => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_ends_a_text() {
        let check = |format, expected: &str| {
            let mut out = Vec::new();
            help("a\\b\"c\"\nd é", format, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(Format::OpenMetrics, "a\\\\b\\\"c\\\"\\nd é");
        check(Format::Text, "a\\\\b\"c\"\\nd é");
    }
}
