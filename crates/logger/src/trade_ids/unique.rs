//! Ids that rise with skips: a trade is known by its id, and ids tell nothing of what is missing.

use std::collections::{HashSet, VecDeque};

/// Ids remembered for each symbol, live and filled ones each; older ones are looked up in the files.
pub(crate) const REMEMBERED: usize = 4_096;

/// The newest ids of one symbol. Those that REST brought are remembered apart: a long answer must not make it forget live trades
/// that still wait, which no file holds.
#[derive(Debug, Default)]
pub(crate) struct UniqueIds {
    pub(super) live: Newest,
    pub(super) filled: Newest,
    highest: u64,
    /// Whether there are ids that are not remembered any more.
    forgot: bool,
}

/// Ids in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Newest {
    pub(super) recent: VecDeque<u64>,
    pub(super) seen: HashSet<u64>,
}

impl Newest {
    /// `true` if the oldest is remembered no more.
    fn insert(&mut self, id: u64) -> bool {
        if !self.seen.insert(id) {
            return false;
        }
        self.recent.push_back(id);
        let oldest = if self.recent.len() > REMEMBERED { self.recent.pop_front() } else { None };
        oldest.is_some_and(|oldest| self.seen.remove(&oldest))
    }
}

/// What is known of an id without the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// Not seen before.
    New,
    /// Seen before.
    Seen,
    /// Only the files can tell.
    Unknown,
}

impl UniqueIds {
    /// Goes on after the last ids that the files hold; there are more in them if there are this many.
    pub(crate) fn resume(ids: &[u64]) -> UniqueIds {
        let mut resumed = UniqueIds { forgot: ids.len() >= REMEMBERED, ..UniqueIds::default() };
        ids.iter().for_each(|id| resumed.insert(*id));
        resumed
    }

    /// Looks an id up.
    pub(crate) fn look(&self, id: u64) -> Looked {
        if self.live.seen.contains(&id) || self.filled.seen.contains(&id) {
            Looked::Seen
        } else if id > self.highest || !self.forgot {
            Looked::New
        } else {
            Looked::Unknown
        }
    }

    /// Takes note of the id of a live trade.
    pub(crate) fn insert(&mut self, id: u64) {
        self.highest = self.highest.max(id);
        self.forgot |= self.live.insert(id);
    }

    /// Takes note of the id of a trade that REST brought.
    pub(crate) fn insert_filled(&mut self, id: u64) {
        self.highest = self.highest.max(id);
        self.forgot |= self.filled.insert(id);
    }
}
