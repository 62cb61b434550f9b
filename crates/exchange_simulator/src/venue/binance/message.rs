//! Binance's market messages. `m` says that the buyer was the maker: the taker sold.

use super::stream;
use crate::clock::NANOS_PER_MICRO;
use crate::frame::{Form, Frame};
use crate::ledger::{MessageEntry, MessageKind, Side};
use crate::market::{Quote, Trade};
use crate::venue::VenueKind;

/// Decimals of every price and amount.
const PLACES: u8 = 8;

/// Microseconds in a millisecond.
const MICROS_PER_MILLI: u64 = 1_000;

/// A time as the frame shows it: µs, or ms with the rest cut off.
fn digits(time_us: u64, form: Form) -> u64 {
    if form.micros { time_us } else { time_us / MICROS_PER_MILLI }
}

/// What the digits of a time say, in ns.
fn digits_ns(time_us: u64, form: Form) -> u64 {
    if form.micros {
        time_us * NANOS_PER_MICRO
    } else {
        time_us / MICROS_PER_MILLI * MICROS_PER_MILLI * NANOS_PER_MICRO
    }
}

fn wrap(topic: &str, data: String, form: Form) -> String {
    if form.wrapped { format!(r#"{{"stream":"{topic}","data":{data}}}"#) } else { data }
}

/// `bookTicker`: the best bid and ask, without any time.
pub(super) struct BookTickerFrame<'a> {
    topic: String,
    symbol: &'a str,
    quote: Quote,
}

impl<'a> BookTickerFrame<'a> {
    pub(super) fn new(symbol: &'a str, quote: Quote) -> Self {
        Self { topic: stream(symbol, "bookTicker"), symbol, quote }
    }
}

impl Frame for BookTickerFrame<'_> {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn text(&self, form: Form) -> String {
        let quote = &self.quote;
        let data = format!(
            r#"{{"u":{},"s":"{}","b":"{}","B":"{}","a":"{}","A":"{}"}}"#,
            quote.update_id,
            self.symbol,
            quote.bid.padded(PLACES),
            quote.bid_size.padded(PLACES),
            quote.ask.padded(PLACES),
            quote.ask_size.padded(PLACES),
        );
        wrap(&self.topic, data, form)
    }

    fn entry(&self, _form: Form) -> MessageEntry {
        let quote = &self.quote;
        MessageEntry {
            symbol: Some(self.symbol.to_owned()),
            id: Some(quote.update_id),
            bid: Some(quote.bid.padded(PLACES)),
            bid_size: Some(quote.bid_size.padded(PLACES)),
            ask: Some(quote.ask.padded(PLACES)),
            ask_size: Some(quote.ask_size.padded(PLACES)),
            ..MessageEntry::new(VenueKind::Binance, MessageKind::Quote, "bookTicker")
        }
    }
}

/// `trade`: one fill.
pub(super) struct TradeFrame<'a> {
    topic: String,
    symbol: &'a str,
    trade: &'a Trade,
}

impl<'a> TradeFrame<'a> {
    pub(super) fn new(symbol: &'a str, trade: &'a Trade) -> Self {
        Self { topic: stream(symbol, "trade"), symbol, trade }
    }
}

impl Frame for TradeFrame<'_> {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn text(&self, form: Form) -> String {
        let trade = self.trade;
        let data = format!(
            r#"{{"e":"trade","E":{},"s":"{}","t":{},"p":"{}","q":"{}","T":{},"m":{},"M":true}}"#,
            digits(trade.publish_us, form),
            self.symbol,
            trade.id,
            trade.price.padded(PLACES),
            trade.size.padded(PLACES),
            digits(trade.time_us, form),
            trade.taker == Side::Sell,
        );
        wrap(&self.topic, data, form)
    }

    fn entry(&self, form: Form) -> MessageEntry {
        let trade = self.trade;
        MessageEntry {
            symbol: Some(self.symbol.to_owned()),
            id: Some(trade.id),
            event_ns: Some(digits_ns(trade.time_us, form)),
            publish_ns: Some(digits_ns(trade.publish_us, form)),
            price: Some(trade.price.padded(PLACES)),
            size: Some(trade.size.padded(PLACES)),
            side: Some(trade.taker),
            ..MessageEntry::new(VenueKind::Binance, MessageKind::Trade, "trade")
        }
    }

    fn has_times_by_unit(&self) -> bool {
        true
    }
}

/// `aggTrade`: the fills of one taker order at one price.
pub(super) struct AggTradeFrame<'a> {
    topic: String,
    symbol: &'a str,
    last: &'a Trade,
    first_id: u64,
    size: crate::decimal::Decimal,
}

impl<'a> AggTradeFrame<'a> {
    /// `fills` are neighbours of one price, not empty.
    pub(super) fn new(symbol: &'a str, fills: &'a [Trade]) -> Self {
        let (first, last) = (&fills[0], &fills[fills.len() - 1]);
        let size = fills[1..].iter().fold(first.size, |sum, fill| sum.plus(fill.size));
        Self { topic: stream(symbol, "aggTrade"), symbol, last, first_id: first.id, size }
    }
}

impl Frame for AggTradeFrame<'_> {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn text(&self, form: Form) -> String {
        let last = self.last;
        let data = format!(
            r#"{{"e":"aggTrade","E":{},"s":"{}","a":{},"p":"{}","q":"{}","f":{},"l":{},"T":{},"m":{},"M":true}}"#,
            digits(last.publish_us, form),
            self.symbol,
            last.agg_id,
            last.price.padded(PLACES),
            self.size.padded(PLACES),
            self.first_id,
            last.id,
            digits(last.time_us, form),
            last.taker == Side::Sell,
        );
        wrap(&self.topic, data, form)
    }

    fn entry(&self, form: Form) -> MessageEntry {
        let last = self.last;
        MessageEntry {
            symbol: Some(self.symbol.to_owned()),
            id: Some(last.id),
            first_id: Some(self.first_id),
            agg_id: Some(last.agg_id),
            event_ns: Some(digits_ns(last.time_us, form)),
            publish_ns: Some(digits_ns(last.publish_us, form)),
            price: Some(last.price.padded(PLACES)),
            size: Some(self.size.padded(PLACES)),
            side: Some(last.taker),
            ..MessageEntry::new(VenueKind::Binance, MessageKind::Trade, "aggTrade")
        }
    }

    fn has_times_by_unit(&self) -> bool {
        true
    }
}
