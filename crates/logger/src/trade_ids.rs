//! What a symbol's trade ids tell: which trades are new, which are known, and which are missing.

use std::collections::VecDeque;

/// Ranges of missing ids remembered for each symbol. Beyond it the oldest is forgotten: a trade of it that still arrives is
/// recorded, but no longer counted as filling a gap.
const REMEMBERED_GAPS: usize = 1_024;

/// The ids seen of one symbol whose ids are contiguous.
#[derive(Debug, Default)]
pub(crate) struct TradeIds {
    /// The highest id seen.
    last: Option<u64>,
    /// Below this nothing is known: an id there was never seen for sure.
    floor: u64,
    /// Missing ranges between `floor` and `last`, both ends included, oldest first.
    missing: VecDeque<(u64, u64)>,
}

/// What a trade's ids say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Newer than all before; this many ids between it and them are missing.
    New {
        /// How many.
        missing: u64,
    },
    /// Older than the newest and not seen before; this many of its ids had been counted as missing.
    Late {
        /// How many.
        filled: u64,
    },
    /// Seen before.
    Duplicate,
}

impl TradeIds {
    /// Goes on after what the files hold: exactly these ids count as seen, and what lies between them as missing. Nothing
    /// else is taken for a duplicate, so a wrong id or a venue that counts anew costs no trade.
    pub(crate) fn resume(mut ids: Vec<u64>) -> TradeIds {
        ids.sort_unstable();
        let mut resumed =
            TradeIds { last: ids.last().copied(), floor: ids.first().copied().unwrap_or(0), ..TradeIds::default() };
        for (before, after) in ids.iter().zip(ids.iter().skip(1)) {
            if after - before > 1 {
                resumed.remember(before + 1, after - 1);
            }
        }
        resumed
    }

    /// Takes note of a trade, or of an aggregate of the trades `first..=last`.
    pub(crate) fn observe(&mut self, first: u64, last: u64) -> Seen {
        let Some(highest) = self.last else {
            self.last = Some(last);
            self.floor = first;
            return Seen::New { missing: 0 };
        };
        if last > highest {
            self.last = Some(last);
            let missing = first.saturating_sub(highest + 1);
            if missing > 0 {
                self.remember(highest + 1, first - 1);
            }
            return Seen::New { missing };
        }
        if last < self.floor {
            return Seen::Late { filled: 0 };
        }
        match self.fill(first, last) {
            0 => Seen::Duplicate,
            filled => Seen::Late { filled },
        }
    }

    fn remember(&mut self, from: u64, to: u64) {
        self.missing.push_back((from, to));
        if self.missing.len() > REMEMBERED_GAPS
            && let Some((_, to)) = self.missing.pop_front()
        {
            self.floor = to + 1;
        }
    }

    /// Takes `first..=last` out of the missing ranges and says how many ids that were.
    fn fill(&mut self, first: u64, last: u64) -> u64 {
        let mut filled = 0;
        let mut left = VecDeque::with_capacity(self.missing.len() + 1);
        for (from, to) in self.missing.drain(..) {
            let (start, end) = (from.max(first), to.min(last));
            if start > end {
                left.push_back((from, to));
                continue;
            }
            filled += end - start + 1;
            if from < start {
                left.push_back((from, start - 1));
            }
            if end < to {
                left.push_back((end + 1, to));
            }
        }
        self.missing = left;
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::{Seen::*, *};

    fn check(steps: &[((u64, u64), Seen)]) {
        let mut ids = TradeIds::default();
        for ((first, last), expected) in steps {
            assert_eq!(ids.observe(*first, *last), *expected, "{first}..={last}");
        }
    }

    #[test]
    fn contiguous_ids_are_new() {
        check(&[((7, 7), New { missing: 0 }), ((8, 8), New { missing: 0 }), ((9, 12), New { missing: 0 })]);
    }

    #[test]
    fn a_jump_is_a_gap_and_late_trades_fill_it() {
        check(&[
            ((1, 1), New { missing: 0 }),
            ((5, 5), New { missing: 3 }),
            ((3, 3), Late { filled: 1 }),
            ((3, 3), Duplicate),
            ((2, 4), Late { filled: 2 }),
            ((4, 4), Duplicate),
            ((5, 5), Duplicate),
        ]);
    }

    #[test]
    fn an_aggregate_that_overlaps_is_new() {
        check(&[((1, 4), New { missing: 0 }), ((3, 6), New { missing: 0 }), ((8, 9), New { missing: 1 })]);
    }

    #[test]
    fn what_came_before_the_first_was_never_seen() {
        check(&[((10, 10), New { missing: 0 }), ((9, 9), Late { filled: 0 })]);
    }

    #[test]
    fn resumes_after_the_files() {
        let mut ids = TradeIds::resume(vec![100, 97, 98]);
        assert_eq!(ids.observe(100, 100), Duplicate);
        assert_eq!(ids.observe(104, 104), New { missing: 3 });
        assert_eq!(ids.observe(101, 101), Late { filled: 1 });
        assert_eq!(ids.observe(99, 99), Late { filled: 1 }, "a gap in the files can still be filled");
        assert_eq!(ids.observe(5, 5), Late { filled: 0 }, "a venue that counts anew loses nothing");
        assert_eq!(TradeIds::resume(Vec::new()).observe(7, 7), New { missing: 0 });
    }

    #[test]
    fn one_wrong_id_does_not_make_duplicates_of_what_follows() {
        let mut ids = TradeIds::resume(vec![1, 2, u64::MAX - 1]);
        for id in 3..10 {
            assert_eq!(ids.observe(id, id), Late { filled: 1 });
            assert_eq!(ids.observe(id, id), Duplicate);
        }
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_called_a_duplicate_for_it() {
        let mut ids = TradeIds::resume(vec![0]);
        for id in 1..=3_000 {
            ids.observe(id * 2, id * 2);
        }
        assert_eq!(ids.missing.len(), REMEMBERED_GAPS);
        assert_eq!(ids.observe(1, 1), Late { filled: 0 });
        assert_eq!(ids.observe(5_999, 5_999), Late { filled: 1 });
        assert_eq!(ids.observe(6_000, 6_000), Duplicate);
    }
}
