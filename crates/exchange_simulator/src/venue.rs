//! The venues: each is a [`Protocol`], that is a table of facts and pure translations between its wire and the market.
//! A new venue is a file beside `venue/coinbase.rs`, a [`VenueKind`] and a line in [`protocol`].

pub(crate) mod binance;
pub(crate) mod coinbase;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Limits;
use crate::error::Error;
use crate::frame::{Form, Frame};
use crate::market::instrument::LISTINGS;
use crate::market::{Book, Happening, Instrument, Market};
use crate::rest::{RestAnswer, RestRequest};

/// The venues the simulator can stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VenueKind {
    /// Coinbase Exchange.
    Coinbase,
    /// Binance spot.
    Binance,
}

impl VenueKind {
    /// All of them, in the order of the logger's configuration.
    pub const ALL: [Self; 2] = [Self::Coinbase, Self::Binance];

    /// The name in configurations, URLs of captures and the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Coinbase => "coinbase",
            Self::Binance => "binance",
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

/// What a connection asked for so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    pub(crate) topics: BTreeSet<String>,
    pub(crate) form: Form,
}

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
}

/// What a client's message leads to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reaction {
    /// Frames to send, in order, before anything of the new topics.
    pub(crate) replies: Vec<String>,
    /// Topics that were not subscribed before.
    pub(crate) added: Vec<String>,
    /// Topics that no longer are.
    pub(crate) removed: Vec<String>,
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
}

/// Takes the frames a protocol makes of one event, in order.
pub(crate) type Emit<'a> = &'a mut dyn FnMut(&dyn Frame);

/// One venue's wire: pure, so that it can be read against the venue's documentation.
pub(crate) trait Protocol: Send + Sync {
    fn policy(&self, limits: &Limits) -> Policy;

    /// Decides on a handshake.
    fn open(&self, target: &Target) -> Result<Session, Refusal>;

    /// Reads a client's text message.
    fn receive(&self, session: &mut Session, text: &str) -> Reaction;

    /// The messages of what just happened to a book.
    fn publish(&self, book: &Book, happening: &Happening, emit: Emit<'_>);

    /// The messages that tell a new subscriber of `topic` of the past.
    fn snapshot(&self, topic: &str, market: &Market, emit: Emit<'_>);

    /// The signs of life of all symbols.
    fn heartbeat(&self, market: &Market, now_us: u64, emit: Emit<'_>);

    /// Answers a GET. Without a market (in a replay) there are symbols but no trades.
    fn rest(&self, request: &RestRequest, market: Option<&Market>) -> RestAnswer;

    /// How many of a hundred market moves are quotes of their own.
    fn quote_percent(&self) -> u32;
}

/// The wire of a venue that lists `symbols`. A replay also takes subscriptions to the channels only captures have.
pub(crate) fn protocol(kind: VenueKind, symbols: &[String], replay: bool) -> Box<dyn Protocol> {
    match kind {
        VenueKind::Coinbase => Box::new(coinbase::Coinbase::new(symbols, replay)),
        VenueKind::Binance => Box::new(binance::Binance::new(symbols)),
    }
}

/// The first `count` instruments of a venue; at most [`crate::MAX_SYMBOLS`] exist.
pub(crate) fn instruments(kind: VenueKind, count: usize) -> Vec<Instrument> {
    let instrument = |listing: &crate::market::instrument::Listing| {
        let (symbol, quote, (price_scale, size_scale)) = match kind {
            VenueKind::Coinbase => (format!("{}-USD", listing.base), "USD", listing.coinbase_scales),
            VenueKind::Binance => (format!("{}USDT", listing.base), "USDT", listing.binance_scales),
        };
        let start_price = listing.start_price;
        Instrument { symbol, base: listing.base, quote, price_scale, size_scale, start_price }
    };
    LISTINGS.iter().take(count).map(instrument).collect()
}
