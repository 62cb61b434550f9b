//! The quotes of a symbol: which connection's count, and the intervals in which none was live.

use column_store::{Covered, Gap, GapState, Proof, Stream};

use super::{Context, Effect, carriers::Carriers};
use crate::{
    metrics::ErrorType,
    received::{ConnectionId, LostWhy, QuoteFact},
};

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
    /// Its last quote and when it arrived, ns.
    last: Option<(QuoteFact, u64)>,
    numbering: u32,
}

/// What a quote is to the market.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Makes a row; whether it is the first one after none was known.
    Row { first: bool },
    /// Makes none.
    None,
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
        self.carriers.add(connection, Carrier { last: None, numbering: self.numbering });
    }

    /// The stream is lost on a connection. Returns the quote of the connection that takes over, if it differs, and when it
    /// arrived.
    pub(crate) fn lost(
        &mut self,
        connection: ConnectionId,
        why: LostWhy,
        proven_ns: u64,
        context: &mut Context<'_>,
    ) -> Option<(QuoteFact, u64)> {
        let was_primary = self.carriers.primary().is_some_and(|(id, _)| *id == connection);
        self.carriers.remove(connection)?;
        if self.proven_ns > 0 && (was_primary || self.is_numbered()) {
            self.prove(proven_ns.min(context.now_ns));
        }
        let Some((_, primary)) = self.carriers.primary() else {
            self.cut(why.reason(), context);
            return None;
        };
        let kept = primary.last;
        // Those that are left may all number as before.
        self.numbering = self.carriers.iter().map(|carrier| carrier.numbering).max().unwrap_or(self.numbering);
        let (quote, arrived_ns) = kept.filter(|_| was_primary)?;
        let current = self.current?;
        if self.is_numbered() {
            return None;
        }
        // What the new primary brought meanwhile, but for this last quote, was not recorded.
        self.cover(context);
        self.prove(arrived_ns);
        self.told_ns = Some(self.proven_ns);
        self.current = Some(quote);
        (!same(&quote, &current)).then_some((quote, arrived_ns))
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
        if self.counts(connection) && self.current.is_some() {
            self.prove(receive_ns);
        }
    }

    /// Whether quotes have update ids, by which those of several connections are one stream.
    fn is_numbered(&self) -> bool {
        self.current.is_some_and(|current| current.update_id != 0)
    }

    /// Whether what the connection brings is recorded, so that it proves something.
    fn counts(&mut self, connection: ConnectionId) -> bool {
        let is_primary = self.carriers.primary().is_some_and(|(id, _)| *id == connection);
        is_primary || self.is_numbered() && self.carriers.get(connection).is_some()
    }

    /// The venue numbers quotes anew on this connection.
    pub(crate) fn renumbered(&mut self, connection: ConnectionId) {
        if let Some(carrier) = self.carriers.get(connection) {
            carrier.numbering += 1;
            carrier.last = None;
            if carrier.numbering > self.numbering {
                self.numbering = carrier.numbering;
                if let Some(current) = &mut self.current {
                    current.update_id = 0;
                }
            }
        }
    }

    /// Takes a quote in. Those with update ids count whichever connection is first; those without, from the primary only.
    pub(crate) fn observe(
        &mut self,
        connection: ConnectionId,
        quote: &QuoteFact,
        receive_ns: u64,
        context: &mut Context<'_>,
    ) -> Verdict {
        let numbering = self.numbering;
        let is_primary = self.carriers.primary().is_some_and(|(id, _)| *id == connection);
        // The last quotes of a connection that does not carry the stream any more prove nothing.
        let Some(carrier) = self.carriers.get(connection) else { return Verdict::None };
        let of_now = carrier.numbering == numbering;
        if quote.update_id != 0 && carrier.last.is_some_and(|(last, _)| quote.update_id <= last.update_id) {
            context.venue.error(ErrorType::StaleQuote);
            return Verdict::None;
        }
        carrier.last = Some((*quote, receive_ns));
        let counts = match self.current {
            Some(current) if quote.update_id != 0 => of_now && quote.update_id > current.update_id,
            _ => is_primary || quote.update_id != 0 && of_now,
        };
        if self.current.is_some() && self.counts(connection) {
            self.prove(receive_ns);
        }
        let first = self.current.is_none();
        // Rows start when both sides are known.
        if !counts || first && (quote.bid.is_nan() || quote.ask.is_nan()) {
            return Verdict::None;
        }
        self.current = Some(*quote);
        self.prove(receive_ns);
        if first {
            self.told_ns = Some(receive_ns);
            if let Some(mut interval) = self.interval.take() {
                interval.to_ns = receive_ns.max(interval.from_ns);
                context.out.push(Effect::Gap(interval.with_state(GapState::Lost)));
            }
        }
        Verdict::Row { first }
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
