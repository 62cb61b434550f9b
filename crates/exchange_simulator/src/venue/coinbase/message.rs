//! Coinbase's market messages. `side` is the taker's in a ticker and the maker's in a match.

use super::topic;
use crate::clock::{NANOS_PER_MICRO, rfc3339_us};
use crate::decimal::Decimal;
use crate::frame::{Form, Frame};
use crate::ledger::{MessageEntry, MessageKind};
use crate::market::book::DayStats;
use crate::market::{Book, Quote, Trade};
use crate::venue::VenueKind;

/// Decimals of the amounts at the best bid and ask, and of volumes.
const AMOUNT_PLACES: u8 = 8;

/// `ticker`: a trade with the quote around it. The first of a product after subscribing is a snapshot of the last trade.
pub(super) struct TickerFrame<'a> {
    topic: String,
    product: &'a str,
    price_scale: u8,
    size_scale: u8,
    trade: &'a Trade,
    quote: Quote,
    stats: DayStats,
    snapshot: bool,
}

impl<'a> TickerFrame<'a> {
    pub(super) fn new(book: &'a Book, trade: &'a Trade, snapshot: bool) -> Self {
        let instrument = book.instrument();
        Self {
            topic: topic("ticker", &instrument.symbol),
            product: &instrument.symbol,
            price_scale: instrument.price_scale,
            size_scale: instrument.size_scale,
            trade,
            quote: *book.quote(),
            stats: book.stats(),
            snapshot,
        }
    }

    /// Prices at the best are padded to the tick, unlike those of trades, as in captured frames.
    fn best(&self, price: Decimal) -> String {
        price.padded(self.price_scale)
    }
}

impl Frame for TickerFrame<'_> {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn text(&self, _form: Form) -> String {
        let Self { trade, quote, stats, .. } = self;
        let price = |ticks| Decimal::new(ticks, self.price_scale).trimmed();
        let volume = |units| Decimal::new(units, self.size_scale).padded(AMOUNT_PLACES);
        format!(
            concat!(
                r#"{{"type":"ticker","sequence":{},"product_id":"{}","price":"{}","open_24h":"{}","volume_24h":"{}","#,
                r#""low_24h":"{}","high_24h":"{}","volume_30d":"{}","best_bid":"{}","best_bid_size":"{}","#,
                r#""best_ask":"{}","best_ask_size":"{}","side":"{}","time":"{}","trade_id":{},"last_size":"{}"}}"#
            ),
            trade.sequence,
            self.product,
            trade.price.trimmed(),
            price(stats.open),
            volume(stats.volume),
            price(stats.low),
            price(stats.high),
            volume(stats.volume.saturating_mul(30)),
            self.best(quote.bid),
            quote.bid_size.padded(AMOUNT_PLACES),
            self.best(quote.ask),
            quote.ask_size.padded(AMOUNT_PLACES),
            trade.taker.name(),
            rfc3339_us(trade.time_us),
            trade.id,
            trade.size.trimmed(),
        )
    }

    fn entry(&self, _form: Form) -> MessageEntry {
        let Self { trade, quote, .. } = self;
        MessageEntry {
            symbol: Some(self.product.to_owned()),
            id: Some(trade.sequence),
            trade_id: Some(trade.id),
            sequence: Some(trade.sequence),
            event_ns: Some(trade.time_us * NANOS_PER_MICRO),
            price: Some(trade.price.trimmed()),
            size: Some(trade.size.trimmed()),
            bid: Some(self.best(quote.bid)),
            bid_size: Some(quote.bid_size.padded(AMOUNT_PLACES)),
            ask: Some(self.best(quote.ask)),
            ask_size: Some(quote.ask_size.padded(AMOUNT_PLACES)),
            side: Some(trade.taker),
            snapshot: self.snapshot,
            ..MessageEntry::new(VenueKind::Coinbase, MessageKind::Quote, "ticker")
        }
    }
}

/// `match`, or as the first of a product after subscribing `last_match`: the last trade before.
pub(super) struct MatchFrame<'a> {
    topic: String,
    product: &'a str,
    trade: &'a Trade,
    last: bool,
}

impl<'a> MatchFrame<'a> {
    pub(super) fn new(book: &'a Book, trade: &'a Trade, last: bool) -> Self {
        let product = book.instrument().symbol.as_str();
        Self { topic: topic("matches", product), product, trade, last }
    }

    fn name(&self) -> &'static str {
        if self.last { "last_match" } else { "match" }
    }
}

impl Frame for MatchFrame<'_> {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn text(&self, _form: Form) -> String {
        let trade = self.trade;
        format!(
            concat!(
                r#"{{"type":"{}","trade_id":{},"maker_order_id":"{}","taker_order_id":"{}","side":"{}","size":"{}","#,
                r#""price":"{}","product_id":"{}","sequence":{},"time":"{}"}}"#
            ),
            self.name(),
            trade.id,
            trade.maker_order,
            trade.taker_order,
            trade.taker.opposite().name(),
            trade.size.trimmed(),
            trade.price.trimmed(),
            self.product,
            trade.sequence,
            rfc3339_us(trade.time_us),
        )
    }

    fn entry(&self, _form: Form) -> MessageEntry {
        let trade = self.trade;
        MessageEntry {
            symbol: Some(self.product.to_owned()),
            id: Some(trade.id),
            sequence: Some(trade.sequence),
            event_ns: Some(trade.time_us * NANOS_PER_MICRO),
            price: Some(trade.price.trimmed()),
            size: Some(trade.size.trimmed()),
            side: Some(trade.taker),
            maker_order_id: Some(trade.maker_order.to_string()),
            taker_order_id: Some(trade.taker_order.to_string()),
            snapshot: self.last,
            ..MessageEntry::new(VenueKind::Coinbase, MessageKind::Trade, self.name())
        }
    }
}

/// `heartbeat`: tells the last trade id of a product even when nothing happens.
pub(super) struct HeartbeatFrame<'a> {
    topic: String,
    product: &'a str,
    sequence: u64,
    last_trade_id: u64,
    now_us: u64,
}

impl<'a> HeartbeatFrame<'a> {
    pub(super) fn new(book: &'a Book, now_us: u64) -> Self {
        let product = book.instrument().symbol.as_str();
        Self {
            topic: topic("heartbeat", product),
            product,
            sequence: book.sequence(),
            last_trade_id: book.history().back().map_or(0, |trade| trade.id),
            now_us,
        }
    }
}

impl Frame for HeartbeatFrame<'_> {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn text(&self, _form: Form) -> String {
        format!(
            r#"{{"type":"heartbeat","sequence":{},"last_trade_id":{},"product_id":"{}","time":"{}"}}"#,
            self.sequence,
            self.last_trade_id,
            self.product,
            rfc3339_us(self.now_us),
        )
    }

    fn entry(&self, _form: Form) -> MessageEntry {
        MessageEntry {
            symbol: Some(self.product.to_owned()),
            id: Some(self.last_trade_id),
            sequence: Some(self.sequence),
            event_ns: Some(self.now_us * NANOS_PER_MICRO),
            ..MessageEntry::new(VenueKind::Coinbase, MessageKind::Heartbeat, "heartbeat")
        }
    }
}
