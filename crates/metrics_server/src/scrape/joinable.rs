//! The documents whose encoding has not begun: who asks for the same meanwhile reads the same.

use super::document::{Document, Membership};
use super::name_query::Names;
use crate::encoding::Format;
use crate::negotiation::Coding;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// What two scrapes must have in common to share a document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) format: Format,
    pub(super) coding: Coding,
    pub(super) names: Option<Names>,
}

/// Bounded by the scrapes in flight, since every document in it has a reader that waits for its first byte.
#[derive(Debug, Default)]
pub(super) struct Joinable(Mutex<HashMap<Key, Arc<Document>>>);

impl Joinable {
    /// A place in the document for `key`, and the document if it is one that `make` had to make.
    pub(super) fn join(
        &self,
        key: &Key,
        deadline: Instant,
        make: impl FnOnce() -> Arc<Document>,
    ) -> (Membership, Option<Arc<Document>>) {
        let mut documents = self.documents();
        if let Some(document) = documents.get(key) {
            return (document.join(deadline), None);
        }
        let document = make();
        documents.insert(key.clone(), Arc::clone(&document));
        (document.join(deadline), Some(document))
    }

    /// From here on nobody joins the document.
    pub(super) fn close(&self, key: &Key, document: &Arc<Document>) {
        remove(&mut self.documents(), key, document);
    }

    /// Closes the document if it has no reader; whether it has none.
    pub(super) fn close_deserted(&self, key: &Key, document: &Arc<Document>) -> bool {
        let mut documents = self.documents();
        let is_deserted = document.is_deserted();
        if is_deserted {
            remove(&mut documents, key, document);
        }
        is_deserted
    }

    /// Entries are added and removed whole.
    fn documents(&self) -> MutexGuard<'_, HashMap<Key, Arc<Document>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove(documents: &mut HashMap<Key, Arc<Document>>, key: &Key, document: &Arc<Document>) {
    if documents.get(key).is_some_and(|other| Arc::ptr_eq(other, document)) {
        documents.remove(key);
    }
}
