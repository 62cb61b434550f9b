//! The quotes of a symbol: which connections' are recorded, and the intervals in which none was live.
//!
//! A connection that comes later begins with a state of the market, and what happened before that may still be on its way
//! on another. So its quotes wait until it is known that nothing lies between: where quotes have update ids, until another
//! connection has brought what it began with, and from then on whichever is first is recorded; elsewhere until the other one
//! is lost.

use std::collections::VecDeque;

use column_store::{Covered, Gap, GapState, Proof, Stream};

use super::{Context, Effect, carriers::Carriers};
use crate::{
    metrics::ErrorType,
    received::{ConnectionId, LostWhy, QuoteFact},
};

/// Quotes of one connection that wait at most; if another one is lost when older ones had to go, an interval tells of them.
const WAITING: usize = 256;
/// What the connection that is recorded has brought is let go on the others after this, ns: they may be ahead of it.
const AHEAD_NS: u64 = 1_000_000_000;

/// The quote stream of one symbol.
#[derive(Debug, Default)]
pub(crate) struct Quotes {
    carriers: Carriers<Carrier>,
    /// The best bid and ask; none before the first quote and while no connection carries the stream.
    current: Option<QuoteFact>,
    /// How often the venue has numbered quotes anew, on the connection that is furthest.
    numbering: u32,
    /// The interval without live quotes, as it stands in the record.
    interval: Option<Gap>,
    /// Our clock when the stream was last proven to live, ns; 0 before the first quote.
    proven_ns: u64,
    /// Up to where it is told that the stream was live, ns; none while there is no quote.
    told_ns: Option<u64>,
}

/// What is kept of a connection that carries quotes.
#[derive(Debug, Default)]
struct Carrier {
    /// Whether its quotes are recorded.
    counts: bool,
    /// The update id of its last quote.
    last_id: u64,
    numbering: u32,
    /// Its quotes while they are not recorded, and when they arrived, ns.
    waiting: VecDeque<(QuoteFact, u64)>,
}

impl Carrier {
    fn wait(&mut self, quote: QuoteFact, receive_ns: u64, proven_ns: u64) {
        self.waiting.push_back((quote, receive_ns));
        let is_let_go = |(quote, arrived_ns): &(QuoteFact, u64)| {
            quote.update_id == 0 && arrived_ns.saturating_add(AHEAD_NS) <= proven_ns
        };
        // The one before those that wait is what the market was then.
        while self.waiting.len() > WAITING || self.waiting.get(1).is_some_and(is_let_go) {
            self.waiting.pop_front();
        }
    }
}

/// A quote that makes a row.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) quote: QuoteFact,
    pub(crate) receive_ns: u64,
    /// The first one after none was known.
    pub(crate) first: bool,
}

impl Quotes {
    /// Goes on after files whose quotes are proven up to `proven_ns`, with an interval that is open already or begins there.
    pub(crate) fn resume(&mut self, proven_ns: u64, open: Vec<Gap>, context: &mut Context<'_>) {
        let mut open = open.into_iter();
        self.interval = open.next_back();
        // One interval follows another, so only the last can still be open.
        for older in open {
            context.out.push(Effect::Gap(older.with_state(GapState::Lost)));
        }
        self.proven_ns = proven_ns;
        if self.interval.is_none() && proven_ns > 0 {
            self.begin_interval("restart", context);
        }
    }

    pub(crate) fn current(&self) -> Option<&QuoteFact> {
        self.current.as_ref()
    }

    pub(crate) fn live(&mut self, connection: ConnectionId) {
        self.carriers.add(connection, Carrier { numbering: self.numbering, ..Carrier::default() });
    }

    /// The stream is lost on a connection. If none is left that counts, another one takes over: `told` is what it brought that
    /// is not recorded yet.
    pub(crate) fn lost(
        &mut self,
        connection: ConnectionId,
        why: LostWhy,
        proven_ns: u64,
        context: &mut Context<'_>,
        told: &mut Vec<Told>,
    ) {
        let Some(lost) = self.carriers.remove(connection) else { return };
        if lost.counts && self.proven_ns > 0 {
            self.prove(proven_ns.min(context.now_ns));
        }
        let counting = self.carriers.iter().filter(|carrier| carrier.counts);
        if let Some(numbering) = counting.map(|carrier| carrier.numbering).max() {
            // Those that are left may all number as before.
            self.numbering = numbering;
            return;
        }
        let Some(next) = self.carriers.iter_mut().find(|carrier| !carrier.waiting.is_empty()) else {
            return self.cut(why.reason(), context);
        };
        next.counts = true;
        let (waiting, numbering) = (std::mem::take(&mut next.waiting), next.numbering);
        let from = if numbering == self.numbering { self.goes_on(&waiting) } else { None };
        self.numbering = numbering;
        if from.is_none() {
            self.cut(why.reason(), context);
        }
        for (quote, receive_ns) in waiting.into_iter().skip(from.unwrap_or(0)) {
            self.record(quote, receive_ns, context, told);
        }
        self.admit(context, told);
    }

    /// From which of these on they go on after what is recorded; none if something may lie between.
    fn goes_on(&self, waiting: &VecDeque<(QuoteFact, u64)>) -> Option<usize> {
        let current = self.current.as_ref()?;
        let (first, first_ns) = waiting.front()?;
        // One with an update id that goes on would count already.
        if first.update_id != 0 || *first_ns > self.proven_ns {
            return None;
        }
        let before = waiting.partition_point(|(_, arrived_ns)| *arrived_ns <= self.proven_ns);
        let is_current = |at: &usize| waiting.get(*at).is_some_and(|(quote, _)| same(quote, current));
        // Without one like it the last one before tells what the market was then.
        Some((0..before).rev().find(is_current).map_or(before.saturating_sub(1), |at| at + 1))
    }

    /// Quotes are not known any more: an interval begins, if there was a quote before.
    pub(crate) fn cut(&mut self, reason: &str, context: &mut Context<'_>) {
        self.cover(context);
        self.current = None;
        self.told_ns = None;
        if self.interval.is_none() && self.proven_ns > 0 {
            self.begin_interval(reason, context);
        }
        if let Some(prices) = &context.metrics.prices {
            prices.spread(f64::NAN);
        }
    }

    fn begin_interval(&mut self, reason: &str, context: &mut Context<'_>) {
        // How many quotes are missing nobody can know.
        context.metrics.gap(1);
        let gap = Gap::of_interval(Stream::Quotes, self.proven_ns, self.proven_ns, reason);
        self.interval = Some(gap.clone());
        context.out.push(Effect::Gap(gap));
    }

    pub(crate) fn alive(&mut self, connection: ConnectionId, receive_ns: u64) {
        if self.current.is_some() && self.carriers.get(connection).is_some_and(|carrier| carrier.counts) {
            self.prove(receive_ns);
        }
    }

    /// The venue numbers quotes anew on this connection.
    pub(crate) fn renumbered(&mut self, connection: ConnectionId) {
        if let Some(carrier) = self.carriers.get(connection) {
            carrier.numbering += 1;
            carrier.last_id = 0;
            carrier.waiting.clear();
            if carrier.counts && carrier.numbering > self.numbering {
                self.numbering = carrier.numbering;
                if let Some(current) = &mut self.current {
                    current.update_id = 0;
                }
            }
        }
    }

    /// Takes a quote in; `told` is what makes rows now.
    pub(crate) fn observe(
        &mut self,
        connection: ConnectionId,
        quote: &QuoteFact,
        receive_ns: u64,
        context: &mut Context<'_>,
        told: &mut Vec<Told>,
    ) {
        let none_counts = !self.carriers.iter().any(|carrier| carrier.counts);
        let is_oldest = self.carriers.oldest() == Some(connection);
        // The last quotes of a connection that does not carry the stream any more prove nothing.
        let Some(carrier) = self.carriers.get(connection) else { return };
        let id = quote.update_id;
        if id != 0 {
            if id <= carrier.last_id {
                return context.venue.error(ErrorType::StaleQuote);
            }
            carrier.last_id = id;
        }
        if none_counts && (id != 0 || is_oldest) {
            carrier.counts = true;
            self.numbering = carrier.numbering;
        }
        if !carrier.counts {
            carrier.wait(*quote, receive_ns, self.proven_ns);
        } else if id == 0 || carrier.numbering == self.numbering {
            if self.current.is_some() {
                self.prove(receive_ns);
            }
            if id == 0 || self.current.is_none_or(|current| id > current.update_id) {
                self.record(*quote, receive_ns, context, told);
            }
        }
        self.admit(context, told);
    }

    /// Lets those count that begin with what is recorded.
    fn admit(&mut self, context: &mut Context<'_>, told: &mut Vec<Told>) {
        let numbering = self.numbering;
        while let Some(current_id) = self.current.map(|current| current.update_id).filter(|id| *id != 0) {
            let goes_on = |carrier: &&mut Carrier| {
                let first = carrier.waiting.front().filter(|_| carrier.numbering == numbering);
                first.is_some_and(|(first, _)| first.update_id <= current_id)
            };
            let Some(carrier) = self.carriers.iter_mut().find(goes_on) else { return };
            carrier.counts = true;
            for (quote, receive_ns) in std::mem::take(&mut carrier.waiting) {
                if self.current.is_none_or(|current| quote.update_id > current.update_id) {
                    self.record(quote, receive_ns, context, told);
                }
            }
        }
    }

    /// A quote is what the market is now. Rows start when both sides are known.
    fn record(&mut self, quote: QuoteFact, receive_ns: u64, context: &mut Context<'_>, told: &mut Vec<Told>) {
        let first = self.current.is_none();
        if first && (quote.bid.is_nan() || quote.ask.is_nan()) {
            return;
        }
        self.current = Some(quote);
        self.prove(receive_ns);
        if first {
            self.told_ns = Some(receive_ns);
            if let Some(mut interval) = self.interval.take() {
                interval.to_ns = receive_ns.max(interval.from_ns);
                context.out.push(Effect::Gap(interval.with_state(GapState::Lost)));
            }
        }
        told.push(Told { quote, receive_ns, first });
    }

    fn prove(&mut self, ns: u64) {
        self.proven_ns = self.proven_ns.max(ns);
    }

    /// Tells up to where the stream was live without a break.
    pub(crate) fn cover(&mut self, context: &mut Context<'_>) {
        if let Some(from) = self.told_ns.filter(|told_ns| *told_ns < self.proven_ns) {
            let to = self.proven_ns;
            let covered = Covered { by: Proof::Live, connection: None, from, to, from_ns: from, to_ns: to };
            context.out.push(Effect::Cover(Stream::Quotes, covered));
            self.told_ns = Some(to);
        }
    }

    /// Whether an interval is open that began before.
    pub(crate) fn has_open_gap_before(&self, ns: u64) -> bool {
        self.interval.as_ref().is_some_and(|interval| interval.from_ns < ns)
    }

    pub(crate) fn open_gaps(&self) -> usize {
        usize::from(self.interval.is_some())
    }
}

fn same(a: &QuoteFact, b: &QuoteFact) -> bool {
    let values = |quote: &QuoteFact| [quote.bid, quote.bid_size, quote.ask, quote.ask_size].map(f64::to_bits);
    values(a) == values(b)
}
