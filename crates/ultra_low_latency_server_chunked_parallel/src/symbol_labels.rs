//! Which symbols have metrics of their own.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
};

/// The value that all other symbols share. No directory of a venue's symbol is called so.
const OTHER: &str = "other";

/// A bounded set of label values: the first symbols on disk that are asked for.
#[derive(Debug)]
pub(crate) struct SymbolLabels {
    limit: usize,
    known: RwLock<BTreeSet<Arc<str>>>,
    other: Arc<str>,
}

impl SymbolLabels {
    pub(crate) fn new(limit: usize) -> SymbolLabels {
        SymbolLabels { limit, known: RwLock::default(), other: OTHER.into() }
    }

    /// The label of a symbol; `exists` says whether it is on disk. What is not is text of a client and shares `other`.
    pub(crate) fn label(&self, symbol: &str, exists: bool) -> Arc<str> {
        if !exists {
            return Arc::clone(&self.other);
        }
        // Values are only added, so the set is whole even if a holder of the lock panicked.
        if let Some(label) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(symbol) {
            return Arc::clone(label);
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have been here meanwhile.
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
