//! Binance spot: `bookTicker`, `trade`, `aggTrade`, as combined streams in microseconds.
//!
//! Source: github.com/binance/binance-spot-api-docs, web-socket-streams.md. `m` says that the buyer made the order, so the
//! taker sold. A `bookTicker` has no timestamp; its `u` only grows.
//!
//! Not confirmed: how long before the end `serverShutdown` comes (none is promised here), and that an unknown symbol is
//! acknowledged and then silent, for which reason [`Liveness`](crate::Liveness) promises nothing.

mod message;
mod rest;

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;

use crate::{Budget, DecodeError, Event, Facts, IdRule, MessageType, Rest, Session, Stream, Subscription, Venue};
use message::{Complaint, Frame, Payload};
pub use rest::BinanceRest;

/// The venue.
#[derive(Debug)]
pub struct Binance;

static FACTS: Facts = Facts {
    name: "binance",
    ws_url: "wss://stream.binance.com:9443",
    majors: &["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT", "ADAUSDT", "LINKUSDT"],
    // 1,024 allowed.
    streams_per_connection: 1_000,
    // 5 messages per second, and pongs count.
    frames_per_second: 3,
    // 300 attempts in 5 minutes.
    connect_spacing: Duration::from_secs(1),
    connect_budget: Budget { count: 300, per: Duration::from_secs(300) },
    request_budget: None,
    requests_count_as_connects: false,
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

    fn rest(&self) -> &'static dyn Rest {
        &BinanceRest
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
    /// Requests that were not answered yet, by their id, and whether they subscribe.
    requests: BTreeMap<u64, (bool, Vec<Subscription>)>,
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

impl Session for Connection {
    fn subscribe(&mut self, wanted: &[Subscription]) -> Vec<String> {
        self.request("SUBSCRIBE", wanted, true)
    }

    fn unsubscribe(&mut self, unwanted: &[Subscription]) -> Vec<String> {
        self.request("UNSUBSCRIBE", unwanted, false)
    }

    fn decode(&mut self, text: &str, sink: &mut dyn FnMut(Event<'_>)) -> Result<MessageType, DecodeError> {
        match Frame::read(text)? {
            Frame { data: Some(payload), .. } => payload.decode(sink),
            Frame { error: Some(Complaint { msg }), id, .. } | Frame { msg: Some(msg), id, .. } => {
                self.reject(id, &msg, sink);
                Ok(MessageType::Error)
            }
            Frame { id: Some(id), .. } => {
                let (subscribes, answered) = self.requests.remove(&id).unwrap_or_default();
                for Subscription { symbol, stream } in &answered {
                    let (symbol, stream) = (symbol.as_str(), *stream);
                    sink(match subscribes {
                        true => Event::Subscribed { symbol, stream },
                        false => Event::Unsubscribed { symbol, stream },
                    });
                }
                Ok(MessageType::Subscription)
            }
            Frame { s: Some(_), .. } | Frame { e: Some(_), .. } => Payload::read(text)?.decode(sink),
            _ => Err(DecodeError::unknown_type("none")),
        }
    }
}

impl Connection {
    fn request(&mut self, method: &str, subscriptions: &[Subscription], subscribes: bool) -> Vec<String> {
        let mut frames = Vec::new();
        for chunk in subscriptions.chunks(STREAMS_PER_REQUEST) {
            self.last_id += 1;
            self.requests.insert(self.last_id, (subscribes, chunk.to_vec()));
            let streams: Vec<_> = chunk.iter().map(stream_name).collect();
            frames.push(json!({"method": method, "params": streams, "id": self.last_id}).to_string());
        }
        frames
    }

    /// A refused request refuses all of its streams.
    fn reject(&mut self, id: Option<u64>, reason: &str, sink: &mut dyn FnMut(Event<'_>)) {
        let (subscribes, refused) = id.and_then(|id| self.requests.remove(&id)).unwrap_or_default();
        if refused.is_empty() || !subscribes {
            sink(Event::Rejected { symbol: None, stream: None, reason });
            return;
        }
        for Subscription { symbol, stream } in &refused {
            sink(Event::Rejected { symbol: Some(symbol), stream: Some(*stream), reason });
        }
    }
}
