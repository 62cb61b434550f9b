//! Which names are allowed, and which are asked for.

use super::Descriptor;
use std::collections::HashSet;

/// Names of metrics that a scrape is restricted to, as `name[]` in the query of other exporters.
///
/// A family is kept if its own name or the name of one of its samples is in the set: `foo`, `foo_bucket` and
/// `foo_count` all ask for the whole histogram `foo`. An empty set keeps nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameFilter {
    names: HashSet<String>,
}

impl NameFilter {
    /// Keeps the families that go by one of these names.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect() }
    }

    pub(crate) fn keeps(&self, descriptor: &Descriptor) -> bool {
        descriptor.claimed_names().iter().any(|name| self.names.contains(name))
    }
}

/// The classic charset, which every scraper understands.
pub(crate) fn is_metric_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    name.bytes().all(allowed) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// As [`is_metric_name`], without colons.
pub(crate) fn is_label_name(name: &str) -> bool {
    is_metric_name(name) && !name.contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_classic_charset() {
        for good in ["a", "_", "a:b", "A_9", "__x"] {
            assert!(is_metric_name(good), "{good}");
        }
        for bad in ["", "9a", "a-b", "a b", "é", "a\n", "a{"] {
            assert!(!is_metric_name(bad), "{bad}");
        }
        assert!(is_label_name("a_1") && !is_label_name("a:b"));
    }
}
