//! One metric with its labels.

use super::Key;
use crate::encoding::Labels;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Updated since the last sweep, or in a family that is not swept.
const TOUCHED: u8 = 0;
/// Not updated since the sweep at `idle_since`.
const IDLE: u8 = 1;
/// No longer part of its family, and never again.
const REMOVED: u8 = 2;

#[derive(Debug)]
pub(crate) struct Series<M> {
    pub(super) metric: M,
    pub(super) hash: u64,
    state: AtomicU8,
    /// Whether this is the one that takes what there is no room for.
    pub(super) overflow: bool,
    pub(super) key: Key,
    /// `a="x",b="y"`
    pub(super) text: Box<[u8]>,
    handles: AtomicUsize,
    /// Milliseconds on the family's clock; only the sweep looks at it.
    idle_since: AtomicU64,
}

impl<M> Series<M> {
    pub(super) fn new(metric: M, hash: u64, overflow: bool, names: &[Box<str>], labels: &[&str]) -> Self {
        Self {
            metric,
            hash,
            state: AtomicU8::new(TOUCHED),
            overflow,
            key: Key::new(labels),
            text: Labels::text(names.iter().map(AsRef::as_ref).zip(labels.iter().copied())),
            handles: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
        }
    }

    /// To be called before an update; false if the series was removed.
    ///
    /// An update that comes after this said true is lost if the series is removed meanwhile. By a sweep it is not,
    /// unless the updating thread stood still for the whole time after which series expire.
    #[inline]
    pub(super) fn touch(&self) -> bool {
        self.state.load(Ordering::Relaxed) == TOUCHED || self.wake()
    }

    #[cold]
    fn wake(&self) -> bool {
        let woken = self.state.compare_exchange(IDLE, TOUCHED, Ordering::SeqCst, Ordering::SeqCst);
        woken.is_ok() || woken == Err(TOUCHED)
    }

    pub(super) fn is_removed(&self) -> bool {
        self.state.load(Ordering::Acquire) == REMOVED
    }

    /// True for the one caller that removed it.
    pub(super) fn remove(&self) -> bool {
        self.state.swap(REMOVED, Ordering::SeqCst) != REMOVED
    }

    /// True if this call removed the series, because it was idle for `expire_after` until `now`.
    pub(super) fn sweep(&self, now: Duration, expire_after: Duration) -> bool {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        match self.state.load(Ordering::SeqCst) {
            TOUCHED => {
                self.idle_since.store(now, Ordering::Relaxed);
                let _ = self.state.compare_exchange(TOUCHED, IDLE, Ordering::SeqCst, Ordering::SeqCst);
                false
            }
            IDLE => {
                let idle = u128::from(now.saturating_sub(self.idle_since.load(Ordering::Relaxed)));
                idle >= expire_after.as_millis()
                    && self.handles.load(Ordering::SeqCst) == 0
                    && self.state.compare_exchange(IDLE, REMOVED, Ordering::SeqCst, Ordering::SeqCst).is_ok()
            }
            _ => false,
        }
    }

    /// One more handle; false if the series was removed. Counted first, so that a sweep either sees it or is seen.
    pub(super) fn hold(&self) -> bool {
        self.handles.fetch_add(1, Ordering::SeqCst);
        let held = self.touch();
        if !held {
            self.handles.fetch_sub(1, Ordering::SeqCst);
        }
        held
    }

    pub(super) fn hold_again(&self) {
        self.handles.fetch_add(1, Ordering::SeqCst);
    }

    /// The time until it expires starts with the last handle's end.
    pub(super) fn release(&self) {
        self.touch();
        self.handles.fetch_sub(1, Ordering::SeqCst);
    }
}
