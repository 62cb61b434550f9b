//! The metrics of the series that a loop answers for, found once: finding them takes locks that all loops share.

use std::{collections::HashMap, sync::Arc};

use column_store::{SeriesId, Table};

use crate::metrics::{Metrics, SeriesMetrics};

/// Series that are remembered; with one more all are found anew.
const MOST: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct KnownSeries {
    existing: HashMap<Arc<SeriesId>, SeriesMetrics>,
    /// Those that share the label of all that does not exist.
    others: HashMap<Table, SeriesMetrics>,
}

impl KnownSeries {
    /// The metrics of a series; `exists` says whether its symbol is on disk.
    pub(super) fn of(&mut self, id: &Arc<SeriesId>, exists: bool, metrics: &Metrics) -> &SeriesMetrics {
        if !exists {
            return self.others.entry(id.table).or_insert_with(|| metrics.series(id, false));
        }
        if self.existing.len() >= MOST && !self.existing.contains_key(id) {
            self.existing.clear();
        }
        self.existing.entry(Arc::clone(id)).or_insert_with(|| metrics.series(id, true))
    }
}
