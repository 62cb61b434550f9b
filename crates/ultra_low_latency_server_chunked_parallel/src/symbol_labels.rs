//! Which symbols have metrics of their own.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

/// The value that all other symbols share. No directory of a venue's symbol is called so.
const OTHER: &str = "other";

/// A bounded set of label values: the first symbols on disk that are asked for.
#[derive(Debug)]
pub(crate) struct SymbolLabels {
    limit: usize,
    known: Mutex<BTreeSet<Arc<str>>>,
    other: Arc<str>,
}

impl SymbolLabels {
    pub(crate) fn new(limit: usize) -> SymbolLabels {
        SymbolLabels { limit, known: Mutex::default(), other: OTHER.into() }
    }

    /// The label of a symbol; `exists` says whether it is on disk. What is not is text of a client and shares `other`.
    pub(crate) fn label(&self, symbol: &str, exists: bool) -> Arc<str> {
        if !exists {
            return Arc::clone(&self.other);
        }
        // Values are only added, so the set is whole even if a holder of the lock panicked.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(label) = known.get(symbol) {
            return Arc::clone(label);
        }
        if known.len() >= self.limit {
            return Arc::clone(&self.other);
        }
        let label: Arc<str> = symbol.into();
        known.insert(Arc::clone(&label));
        label
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_symbols_have_their_own() {
        let labels = SymbolLabels::new(2);
        let label = |symbol, exists| labels.label(symbol, exists).to_string();
        assert_eq!(label("X", false), "other");
        assert_eq!(label("A", true), "A");
        assert_eq!(label("B", true), "B");
        assert_eq!(label("C", true), "other");
        assert_eq!(label("A", true), "A");
    }
}
