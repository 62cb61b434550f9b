//! Which ids were seen where they have no order that could be counted on: the newest, in memory that is bounded.

use std::collections::VecDeque;

/// Ids of a series that are remembered, 8 bytes each.
const REMEMBERED: usize = 8 * 1_048_576;

/// The ids of one series.
#[derive(Debug, Default)]
pub(crate) struct UniqueIds {
    /// Sorted blocks, oldest first. Ids mostly rise, so few blocks can hold an id.
    blocks: VecDeque<Vec<u64>>,
    remembered: usize,
    /// The highest id that was forgotten.
    forgotten: Option<u64>,
    /// Ids that came after such high ones had been forgotten: whether they were seen nobody knows.
    pub(crate) unjudged: u64,
}

impl UniqueIds {
    /// Takes note of ids and hands over each that was seen before, lowest first.
    pub(crate) fn add(&mut self, mut ids: Vec<u64>, on_seen: &mut dyn FnMut(u64)) {
        ids.sort_unstable();
        let (Some(lowest), Some(highest)) = (ids.first().copied(), ids.last().copied()) else { return };
        let spans = |block: &&Vec<u64>| {
            block.first().is_some_and(|first| *first <= highest) && block.last().is_some_and(|last| *last >= lowest)
        };
        let overlapping: Vec<_> = self.blocks.iter().filter(spans).collect();
        let mut before = None;
        for id in &ids {
            if before.replace(*id) == Some(*id) || overlapping.iter().any(|block| block.binary_search(id).is_ok()) {
                on_seen(*id);
            } else if self.forgotten.is_some_and(|forgotten| *id <= forgotten) {
                self.unjudged += 1;
            }
        }
        ids.dedup();
        self.remembered += ids.len();
        self.blocks.push_back(ids);
        while self.remembered > REMEMBERED
            && let Some(oldest) = self.blocks.pop_front()
        {
            self.remembered -= oldest.len();
            self.forgotten = self.forgotten.max(oldest.last().copied());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equals_a_set(blocks in prop::collection::vec(prop::collection::vec(1_u64..60, 0..20), 0..8)) {
            let (mut unique, mut set) = (UniqueIds::default(), BTreeSet::new());
            for ids in blocks {
                let (mut seen, mut expected) = (Vec::new(), Vec::new());
                unique.add(ids.clone(), &mut |id| seen.push(id));
                expected.extend(ids.into_iter().filter(|id| !set.insert(*id)));
                expected.sort_unstable();
                prop_assert_eq!(seen, expected);
            }
            prop_assert_eq!(unique.unjudged, 0);
        }
    }

    #[test]
    fn memory_is_bounded_and_what_was_forgotten_is_not_judged() {
        let mut unique = UniqueIds::default();
        let half = REMEMBERED as u64 / 2;
        for block in 0..3 {
            unique.add((1 + block * half..=(block + 1) * half).collect(), &mut |id| panic!("{id} is new"));
        }
        assert!(unique.remembered <= REMEMBERED);
        let mut seen = Vec::new();
        unique.add(vec![1, half + 1, 3 * half], &mut |id| seen.push(id));
        assert_eq!((seen, unique.unjudged), (vec![half + 1, 3 * half], 1));
    }
}
