//! Kraken's market messages. Numbers are JSON numbers: what counts is their text. `side` is the taker's.

use super::topic;
use crate::clock::{NANOS_PER_MICRO, rfc3339_us};
use crate::decimal::Decimal;
use crate::frame::{Form, Frame};
use crate::ledger::{MessageEntry, MessageKind};
use crate::market::{Book, Trade};
use crate::venue::VenueKind;

/// Decimals of the day's volume.
const VOLUME_PLACES: u8 = 8;

/// `trade`: the fills of one taker order, or as a snapshot the last trades. One line of the ledger for each.
pub(super) struct TradeFrame<'a> {
    topic: String,
    symbol: &'a str,
    trades: &'a [Trade],
    snapshot: bool,
}

impl<'a> TradeFrame<'a> {
    pub(super) fn update(book: &'a Book, trades: &'a [Trade]) -> Self {
        let symbol = book.instrument().symbol.as_str();
        Self { topic: topic("trade", symbol), symbol, trades, snapshot: false }
    }

    pub(super) fn snapshot(book: &'a Book, trades: &'a [Trade]) -> Self {
        Self { snapshot: true, ..Self::update(book, trades) }
    }

    fn line(&self, trade: &Trade) -> MessageEntry {
        MessageEntry {
            symbol: Some(self.symbol.to_owned()),
            id: Some(trade.id),
            event_ns: Some(trade.time_us * NANOS_PER_MICRO),
            price: Some(trade.price.trimmed()),
            size: Some(trade.size.trimmed()),
            side: Some(trade.taker),
            snapshot: self.snapshot,
            ..MessageEntry::new(VenueKind::Kraken, MessageKind::Trade, "trade")
        }
    }
}

fn kind(snapshot: bool) -> &'static str {
    if snapshot { "snapshot" } else { "update" }
}

impl Frame for TradeFrame<'_> {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn text(&self, _form: Form) -> String {
        let rows = self.trades.iter().map(|trade| {
            format!(
                concat!(
                    r#"{{"symbol":"{}","side":"{}","price":{},"qty":{},"ord_type":"market","trade_id":{},"#,
                    r#""timestamp":"{}"}}"#
                ),
                self.symbol,
                trade.taker.name(),
                trade.price.trimmed(),
                trade.size.trimmed(),
                trade.id,
                rfc3339_us(trade.time_us),
            )
        });
        let rows = rows.collect::<Vec<_>>().join(",");
        format!(r#"{{"channel":"trade","type":"{}","data":[{rows}]}}"#, kind(self.snapshot))
    }

    fn entry(&self, _form: Form) -> MessageEntry {
        self.line(&self.trades[self.trades.len() - 1])
    }

    fn entries(&self, _form: Form) -> Vec<MessageEntry> {
        self.trades.iter().map(|trade| self.line(trade)).collect()
    }

    fn lines(&self) -> u64 {
        self.trades.len() as u64
    }
}

/// `ticker`: the best bid and ask with the day's figures. By event trigger it comes with trades, or when a best price changed.
pub(super) struct TickerFrame<'a> {
    topic: String,
    book: &'a Book,
    snapshot: bool,
    by_price: bool,
}

impl<'a> TickerFrame<'a> {
    pub(super) fn new(book: &'a Book, channel: &str, snapshot: bool) -> Self {
        let topic = topic(channel, &book.instrument().symbol);
        Self { topic, book, snapshot, by_price: channel == "ticker.bbo" }
    }
}

impl Frame for TickerFrame<'_> {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn text(&self, _form: Form) -> String {
        let (instrument, quote, stats) = (self.book.instrument(), self.book.quote(), self.book.stats());
        let last = self.book.history().back().map_or(quote.bid, |trade| trade.price);
        let price = |ticks| Decimal::new(ticks, instrument.price_scale).trimmed();
        let change = last.units() as f64 - stats.open as f64;
        format!(
            concat!(
                r#"{{"channel":"ticker","type":"{}","data":[{{"symbol":"{}","bid":{},"bid_qty":{},"ask":{},"ask_qty":{},"#,
                r#""last":{},"volume":{},"vwap":{},"low":{},"high":{},"change":{},"change_pct":{:.2},"timestamp":"{}"}}]}}"#
            ),
            kind(self.snapshot),
            instrument.symbol,
            quote.bid.trimmed(),
            quote.bid_size.trimmed(),
            quote.ask.trimmed(),
            quote.ask_size.trimmed(),
            last.trimmed(),
            Decimal::new(stats.volume, instrument.size_scale).padded(VOLUME_PLACES),
            price((stats.low + stats.high) / 2),
            price(stats.low),
            price(stats.high),
            format_args!("{}{}", if change < 0.0 { "-" } else { "" }, price(change.abs() as u64)),
            change / stats.open as f64 * 100.0,
            rfc3339_us(quote.time_us),
        )
    }

    fn entry(&self, _form: Form) -> MessageEntry {
        let quote = self.book.quote();
        MessageEntry {
            symbol: Some(self.book.instrument().symbol.clone()),
            event_ns: Some(quote.time_us * NANOS_PER_MICRO),
            bid: Some(quote.bid.trimmed()),
            bid_size: Some(quote.bid_size.trimmed()),
            ask: Some(quote.ask.trimmed()),
            ask_size: Some(quote.ask_size.trimmed()),
            snapshot: self.snapshot,
            ..MessageEntry::new(VenueKind::Kraken, MessageKind::Quote, "ticker")
        }
    }

    fn told_unheard(&self) -> bool {
        // The same quote by another trigger is told already.
        self.by_price
    }
}

/// `heartbeat`: of the connection and not of a symbol.
pub(super) struct HeartbeatFrame;

impl Frame for HeartbeatFrame {
    fn topic(&self) -> &'static str {
        "heartbeat"
    }

    fn text(&self, _form: Form) -> String {
        r#"{"channel":"heartbeat"}"#.to_owned()
    }

    fn entry(&self, _form: Form) -> MessageEntry {
        MessageEntry::new(VenueKind::Kraken, MessageKind::Heartbeat, "heartbeat")
    }
}
