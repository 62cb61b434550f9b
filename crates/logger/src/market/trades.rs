//! The trades of a symbol: what is new, what is missing, what is asked about, and what waits meanwhile.

mod asked;
mod by_id;
mod by_time;
mod hold;
mod id_gaps;
mod poll;

use column_store::{Covered, Gap, Proof, Stream, TimeRule, TradeRow};

use super::{Context, Effect, carriers::Carriers};
use crate::{
    received::{ConnectionId, Fill, FillEnd, TradeFact},
    trade_ids::{TradeIds, UniqueIds},
};
use asked::Asked;
use by_id::ById;
pub(crate) use by_id::Verdict;
use by_time::ByTime;
use hold::Hold;

/// The trade stream of one symbol.
#[derive(Debug)]
pub(crate) struct Trades {
    carriers: Carriers<Counted>,
    /// From when to when the connections that were lost last carried the stream without a break, ns.
    carried_ns: (u64, u64),
    /// Since when some connection carries the stream without a break, ns.
    live_since_ns: u64,
    /// Whether trades are not recorded although connections carry them.
    is_cut: bool,
    known: Known,
    hold: Hold,
    asked: Option<Asked>,
}

/// What tells which trades are missing.
#[derive(Debug)]
enum Known {
    ById(ById),
    ByTime(ByTime),
}

/// The frames of a connection that carries the stream, where the venue counts them.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// Number and time of the frame up to which it is told that nothing is missing, ns.
    told: Option<(u64, u64)>,
    /// When it began to carry the stream, ns.
    since_ns: u64,
}

impl Trades {
    pub(crate) fn by_id() -> Trades {
        Trades::new(Known::ById(ById::default()))
    }

    pub(crate) fn by_time() -> Trades {
        Trades::new(Known::ByTime(ByTime::default()))
    }

    fn new(known: Known) -> Trades {
        Trades {
            carriers: Carriers::default(),
            carried_ns: (0, 0),
            live_since_ns: 0,
            is_cut: false,
            known,
            hold: Hold::default(),
            asked: None,
        }
    }

    /// Goes on after files whose trades have contiguous ids.
    pub(crate) fn resume_ids(&mut self, ids: TradeIds, recorded: Vec<Gap>, last_ns: u64, context: &mut Context<'_>) {
        if let Known::ById(known) = &mut self.known {
            known.resume(ids, recorded, last_ns, context);
        }
    }

    /// Goes on after files whose trades have ids that rise with skips: up to where frames prove them, and their newest row, ns.
    pub(crate) fn resume_times(
        &mut self,
        ids: UniqueIds,
        open: Vec<Gap>,
        proven_ns: (u64, u64),
        context: &mut Context<'_>,
    ) {
        if let Known::ByTime(known) = &mut self.known {
            known.resume(ids, proven_ns, open, context);
        }
    }

    pub(crate) fn live(
        &mut self,
        connection: ConnectionId,
        sequence: Option<u64>,
        receive_ns: u64,
        context: &mut Context<'_>,
    ) {
        let is_back = self.carriers.is_empty();
        self.carriers
            .add(connection, Counted { told: sequence.map(|sequence| (sequence, receive_ns)), since_ns: receive_ns });
        if is_back {
            self.is_back(receive_ns, context);
        }
        self.step(context);
    }

    fn is_back(&mut self, receive_ns: u64, context: &mut Context<'_>) {
        if self.is_cut {
            return;
        }
        self.live_since_ns = receive_ns;
        match &mut self.known {
            Known::ById(known) => known.live(context),
            Known::ByTime(known) => {
                if known.live(receive_ns, context) {
                    self.hold.begin(context);
                }
            }
        }
    }

    pub(crate) fn lost(
        &mut self,
        connection: ConnectionId,
        reason: &'static str,
        proven_ns: u64,
        context: &mut Context<'_>,
    ) {
        let Some(lost) = self.carriers.remove(connection) else { return };
        let proven_ns = self.carried_until(lost.since_ns, proven_ns);
        // What it missed may have come over another one, unless that one began later.
        if self.carriers.iter().all(|carrier| carrier.since_ns > proven_ns) {
            self.is_lost(reason, proven_ns, context);
            if let Some(back_ns) = self.carriers.iter().map(|carrier| carrier.since_ns).min() {
                self.is_back(back_ns, context);
                self.step(context);
            }
        }
    }

    /// Until when the stream came, ns, by what a lost connection carried and those that were lost before it.
    fn carried_until(&mut self, since_ns: u64, proven_ns: u64) -> u64 {
        let (mut from_ns, mut to_ns) = (since_ns, proven_ns.max(since_ns));
        if self.carried_ns.0 <= to_ns && from_ns <= self.carried_ns.1 {
            (from_ns, to_ns) = (from_ns.min(self.carried_ns.0), to_ns.max(self.carried_ns.1));
        }
        self.carried_ns = (from_ns, to_ns);
        to_ns
    }

    /// Trades are not recorded from here on.
    pub(crate) fn cut(&mut self, reason: &'static str, proven_ns: u64, context: &mut Context<'_>) {
        self.is_cut = true;
        self.is_lost(reason, proven_ns, context);
    }

    fn is_lost(&mut self, reason: &'static str, proven_ns: u64, context: &mut Context<'_>) {
        match &mut self.known {
            Known::ById(known) => known.lost(reason),
            Known::ByTime(known) => known.lost(reason, proven_ns, context),
        }
    }

    /// Trades are recorded again, on connections that carried them all the time.
    pub(crate) fn restored(&mut self, context: &mut Context<'_>) {
        self.is_cut = false;
        // Their frames so far prove nothing: trades of them were dropped.
        self.carriers.iter_mut().for_each(|counted| counted.told = None);
        if !self.carriers.is_empty() {
            self.is_back(context.now_ns, context);
        }
        self.step(context);
    }

    /// Takes a live trade in; [`Trades::record`] is to follow unless it is known.
    pub(crate) fn observe(&mut self, trade: &TradeFact, receive_ns: u64, context: &mut Context<'_>) -> Verdict {
        match &mut self.known {
            Known::ById(known) => known.observe(trade, receive_ns, &mut self.hold, context),
            Known::ByTime(known) => {
                if known.observe(trade, receive_ns, context) {
                    Verdict::New
                } else {
                    Verdict::Duplicate
                }
            }
        }
    }

    /// Hands a live trade's row over, now or when what is missing before it has come.
    pub(crate) fn record(&mut self, row: TradeRow, first_id: u64, verdict: Verdict, context: &mut Context<'_>) {
        self.release_if_done(context);
        if verdict == Verdict::New && self.hold.is_active() {
            if self.hold.keep(row, first_id) {
                context.venue.completeness.holds_cut.inc();
                self.release(context);
            }
            // What this one showed to be missing is asked about at once.
            self.ask(context);
            return;
        }
        if let Known::ById(known) = &mut self.known {
            known.recorded(first_id, row.id, time_of(&row));
        }
        context.out.push(Effect::Trade(row, TimeRule::Live));
    }

    pub(crate) fn last_trade(&mut self, id: u64, context: &mut Context<'_>) {
        if let Known::ById(known) = &mut self.known
            && !self.carriers.is_empty()
        {
            known.last_trade(id, context);
        }
    }

    /// Takes in a part of an answer.
    pub(crate) fn fill(&mut self, fill: &Fill, receive_ns: u64, context: &mut Context<'_>) {
        // Pages may come newest first.
        let mut trades: Vec<_> = fill.trades.iter().collect();
        trades.sort_by_key(|trade| trade.id);
        let is_recorded = match &mut self.known {
            Known::ById(known) => {
                known.fill(trades.into_iter(), receive_ns, context);
                true
            }
            Known::ByTime(known) => {
                known.fill(trades.into_iter(), context, |trade, context| context.fill(trade, receive_ns))
            }
        };
        self.heard(fill, is_recorded, context);
        self.step(context);
    }

    /// What an answer would bring cannot be recorded now.
    pub(crate) fn fill_refused(&mut self, fill: &Fill, context: &mut Context<'_>) {
        self.heard(fill, false, context);
    }

    fn heard(&mut self, fill: &Fill, is_recorded: bool, context: &mut Context<'_>) {
        if let Some(end) = self.asked.as_mut().and_then(|asked| asked.heard(fill, is_recorded, context.now_ns)) {
            self.answered(end, context);
        }
    }

    fn answered(&mut self, end: FillEnd, context: &mut Context<'_>) {
        let Some(asked) = self.asked.take() else { return };
        match &mut self.known {
            Known::ById(known) => known.answered(&asked, end, context),
            Known::ByTime(known) => known.answered(&asked, end, context),
        }
    }

    /// Does what time makes due.
    pub(crate) fn step(&mut self, context: &mut Context<'_>) {
        let live_since_ns = Some(self.live_since_ns).filter(|_| !self.carriers.is_empty());
        if let Known::ById(known) = &mut self.known {
            known.mature(live_since_ns, &mut self.hold, context);
        }
        self.release_if_done(context);
        if self.asked.as_ref().is_some_and(|asked| asked.is_forgotten(context)) {
            self.answered(FillEnd::Failed, context);
        }
        self.ask(context);
    }

    fn ask(&mut self, context: &mut Context<'_>) {
        if self.asked.is_some() || !context.asks() {
            return;
        }
        let wanted = match &mut self.known {
            Known::ById(known) => known.wanted(!self.carriers.is_empty(), context),
            Known::ByTime(known) => known.wanted(context.now_ns),
        };
        self.asked = wanted.map(|wanted| Asked::ask(wanted, context));
    }

    fn release_if_done(&mut self, context: &mut Context<'_>) {
        let holds = || match &self.known {
            Known::ById(known) => known.holds(),
            Known::ByTime(known) => known.holds(),
        };
        if self.hold.is_active() && (self.hold.is_over(context.now_ns) || !holds()) {
            self.release(context);
        }
    }

    /// The live trades that wait go to the files.
    pub(crate) fn release(&mut self, context: &mut Context<'_>) {
        match &mut self.known {
            Known::ById(known) => {
                known.release();
                self.hold.release(context, |row, first_id| known.recorded(first_id, row.id, time_of(row)));
            }
            Known::ByTime(known) => {
                known.release();
                self.hold.release(context, |_, _| {});
            }
        }
    }

    /// Tells which ids the rows prove.
    pub(crate) fn cover(&mut self, context: &mut Context<'_>) {
        if let Known::ById(known) = &mut self.known {
            known.cover(context);
        }
    }

    /// No frame of the connection is missing up to number `to`, which arrived at `to_ns`: nor is a trade of this symbol, once
    /// none waits.
    pub(crate) fn cover_sequence(&mut self, connection: ConnectionId, to: u64, to_ns: u64, context: &mut Context<'_>) {
        if self.is_cut || self.hold.is_active() || matches!(self.known, Known::ById(_)) {
            return;
        }
        let Some(counted) = self.carriers.get(connection) else { return };
        match counted.told {
            None => counted.told = Some((to, to_ns)),
            Some((from, from_ns)) if from < to => {
                counted.told = Some((to, to_ns));
                let to_ns = to_ns.max(from_ns);
                let connection = Some(connection.0.to_string());
                let covered = Covered { by: Proof::Sequence, connection, from, to, from_ns, to_ns };
                context.out.push(Effect::Cover(Stream::Trades, covered));
            }
            Some(_) => {}
        }
    }

    /// Trades that wait.
    pub(crate) fn held(&self) -> usize {
        self.hold.len()
    }

    /// Whether a gap is open that began before and may be filled.
    pub(crate) fn has_open_gap_before(&self, ns: u64) -> bool {
        match &self.known {
            Known::ById(known) => known.open().any(|gap| gap.from_ns < ns),
            Known::ByTime(known) => known.open().any(|gap| gap.from_ns < ns),
        }
    }

    pub(crate) fn open_gaps(&self) -> usize {
        match &self.known {
            Known::ById(known) => known.open().count(),
            Known::ByTime(known) => known.open().count(),
        }
    }
}

fn time_of(row: &TradeRow) -> u64 {
    if row.event_ns == 0 { row.receive_ns } else { row.event_ns }
}
