//! Trades of a symbol whose ids are contiguous: ids tell what is missing.

use std::collections::BTreeMap;

use column_store::{Covered, Gap, GapState, Proof, Stream};
use tracing::warn;

use super::{
    asked::{Asked, Wanted},
    hold::Hold,
    id_gaps::IdGaps,
    poll::Poll,
};
use crate::{
    market::{Context, Effect},
    received::{FillEnd, TradeFact},
    trade_ids::{BELIEVED_JUMP, Brought, Seen, TradeIds},
};

/// Trades that REST brought before the stream did, at most; with more of them the stream is not waited for.
const EARLY: usize = 10_000;
/// An id that was seen before and comes with an event so much newer than all others is not a repetition, ns.
const ANEW_NS: u64 = 1_000_000_000;
/// Event times and our clock may differ by so much when it is asked whether a stream was live at a time, ns.
const MARGIN_NS: u64 = 1_000_000_000;

/// What is known of the symbol's trades.
#[derive(Debug, Default)]
pub(crate) struct ById {
    ids: TradeIds,
    gaps: IdGaps,
    /// Trades newer than all that the stream brought, from REST, with the time of the answer, ns.
    early: BTreeMap<u64, (TradeFact, u64)>,
    /// Since when there are any, ns.
    early_since_ns: u64,
    /// The venue's word on a trade that the stream did not bring, and since when it stands, ns.
    claim: Option<(u64, u64)>,
    /// Claims that came true one after the other, without a live trade between them.
    claims_true: u32,
    /// Why ids may jump with the next trade.
    cause: Option<&'static str>,
    /// Time of the newest trade, ns.
    last_ns: u64,
    /// Newest event time of all trades, ns.
    newest_event_ns: u64,
    poll: Poll,
    /// Ranges of ids whose rows were handed over and that are not told yet.
    covered: Vec<Covered>,
}

/// What a live trade is to the market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Newer than all before.
    New,
    /// Fills what was missing: it does not wait.
    Late,
    /// Known.
    Duplicate,
}

impl ById {
    /// Goes on after the files, whose newest trade is of `last_ns`. Of what is missing, `recorded` stands in the record.
    pub(crate) fn resume(&mut self, ids: TradeIds, recorded: Vec<Gap>, last_ns: u64, context: &mut Context<'_>) {
        (self.ids, self.last_ns, self.cause) = (ids, last_ns, Some("restart"));
        // A fill of an old gap must not make the trades of the files look new.
        self.newest_event_ns = last_ns;
        let Some(last) = self.ids.last() else { return };
        let mut recorded: Vec<Gap> = recorded.into_iter().filter(|gap| gap.from_id.is_some()).collect();
        recorded.sort_by_key(|gap| gap.from_id);
        let mut next = 0;
        for gap in recorded {
            let (Some(from), Some(to)) = (gap.from_id, gap.to_id) else { continue };
            // Two that overlap, because rows were cut by a power loss, are one.
            let from = from.max(next);
            if from > to {
                continue;
            }
            self.unrecorded(next, from.saturating_sub(1), context);
            let id = format!("id-{from}");
            let record = if gap.id == id { gap } else { Gap { id, from_id: Some(from), ..gap } };
            self.gaps.resume(record);
            self.gaps.settle(from, to, &self.ids, context);
            next = to.saturating_add(1);
        }
        self.unrecorded(next, last, context);
    }

    /// Records what is missing in a range of which the record says nothing.
    fn unrecorded(&mut self, from: u64, to: u64, context: &mut Context<'_>) {
        let missing: Vec<_> = self.ids.missing_within(from, to).filter(|_| from <= to).collect();
        for ids in missing {
            self.gaps.found(ids, (self.last_ns, self.last_ns), "restart", context);
        }
        self.gaps.release();
    }

    /// A connection carries the stream after none did.
    pub(crate) fn live(&mut self, context: &Context<'_>) {
        match self.ids.last() {
            Some(_) => self.poll.now(context.now_ns, context.rules.quiet_poll_ns),
            // Before the first trade of all nothing can have been missed; but it should come.
            None => self.poll.heard(context.now_ns, context.rules.quiet_poll_ns),
        }
    }

    /// No connection carries the stream any more.
    pub(crate) fn lost(&mut self, reason: &'static str) {
        self.cause = Some(reason);
        self.claim = None;
    }

    pub(crate) fn observe(
        &mut self,
        trade: &TradeFact,
        receive_ns: u64,
        hold: &mut Hold,
        context: &mut Context<'_>,
    ) -> Verdict {
        if trade.id == 0 {
            return Verdict::Late;
        }
        context.provability.traded();
        let ns = if trade.event_ns == 0 { receive_ns } else { trade.event_ns };
        let newest_before = self.newest_event_ns;
        self.newest_event_ns = self.newest_event_ns.max(trade.event_ns.min(receive_ns));
        match self.ids.observe(trade.first_id, trade.id) {
            Seen::Duplicate | Seen::Late { filled: 0 } | Seen::Earlier { .. }
                if self.counts_anew(trade, receive_ns, newest_before, context) =>
            {
                Verdict::New
            }
            Seen::Duplicate => Verdict::Duplicate,
            Seen::Late { filled } => {
                context.metrics.gap_filled(filled);
                self.gaps.settle(trade.first_id, trade.id, &self.ids, context);
                Verdict::Late
            }
            Seen::Earlier { missing } => {
                if let Some(ids) = missing {
                    self.gaps.found(ids, (ns, self.last_ns), "late", context);
                }
                Verdict::Late
            }
            Seen::Doubted => {
                self.poll.now(context.now_ns, context.rules.quiet_poll_ns);
                Verdict::Late
            }
            Seen::New { missing } => {
                for ids in missing.into_iter().flatten() {
                    let reason = self.cause.unwrap_or("id jump");
                    self.gaps.found(ids, (self.last_ns, ns), reason, context);
                }
                self.cause = None;
                self.claims_true = 0;
                self.last_ns = ns;
                self.apply_early(context);
                if missing.iter().any(Option::is_some) && self.gaps.holds() {
                    hold.begin(context);
                }
                self.poll.heard(context.now_ns, context.rules.quiet_poll_ns);
                Verdict::New
            }
        }
    }

    /// Whether a known id is another trade's, because the venue counts ids anew: it is clearly newer than all others.
    fn counts_anew(&mut self, trade: &TradeFact, receive_ns: u64, newest_ns: u64, context: &mut Context<'_>) -> bool {
        let is_newer = trade.event_ns > newest_ns.saturating_add(ANEW_NS) && trade.event_ns <= receive_ns + ANEW_NS;
        if trade.snapshot || newest_ns == 0 || !is_newer {
            return false;
        }
        warn!(exchange = context.venue.exchange, symbol = context.symbol, id = trade.id, "trade ids count anew");
        context.metrics.gap(1);
        let gap = Gap::of_interval(Stream::Trades, self.last_ns, self.last_ns.max(trade.event_ns), "ids count anew");
        context.out.push(Effect::Gap(gap.with_state(GapState::Lost)));
        self.ids.begin_anew(trade.first_id, trade.id);
        self.gaps = IdGaps::default();
        self.early.clear();
        (self.claim, self.cause, self.last_ns) = (None, None, trade.event_ns);
        true
    }

    /// The venue's word on its last trade.
    pub(crate) fn last_trade(&mut self, id: u64, context: &Context<'_>) {
        match self.ids.last() {
            Some(last) if id > last => {
                if id - last > BELIEVED_JUMP {
                    self.poll.now(context.now_ns, context.rules.quiet_poll_ns);
                } else if self.claim.is_none_or(|(claimed, _)| claimed <= last) {
                    self.claim = Some((id, context.now_ns));
                }
            }
            // It is known: nothing is missing.
            Some(_) => self.poll.heard(context.now_ns, context.rules.quiet_poll_ns),
            None => {}
        }
    }

    /// Takes in what REST brought. What is newer than all that the stream brought waits a moment: it may be under way there.
    pub(crate) fn fill<'t>(
        &mut self,
        trades: impl Iterator<Item = &'t TradeFact>,
        receive_ns: u64,
        context: &mut Context<'_>,
    ) {
        for trade in trades.filter(|trade| trade.id != 0) {
            match self.ids.bring(trade.first_id, trade.id) {
                Brought::Known => {}
                Brought::Filled(filled) => self.filled(trade, filled, receive_ns, context),
                Brought::Ahead => {
                    if self.early.is_empty() {
                        self.early_since_ns = context.now_ns;
                    }
                    self.early.insert(trade.id, (*trade, receive_ns));
                }
            }
        }
    }

    fn filled(&mut self, trade: &TradeFact, filled: u64, receive_ns: u64, context: &mut Context<'_>) {
        context.metrics.gap_filled(filled);
        self.newest_event_ns = self.newest_event_ns.max(trade.event_ns.min(receive_ns));
        context.fill(trade, receive_ns);
        let ns = if trade.event_ns == 0 { receive_ns } else { trade.event_ns };
        self.recorded(trade.first_id, trade.id, ns);
        self.gaps.settle(trade.first_id, trade.id, &self.ids, context);
    }

    /// Of the early trades, those that are not ahead any more fill what is missing.
    fn apply_early(&mut self, context: &mut Context<'_>) {
        let Some(last) = self.ids.last() else { return };
        let ahead = self.early.split_off(&last.saturating_add(1));
        for (_, (trade, receive_ns)) in std::mem::replace(&mut self.early, ahead) {
            if let Brought::Filled(filled) = self.ids.bring(trade.first_id, trade.id) {
                self.filled(&trade, filled, receive_ns, context);
            }
        }
    }

    /// What the venue or REST told of, and the stream had time to bring and did not, is missing. `live_since_ns` is since when
    /// the stream is said to be live.
    pub(crate) fn mature(&mut self, live_since_ns: Option<u64>, hold: &mut Hold, context: &mut Context<'_>) {
        let due = |since_ns: u64| context.now_ns >= since_ns.saturating_add(context.rules.claim_grace_ns);
        let is_early_due = !self.early.is_empty() && (due(self.early_since_ns) || self.early.len() > EARLY);
        if let Some((id, since_ns)) = self.claim
            && due(since_ns)
        {
            self.claim = None;
            if let Some(missing) = self.ids.claim(id) {
                for ids in missing.into_iter().flatten() {
                    self.gaps.found(ids, (self.last_ns, context.now_ns), self.cause.unwrap_or("not sent"), context);
                }
                self.claims_true += 1;
                // One message may be lost. If none comes between two losses, the stream is dead.
                if self.claims_true > 1 {
                    context.out.push(Effect::Suspect(Stream::Trades));
                }
                self.apply_early(context);
            }
        }
        if is_early_due {
            self.take_early(live_since_ns, context);
        }
        if self.gaps.holds() {
            hold.begin(context);
        }
    }

    fn take_early(&mut self, live_since_ns: Option<u64>, context: &mut Context<'_>) {
        let Some((id, newest_ns)) = self.early.last_key_value().map(|(id, (trade, _))| (*id, trade.event_ns)) else {
            return;
        };
        if let Some(missing) = self.ids.claim(id) {
            let is_live = live_since_ns.is_some_and(|since_ns| newest_ns > since_ns.saturating_add(MARGIN_NS));
            let reason = self.cause.filter(|_| !is_live).unwrap_or("not sent");
            for ids in missing.into_iter().flatten() {
                self.gaps.found(ids, (self.last_ns, newest_ns), reason, context);
            }
            self.last_ns = self.last_ns.max(newest_ns);
            if is_live {
                context.out.push(Effect::Suspect(Stream::Trades));
            }
        }
        self.apply_early(context);
    }

    /// The next question; up to the newest only while a connection carries the stream. One that never brought anything leaves
    /// nothing to ask for, and not all venues promise a first message: it is suspected, less and less often.
    pub(crate) fn wanted(&mut self, is_live: bool, context: &mut Context<'_>) -> Option<Wanted> {
        let of_gap = self.gaps.wanted(&self.ids, context.now_ns);
        if of_gap.is_some() || !is_live || !self.poll.is_due(context.now_ns) {
            return of_gap;
        }
        let Some(last) = self.ids.last() else {
            self.poll.asked();
            self.poll.answered(false, context.now_ns, context.rules.quiet_poll_ns);
            context.out.push(Effect::Suspect(Stream::Trades));
            return None;
        };
        if last == u64::MAX {
            return None;
        }
        self.poll.asked();
        let times = (self.last_ns.saturating_sub(MARGIN_NS), context.now_ns.saturating_add(MARGIN_NS));
        Some(Wanted { ids: Some((last + 1, u64::MAX)), times })
    }

    /// The question came to its end.
    pub(crate) fn answered(&mut self, asked: &Asked, end: FillEnd, context: &mut Context<'_>) {
        let Some(ids) = asked.wanted.ids else { return };
        self.gaps.answered(ids, end, &self.ids, context);
        if ids.1 == u64::MAX {
            match end {
                FillEnd::Answered => {
                    self.poll.answered(!self.early.is_empty(), context.now_ns, context.rules.quiet_poll_ns);
                }
                FillEnd::Failed => self.poll.failed(context.now_ns),
                // It stays asked: nothing would come of asking again.
                FillEnd::Unsupported => {}
            }
        }
    }

    /// The row of a trade was handed over.
    pub(crate) fn recorded(&mut self, first_id: u64, id: u64, ns: u64) {
        let near = self.covered.iter_mut().rev().take(4);
        let touching =
            near.into_iter().find(|range| first_id <= range.to.saturating_add(1) && id.saturating_add(1) >= range.from);
        match touching {
            Some(range) => {
                (range.from, range.to) = (range.from.min(first_id), range.to.max(id));
                (range.from_ns, range.to_ns) = (range.from_ns.min(ns), range.to_ns.max(ns));
            }
            None if id != 0 => self.covered.push(Covered {
                by: Proof::Id,
                connection: None,
                from: first_id,
                to: id,
                from_ns: ns,
                to_ns: ns,
            }),
            None => {}
        }
    }

    /// Tells which ids the rows that were handed over prove.
    pub(crate) fn cover(&mut self, context: &mut Context<'_>) {
        for range in self.covered.drain(..) {
            context.out.push(Effect::Cover(Stream::Trades, range));
        }
    }

    pub(crate) fn holds(&self) -> bool {
        self.gaps.holds()
    }

    /// Nobody waits any longer.
    pub(crate) fn release(&mut self) {
        self.gaps.release();
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = &Gap> {
        self.gaps.open()
    }
}
