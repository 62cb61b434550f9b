//! Kraken spot, version 2 of its WebSocket protocol: `trade`, and `ticker` with `event_trigger: bbo`, or `book`.
//!
//! Source: docs.kraken.com. A ticker so triggered comes with each change of the best prices; whether a change of their sizes
//! alone brings one is not promised. The book of ten levels has every change, and a checksum with each. Prices are JSON
//! numbers, whose digits are kept.
//!
//! Not confirmed: how many symbols a request or a connection may carry, the answer to subscribing twice (a refusal that says
//! "already subscribed" counts as an acknowledgement, any other one as what it is), how an empty side of a ticker looks (no price, or zero, is taken for one), and the answer
//! to `unsubscribe` (read as that to `subscribe`).

mod checksum;
mod message;
mod rest;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use serde_json::json;

use crate::{
    BookFault, Budget, DecodeError, Event, Facts, IdRule, Liveness, MessageType, Notice, Quote, Rest, Session, Stream,
    Subscription, Venue,
    book::{Best, Book},
    time,
};
use message::{Frame, Row};
pub use rest::KrakenRest;

/// Where quotes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuoteSource {
    /// `ticker`: at every change of the best prices.
    Ticker,
    /// `book`: the best bid and ask of a kept book, at every change of them or of their sizes.
    Book,
}

/// The venue.
#[derive(Debug)]
pub struct Kraken {
    quotes: QuoteSource,
}

impl Kraken {
    /// The venue with quotes from this source.
    pub const fn new(quotes: QuoteSource) -> Kraken {
        Kraken { quotes }
    }
}

/// The venue with the ticker's quotes: what [`venues`](crate::venues) holds.
pub static TICKER: Kraken = Kraken::new(QuoteSource::Ticker);

/// The venue with the quotes of a kept book.
pub static BOOK: Kraken = Kraken::new(QuoteSource::Book);

/// Levels of each side of the book: the fewest there are.
const BOOK_LEVELS: usize = 10;

static FACTS: Facts = Facts {
    name: "kraken",
    ws_url: "wss://ws.kraken.com",
    majors: &["BTC/USD", "ETH/USD", "SOL/USD", "XRP/USD", "DOGE/USD", "ADA/USD", "LTC/USD", "LINK/USD"],
    // No limit is published for these channels; 200 is that of the level 3 book.
    streams_per_connection: 400,
    // The limit is dynamic and not published.
    frames_per_second: 5,
    // In maintenance Kraken asks for 5 s between attempts.
    connect_spacing: Duration::from_secs(5),
    // Of Cloudflare, shared with REST; a ban lasts 10 minutes.
    connect_budget: Budget { count: 150, per: Duration::from_secs(600) },
    request_budget: None,
    requests_count_as_connects: false,
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
        Box::new(Connection {
            quotes: self.quotes,
            asked: BTreeSet::new(),
            requests: BTreeMap::new(),
            last_id: 0,
            in_maintenance: false,
            books: HashMap::new(),
        })
    }

    fn keeps_book(&self, stream: Stream) -> bool {
        stream == Stream::Quotes && self.quotes == QuoteSource::Book
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

struct Connection {
    quotes: QuoteSource,
    asked: BTreeSet<Subscription>,
    /// Requests that were not answered in full yet, by their id.
    requests: BTreeMap<u64, Request>,
    last_id: u64,
    /// Maintenance was told of, and not its end.
    in_maintenance: bool,
    /// By symbol; those whose snapshot came, and nothing wrong after it.
    books: HashMap<String, Book<String>>,
}

struct Request {
    stream: Stream,
    subscribes: bool,
    /// What was not answered yet.
    symbols: BTreeSet<String>,
}

fn channel(quotes: QuoteSource, stream: Stream) -> &'static str {
    match (stream, quotes) {
        (Stream::Trades | Stream::AggregatedTrades, _) => "trade",
        (Stream::Quotes, QuoteSource::Ticker) => "ticker",
        (Stream::Quotes, QuoteSource::Book) => "book",
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
            if subscription.stream == Stream::Quotes {
                self.books.remove(&subscription.symbol);
            }
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
            (Some("book"), _) if self.quotes == QuoteSource::Book => {
                frame.each_row(false, |row| self.book(row, is_snapshot, sink))?;
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

fn is_subscribed_already(reason: &str) -> bool {
    reason.to_ascii_lowercase().contains("already subscribed")
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
                let mut params = json!({"channel": channel(self.quotes, stream), "symbol": symbols});
                if let Some(params) = params.as_object_mut().filter(|_| subscribes) {
                    // Of trades it brings the last 50, which also fills a short gap.
                    params.insert("snapshot".to_owned(), true.into());
                    _ = match (stream, self.quotes) {
                        (Stream::Trades | Stream::AggregatedTrades, _) => None,
                        (Stream::Quotes, QuoteSource::Ticker) => {
                            params.insert("event_trigger".to_owned(), "bbo".into())
                        }
                        (Stream::Quotes, QuoteSource::Book) => params.insert("depth".to_owned(), BOOK_LEVELS.into()),
                    };
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
                (Some(symbol), Some(request)) if request.subscribes && is_subscribed_already(reason) => {
                    request.symbols.remove(symbol);
                    sink(Event::Subscribed { symbol, stream: request.stream });
                }
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
                let stream = if channel_of == Some("trade") { Stream::Trades } else { Stream::Quotes };
                let stream = request.as_ref().map_or(stream, |request| request.stream);
                sink(Event::Unsubscribed { symbol, stream });
            } else {
                let named = |asked: &&Subscription| {
                    asked.symbol == symbol && channel_of == Some(channel(self.quotes, asked.stream))
                };
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

    /// A book, or changes of one; before the snapshot, and after a fault, a change says nothing.
    fn book(&mut self, row: &Row<'_>, is_snapshot: bool, sink: &mut dyn FnMut(Event<'_>)) -> Result<(), DecodeError> {
        let symbol = row.named()?;
        let wanted = |asked: &Subscription| asked.symbol == symbol && asked.stream == Stream::Quotes;
        // Books of what nobody asked for would be without bound.
        if !is_snapshot && !self.books.contains_key(symbol) || is_snapshot && !self.asked.iter().any(wanted) {
            return Ok(());
        }
        let understood = row.levels().and_then(|levels| Ok((levels, row.checksum(is_snapshot)?)));
        let (levels, checksum) = match understood {
            Ok(understood) => understood,
            Err(error) => {
                self.broken(symbol, BookFault::Undecodable, sink);
                return Err(error);
            }
        };
        if is_snapshot {
            self.books.insert(symbol.to_owned(), Book::new(10 * BOOK_LEVELS, Vec::new()));
        }
        let Some(book) = self.books.get_mut(symbol) else { return Ok(()) };
        levels.into_iter().for_each(|level| book.set(level));
        book.truncate(BOOK_LEVELS);
        if checksum.is_some_and(|checksum| checksum != checksum::of(book)) {
            self.broken(symbol, BookFault::Checksum, sink);
            return Ok(());
        }
        match book.best() {
            Best::New([bid, ask]) => {
                sink(Event::Quote(Quote { symbol, update_id: 0, event_ns: row.event_ns(), bid, ask }));
            }
            Best::Wrong(fault) => self.broken(symbol, fault, sink),
            Best::Same => {}
        }
        Ok(())
    }

    fn broken(&mut self, symbol: &str, fault: BookFault, sink: &mut dyn FnMut(Event<'_>)) {
        self.books.remove(symbol);
        sink(Event::Broken { symbol, stream: Stream::Quotes, fault });
    }
}
