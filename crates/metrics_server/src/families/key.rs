//! The label values of a series in one piece of memory.

/// Label values, each after its length as four bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Key(Box<[u8]>);

impl Key {
    pub(super) fn new(labels: &[&str]) -> Self {
        let mut bytes = Vec::with_capacity(labels.iter().map(|label| label.len() + 4).sum());
        for label in labels {
            // Nobody has a label of four gigabytes; if somebody does, only its beginning counts.
            let len = u32::try_from(label.len()).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&len.to_le_bytes());
            bytes.extend_from_slice(&label.as_bytes()[..len as usize]);
        }
        Self(bytes.into_boxed_slice())
    }

    #[inline]
    pub(super) fn matches(&self, labels: &[&str]) -> bool {
        let mut values = self.values();
        labels.iter().all(|label| values.next().is_some_and(|value| same(value, label.as_bytes())))
    }

    #[inline]
    pub(crate) fn values(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let (len, tail) = rest.split_first_chunk::<4>()?;
            let (value, tail) = tail.split_at_checked(u32::from_le_bytes(*len) as usize)?;
            rest = tail;
            Some(value)
        })
    }
}

/// Equality of short texts without a call of `memcmp`, which costs more than the comparison.
#[inline]
fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    match left.len() {
        8..=16 => {
            left.first_chunk::<8>() == right.first_chunk::<8>() && left.last_chunk::<8>() == right.last_chunk::<8>()
        }
        4..=7 => {
            left.first_chunk::<4>() == right.first_chunk::<4>() && left.last_chunk::<4>() == right.last_chunk::<4>()
        }
        0..=3 => left.iter().eq(right),
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_same_in_every_byte_or_not() {
        for len in 0..40 {
            let text = vec![b'a'; len];
            assert!(same(&text, &text.clone()), "{len}");
            assert!(!same(&text, &vec![b'a'; len + 1]), "{len}");
            for at in 0..len {
                let mut other = text.clone();
                other[at] = b'b';
                assert!(!same(&text, &other), "{len} {at}");
            }
        }
    }

    #[test]
    fn values_are_kept_apart() {
        let key = Key::new(&["ab", "", "c"]);
        assert!(key.matches(&["ab", "", "c"]));
        for other in [["a", "b", "c"], ["ab", "c", ""], ["abc", "", ""]] {
            assert!(!key.matches(&other), "{other:?}");
        }
        assert_eq!(key.values().collect::<Vec<_>>(), [b"ab".as_slice(), b"", b"c"]);
    }
}
