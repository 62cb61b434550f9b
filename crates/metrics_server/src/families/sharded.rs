//! A counter that threads do not fight over.

use super::metric::{Instrument, thread_tables};
use crate::encoding::{FamilyWriter, Kind, Labels, Number};
use std::cell::Cell as LocalCell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Threads that have a place of their own at the same time. Further ones share one.
const SLOTS: usize = 64;
/// The shared place.
const SHARED: usize = SLOTS;
/// The thread has not asked for a place yet.
const UNKNOWN: usize = usize::MAX;

/// A counter of whole numbers in which each of up to 64 threads counts in a place of its own. An increment costs about
/// as much as that of a plain variable; a series takes 1 KiB, and 128 bytes for each thread that ever used it.
#[derive(Debug)]
pub struct ShardedCounter {
    /// By slot. A thread's cell stays when the thread ends, and is counted on by the next thread with its slot.
    cells: Box<[OnceLock<Box<Padded>>; SLOTS]>,
    shared: AtomicU64,
}

/// Two cache lines for itself: processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded(AtomicU64);

impl ShardedCounter {
    /// Adds 1.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `count`.
    #[inline]
    pub fn add(&self, count: u64) {
        match self.cells.get(slot()).and_then(OnceLock::get) {
            Some(cell) => cell.add(count),
            None => self.add_first(count),
        }
    }

    #[cold]
    fn add_first(&self, count: u64) {
        match self.cells.get(slot()) {
            Some(cell) => cell.get_or_init(Box::default).add(count),
            None => drop(self.shared.fetch_add(count, Ordering::Relaxed)),
        }
    }

    /// The count so far: exact for what other threads are known to have finished.
    pub fn get(&self) -> u64 {
        let cells = self.cells.iter().filter_map(OnceLock::get).map(|cell| cell.0.load(Ordering::Relaxed));
        cells.fold(self.shared.load(Ordering::Relaxed), u64::wrapping_add)
    }
}

impl Padded {
    /// No read-modify-write is needed: only the thread that has the slot writes.
    #[inline]
    fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }
}

impl Instrument for ShardedCounter {
    type Settings = ();
    const KIND: Kind = Kind::Counter;

    fn create((): &()) -> Self {
        Self { cells: Box::new([const { OnceLock::new() }; SLOTS]), shared: AtomicU64::new(0) }
    }

    fn encode(&self, labels: &Labels<'_>, writer: &mut FamilyWriter, out: &mut Vec<u8>) {
        writer.number(labels, Number::Unsigned(self.get()), None, out);
    }

    thread_tables!(ShardedCounter);
}

/// The slots in use, one bit each. Process-wide, because threads are.
static IN_USE: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Without a destructor, so that it can be asked until the very end of the thread.
    static SLOT: LocalCell<usize> = const { LocalCell::new(UNKNOWN) };
    static RELEASE: Release = const { Release };
}

/// Gives the thread's slot back at its end.
struct Release;

impl Drop for Release {
    fn drop(&mut self) {
        // From here on other destructors of this thread count in the shared place.
        let slot = SLOT.replace(SHARED);
        if slot < SLOTS {
            // Release: who takes the slot next must see what was counted in its cells.
            IN_USE.fetch_and(!(1 << slot), Ordering::Release);
        }
    }
}

#[inline]
fn slot() -> usize {
    let slot = SLOT.get();
    if slot == UNKNOWN { take_slot() } else { slot }
}

#[cold]
fn take_slot() -> usize {
    // A thread that is ending cannot give a slot back any more, so it must not take one.
    let slot = if RELEASE.try_with(|_| ()).is_ok() { free_slot() } else { SHARED };
    SLOT.set(slot);
    slot
}

fn free_slot() -> usize {
    let lowest = |used: u64| (used != u64::MAX).then(|| used | (used + 1));
    match IN_USE.fetch_update(Ordering::Acquire, Ordering::Relaxed, lowest) {
        Ok(before) => (!before).trailing_zeros() as usize,
        Err(_) => SHARED,
    }
}
