//! Why the body of a scrape ends before the document does.

use super::limits::BEHIND_BYTES_MAX;

/// A reader that was given up, so that it does not hold what others have read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It read more slowly than others of the same document.
    Behind,
    /// Its scrape's timeout passed.
    Deadline,
    /// Of all the documents that were being read, its was the oldest of too many.
    Room,
}

/// The error that ends a body early; the connection is closed with it, so that no client takes the part for the whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the client read more than {BEHIND_BYTES_MAX} bytes behind others")]
    Behind,
    #[error("the scrape's timeout passed while the client was reading")]
    Deadline,
    #[error("too many other expositions were begun while the client was reading")]
    Room,
    #[error("the exposition could not be encoded to its end")]
    Encode,
}

impl From<Cut> for BodyError {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::Behind => Self::Behind,
            Cut::Deadline => Self::Deadline,
            Cut::Room => Self::Room,
        }
    }
}
