//! Which ids were seen, in memory that does not grow with their number.

use std::collections::BTreeMap;

/// Separate ranges of ids that are remembered. Beyond it the lowest hole is settled: it is missing for good, and an id below
/// it can no longer be judged.
const RANGE_LIMIT: usize = 65_536;

/// The ids of one series, in whatever order they come.
#[derive(Debug, Default)]
pub(crate) struct SeenIds {
    /// First → last of each range that was seen; the ranges do not touch.
    ranges: BTreeMap<u64, u64>,
    /// Below this nothing is judged any more.
    floor: u64,
    /// Ids missing in holes below the floor.
    pub(crate) settled: u64,
    /// Ids below the floor that came after it had risen.
    pub(crate) unjudged: u64,
}

impl SeenIds {
    /// Takes note of an id; `false` if it was seen before.
    pub(crate) fn insert(&mut self, id: u64) -> bool {
        if id < self.floor {
            self.unjudged += 1;
            return true;
        }
        let before = self.ranges.range(..=id).next_back().map(|(first, last)| (*first, *last));
        let mut range = (id, id);
        match before {
            Some((_, last)) if last >= id => return false,
            Some((first, last)) if last + 1 == id => range.0 = first,
            _ => {}
        }
        if let Some(last) = id.checked_add(1).and_then(|next| self.ranges.remove(&next)) {
            range.1 = last;
        }
        self.ranges.insert(range.0, range.1);
        if self.ranges.len() > RANGE_LIMIT {
            self.settle();
        }
        true
    }

    fn settle(&mut self) {
        let Some((_, last)) = self.ranges.pop_first() else { return };
        if let Some((first, _)) = self.ranges.first_key_value() {
            self.settled += first - last - 1;
            self.floor = *first;
        }
    }

    /// The lowest and the highest id.
    pub(crate) fn span(&self) -> Option<(u64, u64)> {
        Some((*self.ranges.first_key_value()?.0, *self.ranges.last_key_value()?.1))
    }

    /// The holes between the ids, first and last missing id of each, rising.
    pub(crate) fn holes(&self) -> impl Iterator<Item = (u64, u64)> {
        let nexts = self.ranges.keys().skip(1);
        self.ranges.values().zip(nexts).map(|(last, next)| (last + 1, next - 1))
    }

    /// How many of the ids `from..=to` were seen.
    pub(crate) fn within(&self, from: u64, to: u64) -> u64 {
        let reaching_in = self.ranges.range(..from).next_back();
        let overlaps = reaching_in.into_iter().chain(self.ranges.range(from..=to));
        overlaps.map(|(first, last)| overlap((*first, *last), (from, to))).fold(0, u64::saturating_add)
    }
}

/// How many numbers two ranges have in common.
pub(crate) fn overlap(a: (u64, u64), b: (u64, u64)) -> u64 {
    let (start, end) = (a.0.max(b.0), a.1.min(b.1));
    if start > end { 0 } else { (end - start).saturating_add(1) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equals_a_set(ids in prop::collection::vec(1_u64..60, 0..80)) {
            let (mut seen, mut set) = (SeenIds::default(), BTreeSet::new());
            for id in &ids {
                prop_assert_eq!(seen.insert(*id), set.insert(*id));
            }
            let holes: Vec<u64> = seen.holes().flat_map(|(from, to)| from..=to).collect();
            let (first, last) = seen.span().unwrap_or((1, 0));
            let missing: Vec<u64> = (first..=last).filter(|id| !set.contains(id)).collect();
            prop_assert_eq!(holes, missing);
            prop_assert_eq!(seen.within(10, 30), set.range(10..=30).count() as u64);
        }
    }

    #[test]
    fn memory_is_bounded_and_the_count_stays_right() {
        let mut seen = SeenIds::default();
        for id in 0..100_000 {
            assert!(seen.insert(id * 2));
        }
        assert_eq!(seen.ranges.len(), RANGE_LIMIT);
        assert_eq!(seen.settled + seen.holes().count() as u64, 99_999);
        assert!(seen.insert(1), "what cannot be judged is called no duplicate");
        assert_eq!(seen.unjudged, 1);
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let mut seen = SeenIds::default();
        for id in [5, 1, 3, 4, 2] {
            assert!(seen.insert(id));
        }
        assert_eq!(seen.ranges.len(), 1);
        assert_eq!(seen.span(), Some((1, 5)));
    }

    #[test]
    fn the_largest_id_is_an_id() {
        let mut seen = SeenIds::default();
        assert!(seen.insert(u64::MAX));
        assert!(!seen.insert(u64::MAX));
        assert!(seen.insert(u64::MAX - 1));
        assert_eq!(seen.span(), Some((u64::MAX - 1, u64::MAX)));
    }
}
