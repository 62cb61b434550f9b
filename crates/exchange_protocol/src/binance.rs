//! Binance spot: `bookTicker`, `trade`, `aggTrade`, as combined streams in microseconds.
//!
//! Source: github.com/binance/binance-spot-api-docs, web-socket-streams.md. `m` says that the buyer made the order, so the
//! taker sold. A `bookTicker` has no timestamp; its `u` only grows.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use serde::{Deserialize, de::IgnoredAny};
use serde_json::{json, value::RawValue};

use crate::{
    Decimal, DecodeError, Event, Facts, IdRule, Level, MessageType, Notice, Quote, Session, Side, Stream, Subscription,
    Trade, Venue, time,
};

/// The venue.
#[derive(Debug)]
pub struct Binance;

static FACTS: Facts = Facts {
    name: "binance",
    ws_url: "wss://stream.binance.com:9443",
    majors: &["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT", "ADAUSDT", "LINKUSDT"],
    // 1,024 streams per connection, two for each symbol.
    symbols_per_connection: 500,
    // 5 messages per second, and pongs count.
    frames_per_second: 3,
    // 300 attempts in 5 minutes.
    connect_spacing: Duration::from_secs(1),
    // The server pings every 20 s, so even a connection without any trade is never silent for longer.
    silence_limit: Duration::from_secs(60),
    // A quiet symbol brings nothing but the server's pings.
    has_heartbeats: false,
    keepalive_after: Duration::from_secs(30),
    lifetime: Some(Duration::from_secs(24 * 3_600)),
    trade_ids: IdRule::Contiguous,
    quotes_have_time: false,
};

/// Streams in one SUBSCRIBE: keeps the frame small.
const STREAMS_PER_REQUEST: usize = 200;

/// Quote assets, longest first so that `BTCFDUSD` is not read as quoted in USD.
const QUOTE_ASSETS: [&str; 18] = [
    "FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD1", "BTC", "ETH", "BNB", "EUR", "TRY", "BRL", "JPY", "GBP", "DAI",
    "ARS", "PLN", "USD",
];

impl Venue for Binance {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn path(&self, _: Stream) -> &'static str {
        "/stream?timeUnit=MICROSECOND"
    }

    fn session(&self) -> Box<dyn Session> {
        Box::new(Connection::default())
    }

    fn quote_currency<'s>(&self, symbol: &'s str) -> Option<&'s str> {
        let quote = QUOTE_ASSETS.into_iter().find(|asset| symbol.len() > asset.len() && symbol.ends_with(asset))?;
        symbol.get(symbol.len() - quote.len()..)
    }
}

#[derive(Default)]
struct Connection {
    /// Requests that were not answered yet, by their id.
    requests: BTreeMap<u64, Vec<Subscription>>,
    last_id: u64,
}

fn stream_name(Subscription { symbol, stream }: &Subscription) -> String {
    let suffix = match stream {
        Stream::Trades => "trade",
        Stream::AggregatedTrades => "aggTrade",
        Stream::Quotes => "bookTicker",
    };
    format!("{}@{suffix}", symbol.to_lowercase())
}

/// A frame: a payload with its stream's name around it, or the answer to a request.
#[derive(Deserialize)]
struct Frame<'f> {
    #[serde(borrow)]
    data: Option<Payload<'f>>,
    id: Option<u64>,
    #[serde(borrow)]
    error: Option<Complaint<'f>>,
    /// The complaint without an `error` around it.
    #[serde(borrow)]
    msg: Option<Cow<'f, str>>,
    /// Present in frames that carry a payload without a wrapper.
    s: Option<IgnoredAny>,
    e: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Complaint<'f> {
    #[serde(borrow)]
    msg: Cow<'f, str>,
}

/// Every field of the payloads used here. `a` and `b` are prices in one and ids in another, so their text is kept.
#[derive(Deserialize)]
struct Payload<'f> {
    #[serde(borrow)]
    e: Option<Cow<'f, str>>,
    #[serde(borrow)]
    s: Option<Cow<'f, str>>,
    u: Option<u64>,
    #[serde(borrow)]
    b: Option<&'f RawValue>,
    #[serde(borrow, rename = "B")]
    bid_size: Option<&'f RawValue>,
    #[serde(borrow)]
    a: Option<&'f RawValue>,
    #[serde(borrow, rename = "A")]
    ask_size: Option<&'f RawValue>,
    t: Option<u64>,
    f: Option<u64>,
    l: Option<u64>,
    #[serde(borrow)]
    p: Option<Cow<'f, str>>,
    #[serde(borrow)]
    q: Option<Cow<'f, str>>,
    #[serde(rename = "T")]
    trade_time: Option<u64>,
    m: Option<bool>,
}

impl Session for Connection {
    fn subscribe(&mut self, wanted: &[Subscription]) -> Vec<String> {
        let mut frames = Vec::new();
        for chunk in wanted.chunks(STREAMS_PER_REQUEST) {
            self.last_id += 1;
            self.requests.insert(self.last_id, chunk.to_vec());
            let streams: Vec<_> = chunk.iter().map(stream_name).collect();
            frames.push(json!({"method": "SUBSCRIBE", "params": streams, "id": self.last_id}).to_string());
        }
        frames
    }

    fn decode(&mut self, text: &str, sink: &mut dyn FnMut(Event<'_>)) -> Result<MessageType, DecodeError> {
        let frame: Frame = serde_json::from_str(text).map_err(|error| DecodeError::json(&error))?;
        match frame {
            Frame { data: Some(payload), .. } => payload.decode(sink),
            Frame { error: Some(Complaint { msg }), .. } | Frame { msg: Some(msg), .. } => {
                self.reject(frame.id, &msg, sink);
                Ok(MessageType::Error)
            }
            Frame { id: Some(id), .. } => {
                for Subscription { symbol, stream } in self.requests.remove(&id).unwrap_or_default() {
                    sink(Event::Subscribed { symbol: &symbol, stream });
                }
                Ok(MessageType::Subscription)
            }
            Frame { s: Some(_), .. } | Frame { e: Some(_), .. } => {
                let payload: Payload = serde_json::from_str(text).map_err(|error| DecodeError::json(&error))?;
                payload.decode(sink)
            }
            _ => Err(DecodeError::unknown_type("none")),
        }
    }
}

impl Connection {
    /// A refused request refuses all of its streams.
    fn reject(&mut self, id: Option<u64>, reason: &str, sink: &mut dyn FnMut(Event<'_>)) {
        let refused = id.and_then(|id| self.requests.remove(&id)).unwrap_or_default();
        if refused.is_empty() {
            sink(Event::Rejected { symbol: None, reason });
        }
        for Subscription { symbol, .. } in &refused {
            sink(Event::Rejected { symbol: Some(symbol), reason });
        }
    }
}

impl Payload<'_> {
    fn decode(&self, sink: &mut dyn FnMut(Event<'_>)) -> Result<MessageType, DecodeError> {
        match self.e.as_deref() {
            // A bookTicker is the only payload without a type.
            None => {
                sink(Event::Quote(self.quote()?));
                Ok(MessageType::Quote)
            }
            Some("trade") => {
                let id = self.t.ok_or(DecodeError::Missing("t"))?;
                sink(Event::Trade(self.trade(id, id)?));
                Ok(MessageType::Trade)
            }
            Some("aggTrade") => {
                let first = self.f.ok_or(DecodeError::Missing("f"))?;
                let last = self.l.ok_or(DecodeError::Missing("l"))?;
                if last < first {
                    return Err(DecodeError::value("l", &last.to_string()));
                }
                sink(Event::Trade(self.trade(first, last)?));
                Ok(MessageType::Trade)
            }
            Some("serverShutdown") => {
                sink(Event::Notice(Notice::Reconnect));
                Ok(MessageType::Notice)
            }
            // Known, and not asked for.
            Some("depthUpdate" | "kline") => Ok(MessageType::Other),
            Some(unknown) => Err(DecodeError::unknown_type(unknown)),
        }
    }

    fn symbol(&self) -> Result<&str, DecodeError> {
        self.s.as_deref().ok_or(DecodeError::Missing("s"))
    }

    fn trade(&self, first_id: u64, id: u64) -> Result<Trade<'_>, DecodeError> {
        let text = |field, text: Option<&Cow<'_, str>>| -> Result<Decimal, DecodeError> {
            Decimal::parse_unsigned(field, text.ok_or(DecodeError::Missing(field))?)
        };
        Ok(Trade {
            symbol: self.symbol()?,
            id,
            first_id,
            event_ns: self.trade_time.and_then(time::millis_or_micros).unwrap_or(0),
            price: text("p", self.p.as_ref())?,
            size: text("q", self.q.as_ref())?,
            taker: if self.m.ok_or(DecodeError::Missing("m"))? { Side::Sell } else { Side::Buy },
            maker_order_id: [0; 16],
            taker_order_id: [0; 16],
            snapshot: false,
        })
    }

    fn quote(&self) -> Result<Quote<'_>, DecodeError> {
        Ok(Quote {
            symbol: self.symbol()?,
            update_id: self.u.ok_or(DecodeError::Missing("u"))?,
            event_ns: 0,
            bid: level("b", self.b, "B", self.bid_size)?,
            ask: level("a", self.a, "A", self.ask_size)?,
        })
    }
}

/// A side of the book that is empty is sent with the price zero.
fn level(
    price_field: &'static str,
    price: Option<&RawValue>,
    size_field: &'static str,
    size: Option<&RawValue>,
) -> Result<Option<Level>, DecodeError> {
    let parse = |field, raw: Option<&RawValue>| -> Result<Decimal, DecodeError> {
        let raw = raw.ok_or(DecodeError::Missing(field))?.get();
        let text = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
        Decimal::parse_unsigned(field, text.ok_or_else(|| DecodeError::value(field, raw))?)
    };
    let (price, size) = (parse(price_field, price)?, parse(size_field, size)?);
    Ok((price.value != 0.0).then_some(Level { price, size: Some(size) }))
}
