//! Kraken spot, version 2 of its WebSocket protocol: `trade`, and `ticker` with `event_trigger: bbo`.
//!
//! Source: docs.kraken.com. A ticker so triggered comes with each change of the best prices; whether a change of their sizes
//! alone brings one is not promised. Prices are JSON numbers, whose digits are kept.
//!
//! Not confirmed: how many symbols a request or a connection may carry, the answer to subscribing twice (any answer without
//! success counts as a refusal), how an empty side of a ticker looks (no price, or zero, is taken for one), and the answer
//! to `unsubscribe` (read as that to `subscribe`).

mod message;
mod rest;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::json;

use crate::{
    Budget, DecodeError, Event, Facts, IdRule, Liveness, MessageType, Notice, Rest, Session, Stream, Subscription,
    Venue, time,
};
use message::{Frame, Row};
pub use rest::KrakenRest;

/// The venue.
#[derive(Debug)]
pub struct Kraken;

static FACTS: Facts = Facts {
    name: "kraken",
    ws_url: "wss://ws.kraken.com",
    majors: &["BTC/USD", "ETH/USD", "SOL/USD", "XRP/USD", "DOGE/USD", "ADA/USD", "LTC/USD", "LINK/USD"],
    // No limit is published for these channels; 200 is that of the level 3 book.
    symbols_per_connection: 200,
    // The limit is dynamic and not published.
    frames_per_second: 5,
    // In maintenance Kraken asks for 5 s between attempts.
    connect_spacing: Duration::from_secs(5),
    // Of Cloudflare, shared with REST; a ban lasts 10 minutes.
    connect_budget: Budget { count: 150, per: Duration::from_secs(600) },
    request_budget: None,
    // A heartbeat comes every second when nothing else does.
    silence_limit: Duration::from_secs(10),
    has_heartbeats: true,
    // Heartbeats begin with the first subscription, and a connection without one is closed after 60 s.
    keepalive_after: Duration::from_secs(5),
    lifetime: None,
    trade_ids: IdRule::Contiguous,
    quotes_have_time: true,
};

/// Symbols in one request: keeps the frame small.
const SYMBOLS_PER_REQUEST: usize = 50;

impl Venue for Kraken {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn path(&self, _: Stream) -> &'static str {
        "/v2"
    }

    fn liveness(&self, _: Stream) -> Liveness {
        // Both begin with a snapshot, which proves them alive: some were acknowledged and then silent for ever. Heartbeats
        // are of the connection and prove nothing about one symbol.
        Liveness { first_data: Some(FACTS.silence_limit), repeats: None }
    }

    fn rest(&self) -> &'static dyn Rest {
        &KrakenRest
    }

    fn session(&self) -> Box<dyn Session> {
        Box::new(Connection::default())
    }

    fn quote_currency<'s>(&self, symbol: &'s str) -> Option<&'s str> {
        symbol.split_once('/').map(|(_, quote)| quote)
    }

    /// Clients ask for Bitcoin by the name that Kraken's other interfaces use.
    fn stored_symbol<'s>(&self, symbol: &'s str) -> Cow<'s, str> {
        match symbol.split_once('/') {
            Some(("BTC", quote)) => format!("XBT/{quote}").into(),
            Some((base, "BTC")) => format!("{base}/XBT").into(),
            _ => symbol.into(),
        }
    }
}

#[derive(Default)]
struct Connection {
    asked: BTreeSet<Subscription>,
    /// Requests that were not answered in full yet, by their id.
    requests: BTreeMap<u64, Request>,
    last_id: u64,
    /// Maintenance was told of, and not its end.
    in_maintenance: bool,
}

struct Request {
    stream: Stream,
    subscribes: bool,
    /// What was not answered yet.
    symbols: BTreeSet<String>,
}

fn channel(stream: Stream) -> &'static str {
    match stream {
        Stream::Trades | Stream::AggregatedTrades => "trade",
        Stream::Quotes => "ticker",
    }
}

impl Session for Connection {
    fn subscribe(&mut self, wanted: &[Subscription]) -> Vec<String> {
        self.asked.extend(wanted.iter().cloned());
        self.request(wanted, true)
    }

    fn unsubscribe(&mut self, unwanted: &[Subscription]) -> Vec<String> {
        let frames = self.request(unwanted, false);
        for subscription in unwanted {
            self.asked.remove(subscription);
        }
        frames
    }

    fn decode(&mut self, frame: &str, sink: &mut dyn FnMut(Event<'_>)) -> Result<MessageType, DecodeError> {
        let frame = Frame::read(frame)?;
        let is_snapshot = frame.kind.as_deref() == Some("snapshot");
        match (frame.channel.as_deref(), frame.method.as_deref()) {
            (Some("trade"), _) => {
                frame.each_row(is_snapshot, |row| {
                    sink(Event::Trade(row.trade(is_snapshot)?));
                    Ok(())
                })?;
                Ok(MessageType::Trade)
            }
            (Some("ticker"), _) => {
                frame.each_row(false, |row| {
                    sink(Event::Quote(row.quote()?));
                    Ok(())
                })?;
                Ok(MessageType::Quote)
            }
            (Some("heartbeat"), _) => Ok(MessageType::Heartbeat),
            (Some("status"), _) => {
                frame.each_row(false, |row| self.status(row, sink))?;
                Ok(MessageType::Notice)
            }
            // Known, and not asked for.
            (Some("book" | "level3" | "ohlc" | "instrument"), _) => Ok(MessageType::Other),
            (Some(unknown), _) => Err(DecodeError::unknown_type(unknown)),
            (None, Some("pong")) => {
                if let Some(ns) = frame.time_out.as_deref().and_then(time::rfc3339) {
                    sink(Event::ServerTime(ns));
                }
                Ok(MessageType::Heartbeat)
            }
            (None, Some("subscribe" | "unsubscribe")) => Ok(self.answer(&frame, sink)),
            (None, method) => match frame.complaint() {
                Some(reason) => {
                    sink(Event::Rejected { symbol: None, stream: None, reason });
                    Ok(MessageType::Error)
                }
                None => Err(DecodeError::unknown_type(method.unwrap_or("none"))),
            },
        }
    }

    fn keepalive(&mut self) -> Option<String> {
        self.last_id += 1;
        Some(json!({"method": "ping", "req_id": self.last_id}).to_string())
    }
}

impl Connection {
    /// One request for each channel and batch of symbols.
    fn request(&mut self, subscriptions: &[Subscription], subscribes: bool) -> Vec<String> {
        let mut frames = Vec::new();
        for stream in [Stream::Trades, Stream::AggregatedTrades, Stream::Quotes] {
            let of_stream: Vec<_> = subscriptions
                .iter()
                .filter(|subscription| subscription.stream == stream)
                .map(|subscription| subscription.symbol.as_str())
                .collect();
            for symbols in of_stream.chunks(SYMBOLS_PER_REQUEST) {
                self.last_id += 1;
                let mut params = json!({"channel": channel(stream), "symbol": symbols});
                if let Some(params) = params.as_object_mut().filter(|_| subscribes) {
                    // Of trades it brings the last 50, which also fills a short gap.
                    params.insert("snapshot".to_owned(), true.into());
                    if stream == Stream::Quotes {
                        params.insert("event_trigger".to_owned(), "bbo".into());
                    }
                }
                let method = if subscribes { "subscribe" } else { "unsubscribe" };
                frames.push(json!({"method": method, "params": params, "req_id": self.last_id}).to_string());
                let symbols = symbols.iter().map(|symbol| (*symbol).to_owned()).collect();
                self.requests.insert(self.last_id, Request { stream, subscribes, symbols });
            }
        }
        frames
    }

    /// The answer for one symbol of a request, or for all of it.
    fn answer(&mut self, frame: &Frame<'_>, sink: &mut dyn FnMut(Event<'_>)) -> MessageType {
        let symbol = frame.symbol();
        let mut request = frame.req_id.and_then(|id| self.requests.remove(&id));
        if let Some(reason) = frame.complaint() {
            match (symbol, &mut request) {
                (Some(symbol), request) => {
                    let removed = request.as_mut().is_some_and(|request| request.symbols.remove(symbol));
                    let stream = request.as_ref().filter(|_| removed).map(|request| request.stream);
                    sink(Event::Rejected { symbol: Some(symbol), stream, reason });
                }
                (None, Some(request)) if request.subscribes => {
                    for symbol in std::mem::take(&mut request.symbols) {
                        sink(Event::Rejected { symbol: Some(&symbol), stream: Some(request.stream), reason });
                    }
                }
                (None, _) => sink(Event::Rejected { symbol: None, stream: None, reason }),
            }
        } else if let Some(symbol) = symbol {
            if let Some(request) = &mut request {
                request.symbols.remove(symbol);
            }
            let channel_of = frame.result_channel();
            if frame.method.as_deref() == Some("unsubscribe") {
                let stream = if channel_of == Some("ticker") { Stream::Quotes } else { Stream::Trades };
                let stream = request.as_ref().map_or(stream, |request| request.stream);
                sink(Event::Unsubscribed { symbol, stream });
            } else {
                let named = |asked: &&Subscription| asked.symbol == symbol && channel_of == Some(channel(asked.stream));
                for asked in self.asked.iter().filter(named) {
                    sink(Event::Subscribed { symbol, stream: asked.stream });
                }
            }
        }
        if let (Some(id), Some(request)) = (frame.req_id, request.filter(|request| !request.symbols.is_empty())) {
            self.requests.insert(id, request);
        }
        if frame.complaint().is_some() { MessageType::Error } else { MessageType::Subscription }
    }

    /// `online`, `maintenance`, `cancel_only`, `post_only`: the feeds of the last two go on.
    fn status(&mut self, row: &Row<'_>, sink: &mut dyn FnMut(Event<'_>)) -> Result<(), DecodeError> {
        let is_maintenance = row.system.as_deref().ok_or(DecodeError::Missing("system"))? == "maintenance";
        if is_maintenance != std::mem::replace(&mut self.in_maintenance, is_maintenance) {
            sink(Event::Notice(if is_maintenance { Notice::Maintenance } else { Notice::MaintenanceOver }));
        }
        Ok(())
    }
}
