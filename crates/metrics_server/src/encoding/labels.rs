//! The labels of a series, from wherever they are kept.

use super::{escape, proto};
use crate::families::Key;

/// The labels of one series.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Labels<'a> {
    /// Of a series of ours: `text` is ready to be copied.
    Ready { text: &'a [u8], names: &'a [Box<str>], key: &'a Key },
    /// Of another library's.
    Pairs(&'a [proto::LabelPair]),
}

impl Labels<'_> {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Ready { text, .. } => text.is_empty(),
            Self::Pairs(pairs) => pairs.is_empty(),
        }
    }

    /// `a="x",b="y"`
    #[inline]
    pub(super) fn write_text(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ready { text, .. } => out.extend_from_slice(text),
            Self::Pairs(pairs) => {
                for (index, pair) in pairs.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    write_pair(&pair.name, &pair.value, out);
                }
            }
        }
    }

    pub(super) fn for_each(&self, mut each: impl FnMut(&[u8], &[u8])) {
        match self {
            Self::Ready { names, key, .. } => {
                for (name, value) in names.iter().zip(key.values()) {
                    each(name.as_bytes(), value);
                }
            }
            Self::Pairs(pairs) => {
                for pair in *pairs {
                    each(pair.name.as_bytes(), pair.value.as_bytes());
                }
            }
        }
    }

    /// What [`Labels::Ready`] copies.
    pub(crate) fn text<'n>(pairs: impl IntoIterator<Item = (&'n str, &'n str)>) -> Box<[u8]> {
        let mut out = Vec::new();
        for (name, value) in pairs {
            if !out.is_empty() {
                out.push(b',');
            }
            write_pair(name, value, &mut out);
        }
        out.into_boxed_slice()
    }
}

fn write_pair(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    escape::label_value(value, out);
    out.push(b'"');
}
