//! Coinbase Exchange: `matches`, `ticker` or `level2_batch`, `heartbeat`.
//!
//! Source: docs.cdp.coinbase.com/exchange/websocket-feed. A match's `side` is the maker's; a ticker's is the taker's. A
//! ticker comes with matches only, so its quote is as old as the last trade; `level2_batch` tells every change of the book,
//! 50 ms at a time, from which the true best bid and ask are kept here.
//!
//! Not confirmed: how long a connection lasts, how many products it may carry, whether the server pings, whether one bad
//! product rejects a whole request (what is not acknowledged is to be asked for again alone), and by which of the
//! `level2…` names the batched channel is acknowledged (any will do).

mod message;
mod rest;

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use serde_json::json;

use crate::{
    BookFault, Budget, DecodeError, Event, Facts, IdRule, Liveness, MessageType, Quote, Rest, Session, Stream,
    Subscription, Venue,
    book::{Best, Book},
};
use message::{Channel, Message};
pub use rest::CoinbaseRest;

/// Where quotes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuoteSource {
    /// `ticker`: the best bid and ask of the last trade. Small, and stale between trades.
    Ticker,
    /// `level2_batch`: the best bid and ask of a kept book, at every change of them or of their sizes.
    Level2Batch,
}

/// The venue.
#[derive(Debug)]
pub struct Coinbase {
    quotes: QuoteSource,
}

impl Coinbase {
    /// The venue with quotes from this source.
    pub const fn new(quotes: QuoteSource) -> Coinbase {
        Coinbase { quotes }
    }
}

/// The venue with the ticker's quotes.
pub static TICKER: Coinbase = Coinbase::new(QuoteSource::Ticker);

/// The venue with true quotes: what [`venues`](crate::venues) holds.
pub static LEVEL2: Coinbase = Coinbase::new(QuoteSource::Level2Batch);

/// Levels kept of each side of a book, 24 bytes each. A book that loses more than these on one side while it lasts, which
/// a busy one of 10,000s of levels can on a bad day, asks for a new beginning ([`BookFault::Exhausted`]).
const BOOK_LEVELS: usize = 20_000;

static FACTS: Facts = Facts {
    name: "coinbase",
    ws_url: "wss://ws-feed.exchange.coinbase.com",
    majors: &["BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "DOGE-USD", "ADA-USD", "LTC-USD", "LINK-USD"],
    // No limit is documented; a snapshot of a busy product is large.
    streams_per_connection: 100,
    frames_per_second: 10,
    // 8 requests per second and address, connecting and subscribing both count.
    connect_spacing: Duration::from_millis(250),
    connect_budget: Budget { count: 8, per: Duration::from_secs(1) },
    request_budget: None,
    requests_count_as_connects: true,
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

    fn liveness(&self, stream: Stream) -> Liveness {
        let soon = Some(FACTS.silence_limit);
        match stream {
            // `last_match` opens, and the product's heartbeat follows every second.
            Stream::Trades | Stream::AggregatedTrades => Liveness { first_data: soon, repeats: soon },
            // A ticker or the whole book opens; a quiet book then says nothing.
            Stream::Quotes => Liveness { first_data: soon, repeats: None },
        }
    }

    fn rest(&self) -> &'static dyn Rest {
        &CoinbaseRest
    }

    fn session(&self) -> Box<dyn Session> {
        Box::new(Connection {
            quotes: self.quotes,
            asked: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            ending: BTreeSet::new(),
            books: HashMap::new(),
        })
    }

    fn keeps_book(&self, stream: Stream) -> bool {
        stream == Stream::Quotes && self.quotes == QuoteSource::Level2Batch
    }

    fn quote_currency<'s>(&self, symbol: &'s str) -> Option<&'s str> {
        symbol.split_once('-').map(|(_, quote)| quote)
    }
}

fn channel(quotes: QuoteSource, stream: Stream) -> &'static str {
    match (stream, quotes) {
        (Stream::Trades | Stream::AggregatedTrades, _) => "matches",
        (Stream::Quotes, QuoteSource::Ticker) => "ticker",
        (Stream::Quotes, QuoteSource::Level2Batch) => "level2_batch",
    }
}

struct Connection {
    quotes: QuoteSource,
    asked: BTreeSet<Subscription>,
    acknowledged: BTreeSet<Subscription>,
    /// Unsubscribed from; the venue still names them.
    ending: BTreeSet<Subscription>,
    /// By product; those whose snapshot came, and nothing wrong after it.
    books: HashMap<String, Book>,
}

impl Session for Connection {
    fn subscribe(&mut self, wanted: &[Subscription]) -> Vec<String> {
        self.asked.extend(wanted.iter().cloned());
        self.request("subscribe", wanted, true)
    }

    fn unsubscribe(&mut self, unwanted: &[Subscription]) -> Vec<String> {
        for subscription in unwanted {
            self.asked.remove(subscription);
            if self.acknowledged.remove(subscription) {
                self.ending.insert(subscription.clone());
            }
            if subscription.stream == Stream::Quotes {
                self.books.remove(&subscription.symbol);
            }
        }
        // Heartbeats go on: they are of the product, not of one of its channels.
        self.request("unsubscribe", unwanted, false)
    }

    fn decode(&mut self, frame: &str, sink: &mut dyn FnMut(Event<'_>)) -> Result<MessageType, DecodeError> {
        let message = match Message::read(frame) {
            Ok(message) => message,
            Err(error) => {
                self.doubt(frame, sink);
                return Err(error);
            }
        };
        match message.kind.as_ref() {
            "match" | "last_match" => {
                sink(Event::Trade(message.trade()?));
                Ok(MessageType::Trade)
            }
            "ticker" => {
                sink(Event::Quote(message.quote()?));
                Ok(MessageType::Quote)
            }
            "l2update" if self.quotes == QuoteSource::Level2Batch => self.update(&message, sink),
            "snapshot" if self.quotes == QuoteSource::Level2Batch => self.snapshot(&message, sink),
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
                let symbol = symbols.find(|symbol| *symbol == first);
                sink(Event::Rejected { symbol, stream: None, reason });
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
    /// Whether an acknowledgement names a stream's channel. Under which of the `level2…` names the venue lists the batched
    /// channel is not documented, so any of them will do.
    fn is_channel(quotes: QuoteSource, name: &str, stream: Stream) -> bool {
        let channel = channel(quotes, stream);
        name == channel || channel == "level2_batch" && name.starts_with("level2")
    }

    fn request(&self, kind: &str, subscriptions: &[Subscription], heartbeats: bool) -> Vec<String> {
        let products = |name: &str| -> Vec<&str> {
            let of_channel =
                subscriptions.iter().filter(|subscription| channel(self.quotes, subscription.stream) == name);
            of_channel.map(|subscription| subscription.symbol.as_str()).collect()
        };
        let all: BTreeSet<&str> =
            subscriptions.iter().filter(|_| heartbeats).map(|subscription| subscription.symbol.as_str()).collect();
        let quotes = channel(self.quotes, Stream::Quotes);
        let channels: Vec<_> = [("matches", products("matches")), (quotes, products(quotes))]
            .into_iter()
            .chain([("heartbeat", all.into_iter().collect())])
            .filter(|(_, products)| !products.is_empty())
            .map(|(name, products)| json!({"name": name, "product_ids": products}))
            .collect();
        vec![json!({"type": kind, "channels": channels}).to_string()]
    }

    /// `subscriptions` is the whole truth each time; what it newly confirms, or no longer names, is told once.
    fn acknowledge(&mut self, channels: &[Channel<'_>], sink: &mut dyn FnMut(Event<'_>)) {
        let quotes = self.quotes;
        let is_named = |Subscription { symbol, stream }: &Subscription| {
            let mut of_stream = channels.iter().filter(|named| Connection::is_channel(quotes, &named.name, *stream));
            of_stream.any(|named| named.product_ids.iter().any(|product| product == symbol))
        };
        self.ending.retain(|subscription| {
            let ends = !is_named(subscription);
            if ends {
                sink(Event::Unsubscribed { symbol: &subscription.symbol, stream: subscription.stream });
            }
            !ends
        });
        // One that is asked for again while it ends is confirmed by the answer after the one that ends it.
        for subscription in self.asked.iter().filter(|asked| !self.ending.contains(asked)) {
            let Subscription { symbol, stream } = subscription;
            if !is_named(subscription) {
                if self.acknowledged.remove(subscription) {
                    if *stream == Stream::Quotes {
                        self.books.remove(symbol);
                    }
                    sink(Event::Unsubscribed { symbol, stream: *stream });
                }
            } else if self.acknowledged.insert(subscription.clone()) {
                sink(Event::Subscribed { symbol, stream: *stream });
            }
        }
    }

    /// The whole book of a product.
    fn snapshot(&mut self, message: &Message<'_>, sink: &mut dyn FnMut(Event<'_>)) -> Result<MessageType, DecodeError> {
        let symbol = message.symbol()?;
        // Books of what nobody asked for would be without bound.
        if !self.asked.iter().any(|asked| asked.symbol == symbol && asked.stream == Stream::Quotes) {
            return Ok(MessageType::Other);
        }
        match message.levels() {
            Ok(levels) => {
                self.books.insert(symbol.to_owned(), Book::new(BOOK_LEVELS, levels));
                self.tell_best(symbol, message.event_ns(), sink);
                Ok(MessageType::Quote)
            }
            Err(error) => {
                self.broken(symbol, BookFault::Undecodable, sink);
                Err(error)
            }
        }
    }

    /// Changes of a product's book. Before its snapshot they say nothing.
    fn update(&mut self, message: &Message<'_>, sink: &mut dyn FnMut(Event<'_>)) -> Result<MessageType, DecodeError> {
        let symbol = message.symbol()?;
        let Some(book) = self.books.get_mut(symbol) else { return Ok(MessageType::Quote) };
        if let Err(error) = message.changes(|change| book.set(change)) {
            self.broken(symbol, BookFault::Undecodable, sink);
            return Err(error);
        }
        self.tell_best(symbol, message.event_ns(), sink);
        Ok(MessageType::Quote)
    }

    fn tell_best(&mut self, symbol: &str, event_ns: u64, sink: &mut dyn FnMut(Event<'_>)) {
        match self.books.get_mut(symbol).map(Book::best) {
            Some(Best::New([bid, ask])) => sink(Event::Quote(Quote { symbol, update_id: 0, event_ns, bid, ask })),
            Some(Best::Wrong(fault)) => self.broken(symbol, fault, sink),
            Some(Best::Same) | None => {}
        }
    }

    fn broken(&mut self, symbol: &str, fault: BookFault, sink: &mut dyn FnMut(Event<'_>)) {
        self.books.remove(symbol);
        sink(Event::Broken { symbol, stream: Stream::Quotes, fault });
    }

    /// A frame that is no JSON may have been a change of any book: of those that it names, or else of all.
    fn doubt(&mut self, frame: &str, sink: &mut dyn FnMut(Event<'_>)) {
        let names = |symbol: &&String| frame.contains(&format!("\"{symbol}\""));
        let mut doubted: Vec<String> = self.books.keys().filter(names).cloned().collect();
        if doubted.is_empty() {
            doubted = self.books.keys().cloned().collect();
        }
        doubted.sort_unstable();
        for symbol in doubted {
            self.broken(&symbol, BookFault::Undecodable, sink);
        }
    }
}
