//! The documents that are being encoded or read, and which of them goes where there are too many.

use super::document::Document;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A bounded number of documents, the older ones first.
#[derive(Debug)]
pub(super) struct Live {
    documents: Mutex<VecDeque<Weak<Document>>>,
    max: usize,
}

impl Live {
    pub(super) fn new(max: usize) -> Self {
        Self { documents: Mutex::default(), max }
    }

    /// Adds a document that has a reader. If there are too many, the readers of the oldest are cut: one that is read is
    /// there for milliseconds, so that it is one whose readers do not read, and who does is not kept out by them.
    pub(super) fn add(&self, document: &Arc<Document>) {
        // Every change is made whole.
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        if documents.len() >= self.max {
            documents.retain(|document| document.upgrade().is_some_and(|document| !document.is_deserted()));
        }
        if documents.len() >= self.max
            && let Some(oldest) = documents.pop_front().and_then(|oldest| oldest.upgrade())
        {
            oldest.cut_all();
        }
        documents.push_back(Arc::downgrade(document));
    }
}
