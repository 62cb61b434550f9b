//! The state of one symbol's market: turns facts into rows and counts what it sees on the way.

use column_store::{MdKind, MdRow, Side as RowSide, TradeRow};
use exchange_protocol::{IdRule, Side};

use crate::{
    metrics::{ErrorType, SymbolMetrics, VenueMetrics},
    received::{QuoteFact, TradeFact},
    trade_ids::{Seen, TradeIds},
    vwap::Vwap,
};

/// The rows that a fact makes.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) md: Option<MdRow>,
    pub(crate) trade: Option<TradeRow>,
}

/// What is known of one symbol's market.
pub(crate) struct Market {
    id_rule: IdRule,
    quotes_have_time: bool,
    ids: TradeIds,
    /// The best bid and ask; none before the first quote and after a disconnect.
    quote: Option<Quote>,
    last_trade: Option<LastTrade>,
    /// Newest event time of the trades and of the quotes, ns.
    newest: [u64; 2],
    vwap: Vwap,
}

#[derive(Clone, Copy)]
struct Quote {
    update_id: u64,
    bid: f64,
    bid_size: f64,
    ask: f64,
    ask_size: f64,
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
    /// `ids` are the last trade ids that the files hold.
    pub(crate) fn new(id_rule: IdRule, quotes_have_time: bool, ids: Vec<u64>) -> Market {
        Market {
            id_rule,
            quotes_have_time,
            ids: TradeIds::resume(ids),
            quote: None,
            last_trade: None,
            newest: [0; 2],
            vwap: Vwap::new(),
        }
    }

    /// A trade: one row of trades, and one of the market's state if its quote is known. A trade seen before makes none.
    pub(crate) fn trade(
        &mut self,
        trade: &TradeFact,
        receive_ns: u64,
        large: f64,
        venue: &VenueMetrics,
        metrics: &SymbolMetrics,
    ) -> Rows {
        match self.ids.observe(trade.first_id, trade.id) {
            Seen::Duplicate => {
                venue.duplicates.inc();
                return Rows::default();
            }
            Seen::New { missing } if self.id_rule == IdRule::Contiguous => metrics.gap(missing),
            Seen::Late { filled } if self.id_rule == IdRule::Contiguous => metrics.gap_filled(filled),
            Seen::New { .. } | Seen::Late { .. } => {}
        }
        if !trade.snapshot {
            self.latency(TRADES, trade.event_ns, receive_ns, venue);
        }
        let side = match trade.taker {
            Side::Buy => RowSide::Buy,
            Side::Sell => RowSide::Sell,
        };
        self.last_trade = Some(LastTrade { price: trade.price, size: trade.size, side });
        self.count(trade, receive_ns, large, metrics);
        let kind = if trade.snapshot { MdKind::Snapshot } else { MdKind::Trade };
        Rows {
            md: self.state(kind, trade.id, trade.event_ns, receive_ns),
            trade: Some(TradeRow {
                id: trade.id,
                event_ns: trade.event_ns,
                receive_ns,
                price: trade.price,
                size: trade.size,
                side,
                maker_order_id: trade.maker_order_id,
                taker_order_id: trade.taker_order_id,
            }),
        }
    }

    fn count(&mut self, trade: &TradeFact, receive_ns: u64, large: f64, metrics: &SymbolMetrics) {
        let value = trade.price * trade.size;
        let side = usize::from(trade.taker == Side::Sell);
        metrics.trades.inc();
        for volume in [Some(&metrics.volume), metrics.volume_usd.as_ref()].into_iter().flatten() {
            if let Some(volume) = volume.get(side) {
                volume.add(value);
            }
        }
        if value >= large {
            metrics.large_trades.inc();
        }
        // A trade of before the subscription may be hours old: it is no part of the last five minutes.
        if metrics.prices.is_some() && !trade.snapshot {
            self.vwap.add(receive_ns / 1_000_000_000, trade.price, trade.size);
        }
    }

    /// A quote. One that its update id shows to be no newer than the last is counted and makes no row.
    pub(crate) fn quote(
        &mut self,
        quote: &QuoteFact,
        receive_ns: u64,
        venue: &VenueMetrics,
        metrics: &SymbolMetrics,
    ) -> Rows {
        if let Some(last) = self.quote
            && quote.update_id != 0
            && quote.update_id <= last.update_id
        {
            venue.error(ErrorType::StaleQuote);
            return Rows::default();
        }
        let first = self.quote.is_none();
        if first && (quote.bid.is_nan() || quote.ask.is_nan()) {
            // Rows start when both sides are known.
            return Rows::default();
        }
        if !first && self.quotes_have_time {
            self.latency(QUOTES, quote.event_ns, receive_ns, venue);
        }
        self.quote = Some(Quote {
            update_id: quote.update_id,
            bid: quote.bid,
            bid_size: quote.bid_size,
            ask: quote.ask,
            ask_size: quote.ask_size,
        });
        let spread = (quote.ask - quote.bid) / ((quote.ask + quote.bid) / 2.0);
        if let Some(prices) = &metrics.prices {
            prices.spread(spread);
        }
        let kind = if first { MdKind::Snapshot } else { MdKind::Quote };
        Rows { md: self.state(kind, quote.update_id, quote.event_ns, receive_ns), trade: None }
    }

    /// The connection ended: the quote is unknown, and if there was one, quotes are missing from here on. How many trades
    /// are missing shows in the ids of the next one; where ids prove nothing, the interval counts as one gap more.
    pub(crate) fn disconnected(&mut self, metrics: &SymbolMetrics) {
        if self.quote.take().is_some() {
            metrics.gap(1);
            if let Some(prices) = &metrics.prices {
                prices.spread(f64::NAN);
            }
        }
        if self.id_rule == IdRule::Unique && self.last_trade.is_some() {
            metrics.gap(1);
        }
    }

    /// Brings the gauges that age by themselves up to date.
    pub(crate) fn refresh(&self, now_ns: u64, metrics: &SymbolMetrics) {
        if let (Some(prices), Some(last)) = (&metrics.prices, self.last_trade) {
            let average = self.vwap.at(now_ns / 1_000_000_000);
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

    fn state(&self, kind: MdKind, event_id: u64, event_ns: u64, receive_ns: u64) -> Option<MdRow> {
        let quote = self.quote?;
        let none = LastTrade { price: f64::NAN, size: f64::NAN, side: RowSide::Unknown };
        let last = self.last_trade.unwrap_or(none);
        Some(MdRow {
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
        })
    }
}

#[cfg(test)]
mod tests;
