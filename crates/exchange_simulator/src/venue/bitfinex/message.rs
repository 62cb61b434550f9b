//! Bitfinex' market messages: arrays that begin with the connection's number of the channel. An amount below 0 is a sale or an ask.

use super::topic;
use crate::decimal::Decimal;
use crate::frame::{Form, Frame, Stamp};
use crate::ledger::{MessageEntry, MessageKind, Side};
use crate::market::depth::{Change, Level};
use crate::market::{Book, Instrument, Trade};
use crate::venue::VenueKind;

/// Nanoseconds in a millisecond.
const NANOS_PER_MILLI: u64 = 1_000_000;

/// A frame around its content: the channel before it, count and time behind it as far as the connection asked for them.
fn frame(stamp: Stamp, content: &str) -> String {
    let seq = stamp.seq.map(|seq| format!(",{seq}")).unwrap_or_default();
    let time = stamp.time_ms.map(|time| format!(",{time}")).unwrap_or_default();
    format!("[{},{content}{seq}{time}]", stamp.channel)
}

fn trade_row(trade: &Trade) -> String {
    let sign = if trade.taker == Side::Sell { "-" } else { "" };
    format!("[{},{},{sign}{},{}]", trade.id, trade.time_us / 1_000, trade.size.trimmed(), trade.price.trimmed())
}

fn trade_line(symbol: &str, trade: &Trade, message: &'static str) -> MessageEntry {
    MessageEntry {
        symbol: Some(symbol.to_owned()),
        id: Some(trade.id),
        event_ns: Some(trade.time_us / 1_000 * NANOS_PER_MILLI),
        price: Some(trade.price.trimmed()),
        size: Some(trade.size.trimmed()),
        side: Some(trade.taker),
        ..MessageEntry::new(VenueKind::Bitfinex, MessageKind::Trade, message)
    }
}

/// `te` at once, or `tu` as its confirmation.
pub(super) struct TradeFrame<'a> {
    topic: String,
    symbol: &'a str,
    trade: &'a Trade,
    message: &'static str,
}

impl<'a> TradeFrame<'a> {
    pub(super) fn new(symbol: &'a str, trade: &'a Trade, message: &'static str) -> Self {
        Self { topic: topic("trades", symbol), symbol, trade, message }
    }

    fn content(&self) -> String {
        format!(r#""{}",{}"#, self.message, trade_row(self.trade))
    }
}

impl Frame for TradeFrame<'_> {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn text(&self, _form: Form) -> String {
        frame(Stamp::default(), &self.content())
    }

    fn stamped(&self, stamp: Stamp) -> Option<String> {
        Some(frame(stamp, &self.content()))
    }

    fn entry(&self, _form: Form) -> MessageEntry {
        trade_line(self.symbol, self.trade, self.message)
    }

    fn told_unheard(&self) -> bool {
        // A confirmation that nobody hears tells nothing new.
        self.message == "te"
    }
}

/// The snapshot of `trades`, newest first. One line of the ledger for each trade, in the frame's order.
pub(super) struct TradesFrame<'a> {
    topic: String,
    symbol: &'a str,
    trades: &'a [Trade],
}

impl<'a> TradesFrame<'a> {
    /// `trades` are not empty.
    pub(super) fn new(symbol: &'a str, trades: &'a [Trade]) -> Self {
        Self { topic: topic("trades", symbol), symbol, trades }
    }

    fn line(&self, trade: &Trade) -> MessageEntry {
        MessageEntry { snapshot: true, ..trade_line(self.symbol, trade, "snapshot") }
    }
}

impl Frame for TradesFrame<'_> {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn text(&self, form: Form) -> String {
        let _ = form;
        self.stamped(Stamp::default()).unwrap_or_default()
    }

    fn stamped(&self, stamp: Stamp) -> Option<String> {
        let rows: Vec<String> = self.trades.iter().map(trade_row).collect();
        Some(frame(stamp, &format!("[{}]", rows.join(","))))
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

fn level_row(instrument: &Instrument, level: Level) -> String {
    let price = Decimal::new(level.price, instrument.price_scale).trimmed();
    let sign = if level.side == Side::Sell { "-" } else { "" };
    // A level that is gone has the count 0, and its amount only says on which side it was.
    let amount =
        if level.size == 0 { "1".to_owned() } else { Decimal::new(level.size, instrument.size_scale).trimmed() };
    format!("[{price},{},{sign}{amount}]", level.orders)
}

fn book_line(instrument: &Instrument, bid: Option<(u64, u64)>, ask: Option<(u64, u64)>) -> MessageEntry {
    let price = |best: Option<(u64, u64)>| best.map(|(price, _)| Decimal::new(price, instrument.price_scale).trimmed());
    let size = |best: Option<(u64, u64)>| best.map(|(_, size)| Decimal::new(size, instrument.size_scale).trimmed());
    MessageEntry {
        symbol: Some(instrument.symbol.clone()),
        bid: price(bid),
        bid_size: size(bid),
        ask: price(ask),
        ask_size: size(ask),
        ..MessageEntry::new(VenueKind::Bitfinex, MessageKind::Book, "book")
    }
}

/// The snapshot of `book`.
pub(super) struct BookFrame<'a> {
    topic: String,
    book: &'a Book,
}

impl<'a> BookFrame<'a> {
    pub(super) fn new(book: &'a Book) -> Self {
        Self { topic: topic("book", &book.instrument().symbol), book }
    }
}

impl Frame for BookFrame<'_> {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn text(&self, _form: Form) -> String {
        self.stamped(Stamp::default()).unwrap_or_default()
    }

    fn stamped(&self, stamp: Stamp) -> Option<String> {
        let instrument = self.book.instrument();
        let rows: Vec<String> = self.book.depth().levels().map(|level| level_row(instrument, level)).collect();
        Some(frame(stamp, &format!("[{}]", rows.join(","))))
    }

    fn entry(&self, _form: Form) -> MessageEntry {
        let [bid, ask] = [Side::Buy, Side::Sell].map(|side| self.book.depth().best(side));
        MessageEntry { snapshot: true, ..book_line(self.book.instrument(), bid, ask) }
    }
}

/// One changed level of `book`.
pub(super) struct BookUpdateFrame<'a> {
    topic: String,
    book: &'a Book,
    change: Change,
}

impl<'a> BookUpdateFrame<'a> {
    pub(super) fn new(book: &'a Book, change: Change) -> Self {
        Self { topic: topic("book", &book.instrument().symbol), book, change }
    }
}

impl Frame for BookUpdateFrame<'_> {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn text(&self, _form: Form) -> String {
        self.stamped(Stamp::default()).unwrap_or_default()
    }

    fn stamped(&self, stamp: Stamp) -> Option<String> {
        Some(frame(stamp, &level_row(self.book.instrument(), self.change.level)))
    }

    fn entry(&self, _form: Form) -> MessageEntry {
        book_line(self.book.instrument(), self.change.best_bid, self.change.best_ask)
    }

    fn told_unheard(&self) -> bool {
        // A book nobody has cannot be kept.
        false
    }
}

/// `hb` of one channel.
pub(super) struct HeartbeatFrame {
    topic: String,
}

impl HeartbeatFrame {
    pub(super) fn new(topic: &str) -> Self {
        Self { topic: topic.to_owned() }
    }
}

impl Frame for HeartbeatFrame {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn text(&self, _form: Form) -> String {
        frame(Stamp::default(), r#""hb""#)
    }

    fn stamped(&self, stamp: Stamp) -> Option<String> {
        Some(frame(stamp, r#""hb""#))
    }

    fn entry(&self, _form: Form) -> MessageEntry {
        MessageEntry {
            symbol: self.topic.split_once(':').map(|(_, symbol)| symbol.to_owned()),
            ..MessageEntry::new(VenueKind::Bitfinex, MessageKind::Heartbeat, "hb")
        }
    }
}
