//! Ids that rise with skips: a trade is known by its id, and ids tell nothing of what is missing.

use std::collections::{HashSet, VecDeque};

/// Ids remembered for each symbol; older ones are looked up in the files.
pub(crate) const REMEMBERED: usize = 4_096;

/// The newest ids of one symbol.
#[derive(Debug, Default)]
pub(crate) struct UniqueIds {
    pub(super) recent: VecDeque<u64>,
    pub(super) seen: HashSet<u64>,
    highest: u64,
    /// Whether there are ids that are not remembered any more.
    forgot: bool,
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
        if self.seen.contains(&id) {
            Looked::Seen
        } else if id > self.highest || !self.forgot {
            Looked::New
        } else {
            Looked::Unknown
        }
    }

    /// Takes note of an id.
    pub(crate) fn insert(&mut self, id: u64) {
        if !self.seen.insert(id) {
            return;
        }
        self.highest = self.highest.max(id);
        self.recent.push_back(id);
        if self.recent.len() > REMEMBERED
            && let Some(oldest) = self.recent.pop_front()
        {
            self.seen.remove(&oldest);
            self.forgot = true;
        }
    }
}
