//! What a symbol's trade ids tell: which trades are new, which are known, and which are missing.

mod ranges;
mod unique;

use std::collections::BTreeMap;

pub(crate) use ranges::IdRanges;
pub(crate) use unique::{Looked, REMEMBERED, UniqueIds};

/// Ranges of missing ids remembered for each symbol. Beyond it the lowest is forgotten: a trade of it that still arrives is
/// recorded, but no longer counted as filling a gap.
pub(crate) const REMEMBERED_GAPS: usize = 1_024;
/// One trade alone is not believed to be more ids than this ahead of the one before it: a single wrong id must not make
/// millions missing. The next one that goes on from there confirms it.
pub(crate) const BELIEVED_JUMP: u64 = 100_000;

/// A range of ids, both ends included.
pub(crate) type Ids = (u64, u64);

/// The ids seen of one symbol whose ids are contiguous.
#[derive(Debug, Default)]
pub(crate) struct TradeIds {
    /// The highest id seen.
    last: Option<u64>,
    /// Below this nothing is known but what is missing: an id there was never seen for sure.
    floor: u64,
    /// Whether nothing below the floor was ever seen: the record of the symbol begins there.
    begins: bool,
    /// Missing ranges up to `last`: first of a range → its last. They neither overlap nor touch.
    missing: BTreeMap<u64, u64>,
    /// The ids of a trade that lay too far ahead to be believed alone.
    doubted: Option<Ids>,
}

/// What a live trade's ids say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Newer than all before; the ids between it and them are missing. Two ranges where one that was doubted lies between.
    New {
        /// Which.
        missing: [Option<Ids>; 2],
    },
    /// Older than the newest and not seen before; this many of its ids had been missing.
    Late {
        /// How many.
        filled: u64,
    },
    /// Older than the first of all: the record begins with it now, and the ids between the two are missing.
    Earlier {
        /// Which.
        missing: Option<Ids>,
    },
    /// So far ahead that it changes nothing before another one confirms it.
    Doubted,
    /// Seen before.
    Duplicate,
}

/// What the ids of a trade that REST brought say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Brought {
    /// Newer than all that is known.
    Ahead,
    /// This many of its ids had been missing.
    Filled(u64),
    /// Nothing of it was missing.
    Known,
}

impl TradeIds {
    /// Goes on after what the files hold: `floor..=last` counts as seen without `missing`, and nothing else does, so a venue
    /// that counts anew loses nothing. `begins`: the files hold nothing below the floor.
    pub(crate) fn resume(
        floor: u64,
        begins: bool,
        last: Option<u64>,
        missing: impl IntoIterator<Item = Ids>,
    ) -> TradeIds {
        let mut resumed = TradeIds { last, floor, begins, ..TradeIds::default() };
        for (from, to) in missing {
            resumed.remember(from, to);
        }
        resumed
    }

    /// The highest id seen.
    pub(crate) fn last(&self) -> Option<u64> {
        self.last
    }

    /// Below this nothing is known but what is missing.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// Takes note of a live trade, or of an aggregate of the trades `first..=last`.
    pub(crate) fn observe(&mut self, first: u64, last: u64) -> Seen {
        let Some(highest) = self.last else {
            (self.last, self.floor, self.begins) = (Some(last), first, true);
            return Seen::New { missing: [None; 2] };
        };
        if last <= highest {
            return match self.fill(first, last) {
                0 if last < self.floor => self.earlier(first, last),
                0 => Seen::Duplicate,
                filled => Seen::Late { filled },
            };
        }
        if first.saturating_sub(highest.saturating_add(1)) > BELIEVED_JUMP {
            match self.doubted {
                Some((_, end)) if end == last => return Seen::Duplicate,
                Some((begin, end)) if begin > highest && first > end && first - end <= BELIEVED_JUMP => {}
                _ => {
                    self.doubted = Some((first, last));
                    return Seen::Doubted;
                }
            }
        } else {
            self.fill(first, highest);
        }
        let missing = self.pass(highest, first.saturating_sub(1));
        self.last = Some(last);
        // Once the ids come near, it is no outlier any more.
        self.doubted = self.doubted.filter(|(begin, _)| begin.saturating_sub(last) > BELIEVED_JUMP);
        Seen::New { missing }
    }

    /// The ids above the highest up to `to` are missing, but for those of a trade that was doubted: its row was handed over.
    fn pass(&mut self, highest: u64, to: u64) -> [Option<Ids>; 2] {
        let missing = match self.doubted {
            Some((begin, end)) if begin > highest && begin <= to => {
                [range(highest + 1, begin - 1), end.checked_add(1).and_then(|next| range(next, to))]
            }
            _ => [None, range(highest + 1, to)],
        };
        for (from, to) in missing.into_iter().flatten() {
            self.remember(from, to);
        }
        missing
    }

    /// A live trade below the floor. One that is far below is not believed to tell where the record begins.
    fn earlier(&mut self, first: u64, last: u64) -> Seen {
        if !self.begins || self.floor - last > BELIEVED_JUMP {
            return Seen::Late { filled: 0 };
        }
        let missing = range(last + 1, self.floor - 1);
        self.floor = first;
        if let Some((from, to)) = missing {
            self.remember(from, to);
        }
        Seen::Earlier { missing }
    }

    /// Takes note of a trade that REST brought; one that is ahead changes nothing.
    pub(crate) fn bring(&mut self, first: u64, last: u64) -> Brought {
        match self.last {
            Some(highest) if last <= highest => match self.fill(first, last) {
                0 => Brought::Known,
                filled => Brought::Filled(filled),
            },
            _ => Brought::Ahead,
        }
    }

    /// Trades up to `last` exist: those that were not seen are missing from here on. None if none of them is newer than the
    /// highest.
    pub(crate) fn claim(&mut self, last: u64) -> Option<[Option<Ids>; 2]> {
        let highest = self.last.filter(|highest| *highest < last)?;
        let missing = self.pass(highest, last);
        let passed = self.doubted.take_if(|(begin, _)| *begin <= last);
        self.last = Some(passed.map_or(last, |(_, end)| end.max(last)));
        Some(missing)
    }

    /// The missing ids within a range.
    pub(crate) fn missing_within(&self, from: u64, to: u64) -> impl Iterator<Item = Ids> {
        let reaching_in = self.missing.range(..from).next_back();
        let ranges = reaching_in.into_iter().chain(self.missing.range(from..=to.max(from)));
        ranges.map(move |(first, last)| ((*first).max(from), (*last).min(to))).filter(|(first, last)| first <= last)
    }

    /// Ids count anew from here on: what was seen before says nothing about what comes.
    pub(crate) fn begin_anew(&mut self, first: u64, last: u64) {
        *self = TradeIds { last: Some(last), floor: first, ..TradeIds::default() };
    }

    fn remember(&mut self, from: u64, to: u64) {
        self.missing.insert(from, to);
        if self.missing.len() > REMEMBERED_GAPS
            && let Some((_, to)) = self.missing.pop_first()
        {
            (self.floor, self.begins) = (self.floor.max(to + 1), false);
        }
    }

    /// Takes `first..=last` out of the missing ranges and says how many ids that were.
    fn fill(&mut self, first: u64, last: u64) -> u64 {
        let mut filled = 0;
        while let Some((from, to)) = self.missing.range(..=last).next_back().map(|(from, to)| (*from, *to))
            && to >= first
        {
            self.missing.remove(&from);
            filled += to.min(last) - from.max(first) + 1;
            if from < first {
                self.missing.insert(from, first - 1);
            }
            if to > last {
                self.missing.insert(last + 1, to);
            }
        }
        filled
    }
}

/// The range, if there is anything in it.
fn range(from: u64, to: u64) -> Option<Ids> {
    (from <= to).then_some((from, to))
}

#[cfg(test)]
mod tests;
