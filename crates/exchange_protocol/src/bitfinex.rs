//! Bitfinex, version 2 of its WebSocket protocol: `trades`, and the best of a kept `book` (P0, F0, 25 levels).
//!
//! Source: docs.bitfinex.com. P0 is the grid of prices itself, five significant digits; the `ticker` comes every 15 s only.
//! Numbers are JSON numbers that the venue prints from doubles. Ids of trades are unique over all pairs and prove nothing
//! about what is missing: the connection's own numbering of frames (`SEQ_ALL`) does.
//!
//! Not confirmed: `trades` with `TIMESTAMP` and `SEQ_ALL` together (what follows a body is told apart by its size, so any of
//! the two may be missing), a budget for frames that we send, and the rates of REST endpoints (the lowest one named counts).
//! The documentation has `unsubscribe` and `unsubscribed` with a `chanId`, and wants all channels unsubscribed from and subscribed
//! to again after maintenance; whether the venue keeps them meanwhile it does not say.

mod checksum;
mod message;
mod rest;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use serde_json::json;

use crate::{
    BookFault, Budget, DecodeError, Event, Facts, IdRule, Liveness, MessageType, Notice, Quote, Rest, Session, Stream,
    Subscription, Venue,
    book::{Best, Book},
    time,
};
use message::{Content, Data, Info};
pub use rest::BitfinexRest;

/// The venue.
#[derive(Debug)]
pub struct Bitfinex;

static FACTS: Facts = Facts {
    name: "bitfinex",
    ws_url: "wss://api-pub.bitfinex.com",
    majors: &["tBTCUSD", "tETHUSD", "tSOLUSD", "tXRPUSD", "tLTCUSD", "tBTCUST", "tETHUST", "tETHBTC"],
    // 25 channels by the strictest page of the documentation.
    streams_per_connection: 25,
    // Not documented.
    frames_per_second: 5,
    // 20 a minute; beyond that the address is blocked for a minute.
    connect_spacing: Duration::from_secs(3),
    connect_budget: Budget { count: 20, per: Duration::from_secs(60) },
    request_budget: None,
    requests_count_as_connects: false,
    // Every channel has a heartbeat every 15 s.
    silence_limit: Duration::from_secs(35),
    has_heartbeats: true,
    keepalive_after: Duration::from_secs(20),
    lifetime: None,
    trade_ids: IdRule::Unique,
    quotes_have_time: true,
};

/// Flags of `conf`: the venue's time and a number on every frame, and checksums of books.
const FLAGS: u32 = 32_768 + 65_536 + 131_072;
/// Levels asked for; checksums cover as many.
const BOOK_LEVELS: usize = 25;
/// Ids of trades remembered for each channel: a trade is confirmed (`tu`) 1 to 2 s after it was told (`te`).
const REMEMBERED_TRADES: usize = 1_024;
/// Channels of one connection; it has 25 to 36.
const CHANNELS: usize = 100;

impl Venue for Bitfinex {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn path(&self, _: Stream) -> &'static str {
        "/ws/2"
    }

    fn liveness(&self, _: Stream) -> Liveness {
        // A snapshot opens, and each channel has its own heartbeat every 15 s, busy or quiet.
        Liveness { first_data: Some(FACTS.silence_limit), repeats: Some(FACTS.silence_limit) }
    }

    fn keeps_book(&self, stream: Stream) -> bool {
        stream == Stream::Quotes
    }

    fn rest(&self) -> &'static dyn Rest {
        &BitfinexRest
    }

    fn session(&self) -> Box<dyn Session> {
        Box::new(Connection::default())
    }

    /// `tBTCUSD`, `tDUSK:USD`; the venue's own names, such as UST for Tether.
    fn quote_currency<'s>(&self, symbol: &'s str) -> Option<&'s str> {
        let pair = symbol.strip_prefix('t')?;
        match pair.split_once(':') {
            Some((_, quote)) => Some(quote),
            None => pair.get(3..).filter(|_| pair.len() == 6),
        }
    }

    fn spelling(&self, symbol: &str) -> String {
        match symbol.strip_prefix('t') {
            Some(pair) => format!("t{}", pair.to_uppercase()),
            None => symbol.to_uppercase(),
        }
    }
}

#[derive(Default)]
struct Connection {
    asked: BTreeSet<Subscription>,
    /// By the number that the venue gave them: their only name in what follows.
    channels: HashMap<u64, Channel>,
    pings: u64,
    in_maintenance: bool,
}

struct Channel {
    subscription: Subscription,
    state: State,
}

enum State {
    Trades {
        /// Ids of the newest trades told, the newest last.
        told: VecDeque<u64>,
    },
    /// None before the snapshot, and after a fault.
    Book(Option<Box<Book<String>>>),
    /// Unsubscribed; the venue has not confirmed it yet.
    Ending,
}

fn channel(stream: Stream) -> &'static str {
    match stream {
        Stream::Trades | Stream::AggregatedTrades => "trades",
        Stream::Quotes => "book",
    }
}

impl Session for Connection {
    fn open(&mut self) -> Vec<String> {
        vec![json!({"event": "conf", "flags": FLAGS}).to_string()]
    }

    /// What is held still, because the venue kept it in maintenance, is unsubscribed from first, or the venue would call it a
    /// repetition and tell no book anew.
    fn subscribe(&mut self, wanted: &[Subscription]) -> Vec<String> {
        self.asked.extend(wanted.iter().cloned());
        let ask = |asked: &Subscription| match asked.stream {
            Stream::Trades | Stream::AggregatedTrades => {
                json!({"event": "subscribe", "channel": "trades", "symbol": asked.symbol}).to_string()
            }
            Stream::Quotes => json!({
                "event": "subscribe", "channel": "book", "symbol": asked.symbol,
                "prec": "P0", "freq": "F0", "len": BOOK_LEVELS.to_string(),
            })
            .to_string(),
        };
        let mut frames = Vec::new();
        for subscription in wanted {
            self.end(subscription, &mut frames);
            frames.push(ask(subscription));
        }
        frames
    }

    fn unsubscribe(&mut self, unwanted: &[Subscription]) -> Vec<String> {
        let mut frames = Vec::new();
        for subscription in unwanted {
            self.asked.remove(subscription);
            self.end(subscription, &mut frames);
        }
        frames
    }

    fn decode(&mut self, frame: &str, sink: &mut dyn FnMut(Event<'_>)) -> Result<MessageType, DecodeError> {
        if frame.trim_start().starts_with('{') {
            let info: Info = serde_json::from_str(frame).map_err(|error| DecodeError::json(&error))?;
            return self.info(&info, sink);
        }
        let data = Data::read(frame)?;
        if let Some(sequence) = data.sequence {
            sink(Event::SocketSequence(sequence));
        }
        let Some(Channel { subscription, state }) = self.channels.get_mut(&data.channel) else {
            return Err(DecodeError::value("chanId", &data.channel.to_string()));
        };
        let Subscription { symbol, stream } = &*subscription;
        let event_ns = data.event_ns;
        match (data.content?, state) {
            (_, State::Ending) => Ok(MessageType::Other),
            (Content::Heartbeat, _) => {
                sink(Event::Alive { symbol, stream: *stream });
                Ok(MessageType::Heartbeat)
            }
            (Content::Rows(rows), State::Book(book)) => update(symbol, book, &rows, event_ns, sink),
            (Content::Checksum(told), State::Book(book)) => {
                if book.as_ref().is_some_and(|book| checksum::of(book, BOOK_LEVELS) != told) {
                    *book = None;
                    sink(Event::Broken { symbol, stream: *stream, fault: BookFault::Checksum });
                }
                Ok(MessageType::Quote)
            }
            (Content::Rows(rows), State::Trades { told }) => {
                // The newest stands first.
                let trades = rows.into_iter().rev().map(|row| tell(symbol, told, row, true, sink));
                trades.fold(Ok(()), Result::and).map(|()| MessageType::Trade)
            }
            (Content::Trade(row), State::Trades { told }) => {
                tell(symbol, told, row, false, sink).map(|()| MessageType::Trade)
            }
            (Content::Checksum(_), State::Trades { .. }) => Err(DecodeError::unknown_type("cs of trades")),
            (Content::Trade(_), State::Book(_)) => Err(DecodeError::unknown_type("trade of a book")),
        }
    }

    fn keepalive(&mut self) -> Option<String> {
        self.pings += 1;
        Some(json!({"event": "ping", "cid": self.pings}).to_string())
    }
}

/// A trade is told once: when it happens, or when it is confirmed if what told of it was lost.
fn tell(
    symbol: &str,
    told: &mut VecDeque<u64>,
    row: &str,
    snapshot: bool,
    sink: &mut dyn FnMut(Event<'_>),
) -> Result<(), DecodeError> {
    let trade = message::trade(symbol, row, snapshot)?;
    if told.iter().rev().any(|id| *id == trade.id) {
        return Ok(());
    }
    if told.len() == REMEMBERED_TRADES {
        told.pop_front();
    }
    told.push_back(trade.id);
    sink(Event::Trade(trade));
    Ok(())
}

/// A snapshot or a change of a book; before the snapshot, and after a fault, a change says nothing.
fn update(
    symbol: &str,
    kept: &mut Option<Box<Book<String>>>,
    rows: &message::Rows<'_>,
    event_ns: u64,
    sink: &mut dyn FnMut(Event<'_>),
) -> Result<MessageType, DecodeError> {
    let stream = Stream::Quotes;
    let levels: Result<Vec<_>, _> = rows.iter().map(|row| message::level(row)).collect();
    let levels = match levels {
        Ok(levels) => levels,
        Err(error) => {
            *kept = None;
            sink(Event::Broken { symbol, stream, fault: BookFault::Undecodable });
            return Err(error);
        }
    };
    match kept {
        // Four times as many as are asked for: more than 25 are kept only between an insertion and the deletion after it.
        _ if rows.is_snapshot() => *kept = Some(Box::new(Book::new(4 * BOOK_LEVELS, levels))),
        Some(book) => levels.into_iter().for_each(|level| book.set(level)),
        None => {}
    }
    let Some(book) = kept else { return Ok(MessageType::Quote) };
    match book.best() {
        Best::New([bid, ask]) => sink(Event::Quote(Quote { symbol, update_id: 0, event_ns, bid, ask })),
        Best::Wrong(fault) => {
            *kept = None;
            sink(Event::Broken { symbol, stream, fault });
        }
        Best::Same => {}
    }
    Ok(MessageType::Quote)
}

impl Connection {
    fn end(&mut self, subscription: &Subscription, frames: &mut Vec<String>) {
        for (id, channel) in &mut self.channels {
            if channel.subscription == *subscription && !matches!(channel.state, State::Ending) {
                channel.state = State::Ending;
                frames.push(json!({"event": "unsubscribe", "chanId": id}).to_string());
            }
        }
    }

    fn info(&mut self, info: &Info<'_>, sink: &mut dyn FnMut(Event<'_>)) -> Result<MessageType, DecodeError> {
        match info.event.as_ref() {
            "info" => {
                match (info.code, info.platform.as_ref().map(|platform| platform.status)) {
                    (Some(20_051), _) => sink(Event::Notice(Notice::Reconnect { within: None })),
                    (Some(20_060), _) => self.maintenance(true, sink),
                    (Some(20_061), _) => self.maintenance(false, sink),
                    (_, Some(status)) => self.maintenance(status == 0, sink),
                    _ => {}
                }
                Ok(MessageType::Notice)
            }
            "subscribed" => {
                self.subscribed(info, sink)?;
                Ok(MessageType::Subscription)
            }
            "unsubscribed" => {
                self.ended(info.channel_id.ok_or(DecodeError::Missing("chanId"))?, sink);
                Ok(MessageType::Subscription)
            }
            "conf" => {
                let status = info.status.as_deref().unwrap_or("no status");
                if status != "OK" {
                    sink(Event::Rejected { symbol: None, stream: None, reason: status });
                }
                Ok(MessageType::Subscription)
            }
            "pong" => {
                if let Some(ns) = info.ts.and_then(time::millis_or_micros) {
                    sink(Event::ServerTime(ns));
                }
                Ok(MessageType::Heartbeat)
            }
            "error" => {
                match (info.code, info.channel_id) {
                    // Subscribed already, or about to be; its acknowledgement came or comes.
                    (Some(10_301), _) => {}
                    // No such subscription: the venue forgot what was to end.
                    (Some(10_400 | 10_401), Some(id)) if self.is_ending(id) => self.ended(id, sink),
                    _ => {
                        let reason = info.msg.as_deref().unwrap_or("error without a message");
                        let symbol = info.symbol.as_deref();
                        let stream = symbol.and_then(|symbol| self.stream(info.channel.as_deref()?, symbol));
                        sink(Event::Rejected { symbol, stream, reason });
                    }
                }
                Ok(MessageType::Error)
            }
            unknown => Err(DecodeError::unknown_type(unknown)),
        }
    }

    fn is_ending(&self, id: u64) -> bool {
        self.channels.get(&id).is_some_and(|channel| matches!(channel.state, State::Ending))
    }

    fn ended(&mut self, id: u64, sink: &mut dyn FnMut(Event<'_>)) {
        if let Some(Channel { subscription: Subscription { symbol, stream }, .. }) = self.channels.remove(&id) {
            sink(Event::Unsubscribed { symbol: &symbol, stream });
        }
    }

    /// The stream that was asked for as this channel.
    fn stream(&self, name: &str, symbol: &str) -> Option<Stream> {
        let is_it = |asked: &&Subscription| asked.symbol == symbol && channel(asked.stream) == name;
        self.asked.iter().find(is_it).map(|asked| asked.stream)
    }

    fn subscribed(&mut self, info: &Info<'_>, sink: &mut dyn FnMut(Event<'_>)) -> Result<(), DecodeError> {
        let id = info.channel_id.ok_or(DecodeError::Missing("chanId"))?;
        let name = info.channel.as_deref().ok_or(DecodeError::Missing("channel"))?;
        let symbol = info.symbol.as_deref().ok_or(DecodeError::Missing("symbol"))?;
        let Some(stream) = self.stream(name, symbol) else {
            return Err(DecodeError::value("symbol", symbol));
        };
        if self.channels.len() >= CHANNELS {
            return Err(DecodeError::value("chanId", &id.to_string()));
        }
        let state = match stream {
            Stream::Quotes => State::Book(None),
            Stream::Trades | Stream::AggregatedTrades => State::Trades { told: VecDeque::new() },
        };
        let subscription = Subscription { symbol: symbol.to_owned(), stream };
        self.channels.insert(id, Channel { subscription, state });
        sink(Event::Subscribed { symbol, stream });
        Ok(())
    }

    fn maintenance(&mut self, now: bool, sink: &mut dyn FnMut(Event<'_>)) {
        if std::mem::replace(&mut self.in_maintenance, now) != now {
            sink(Event::Notice(if now { Notice::Maintenance } else { Notice::MaintenanceOver }));
        }
    }
}
