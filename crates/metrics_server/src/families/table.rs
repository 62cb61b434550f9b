//! From label values to a series, without a lock.

use super::series::Series;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// A hash table of places that are each set once. At most half of them are, so that a search ends.
#[derive(Debug)]
pub(crate) struct Table<M> {
    places: Box<[Place<M>]>,
    mask: usize,
    /// Another table took its place. Set after that one was published.
    replaced: AtomicBool,
}

/// The hash stands beside the series, so that most others are passed over without being looked at.
type Place<M> = OnceLock<(u64, Arc<Series<M>>)>;

impl<M> Table<M> {
    /// A table with room for at least `series`.
    pub(super) fn for_series(series: usize) -> Self {
        let places = (series * 2).next_power_of_two().max(8);
        Self {
            places: (0..places).map(|_| OnceLock::new()).collect(),
            mask: places - 1,
            replaced: AtomicBool::new(false),
        }
    }

    /// How many series it has room for.
    pub(super) fn room(&self) -> usize {
        self.places.len() / 2
    }

    #[inline]
    pub(super) fn is_replaced(&self) -> bool {
        self.replaced.load(Ordering::Acquire)
    }

    pub(super) fn set_replaced(&self) {
        self.replaced.store(true, Ordering::Release);
    }

    /// The series with these labels, touched. Removed ones are passed over.
    #[inline]
    pub(super) fn find(&self, hash: u64, labels: &[&str]) -> Option<&Arc<Series<M>>> {
        let mut at = hash as usize;
        loop {
            let (other, series) = self.places.get(at & self.mask)?.get()?;
            if *other == hash && series.key.matches(labels) && series.touch() {
                return Some(series);
            }
            at = at.wrapping_add(1);
        }
    }

    /// Only for those who hold the lock of creation, and know that there is room.
    pub(super) fn insert(&self, series: &Arc<Series<M>>) {
        let mut entry = (series.hash, Arc::clone(series));
        for step in 0..self.places.len() {
            match self.places[(entry.0 as usize).wrapping_add(step) & self.mask].set(entry) {
                Ok(()) => return,
                Err(returned) => entry = returned,
            }
        }
    }
}
