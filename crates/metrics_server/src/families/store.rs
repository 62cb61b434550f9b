//! The series of one family.

use super::handle::Handle;
use super::list::{Chunks, List};
use super::local::{give_number_back, take_number};
use super::metric::Metric;
use super::series::Series;
use super::table::Table;
use super::{Counter, OVERFLOW};
use crate::encoding::{Descriptor, FamilyWriter, Labels, Snapshot, Source};
use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Removed series that the list and the table may hold on to beside half as many as there are live ones.
const REMOVED_KEPT: usize = 64;

/// How a family was asked for.
#[derive(Debug)]
pub(super) struct Settings<M: Metric> {
    pub(super) descriptor: Arc<Descriptor>,
    pub(super) names: Box<[Box<str>]>,
    pub(super) metric: M::Settings,
    pub(super) cap: usize,
    pub(super) expire_after: Option<Duration>,
    pub(super) overflowed: Option<Handle<Counter>>,
}

#[derive(Debug)]
pub(crate) struct Store<M: Metric> {
    /// Where threads remember the table.
    number: usize,
    hasher: RandomState,
    table: ArcSwap<Table<M>>,
    settings: Settings<M>,
    /// The series that the cap is about: all but the one for overflow.
    series: AtomicUsize,
    overflow_series: AtomicUsize,
    creation: Mutex<Creation<M>>,
    started: Instant,
}

/// What only who creates or removes a series needs.
#[derive(Debug)]
struct Creation<M> {
    list: List<M>,
    /// Places that are set in the table, removed series included.
    places: usize,
    /// Removed series in the list.
    removed: usize,
    /// Tables that threads may still remember. Held here so that none of those threads is the last to let go of one,
    /// which takes as long as there are series in it; a scrape is, or who makes the next table.
    replaced: Vec<Arc<Table<M>>>,
}

impl<M: Metric> Store<M> {
    pub(super) fn new(settings: Settings<M>) -> Self {
        Self {
            number: take_number(),
            hasher: RandomState::default(),
            table: ArcSwap::from_pointee(Table::for_series(4)),
            settings,
            series: AtomicUsize::new(0),
            overflow_series: AtomicUsize::new(0),
            creation: Mutex::new(Creation { list: List::new(), places: 0, removed: 0, replaced: Vec::new() }),
            started: Instant::now(),
        }
    }

    /// Updates the series with these labels.
    #[inline]
    pub(super) fn update<R>(&self, labels: &[&str], update: impl Fn(&M) -> R) -> R {
        let hash = self.hash(labels);
        let updated = M::tables(|tables| {
            tables.read(self.number, |table| table.find(hash, labels).map(|series| update(&series.metric)))
        });
        match updated.flatten() {
            Some(result) => result,
            None => update(&self.find_or_create(hash, labels).metric),
        }
    }

    pub(super) fn handle(&self, labels: &[&str]) -> Handle<M> {
        let hash = self.hash(labels);
        loop {
            let series = self.find_or_create(hash, labels);
            // A series that was removed in this moment is not found again.
            if series.hold() {
                return Handle::held(series);
            }
        }
    }

    pub(super) fn remove(&self, labels: &[&str]) -> bool {
        let mut creation = self.lock();
        let removed = self.table.load().find(self.hash(labels), labels).is_some_and(|series| {
            let removed = series.remove();
            if removed {
                self.uncount(series);
            }
            removed
        });
        if removed {
            self.let_go(&mut creation, 1);
        }
        removed
    }

    pub(super) fn len(&self) -> usize {
        self.series.load(Ordering::Relaxed) + self.overflow_series.load(Ordering::Relaxed)
    }

    #[inline]
    fn hash(&self, labels: &[&str]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for label in labels {
            hasher.write(label.as_bytes());
        }
        hasher.finish()
    }

    /// Finds a series in the current table, which the thread remembers from here on, or creates it.
    #[cold]
    #[inline(never)]
    fn find_or_create(&self, hash: u64, labels: &[&str]) -> Arc<Series<M>> {
        let table = self.table.load_full();
        M::tables(|tables| tables.remember(self.number, &table));
        if let Some(series) = table.find(hash, labels) {
            return Arc::clone(series);
        }
        let overflow = !labels.is_empty() && labels.iter().all(|label| *label == OVERFLOW);
        // Asked before the lock is taken, so that a flood of new labels does not wait for it either.
        let created = if overflow || self.has_room() { self.create(hash, labels, overflow) } else { None };
        created.unwrap_or_else(|| self.overflow(labels.len()))
    }

    fn has_room(&self) -> bool {
        self.series.load(Ordering::Relaxed) < self.settings.cap
    }

    /// `None` if there is no room. The series for overflow always has room.
    fn create(&self, hash: u64, labels: &[&str], overflow: bool) -> Option<Arc<Series<M>>> {
        let mut creation = self.lock();
        if let Some(series) = self.table.load().find(hash, labels) {
            return Some(Arc::clone(series));
        }
        if !overflow && !self.has_room() {
            return None;
        }
        let metric = M::create(&self.settings.metric);
        let series = Arc::new(Series::new(metric, hash, overflow, &self.settings.names, labels));
        if creation.places == self.table.load().room() {
            self.replace_table(&mut creation);
        }
        creation.places += 1;
        creation.list.push(Arc::clone(&series));
        let counted = if overflow { &self.overflow_series } else { &self.series };
        counted.fetch_add(1, Ordering::Relaxed);
        // Last, so that nobody finds what is not counted.
        self.table.load().insert(&series);
        Some(series)
    }

    /// The series for what there is no room for.
    fn overflow(&self, labels: usize) -> Arc<Series<M>> {
        if let Some(overflowed) = &self.settings.overflowed {
            overflowed.inc();
        }
        let labels = vec![OVERFLOW; labels];
        let hash = self.hash(&labels);
        loop {
            if let Some(series) = self.table.load().find(hash, &labels) {
                return Arc::clone(series);
            }
            if let Some(series) = self.create(hash, &labels, true) {
                return series;
            }
        }
    }

    /// Publishes a table of the live series, with room for as many again.
    fn replace_table(&self, creation: &mut Creation<M>) {
        let live = creation.list.iter().filter(|series| !series.is_removed());
        let table = Table::for_series(2 * (self.len() + 1));
        creation.places = live.map(|series| table.insert(series)).count();
        let replaced = self.table.swap(Arc::new(table));
        replaced.set_replaced();
        creation.replaced.retain(is_remembered);
        creation.replaced.push(replaced);
    }

    fn uncount(&self, series: &Series<M>) {
        let counted = if series.overflow { &self.overflow_series } else { &self.series };
        counted.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts removed series, and lets go of all of them when they are many.
    fn let_go(&self, creation: &mut Creation<M>, removed: usize) {
        creation.removed += removed;
        if creation.removed > self.len() / 2 + REMOVED_KEPT {
            creation.list.compact();
            creation.removed = 0;
            self.replace_table(creation);
        }
    }

    /// Removes what was idle for long enough until `now` on the family's clock.
    fn sweep(&self, chunks: &[Arc<Vec<Arc<Series<M>>>>], now: Duration) {
        let Some(expire_after) = self.settings.expire_after else { return };
        let mut removed = 0;
        for series in chunks.iter().flat_map(|chunk| chunk.iter()) {
            if series.sweep(now, expire_after) {
                self.uncount(series);
                removed += 1;
            }
        }
        if removed > 0 {
            self.let_go(&mut self.lock(), removed);
        }
    }

    pub(super) fn chunks(&self) -> Chunks<M> {
        let mut creation = self.lock();
        let chunks = creation.list.chunks();
        let forgotten: Vec<_> = creation.replaced.extract_if(.., |table| !is_remembered(table)).collect();
        drop(creation);
        // Outside of the lock.
        drop(forgotten);
        chunks
    }

    /// Nothing that happens under the lock leaves anything half done when it panics, but counts.
    fn lock(&self) -> MutexGuard<'_, Creation<M>> {
        self.creation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether anybody but the store holds a table that was replaced.
fn is_remembered<M>(table: &Arc<Table<M>>) -> bool {
    Arc::strong_count(table) > 1
}

impl<M: Metric> Drop for Store<M> {
    fn drop(&mut self) {
        self.table.load().set_replaced();
        give_number_back(self.number);
    }
}

/// The store, shared between families and the registry.
#[derive(Debug)]
pub(super) struct Shared<M: Metric>(pub(super) Arc<Store<M>>);

impl<M: Metric> Source for Shared<M> {
    fn descriptor(&self) -> &Arc<Descriptor> {
        &self.0.settings.descriptor
    }

    fn snapshot(&self) -> Box<dyn Snapshot> {
        let chunks = self.0.chunks().into_iter();
        Box::new(SeriesSnapshot { store: Arc::clone(&self.0), chunks, swept: false, next: 0 })
    }
}

/// The series of a family that are still to be encoded; a chunk is let go of as soon as it is done.
struct SeriesSnapshot<M: Metric> {
    store: Arc<Store<M>>,
    chunks: std::vec::IntoIter<Arc<Vec<Arc<Series<M>>>>>,
    /// Left to the encoding, because it looks at every series.
    swept: bool,
    /// In the first chunk.
    next: usize,
}

impl<M: Metric> Snapshot for SeriesSnapshot<M> {
    fn encode(&mut self, writer: &mut FamilyWriter, out: &mut Vec<u8>, limit: usize) -> bool {
        if !self.swept {
            self.swept = true;
            self.store.sweep(self.chunks.as_slice(), self.store.started.elapsed());
        }
        let names = &self.store.settings.names;
        while let Some(chunk) = self.chunks.as_slice().first() {
            for series in &chunk[self.next..] {
                if out.len() >= limit {
                    return true;
                }
                self.next += 1;
                if !series.is_removed() {
                    let labels = Labels::Ready { text: &series.text, names, key: &series.key };
                    series.metric.encode(&labels, writer, out);
                }
            }
            self.chunks.next();
            self.next = 0;
        }
        false
    }
}
