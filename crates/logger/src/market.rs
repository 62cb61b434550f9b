//! The state of one symbol's market: turns facts into rows, gaps and coverage, and counts what it sees on the way.

mod carriers;
mod effect;
mod provability;
mod quotes;
mod trades;

use column_store::{MdKind, MdRow, Side as RowSide, Stream, TimeRule, TradeRow};
use exchange_protocol::{IdRule, Side};

use crate::{
    metrics::{ErrorType, VenueMetrics},
    received::{ConnectionId, Fact, QuoteFact, Received, TradeFact},
    vwap::Vwap,
};
pub(crate) use effect::{Context, Effect, Files, Rules};
pub(crate) use provability::Provability;
use quotes::{Quotes, Told};
use trades::{Trades, Verdict};

/// What is known of one symbol's market.
pub(crate) struct Market {
    quotes_have_time: bool,
    pub(crate) quotes: Quotes,
    pub(crate) trades: Trades,
    /// Empty between two facts.
    told: Vec<Told>,
    last_trade: Option<LastTrade>,
    /// Newest event time of the trades and of the quotes, ns.
    newest: [u64; 2],
    vwap: Vwap,
}

#[derive(Clone, Copy)]
struct LastTrade {
    price: f64,
    size: f64,
    side: RowSide,
}

/// Indices into `Market::newest`.
const TRADES: usize = 0;
const QUOTES: usize = 1;

impl Market {
    pub(crate) fn new(id_rule: IdRule, quotes_have_time: bool) -> Market {
        Market {
            quotes_have_time,
            quotes: Quotes::default(),
            trades: match id_rule {
                IdRule::Contiguous => Trades::by_id(),
                IdRule::Unique => Trades::by_time(),
            },
            told: Vec::new(),
            last_trade: None,
            newest: [0; 2],
            vwap: Vwap::new(),
        }
    }

    /// Takes in a fact of a connection whose newest frame has this number, where the venue counts them.
    pub(crate) fn take(
        &mut self,
        connection: ConnectionId,
        sequence: Option<u64>,
        received: &Received,
        context: &mut Context<'_>,
    ) {
        let receive_ns = received.receive_ns;
        match &received.fact {
            Fact::Trade(trade) => self.trade(trade, receive_ns, context),
            Fact::Quote(quote) => self.quote(connection, quote, receive_ns, context),
            Fact::LastTrade { id } => self.trades.last_trade(*id, context),
            Fact::Alive(Stream::Quotes) => self.quotes.alive(connection, receive_ns),
            Fact::Alive(Stream::Trades) => {}
            Fact::Renumbered => self.quotes.renumbered(connection),
            Fact::Live(Stream::Quotes) => self.quotes.live(connection),
            Fact::Live(Stream::Trades) => self.trades.live(connection, sequence, receive_ns, context),
            Fact::Lost { stream: Stream::Trades, why, proven_ns } => {
                self.trades.lost(connection, why.reason(), *proven_ns, context);
            }
            Fact::Lost { stream: Stream::Quotes, why, proven_ns } => {
                let mut told = std::mem::take(&mut self.told);
                self.quotes.lost(connection, *why, *proven_ns, context, &mut told);
                self.quotes(told, context);
            }
            Fact::Fill(fill) => self.trades.fill(fill, receive_ns, context),
        }
    }

    /// A trade: one row of trades, and one of the market's state if its quote is known. A trade seen before makes none.
    fn trade(&mut self, trade: &TradeFact, receive_ns: u64, context: &mut Context<'_>) {
        let verdict = self.trades.observe(trade, receive_ns, context);
        if verdict == Verdict::Duplicate {
            context.venue.duplicates.inc();
            return;
        }
        if !trade.snapshot {
            self.latency(TRADES, trade.event_ns, receive_ns, context.venue);
        }
        let row = to_row(trade, receive_ns);
        self.last_trade = Some(LastTrade { price: trade.price, size: trade.size, side: row.side });
        context.count(trade);
        // A trade of before the subscription may be hours old: it is no part of the last five minutes.
        if context.metrics.prices.is_some() && !trade.snapshot {
            self.vwap.add(receive_ns / 1_000_000_000, trade.price, trade.size);
        }
        if let Some(quote) = self.quotes.current() {
            let kind = if trade.snapshot { MdKind::Snapshot } else { MdKind::Trade };
            self.state(quote, kind, (trade.id, trade.event_ns), receive_ns, context);
        }
        self.trades.record(row, trade.first_id, verdict, context);
    }

    /// A quote. One that its update id shows to be no newer than the last is counted and makes no row.
    fn quote(&mut self, connection: ConnectionId, quote: &QuoteFact, receive_ns: u64, context: &mut Context<'_>) {
        let mut told = std::mem::take(&mut self.told);
        self.quotes.observe(connection, quote, receive_ns, context, &mut told);
        self.quotes(told, context);
    }

    /// A row of each.
    fn quotes(&mut self, mut told: Vec<Told>, context: &mut Context<'_>) {
        for Told { quote, receive_ns, first } in told.drain(..) {
            if !first && self.quotes_have_time {
                self.latency(QUOTES, quote.event_ns, receive_ns, context.venue);
            }
            self.spread(&quote, context);
            let kind = if first { MdKind::Snapshot } else { MdKind::Quote };
            self.state(&quote, kind, (quote.update_id, quote.event_ns), receive_ns, context);
        }
        self.told = told;
    }

    fn spread(&self, quote: &QuoteFact, context: &Context<'_>) {
        if let Some(prices) = &context.metrics.prices {
            prices.spread((quote.ask - quote.bid) / ((quote.ask + quote.bid) / 2.0));
        }
    }

    /// Does what time makes due.
    pub(crate) fn tick(&mut self, context: &mut Context<'_>) {
        self.trades.step(context);
    }

    /// Tells what the rows so far prove.
    pub(crate) fn cover(&mut self, context: &mut Context<'_>) {
        self.trades.cover(context);
        self.quotes.cover(context);
    }

    /// Brings the gauges that age by themselves up to date.
    pub(crate) fn refresh(&self, context: &Context<'_>) {
        if let (Some(prices), Some(last)) = (&context.metrics.prices, self.last_trade) {
            let average = self.vwap.at(context.now_ns / 1_000_000_000);
            prices.vwap(average.map(|average| (average, (last.price - average) / average)));
        }
    }

    fn latency(&mut self, stream: usize, event_ns: u64, receive_ns: u64, venue: &VenueMetrics) {
        if event_ns == 0 {
            venue.error(ErrorType::EventTime);
            return;
        }
        match receive_ns.checked_sub(event_ns) {
            Some(latency) => venue.latency.observe(latency as f64 / 1e9),
            None => venue.clock_skew.inc(),
        }
        if let Some(newest) = self.newest.get_mut(stream) {
            if event_ns < *newest {
                venue.out_of_order.inc();
            }
            // One time of the far future must not make all that follow look late.
            *newest = event_ns.min(receive_ns).max(*newest);
        }
    }

    /// A row of the market's state.
    fn state(
        &self,
        quote: &QuoteFact,
        kind: MdKind,
        (event_id, event_ns): (u64, u64),
        receive_ns: u64,
        context: &mut Context<'_>,
    ) {
        let none = LastTrade { price: f64::NAN, size: f64::NAN, side: RowSide::Unknown };
        let last = self.last_trade.unwrap_or(none);
        context.out.push(Effect::Md(MdRow {
            kind,
            event_id,
            event_ns,
            receive_ns,
            price: last.price,
            volume: last.size,
            side: last.side,
            best_bid: quote.bid,
            best_ask: quote.ask,
            bid_size: quote.bid_size,
            ask_size: quote.ask_size,
        }));
    }
}

impl Context<'_> {
    /// Records a trade that REST brought. It makes no row of the market's state: when it happened is over.
    fn fill(&mut self, trade: &TradeFact, receive_ns: u64) {
        self.count(trade);
        self.out.push(Effect::Trade(to_row(trade, receive_ns), TimeRule::Filled));
    }

    fn count(&self, trade: &TradeFact) {
        let value = trade.price * trade.size;
        let side = usize::from(trade.taker == Side::Sell);
        self.metrics.trades.inc();
        for volume in [Some(&self.metrics.volume), self.metrics.volume_usd.as_ref()].into_iter().flatten() {
            if let Some(volume) = volume.get(side) {
                volume.add(value);
            }
        }
        if value >= self.rules.large_trade {
            self.metrics.large_trades.inc();
        }
    }
}

fn to_row(trade: &TradeFact, receive_ns: u64) -> TradeRow {
    TradeRow {
        id: trade.id,
        event_ns: trade.event_ns,
        receive_ns,
        price: trade.price,
        size: trade.size,
        side: match trade.taker {
            Side::Buy => RowSide::Buy,
            Side::Sell => RowSide::Sell,
        },
        maker_order_id: trade.maker_order_id,
        taker_order_id: trade.taker_order_id,
    }
}

#[cfg(test)]
mod tests;
