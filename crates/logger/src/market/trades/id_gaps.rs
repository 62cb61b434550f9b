//! The gaps of a symbol whose ids tell what is missing, from their detection to what became of them.

use std::collections::BTreeMap;

use column_store::{Gap, GapState, Stream};

use super::asked::{Wanted, pause_ns};
use crate::{
    market::{Context, Effect},
    received::FillEnd,
    trade_ids::{Ids, REMEMBERED_GAPS, TradeIds},
};

/// Ids asked for at once: the answer comes in pages, and what is recorded of a long gap is settled piece by piece.
const ASKED_AT_ONCE: u64 = 100_000;
/// Pieces that a gap falls into when some of it is lost; what lies behind them is one lost piece.
const PIECES: usize = 64;
/// The times of a question reach this far beyond the gap, because clocks differ, ns.
const MARGIN_NS: u64 = 1_000_000_000;

/// The gaps that may still change, by their first id; they do not overlap.
#[derive(Debug, Default)]
pub(crate) struct IdGaps {
    gaps: BTreeMap<u64, IdGap>,
}

#[derive(Debug)]
struct IdGap {
    /// As it stands in the record; open, or lost where a late trade may still fill it.
    record: Gap,
    to_id: u64,
    /// When to ask next, ns.
    next_ns: u64,
    /// Answers that did not fill it.
    answers: usize,
    failures: u32,
    /// Whether live trades wait for it.
    holds: bool,
}

impl IdGaps {
    /// Takes up a gap that stands in the record.
    pub(crate) fn resume(&mut self, record: Gap) {
        if let Some((from_id, to_id)) = record.from_id.zip(record.to_id) {
            self.insert(from_id, IdGap { record, to_id, next_ns: 0, answers: 0, failures: 0, holds: false });
        }
    }

    /// Counts and records a gap that was found just now.
    pub(crate) fn found(&mut self, (from_id, to_id): Ids, times: (u64, u64), reason: &str, context: &mut Context<'_>) {
        context.metrics.gap(to_id - from_id + 1);
        let mut record = Gap::of_ids(Stream::Trades, from_id, to_id, times.0, times.1.max(times.0), reason);
        if !context.provability.is_provable() {
            // Whether they ever were, nobody knows; asking would not end.
            record.state = GapState::Lost;
        }
        context.out.push(Effect::Gap(record.clone()));
        let holds = record.state == GapState::Open && context.asks();
        let next_ns = context.now_ns;
        self.insert(from_id, IdGap { record, to_id, next_ns, answers: 0, failures: 0, holds });
    }

    fn insert(&mut self, from_id: u64, gap: IdGap) {
        self.gaps.insert(from_id, gap);
        if self.gaps.len() > REMEMBERED_GAPS {
            // It stays in the record as it is; one that is open is taken up at the next start.
            let lost = self.gaps.iter().find(|(_, gap)| gap.record.state == GapState::Lost).map(|(from, _)| *from);
            match lost {
                Some(from) => self.gaps.remove(&from),
                None => self.gaps.pop_first().map(|(_, gap)| gap),
            };
        }
    }

    /// Some of `first..=last` is not missing any more: gaps of which nothing is missing are filled.
    pub(crate) fn settle(&mut self, first: u64, last: u64, ids: &TradeIds, context: &mut Context<'_>) {
        for from in self.overlapping(first, last) {
            let whole = |gap: &IdGap| ids.missing_within(from, gap.to_id).next().is_none();
            if self.gaps.get(&from).is_some_and(whole)
                && let Some(gap) = self.gaps.remove(&from)
            {
                context.out.push(Effect::Gap(gap.record.with_state(GapState::Filled)));
            }
        }
    }

    fn overlapping(&self, first: u64, last: u64) -> Vec<u64> {
        let before = self.gaps.range(..=last).rev();
        before.take_while(|(_, gap)| gap.to_id >= first).map(|(from, _)| *from).collect()
    }

    /// Whether live trades wait for one of them.
    pub(crate) fn holds(&self) -> bool {
        self.gaps.values().any(|gap| gap.holds)
    }

    /// Nobody waits any longer.
    pub(crate) fn release(&mut self) {
        self.gaps.values_mut().for_each(|gap| gap.holds = false);
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = &Gap> {
        self.gaps.values().map(|gap| &gap.record).filter(|record| record.state == GapState::Open)
    }

    /// The next that is to be asked for, together with those close behind it.
    pub(crate) fn wanted(&mut self, ids: &TradeIds, now_ns: u64) -> Option<Wanted> {
        let is_due = |gap: &IdGap| gap.record.state == GapState::Open && gap.next_ns <= now_ns;
        // Ids that are not remembered cannot be asked for: the record keeps such a gap, open, for the next start.
        self.gaps.retain(|from, gap| !is_due(gap) || ids.missing_within(*from, gap.to_id).next().is_some());
        let mut due = self.gaps.iter().filter(|(_, gap)| is_due(gap));
        let (from, first) = due.next()?;
        let (from, _) = ids.missing_within(*from, first.to_id).next()?;
        let limit = from.saturating_add(ASKED_AT_ONCE - 1);
        let (mut to, mut times) = (first.to_id, (first.record.from_ns, first.record.to_ns));
        for (_, gap) in due.take_while(|(_, gap)| gap.to_id <= limit) {
            to = gap.to_id;
            times = (times.0.min(gap.record.from_ns), times.1.max(gap.record.to_ns));
        }
        let times = (times.0.saturating_sub(MARGIN_NS), times.1.saturating_add(MARGIN_NS));
        Some(Wanted { ids: Some((from, to.min(limit))), times })
    }

    /// The question for these ids came to its end.
    pub(crate) fn answered(&mut self, (first, last): Ids, end: FillEnd, ids: &TradeIds, context: &mut Context<'_>) {
        for from in self.overlapping(first, last) {
            let Some(gap) = self.gaps.get_mut(&from).filter(|gap| gap.record.state == GapState::Open) else { continue };
            // Where the question began behind the gap's first missing id it was not about this gap.
            let asked = ids.missing_within(from, gap.to_id).next().filter(|(missing, _)| *missing >= first);
            let Some((missing, _)) = asked else { continue };
            match end {
                FillEnd::Failed => {
                    gap.failures = gap.failures.saturating_add(1);
                    gap.next_ns = context.now_ns.saturating_add(pause_ns(gap.failures));
                }
                // All that was asked for came; the rest comes next.
                FillEnd::Answered if missing > last => gap.next_ns = context.now_ns,
                FillEnd::Answered if gap.answers < context.rules.retries_ns.len() => {
                    let pause = context.rules.retries_ns.get(gap.answers).copied().unwrap_or_default();
                    gap.answers += 1;
                    gap.failures = 0;
                    gap.next_ns = context.now_ns.saturating_add(pause);
                }
                FillEnd::Answered => self.give_up(from, last, ids, context),
                FillEnd::Unsupported => self.give_up(from, u64::MAX, ids, context),
            }
        }
    }

    /// The venue does not have what is missing of a gap up to the id `last`: it falls into pieces that are filled and pieces
    /// that are lost, and what lies behind `last` stays open.
    fn give_up(&mut self, from: u64, last: u64, ids: &TradeIds, context: &mut Context<'_>) {
        let Some(gap) = self.gaps.remove(&from) else { return };
        let mut pieces = Vec::new();
        let (mut next, end) = (from, gap.to_id.min(last));
        for (missing_from, missing_to) in ids.missing_within(from, end) {
            if pieces.len() + 2 > PIECES {
                pieces.push((next, end, GapState::Lost));
                next = end + 1;
                break;
            }
            if next < missing_from {
                pieces.push((next, missing_from - 1, GapState::Filled));
            }
            pieces.push((missing_from, missing_to, GapState::Lost));
            next = missing_to + 1;
        }
        if next <= end {
            pieces.push((next, end, GapState::Filled));
        }
        if end < gap.to_id {
            pieces.push((end + 1, gap.to_id, GapState::Open));
        }
        for (from_id, to_id, state) in pieces {
            let of_ids =
                Gap::of_ids(Stream::Trades, from_id, to_id, gap.record.from_ns, gap.record.to_ns, &gap.record.reason);
            let missing = ids.missing_within(from_id, to_id).map(|(from, to)| to - from + 1).sum();
            let missing = if state == GapState::Filled { of_ids.missing } else { Some(missing) };
            let record = Gap { state, missing, ..of_ids };
            context.out.push(Effect::Gap(record.clone()));
            if state == GapState::Lost {
                context.provability.broke();
            }
            if state != GapState::Filled {
                let next_ns = context.now_ns;
                self.insert(from_id, IdGap { record, to_id, next_ns, answers: 0, failures: 0, holds: false });
            }
        }
    }
}
