//! Patterns over the names of symbols.

/// A name, or a pattern with `*` for any characters and `?` for one. Letters match in either case: no venue has two symbols
/// that differ in that only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<char>);

impl Pattern {
    pub(crate) fn new(text: &str) -> Pattern {
        Pattern(text.chars().flat_map(char::to_uppercase).collect())
    }

    /// Whether a text is more than a name.
    pub(crate) fn is_one(text: &str) -> bool {
        text.contains(['*', '?'])
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().flat_map(char::to_uppercase).collect();
        let (mut at, mut of) = (0, 0);
        // Where the last star stands, and what it has taken so far: if the rest does not match, it takes one more.
        let mut star: Option<(usize, usize)> = None;
        while let Some(letter) = name.get(at) {
            match self.0.get(of) {
                Some('*') => {
                    star = Some((of, at));
                    of += 1;
                }
                Some(wanted) if *wanted == '?' || wanted == letter => {
                    at += 1;
                    of += 1;
                }
                _ => {
                    let Some((star_at, taken)) = star else { return false };
                    star = Some((star_at, taken + 1));
                    at = taken + 1;
                    of = star_at + 1;
                }
            }
        }
        self.0.get(of..).is_none_or(|rest| rest.iter().all(|letter| *letter == '*'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        let check = |pattern: &str, name: &str, expected: bool| {
            assert_eq!(Pattern::new(pattern).matches(name), expected, "{pattern} {name}");
        };
        check("BTC-USD", "BTC-USD", true);
        check("BTC-USD", "BTC-USDT", false);
        check("*", "", true);
        check("*", "BTC-USD", true);
        check("*-USD", "BTC-USD", true);
        check("*-USD", "BTC-USDT", false);
        check("*USD", "USDUSDUSD", true);
        check("B*C-*D", "BTC-USD", true);
        check("B*C-*DX", "BTC-USD", false);
        check("BTC-*", "BTC-", true);
        check("???-USD", "BTC-USD", true);
        check("???-USD", "DOGE-USD", false);
        check("?", "", false);
        check("t*usd", "tBTCUSD", true);
        check("[A]", "A", false);
        check("", "A", false);
        check("**A**", "BAB", true);
        // Exponential in a naive matcher.
        check(&"*A".repeat(40), &"A".repeat(100), true);
        check(&format!("{}B", "*A".repeat(40)), &"A".repeat(100), false);
        assert!(Pattern::is_one("a*") && Pattern::is_one("?") && !Pattern::is_one("tBTCUSD"));
    }
}
