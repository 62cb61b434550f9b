//! Coinbase Exchange: `matches`, `ticker`, `heartbeat`.
//!
//! Source: docs.cdp.coinbase.com/exchange/websocket-feed. A match's `side` is the maker's; a ticker's is the taker's. A
//! ticker comes with matches only, so its quote is as old as the last trade.

use std::{borrow::Cow, collections::BTreeSet, time::Duration};

use serde::Deserialize;
use serde_json::json;

use crate::{
    Decimal, DecodeError, Event, Facts, IdRule, Level, MessageType, Quote, Session, Side, Stream, Subscription, Trade,
    Venue, time,
};

/// The venue.
#[derive(Debug)]
pub struct Coinbase;

static FACTS: Facts = Facts {
    name: "coinbase",
    ws_url: "wss://ws-feed.exchange.coinbase.com",
    majors: &["BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "DOGE-USD", "ADA-USD", "LTC-USD", "LINK-USD"],
    // No limit is documented; a snapshot of a busy product is large.
    symbols_per_connection: 50,
    frames_per_second: 10,
    // 8 requests per second and address, connecting and subscribing both count.
    connect_spacing: Duration::from_millis(250),
    // Heartbeats come every second for each product.
    silence_limit: Duration::from_secs(10),
    has_heartbeats: true,
    keepalive_after: Duration::from_secs(5),
    lifetime: None,
    trade_ids: IdRule::Contiguous,
    quotes_have_time: true,
};

impl Venue for Coinbase {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn path(&self, _: Stream) -> &'static str {
        ""
    }

    fn session(&self) -> Box<dyn Session> {
        Box::new(Connection::default())
    }

    fn quote_currency<'s>(&self, symbol: &'s str) -> Option<&'s str> {
        symbol.split_once('-').map(|(_, quote)| quote)
    }
}

#[derive(Default)]
struct Connection {
    asked: BTreeSet<Subscription>,
    acknowledged: BTreeSet<Subscription>,
}

fn channel(stream: Stream) -> &'static str {
    match stream {
        Stream::Trades | Stream::AggregatedTrades => "matches",
        Stream::Quotes => "ticker",
    }
}

/// Every field of the messages used here. One flat shape for all types keeps the frame borrowed and read once.
#[derive(Deserialize)]
struct Message<'f> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'f, str>,
    #[serde(borrow)]
    product_id: Option<Cow<'f, str>>,
    sequence: Option<u64>,
    trade_id: Option<u64>,
    last_trade_id: Option<u64>,
    #[serde(borrow)]
    time: Option<Cow<'f, str>>,
    #[serde(borrow)]
    price: Option<Cow<'f, str>>,
    #[serde(borrow)]
    size: Option<Cow<'f, str>>,
    #[serde(borrow)]
    side: Option<Cow<'f, str>>,
    #[serde(borrow)]
    maker_order_id: Option<Cow<'f, str>>,
    #[serde(borrow)]
    taker_order_id: Option<Cow<'f, str>>,
    #[serde(borrow)]
    best_bid: Option<Cow<'f, str>>,
    #[serde(borrow)]
    best_bid_size: Option<Cow<'f, str>>,
    #[serde(borrow)]
    best_ask: Option<Cow<'f, str>>,
    #[serde(borrow)]
    best_ask_size: Option<Cow<'f, str>>,
    #[serde(borrow, default)]
    channels: Vec<Channel<'f>>,
    #[serde(borrow)]
    message: Option<Cow<'f, str>>,
    #[serde(borrow)]
    reason: Option<Cow<'f, str>>,
}

#[derive(Deserialize)]
struct Channel<'f> {
    #[serde(borrow)]
    name: Cow<'f, str>,
    #[serde(borrow, default)]
    product_ids: Vec<Cow<'f, str>>,
}

impl Session for Connection {
    fn subscribe(&mut self, wanted: &[Subscription]) -> Vec<String> {
        self.asked.extend(wanted.iter().cloned());
        let products = |name: &str| -> Vec<&str> {
            let of_channel = wanted.iter().filter(|subscription| channel(subscription.stream) == name);
            of_channel.map(|subscription| subscription.symbol.as_str()).collect()
        };
        let all: BTreeSet<&str> = wanted.iter().map(|subscription| subscription.symbol.as_str()).collect();
        let channels: Vec<_> = [("matches", products("matches")), ("ticker", products("ticker"))]
            .into_iter()
            .chain([("heartbeat", all.into_iter().collect())])
            .filter(|(_, products)| !products.is_empty())
            .map(|(name, products)| json!({"name": name, "product_ids": products}))
            .collect();
        vec![json!({"type": "subscribe", "channels": channels}).to_string()]
    }

    fn decode(&mut self, frame: &str, sink: &mut dyn FnMut(Event<'_>)) -> Result<MessageType, DecodeError> {
        let message: Message = serde_json::from_str(frame).map_err(|error| DecodeError::json(&error))?;
        match message.kind.as_ref() {
            "match" | "last_match" => {
                sink(Event::Trade(message.trade()?));
                Ok(MessageType::Trade)
            }
            "ticker" => {
                sink(Event::Quote(message.quote()?));
                Ok(MessageType::Quote)
            }
            "heartbeat" => {
                let id = message.last_trade_id.ok_or(DecodeError::Missing("last_trade_id"))?;
                sink(Event::LastTrade { symbol: message.symbol()?, id });
                Ok(MessageType::Heartbeat)
            }
            "subscriptions" => {
                self.acknowledge(&message.channels, sink);
                Ok(MessageType::Subscription)
            }
            "error" => {
                let text = message.message.as_deref().unwrap_or("error without a message");
                let reason = message.reason.as_deref().unwrap_or(text);
                // "FOO-USD is not a valid product", "LOOM-USDC is delisted": the symbol is the first word.
                let first = reason.split(' ').next().unwrap_or_default();
                let mut symbols = self.asked.iter().map(|subscription| subscription.symbol.as_str());
                sink(Event::Rejected { symbol: symbols.find(|symbol| *symbol == first), reason });
                Ok(MessageType::Error)
            }
            // Known, and not asked for.
            "snapshot" | "l2update" | "status" | "received" | "open" | "done" | "change" | "activate" => {
                Ok(MessageType::Other)
            }
            unknown => Err(DecodeError::unknown_type(unknown)),
        }
    }
}

impl Connection {
    /// `subscriptions` is the whole truth each time; what it newly confirms is told once.
    fn acknowledge(&mut self, channels: &[Channel<'_>], sink: &mut dyn FnMut(Event<'_>)) {
        for subscription in &self.asked {
            let Subscription { symbol, stream } = subscription;
            let named = channels
                .iter()
                .filter(|named| named.name == channel(*stream))
                .any(|named| named.product_ids.iter().any(|product| product == symbol));
            if named && self.acknowledged.insert(subscription.clone()) {
                sink(Event::Subscribed { symbol, stream: *stream });
            }
        }
    }
}

impl<'f> Message<'f> {
    fn symbol(&self) -> Result<&str, DecodeError> {
        self.product_id.as_deref().ok_or(DecodeError::Missing("product_id"))
    }

    fn event_ns(&self) -> u64 {
        self.time.as_deref().and_then(time::rfc3339).unwrap_or(0)
    }

    fn trade(&self) -> Result<Trade<'_>, DecodeError> {
        let id = self.trade_id.ok_or(DecodeError::Missing("trade_id"))?;
        let maker = match self.side.as_deref() {
            Some("buy") => Side::Buy,
            Some("sell") => Side::Sell,
            Some(other) => return Err(DecodeError::value("side", other)),
            None => return Err(DecodeError::Missing("side")),
        };
        Ok(Trade {
            symbol: self.symbol()?,
            id,
            first_id: id,
            event_ns: self.event_ns(),
            price: positive("price", self.price.as_ref())?,
            size: positive("size", self.size.as_ref())?,
            taker: maker.opposite(),
            maker_order_id: order_id("maker_order_id", self.maker_order_id.as_ref())?,
            taker_order_id: order_id("taker_order_id", self.taker_order_id.as_ref())?,
            snapshot: self.kind == "last_match",
        })
    }

    fn quote(&self) -> Result<Quote<'_>, DecodeError> {
        Ok(Quote {
            symbol: self.symbol()?,
            update_id: self.sequence.ok_or(DecodeError::Missing("sequence"))?,
            event_ns: self.event_ns(),
            bid: level("best_bid", self.best_bid.as_ref(), "best_bid_size", self.best_bid_size.as_ref())?,
            ask: level("best_ask", self.best_ask.as_ref(), "best_ask_size", self.best_ask_size.as_ref())?,
        })
    }
}

fn positive(field: &'static str, text: Option<&Cow<'_, str>>) -> Result<Decimal, DecodeError> {
    Decimal::parse_unsigned(field, text.ok_or(DecodeError::Missing(field))?)
}

/// A side of the book is empty if its price is missing, empty or zero. Frames of before 2022 have no sizes.
fn level(
    price_field: &'static str,
    price: Option<&Cow<'_, str>>,
    size_field: &'static str,
    size: Option<&Cow<'_, str>>,
) -> Result<Option<Level>, DecodeError> {
    let Some(price) = price.filter(|price| !price.is_empty()) else { return Ok(None) };
    let price = Decimal::parse_unsigned(price_field, price)?;
    if price.value == 0.0 {
        return Ok(None);
    }
    Ok(Some(Level { price, size: size.map(|size| Decimal::parse_unsigned(size_field, size)).transpose()? }))
}

fn order_id(field: &'static str, text: Option<&Cow<'_, str>>) -> Result<[u8; 16], DecodeError> {
    match text {
        None => Ok([0; 16]),
        Some(text) => {
            uuid::Uuid::try_parse(text).map(uuid::Uuid::into_bytes).map_err(|_| DecodeError::value(field, text))
        }
    }
}
