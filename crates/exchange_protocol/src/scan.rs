//! A forward scanner for the messages that come by the thousand: one pass, nothing copied, nothing allocated.
//!
//! It knows the plain form in which venues send them: no white space, no escapes, no nesting where none belongs, each key
//! once. At anything else it gives up (`None`), which says nothing about the frame: the typed decoder has the last word.
//! Whatever it accepts, the typed decoder understands in the same way; a frame with a blank before it is always refused
//! here, which is how tests compare the two.

/// A place in a text.
#[derive(Debug)]
pub(crate) struct Scanner<'f> {
    text: &'f str,
    at: usize,
}

/// Fills a field that may come once.
pub(crate) fn once<T>(field: &mut Option<T>, value: T) -> Option<()> {
    field.replace(value).is_none().then_some(())
}

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Whether one of eight bytes ends a plain string: `"`, `\` or a control character. May say yes wrongly, never no.
fn holds_an_end(eight: [u8; 8]) -> bool {
    let word = u64::from_le_bytes(eight);
    let zero = |word: u64| word.wrapping_sub(LOW_BITS) & !word;
    let control = word.wrapping_sub(LOW_BITS * 0x20) & !word;
    let quote = zero(word ^ (LOW_BITS * u64::from(b'"')));
    let backslash = zero(word ^ (LOW_BITS * u64::from(b'\\')));
    (control | quote | backslash) & HIGH_BITS != 0
}

impl<'f> Scanner<'f> {
    pub(crate) fn new(text: &'f str) -> Scanner<'f> {
        Scanner { text, at: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Nothing is left.
    pub(crate) fn end(&self) -> Option<()> {
        (self.at == self.text.len()).then_some(())
    }

    /// A string without escapes.
    #[inline]
    pub(crate) fn string(&mut self) -> Option<&'f str> {
        self.take(b'"')?;
        let from = self.at;
        let bytes = self.text.as_bytes();
        while let Some(eight) = bytes.get(self.at..self.at + 8).and_then(|eight| eight.try_into().ok()) {
            if holds_an_end(eight) {
                break;
            }
            self.at += 8;
        }
        loop {
            match *bytes.get(self.at)? {
                b'"' => break,
                b'\\' | 0..=0x1f => return None,
                _ => self.at += 1,
            }
        }
        let text = self.text.get(from..self.at);
        self.at += 1;
        text
    }

    fn digits(&mut self) -> usize {
        let from = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - from
    }

    /// A whole number that is not negative.
    #[inline]
    pub(crate) fn integer(&mut self) -> Option<u64> {
        let from = self.at;
        let leading_zero = self.peek()? == b'0';
        let mut value = 0_u64;
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
            self.at += 1;
        }
        let digits = self.at - from;
        let is_whole = !matches!(self.peek(), Some(b'.' | b'e' | b'E'));
        (digits > 0 && is_whole && (digits == 1 || !leading_zero)).then_some(value)
    }

    /// A number as it is written.
    pub(crate) fn number(&mut self) -> Option<&'f str> {
        let from = self.at;
        if self.peek()? == b'-' {
            self.at += 1;
        }
        let leading_zero = self.peek()? == b'0';
        let whole = self.digits();
        if whole == 0 || whole > 1 && leading_zero {
            return None;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return None;
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return None;
            }
        }
        self.text.get(from..self.at)
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self) -> Option<bool> {
        let value = self.peek()? == b't';
        self.literal(if value { "true" } else { "false" })?;
        Some(value)
    }

    fn literal(&mut self, literal: &str) -> Option<()> {
        self.text.as_bytes().get(self.at..)?.starts_with(literal.as_bytes()).then(|| self.at += literal.len())
    }

    /// A string or a number, as it is written, quotes included.
    pub(crate) fn lexeme(&mut self) -> Option<&'f str> {
        let from = self.at;
        if self.peek()? == b'"' {
            self.string()?;
        } else {
            self.number()?;
        }
        self.text.get(from..self.at)
    }

    /// A value of no interest that is not nested.
    pub(crate) fn skip(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            _ => self.number().map(drop),
        }
    }

    fn skip_nested(&mut self, depth: usize) -> Option<()> {
        if self.peek()? != b'[' {
            return self.skip();
        }
        let depth = depth.checked_sub(1)?;
        self.array(|scanner| scanner.skip_nested(depth))
    }

    /// An object; `field` reads the value of a key.
    #[inline]
    pub(crate) fn object(&mut self, mut field: impl FnMut(&mut Self, &'f str) -> Option<()>) -> Option<()> {
        self.take(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let key = self.string()?;
            self.take(b':')?;
            field(self, key)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return None,
            }
        }
        self.at += 1;
        Some(())
    }

    /// An array; `element` reads each element.
    #[inline]
    pub(crate) fn array(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(b'[')?;
        if self.peek()? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            element(self)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => break,
                _ => return None,
            }
        }
        self.at += 1;
        Some(())
    }

    /// An array of `N` strings.
    #[inline]
    pub(crate) fn strings<const N: usize>(&mut self) -> Option<[&'f str; N]> {
        let mut strings = [""; N];
        let mut count = 0;
        self.array(|scanner| {
            *strings.get_mut(count)? = scanner.string()?;
            count += 1;
            Some(())
        })?;
        (count == N).then_some(strings)
    }

    /// An array of arrays of strings, as it is written.
    pub(crate) fn rows(&mut self) -> Option<&'f str> {
        let from = self.at;
        self.array(|row| row.array(|cell| cell.string().map(drop)))?;
        self.text.get(from..self.at)
    }
}

/// Arrays within arrays that are followed.
const DEEPEST: usize = 4;

/// The elements of an array of arrays and plain values, as they are written.
pub(crate) fn elements(text: &str) -> Option<Vec<&str>> {
    let mut elements = Vec::new();
    each_element(text, |element| elements.push(element))?;
    Some(elements)
}

/// The same for an array whose first `N` elements are of interest; those that are not there are empty.
pub(crate) fn first_elements<const N: usize>(text: &str) -> Option<[&str; N]> {
    let mut elements = [""; N];
    let mut free = elements.iter_mut();
    each_element(text, |element| {
        if let Some(place) = free.next() {
            *place = element;
        }
    })?;
    Some(elements)
}

fn each_element<'f>(text: &'f str, mut element: impl FnMut(&'f str)) -> Option<()> {
    let mut scanner = Scanner::new(text);
    scanner.array(|scanner| {
        let from = scanner.at;
        scanner.skip_nested(DEEPEST)?;
        element(text.get(from..scanner.at)?);
        Some(())
    })?;
    scanner.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_json_has_them() {
        for (text, integer, number) in [
            ("0", Some(0), true),
            ("18446744073709551615", Some(u64::MAX), true),
            ("18446744073709551616", None, true),
            ("007", None, false),
            ("1.5", None, true),
            ("-1", None, true),
            ("-0.50", None, true),
            ("-", None, false),
            ("1.", None, false),
            (".5", None, false),
            ("1e5", None, true),
            ("-0.15E-07", None, true),
            ("1e+5", None, true),
            ("1e", None, false),
            ("1e-", None, false),
            ("e5", None, false),
            ("", None, false),
        ] {
            assert_eq!(Scanner::new(text).integer(), integer, "{text}");
            assert_eq!(Scanner::new(text).number(), number.then_some(text), "{text}");
        }
    }

    #[test]
    fn strings_of_every_length_and_no_other() {
        for length in 0..40 {
            let plain = "é".repeat(length / 2) + &"x".repeat(length % 2);
            let quoted = format!("\"{plain}\",");
            assert_eq!(Scanner::new(&quoted).string(), Some(plain.as_str()));
            for bad in ['\\', '\n', '\0', '\u{1f}'] {
                assert_eq!(Scanner::new(&format!("\"{plain}{bad}\"")).string(), None);
            }
            assert_eq!(Scanner::new(&quoted[..quoted.len() - 2]).string(), None, "no end");
        }
    }

    proptest::proptest! {
        /// Whatever it takes for JSON is JSON.
        #[test]
        fn accepts_nothing_that_is_no_json(text in "[\\[{]([\"{}\\[\\]:,a0-9.\\-ntrue\\\\ ]|\"a\"|\"a\":1){0,12}[\\]}]") {
            let mut scanner = Scanner::new(&text);
            let object = scanner.object(|scanner, _| scanner.skip()).and_then(|()| scanner.end());
            let mut scanner = Scanner::new(&text);
            let array = scanner.array(Scanner::skip).and_then(|()| scanner.end());
            if object.or(array).is_some() {
                assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "{text}");
            }
        }
    }
}
