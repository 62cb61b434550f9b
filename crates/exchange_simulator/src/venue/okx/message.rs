//! OKX' market messages. `side` is the taker's; times are ms.

use super::topic;
use crate::decimal::Decimal;
use crate::frame::{Form, Frame};
use crate::ledger::{MessageEntry, MessageKind};
use crate::market::{Book, Trade};
use crate::venue::VenueKind;

/// Nanoseconds in a millisecond.
const NANOS_PER_MILLI: u64 = 1_000_000;

/// `bbo-tbt`: the best bid and ask after every change. The real venue collects changes for 10 ms.
pub(super) struct BboFrame<'a> {
    topic: String,
    book: &'a Book,
    snapshot: bool,
    repeated: bool,
}

impl<'a> BboFrame<'a> {
    pub(super) fn new(book: &'a Book, snapshot: bool) -> Self {
        Self { topic: topic("bbo-tbt", &book.instrument().symbol), book, snapshot, repeated: false }
    }

    /// The same again because nothing changed for long.
    pub(super) fn repeated(book: &'a Book) -> Self {
        Self { repeated: true, ..Self::new(book, false) }
    }
}

impl Frame for BboFrame<'_> {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn text(&self, _form: Form) -> String {
        let quote = self.book.quote();
        format!(
            concat!(
                r#"{{"arg":{{"channel":"bbo-tbt","instId":"{}"}},"data":[{{"asks":[["{}","{}","0","{}"]],"#,
                r#""bids":[["{}","{}","0","{}"]],"ts":"{}","seqId":{}}}]}}"#
            ),
            self.book.instrument().symbol,
            quote.ask.trimmed(),
            quote.ask_size.trimmed(),
            1 + quote.update_id % 20,
            quote.bid.trimmed(),
            quote.bid_size.trimmed(),
            1 + quote.update_id % 19,
            quote.time_us / 1_000,
            quote.update_id,
        )
    }

    fn entry(&self, _form: Form) -> MessageEntry {
        let quote = self.book.quote();
        MessageEntry {
            symbol: Some(self.book.instrument().symbol.clone()),
            id: Some(quote.update_id),
            event_ns: Some(quote.time_us / 1_000 * NANOS_PER_MILLI),
            bid: Some(quote.bid.trimmed()),
            bid_size: Some(quote.bid_size.trimmed()),
            ask: Some(quote.ask.trimmed()),
            ask_size: Some(quote.ask_size.trimmed()),
            snapshot: self.snapshot,
            ..MessageEntry::new(VenueKind::Okx, MessageKind::Quote, "bbo-tbt")
        }
    }

    fn told_unheard(&self) -> bool {
        !self.repeated
    }
}

/// `trades-all`: one fill; or `trades`: the fills of one taker order at one price, under the last one's id.
pub(super) struct TradeFrame<'a> {
    topic: String,
    symbol: &'a str,
    last: &'a Trade,
    size: Decimal,
    /// Of `trades`: how many fills.
    count: Option<u64>,
}

impl<'a> TradeFrame<'a> {
    pub(super) fn one(book: &'a Book, trade: &'a Trade) -> Self {
        let symbol = book.instrument().symbol.as_str();
        Self { topic: topic("trades-all", symbol), symbol, last: trade, size: trade.size, count: None }
    }

    /// `fills` are neighbours of one price, not empty.
    pub(super) fn aggregated(book: &'a Book, fills: &'a [Trade]) -> Self {
        let symbol = book.instrument().symbol.as_str();
        let (first, last) = (&fills[0], &fills[fills.len() - 1]);
        let size = fills[1..].iter().fold(first.size, |sum, fill| sum.plus(fill.size));
        Self { topic: topic("trades", symbol), symbol, last, size, count: Some(fills.len() as u64) }
    }
}

impl Frame for TradeFrame<'_> {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn text(&self, _form: Form) -> String {
        let (channel, last) = (if self.count.is_some() { "trades" } else { "trades-all" }, self.last);
        let count = self.count.map(|count| format!(r#","count":"{count}""#)).unwrap_or_default();
        let seq_id = self.count.map(|_| format!(r#","seqId":{}"#, last.sequence)).unwrap_or_default();
        format!(
            concat!(
                r#"{{"arg":{{"channel":"{}","instId":"{}"}},"data":[{{"instId":"{}","tradeId":"{}","px":"{}","sz":"{}","#,
                r#""side":"{}","ts":"{}"{},"source":"0"{}}}]}}"#
            ),
            channel,
            self.symbol,
            self.symbol,
            last.id,
            last.price.trimmed(),
            self.size.trimmed(),
            last.taker.name(),
            last.time_us / 1_000,
            count,
            seq_id,
        )
    }

    fn entry(&self, _form: Form) -> MessageEntry {
        let last = self.last;
        let message = if self.count.is_some() { "trades" } else { "trades-all" };
        MessageEntry {
            symbol: Some(self.symbol.to_owned()),
            id: Some(last.id),
            first_id: self.count.map(|count| last.id + 1 - count),
            sequence: self.count.map(|_| last.sequence),
            event_ns: Some(last.time_us / 1_000 * NANOS_PER_MILLI),
            price: Some(last.price.trimmed()),
            size: Some(self.size.trimmed()),
            side: Some(last.taker),
            ..MessageEntry::new(VenueKind::Okx, MessageKind::Trade, message)
        }
    }
}
