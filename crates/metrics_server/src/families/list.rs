//! The series of a family in the order of their creation.

use super::series::Series;
use std::sync::Arc;

/// Series in a chunk. A chunk is copied if a series is added while a scrape holds it.
const CHUNK: usize = 256;

/// Series that a scrape may hold on to while more are added.
#[derive(Debug)]
pub(super) struct List<M> {
    chunks: Vec<Arc<Vec<Arc<Series<M>>>>>,
}

/// What the list was at one moment, removed series included.
pub(super) type Chunks<M> = Vec<Arc<Vec<Arc<Series<M>>>>>;

impl<M> List<M> {
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new() }
    }

    pub(super) fn push(&mut self, series: Arc<Series<M>>) {
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => Arc::make_mut(chunk).push(series),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK.min(4 + 4 * self.chunks.len() * CHUNK));
                chunk.push(series);
                self.chunks.push(Arc::new(chunk));
            }
        }
    }

    pub(super) fn chunks(&self) -> Chunks<M> {
        self.chunks.clone()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Series<M>>> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// Lets go of those that were removed.
    pub(super) fn compact(&mut self) {
        let mut compacted = Self::new();
        for series in self.iter().filter(|series| !series.is_removed()) {
            compacted.push(Arc::clone(series));
        }
        *self = compacted;
    }
}
