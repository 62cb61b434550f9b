//! A bounded table that forgets its oldest half.

use std::collections::HashMap;
use std::hash::Hash;

/// Two tables: entries go into the newer one; when that is full, the older one is forgotten. It therefore holds the last
/// `limit` entries at least and twice as many at most, however fast they come, without bookkeeping for each.
#[derive(Debug)]
pub(super) struct Generations<K, V> {
    limit: usize,
    new: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash, V: Copy> Generations<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, new: HashMap::new(), old: HashMap::new() }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.new.get(key).or_else(|| self.old.get(key)).copied()
    }

    /// Returns how many entries were forgotten for this one.
    pub(super) fn insert(&mut self, key: K, value: V) -> usize {
        let forgotten = if self.new.len() >= self.limit { self.turn() } else { 0 };
        self.new.insert(key, value);
        forgotten
    }

    /// Forgets the older half, and returns how many those were.
    pub(super) fn turn(&mut self) -> usize {
        let forgotten = self.old.len();
        self.old = std::mem::take(&mut self.new);
        forgotten
    }

    pub(super) fn len(&self) -> usize {
        self.new.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_the_last_entries_and_no_more_than_twice_as_many() {
        let mut table = Generations::new(10);
        let mut forgotten = 0;
        for key in 0..1000 {
            forgotten += table.insert(key, key);
            assert!(table.len() <= 20);
            assert!((0..=key).rev().take(10).all(|recent| table.get(&recent) == Some(recent)));
        }
        assert_eq!(table.len() + forgotten, 1000);
        assert_eq!(table.get(&0), None);
    }
}
