//! Trades of a symbol whose ids do not tell what is missing: intervals in which no connection carried them.

use std::collections::{HashSet, VecDeque};

use column_store::{Gap, GapState, Stream};

use super::asked::{Asked, Wanted, pause_ns};
use crate::{
    market::{Context, Effect},
    received::{FillEnd, TradeFact},
    trade_ids::{Looked, UniqueIds},
};

/// Intervals that may still be filled, of one symbol; the oldest beyond it stays in the record, for the next start.
const INTERVALS: usize = 64;
/// The times of a question reach this far beyond the interval, because clocks differ and messages take time, ns.
const MARGIN_NS: u64 = 5 * 1_000_000_000;
/// What a venue tells of an interval is taken for all there is no sooner than this after its end, ns.
const SETTLED_NS: u64 = 10 * 1_000_000_000;

/// What is known of the symbol's trades.
#[derive(Debug, Default)]
pub(crate) struct ByTime {
    ids: UniqueIds,
    intervals: VecDeque<Interval>,
    /// Our clock when trades were last proven to come, ns; 0 if they never were.
    proven_ns: u64,
}

#[derive(Debug)]
struct Interval {
    /// As it stands in the record.
    record: Gap,
    /// Whether trades come again: its end is known.
    ended: bool,
    /// When to ask next, ns.
    next_ns: u64,
    failures: u32,
    /// Trades that REST brought for it.
    brought: u64,
    /// Whether live trades wait for it.
    holds: bool,
}

impl Interval {
    fn new(record: Gap, ended: bool) -> Interval {
        Interval { record, ended, next_ns: 0, failures: 0, brought: 0, holds: false }
    }

    fn distance_ns(&self, ns: u64) -> u64 {
        self.record.from_ns.saturating_sub(ns).max(ns.saturating_sub(self.record.to_ns))
    }

    /// The times of a question about it alone.
    fn times(&self) -> (u64, u64) {
        (self.record.from_ns.saturating_sub(MARGIN_NS), self.record.to_ns.saturating_add(MARGIN_NS))
    }

    /// From when on an answer is the last word on it, ns.
    fn settled_ns(&self) -> u64 {
        self.record.to_ns.saturating_add(SETTLED_NS)
    }

    fn is_within(&self, (from, to): (u64, u64)) -> bool {
        self.ended && from <= self.times().0 && self.times().1 <= to
    }
}

impl ByTime {
    /// Goes on after files whose trades are proven up to a time by frames, and that have a newest row, with the intervals that
    /// are open in the record.
    pub(crate) fn resume(
        &mut self,
        ids: UniqueIds,
        (covered_ns, row_ns): (u64, u64),
        open: Vec<Gap>,
        context: &mut Context<'_>,
    ) {
        // While an interval is open the newest row may be REST's, and live trades may have waited when the process was killed.
        let waited_ns = if open.is_empty() { 0 } else { context.rules.hold_ns.saturating_add(MARGIN_NS) };
        let first_ns = row_ns.min(open.iter().map(|gap| gap.from_ns).min().unwrap_or(u64::MAX));
        self.proven_ns = covered_ns.max(row_ns.saturating_sub(waited_ns).max(first_ns));
        self.ids = ids;
        self.intervals = open.into_iter().map(|gap| Interval::new(gap, true)).collect();
        self.intervals.make_contiguous().sort_by_key(|interval| (interval.record.from_ns, interval.record.to_ns));
        let goes_on = |interval: &Interval| {
            interval.record.to_ns >= self.proven_ns
                && (self.proven_ns == 0 || interval.record.from_ns <= self.proven_ns)
        };
        // The one that reaches beyond what is proven has no end yet.
        let unended = self.intervals.iter().rposition(goes_on).and_then(|at| self.intervals.remove(at));
        if let Some(interval) = unended {
            self.intervals.push_back(Interval { ended: false, ..interval });
        } else if self.proven_ns > 0 {
            self.begin_interval("restart", self.proven_ns, context);
        }
    }

    /// No connection carried the stream after that time. Trades may have come since, over one that began later.
    pub(crate) fn lost(&mut self, reason: &str, proven_ns: u64, context: &mut Context<'_>) {
        let proven_ns = proven_ns.min(context.now_ns);
        self.proven_ns = self.proven_ns.max(proven_ns);
        if self.intervals.back().is_none_or(|interval| interval.ended) {
            self.begin_interval(reason, proven_ns, context);
        }
    }

    fn begin_interval(&mut self, reason: &str, from_ns: u64, context: &mut Context<'_>) {
        context.metrics.gap(1);
        let record = Gap::of_interval(Stream::Trades, from_ns, from_ns, reason);
        context.out.push(Effect::Gap(record.clone()));
        self.intervals.push_back(Interval::new(record, false));
        if self.intervals.len() > INTERVALS {
            self.intervals.pop_front();
        }
    }

    /// A connection carries the stream again; `true` if live trades should wait for what was missed.
    pub(crate) fn live(&mut self, receive_ns: u64, context: &mut Context<'_>) -> bool {
        self.proven_ns = self.proven_ns.max(receive_ns);
        let Some(interval) = self.intervals.back_mut().filter(|interval| !interval.ended) else { return false };
        interval.ended = true;
        interval.next_ns = context.now_ns;
        interval.holds = context.asks();
        interval.record.to_ns = receive_ns.max(interval.record.from_ns);
        context.out.push(Effect::Gap(interval.record.clone()));
        interval.holds
    }

    /// Whether the live trade is new.
    pub(crate) fn observe(&mut self, trade: &TradeFact, receive_ns: u64, context: &Context<'_>) -> bool {
        self.proven_ns = self.proven_ns.max(receive_ns);
        if trade.id == 0 {
            return true;
        }
        let is_new = match self.ids.look(trade.id) {
            Looked::New => true,
            Looked::Seen => false,
            Looked::Unknown => {
                let id = HashSet::from([trade.id]);
                // What cannot be looked up is recorded rather than lost.
                context.files.known(&id, trade.event_ns).is_none_or(|known| known.is_empty())
            }
        };
        if is_new {
            self.ids.insert(trade.id);
        }
        is_new
    }

    /// Hands over the trades that REST brought and that are new; `false` if the files could not be looked into.
    pub(crate) fn fill<'t>(
        &mut self,
        trades: impl Iterator<Item = &'t TradeFact> + Clone,
        context: &mut Context<'_>,
        mut each: impl FnMut(&TradeFact, &mut Context<'_>),
    ) -> bool {
        let unknown = trades.clone().filter(|trade| self.ids.look(trade.id) == Looked::Unknown);
        let since_ns = unknown.clone().map(|trade| trade.event_ns).min().unwrap_or(0);
        let unknown: HashSet<u64> = unknown.map(|trade| trade.id).collect();
        let known = if unknown.is_empty() { Some(HashSet::new()) } else { context.files.known(&unknown, since_ns) };
        let Some(known) = known else { return false };
        for trade in trades {
            if trade.id == 0 || known.contains(&trade.id) || self.ids.look(trade.id) == Looked::Seen {
                continue;
            }
            self.ids.insert_filled(trade.id);
            let nearest = self.intervals.iter_mut().min_by_key(|interval| interval.distance_ns(trade.event_ns));
            if let Some(interval) = nearest.filter(|interval| interval.distance_ns(trade.event_ns) <= MARGIN_NS) {
                interval.brought += 1;
            }
            each(trade, context);
        }
        true
    }

    pub(crate) fn wanted(&self, now_ns: u64) -> Option<Wanted> {
        let due = self.intervals.iter().find(|interval| interval.ended && interval.next_ns <= now_ns)?;
        Some(Wanted { ids: None, times: self.joined(due.times()) })
    }

    /// The times with those of all intervals whose questions would overlap: one question is for them all, because a burst of
    /// missing frames makes many, and venues that are asked by time answer few questions a minute.
    fn joined(&self, times: (u64, u64)) -> (u64, u64) {
        let mut joined = times;
        loop {
            let (from, to) = joined;
            for (first, last) in self.intervals.iter().filter(|interval| interval.ended).map(Interval::times) {
                if first <= joined.1 && joined.0 <= last {
                    joined = (joined.0.min(first), joined.1.max(last));
                }
            }
            if joined == (from, to) {
                return joined;
            }
        }
    }

    /// The question came to its end.
    pub(crate) fn answered(&mut self, asked: &Asked, end: FillEnd, context: &mut Context<'_>) {
        let times = asked.wanted.times;
        let within = self.intervals.iter().filter(|interval| interval.is_within(times));
        // What was asked too early is asked again once, when the last of them is settled.
        let all_settled_ns = within.map(Interval::settled_ns).max().unwrap_or(0);
        for interval in self.intervals.iter_mut().filter(|interval| interval.is_within(times)) {
            interval.holds = false;
            match end {
                FillEnd::Failed => {
                    interval.failures = interval.failures.saturating_add(1);
                    interval.next_ns = context.now_ns.saturating_add(pause_ns(interval.failures));
                }
                FillEnd::Answered if asked.at_ns < interval.settled_ns() => interval.next_ns = all_settled_ns,
                FillEnd::Answered => {
                    // One was counted when the interval began: how many it hid is known now.
                    context.metrics.gap(interval.brought.saturating_sub(1));
                    context.metrics.gap_filled(interval.brought.max(1));
                    interval.record.state = GapState::Filled;
                }
                FillEnd::Unsupported => interval.record.state = GapState::Lost,
            }
        }
        for interval in self.intervals.iter().filter(|interval| interval.record.state != GapState::Open) {
            context.out.push(Effect::Gap(interval.record.clone()));
        }
        self.intervals.retain(|interval| interval.record.state == GapState::Open);
    }

    pub(crate) fn holds(&self) -> bool {
        self.intervals.iter().any(|interval| interval.holds)
    }

    /// Nobody waits any longer.
    pub(crate) fn release(&mut self) {
        self.intervals.iter_mut().for_each(|interval| interval.holds = false);
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = &Gap> {
        self.intervals.iter().map(|interval| &interval.record)
    }
}
