//! The venues: each is a [`Protocol`], that is a table of facts and pure translations between its wire and the market.
//! A new venue is a file beside `venue/coinbase.rs`, a [`VenueKind`] and a line in [`protocol`].

pub(crate) mod binance;
pub(crate) mod bitfinex;
pub(crate) mod coinbase;
pub(crate) mod kraken;
pub(crate) mod okx;
mod session;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Limits;
use crate::error::Error;
use crate::frame::Frame;
use crate::hub::Close;
use crate::market::instrument::LISTINGS;
use crate::market::{Book, Habits, Happening, Instrument, Market, Trade};
use crate::rest::{RestAnswer, RestRequest};

/// The venues the simulator can stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VenueKind {
    /// Coinbase Exchange.
    Coinbase,
    /// Binance spot.
    Binance,
    /// Kraken spot, WebSocket v2.
    Kraken,
    /// OKX V5.
    Okx,
    /// Bitfinex, WebSocket v2.
    Bitfinex,
}

impl VenueKind {
    /// All of them, in the order of the logger's configuration.
    pub const ALL: [Self; 5] = [Self::Coinbase, Self::Binance, Self::Kraken, Self::Okx, Self::Bitfinex];

    /// Those a simulator has if nobody says otherwise.
    pub const DEFAULT: [Self; 2] = [Self::Coinbase, Self::Binance];

    /// The name in configurations, URLs of captures and the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Coinbase => "coinbase",
            Self::Binance => "binance",
            Self::Kraken => "kraken",
            Self::Okx => "okx",
            Self::Bitfinex => "bitfinex",
        }
    }
}

impl fmt::Display for VenueKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for VenueKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| Error::UnknownVenue(name.to_owned()))
    }
}

pub(crate) use session::{Channels, Session};

/// Path and query a client connected to, as sent (percent-encoded).
#[derive(Clone, Debug, Default)]
pub(crate) struct Target {
    pub(crate) path: String,
    pub(crate) query: String,
}

/// An HTTP status and a text to turn a handshake down with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) text: &'static str,
    pub(crate) retry_after: Option<Duration>,
}

impl Refusal {
    /// Without a `Retry-After`.
    pub(crate) fn new(status: u16, text: &'static str) -> Self {
        Self { status, text, retry_after: None }
    }
}

/// A client's text message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Command<'a> {
    pub(crate) text: &'a str,
    /// The venue's clock, µs since the epoch.
    pub(crate) now_us: u64,
    pub(crate) refused: &'a Refused,
}

/// Listed symbols that a fault makes the venue refuse.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refused {
    /// Each with whether everything in its request is refused with it. None: every symbol.
    pub(crate) symbols: Vec<(Option<String>, bool)>,
}

impl Refused {
    /// Whether `symbol` is refused.
    pub(crate) fn has(&self, symbol: &str) -> bool {
        self.symbols.iter().any(|(named, _)| named.as_deref().is_none_or(|named| named == symbol))
    }

    /// Whether it is about a symbol for which `concerns` holds.
    pub(crate) fn matches(&self, concerns: impl Fn(&str) -> bool) -> bool {
        self.symbols.iter().any(|(named, _)| named.as_deref().is_none_or(&concerns))
    }

    /// Whether one of `symbols` makes the whole request fail.
    pub(crate) fn spoils<'a>(&self, symbols: impl IntoIterator<Item = &'a str>) -> bool {
        let spoils = |symbol: &str| {
            let named = |(named, whole): &(Option<String>, bool)| {
                *whole && named.as_deref().is_none_or(|named| named == symbol)
            };
            self.symbols.iter().any(named)
        };
        !self.symbols.is_empty() && symbols.into_iter().any(spoils)
    }
}

/// What a venue announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The connection will end.
    End,
    MaintenanceBegins,
    MaintenanceEnds,
}

/// What a client's message leads to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reaction {
    /// Frames to send, in order, before anything of the new topics.
    pub(crate) replies: Vec<String>,
    /// Topics that were not subscribed before.
    pub(crate) added: Vec<String>,
    /// Of these, the ones that begin with a snapshot.
    pub(crate) told: Vec<String>,
    /// Topics that no longer are.
    pub(crate) removed: Vec<String>,
    /// A fault made it refuse a listed symbol.
    pub(crate) struck: bool,
}

/// When a venue ends a connection by itself, and what it sends unasked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Policy {
    /// How long a connection may stay without any subscription after the handshake.
    pub(crate) subscribe_within: Option<Duration>,
    /// Time between heartbeats of a symbol.
    pub(crate) heartbeat_every: Option<Duration>,
    /// Time between ping frames.
    pub(crate) ping_every: Option<Duration>,
    /// How long a ping may stay unanswered.
    pub(crate) pong_within: Option<Duration>,
    /// Most messages (text, ping, pong) a client may send in a second.
    pub(crate) incoming_per_second: Option<usize>,
    /// How long a connection may stay without a frame in either direction, and how it then ends.
    pub(crate) idle: Option<(Duration, Close)>,
    /// How long a connection lives at most.
    pub(crate) lifetime: Option<Duration>,
    /// How long after a trade its confirmation is published.
    pub(crate) confirm_after: Option<Duration>,
    /// New connections of one address: so many in so long.
    pub(crate) connects: Option<(usize, Duration)>,
    /// REST requests of one address: so many in so long.
    pub(crate) requests: Option<(usize, Duration)>,
}

/// Takes the frames a protocol makes of one event, in order.
pub(crate) type Emit<'a> = &'a mut dyn FnMut(&dyn Frame);

/// One venue's wire: pure, so that it can be read against the venue's documentation.
pub(crate) trait Protocol: Send + Sync {
    fn policy(&self, limits: &Limits) -> Policy;

    /// Decides on a handshake.
    fn open(&self, target: &Target) -> Result<Session, Refusal>;

    /// What a connection is told first.
    fn greeting(&self, _session: &Session) -> Vec<String> {
        Vec::new()
    }

    /// Reads a client's text message.
    fn receive(&self, session: &mut Session, command: &Command<'_>) -> Reaction;

    /// The messages of what just happened to a book.
    fn publish(&self, book: &Book, happening: &Happening, emit: Emit<'_>);

    /// The messages that tell a new subscriber of `topic` of the past.
    fn snapshot(&self, topic: &str, market: &Market, emit: Emit<'_>);

    /// The signs of life of all symbols.
    fn heartbeat(&self, market: &Market, now_us: u64, emit: Emit<'_>);

    /// The signs of life of one connection, at each round of heartbeats. `quiet`: nothing was sent since the last round.
    fn pulse(&self, _session: &Session, _quiet: bool) -> Vec<Box<dyn Frame>> {
        Vec::new()
    }

    /// The confirmation of a trade; see [`Policy::confirm_after`].
    fn confirm(&self, _symbol: &str, _trade: &Trade, _emit: Emit<'_>) {}

    /// The frame of an announcement; None if the venue has no such.
    fn notice(&self, _notice: Notice, _session: &Session, _now_us: u64) -> Option<String> {
        None
    }

    /// Whether the end of maintenance leaves no subscription, if the fault does not say otherwise.
    fn forgets_in_maintenance(&self) -> bool {
        false
    }

    /// Whether a topic is about a symbol.
    fn concerns(&self, topic: &str, symbol: &str) -> bool {
        topic.split_once(':').is_some_and(|(_, about)| about == symbol)
    }

    /// The answer to a request too many.
    fn throttled(&self) -> RestAnswer;

    /// Answers a GET. Without a market (in a replay) there are symbols but no trades.
    fn rest(&self, request: &RestRequest, market: Option<&Market>) -> RestAnswer;

    /// How its market differs from others.
    fn habits(&self) -> Habits;
}

/// The wire of a venue that lists `symbols`. A replay also takes subscriptions to the channels only captures have.
pub(crate) fn protocol(kind: VenueKind, symbols: &[String], replay: bool) -> Box<dyn Protocol> {
    match kind {
        VenueKind::Coinbase => Box::new(coinbase::Coinbase::new(symbols, replay)),
        VenueKind::Binance => Box::new(binance::Binance::new(symbols)),
        VenueKind::Kraken => Box::new(kraken::Kraken::new(symbols)),
        VenueKind::Okx => Box::new(okx::Okx::new(symbols)),
        VenueKind::Bitfinex => Box::new(bitfinex::Bitfinex::new(symbols)),
    }
}

/// The names of a venue's first `count` symbols, of [`MAX_SYMBOLS`](crate::MAX_SYMBOLS) at most.
pub fn symbols(venue: VenueKind, count: usize) -> Vec<String> {
    instruments(venue, count).into_iter().map(|instrument| instrument.symbol).collect()
}

/// The first `count` instruments of a venue; at most [`crate::MAX_SYMBOLS`] exist.
pub(crate) fn instruments(kind: VenueKind, count: usize) -> Vec<Instrument> {
    let instrument = |listing: &crate::market::instrument::Listing| {
        let base = listing.base;
        let (symbol, quote, (price_scale, size_scale), max_ticks) = match kind {
            VenueKind::Coinbase => (format!("{base}-USD"), "USD", listing.coinbase_scales, u64::MAX),
            VenueKind::Binance => (format!("{base}USDT"), "USDT", listing.binance_scales, u64::MAX),
            VenueKind::Kraken => (format!("{base}/USD"), "USD", listing.coinbase_scales, u64::MAX),
            VenueKind::Okx => (format!("{base}-USDT"), "USDT", listing.binance_scales, u64::MAX),
            VenueKind::Bitfinex => (
                bitfinex::symbol(base),
                "USD",
                (bitfinex::price_scale(listing.start_price), listing.coinbase_scales.1),
                bitfinex::MAX_TICKS,
            ),
        };
        let start_price = listing.start_price;
        Instrument { symbol, base, quote, price_scale, size_scale, start_price, max_ticks }
    };
    LISTINGS.iter().take(count).map(instrument).collect()
}
