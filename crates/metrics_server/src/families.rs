//! Families of metrics for hot paths: a series is found by borrowed labels without a lock and without an allocation,
//! and neither a scrape nor a new series makes an update wait.
//!
//! How: the series of a family stand in a hash table whose places are each set once. Who creates a series does so under
//! a lock, which nobody needs who finds one. A table that is full, or mostly of removed series, is replaced by another
//! one; each thread keeps a reference to the table that it saw last, and each table knows whether it was replaced. For
//! scrapes the series also stand in the order of their creation, in chunks that are copied only if a scrape reads them
//! while they change.

mod builder;
mod callback;
mod constant;
mod counter;
mod gauge;
mod handle;
mod histogram;
mod key;
mod list;
mod local;
mod metric;
mod native;
mod selected;
mod series;
mod sharded;
mod store;
mod table;

pub use builder::Builder;
pub use callback::Samples;
pub use counter::{Counter, FloatCounter};
pub use gauge::{Gauge, IntGauge};
pub use handle::Handle;
pub use histogram::Histogram;
pub use metric::Metric;
pub use native::NativeBuckets;
pub use selected::Selected;
pub use sharded::ShardedCounter;

pub(crate) use callback::Callback;
pub(crate) use constant::Constant;
pub(crate) use histogram::HistogramSettings;
pub(crate) use key::Key;

use std::sync::Arc;
use store::Store;

/// The value of every label of the series that takes the updates for which there is no room.
pub(crate) const OVERFLOW: &str = "other";

/// Metrics of one name, told apart by the values of `N` labels.
///
/// Cheap to clone; all clones are the same family.
#[derive(Debug)]
pub struct Family<M: Metric, const N: usize> {
    store: Arc<Store<M>>,
}

impl<M: Metric, const N: usize> Clone for Family<M, N> {
    fn clone(&self) -> Self {
        Self { store: Arc::clone(&self.store) }
    }
}

impl<M: Metric, const N: usize> Family<M, N> {
    /// The series with these label values, to be updated now: `family.with(["coinbase", "trade"]).inc()`.
    ///
    /// The update looks the series up and creates it if there is none yet. The lookup takes no lock, allocates nothing
    /// and never waits; a creation may wait for another one. When the family is full, the update goes to the series
    /// whose label values are all `other`, and is counted in `metrics_server_series_overflowed_total{family}`.
    #[inline]
    pub fn with<'a>(&'a self, labels: [&'a str; N]) -> Selected<'a, M, N> {
        Selected::new(&self.store, labels)
    }

    /// The series with these label values, to be kept and updated without another lookup. It does not expire while
    /// there is a handle.
    pub fn handle(&self, labels: [&str; N]) -> Handle<M> {
        self.store.handle(&labels)
    }

    /// Removes a series; false if there is none. Its next update starts from zero. A handle to the old one stays
    /// usable, but counts into nothing.
    pub fn remove(&self, labels: [&str; N]) -> bool {
        self.store.remove(&labels)
    }

    /// How many series there are, the one for overflow included.
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Whether there is no series.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
