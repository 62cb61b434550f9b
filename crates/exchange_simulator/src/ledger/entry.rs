//! The lines of the ledger.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::venue::VenueKind;

/// Which side of the book an order was on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The bid side; as a taker: bought at the ask.
    Buy,
    /// The ask side; as a taker: sold at the bid.
    Sell,
}

impl Side {
    /// As the venues write it in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        }
    }

    /// The other side: the maker's of a taker and the reverse.
    pub fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

/// What a market message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageKind {
    /// One or more fills: `match`, `last_match`, `trade`, `aggTrade`.
    Trade,
    /// Best bid and ask: `ticker`, `bookTicker`.
    Quote,
    /// A sign of life: `heartbeat`.
    Heartbeat,
    /// Depth of the book; only in replays.
    Book,
    /// Anything else a capture holds, e.g. candles.
    Other,
}

/// One market message, sent or not.
///
/// In the file every key is always there; what a message does not have, or a replayed frame does not tell, is `null`.
/// Decimals are strings with exactly the digits of the frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageEntry {
    /// Number of the message, from 1 without holes over all venues.
    pub seq: u64,
    /// Who sent it.
    pub venue: VenueKind,
    /// The venue's name of the message: `ticker`, `match`, `last_match`, `heartbeat`, `bookTicker`, `trade`, `aggTrade`, …
    pub message: Cow<'static, str>,
    /// What it is about.
    pub kind: MessageKind,
    /// The venue's name of the symbol.
    pub symbol: Option<String>,
    /// Trade id; of an aggTrade the last one (`l`); of a heartbeat `last_trade_id`; of a quote its `sequence` (Coinbase) or
    /// update id `u` (Binance).
    pub id: Option<u64>,
    /// First trade id of an aggTrade (`f`).
    pub first_id: Option<u64>,
    /// Id of an aggTrade (`a`).
    pub agg_id: Option<u64>,
    /// Trade id inside a Coinbase ticker, whose `id` is its sequence.
    pub trade_id: Option<u64>,
    /// Coinbase's `sequence`.
    pub sequence: Option<u64>,
    /// When it happened as the frame's digits say (Coinbase `time`, Binance `T`), ns since the epoch; `null` in a bookTicker.
    pub event_ns: Option<u64>,
    /// When the venue says it published it (Binance `E`), ns since the epoch.
    pub publish_ns: Option<u64>,
    /// Market clock when it was handed to the connections, ns since the epoch.
    pub sent_ns: u64,
    /// Price of the (last) trade.
    pub price: Option<String>,
    /// Size of the (last) trade.
    pub size: Option<String>,
    /// Best bid.
    pub bid: Option<String>,
    /// Amount at the best bid.
    pub bid_size: Option<String>,
    /// Best ask.
    pub ask: Option<String>,
    /// Amount at the best ask.
    pub ask_size: Option<String>,
    /// The TAKER's side, whatever the venue's frame shows.
    pub side: Option<Side>,
    /// Coinbase's order id of the maker.
    pub maker_order_id: Option<String>,
    /// Coinbase's order id of the taker.
    pub taker_order_id: Option<String>,
    /// Whether it tells of the past because somebody subscribed: a first `ticker` or a `last_match`.
    pub snapshot: bool,
    /// Ids of the connections it was handed to; empty when nobody was subscribed. See [`settle`].
    pub connections: Vec<u64>,
}

impl MessageEntry {
    /// An entry that knows only what it is about; number, time and connections are filled in when it is sent.
    pub(crate) fn new(venue: VenueKind, kind: MessageKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            seq: 0,
            venue,
            message: message.into(),
            kind,
            symbol: None,
            id: None,
            first_id: None,
            agg_id: None,
            trade_id: None,
            sequence: None,
            event_ns: None,
            publish_ns: None,
            sent_ns: 0,
            price: None,
            size: None,
            bid: None,
            bid_size: None,
            ask: None,
            ask_size: None,
            side: None,
            maker_order_id: None,
            taker_order_id: None,
            snapshot: false,
            connections: Vec::new(),
        }
    }
}

/// What a control line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlMessage {
    /// A connection finished its WebSocket handshake.
    Connect,
    /// A connection subscribed to `topics`.
    Subscribe,
    /// A connection gave up `topics`.
    Unsubscribe,
    /// A connection ended; `reason` says how.
    Disconnect,
    /// A connection's queue overflowed: it is closed, as with ErrSlowConsume.
    SlowConsumer,
    /// The messages `seqs` name the connection among theirs but are not known to have reached its socket.
    Undelivered,
}

/// Marks control lines in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ControlKind {
    /// The only value of `kind` in a control line.
    Control,
}

/// One event in the life of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlEntry {
    /// Always `control`.
    pub kind: ControlKind,
    /// What happened.
    pub message: ControlMessage,
    /// At which venue.
    pub venue: VenueKind,
    /// To which connection; ids are unique over all venues.
    pub connection: u64,
    /// Market clock, ns since the epoch.
    pub at_ns: u64,
    /// Why, where there is a why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Of (un)subscribe: `channel:product` at Coinbase, stream names at Binance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// Of `undelivered`: how many messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Of `undelivered`: their numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seqs: Vec<u64>,
}

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Entry {
    /// A market message.
    Message(Box<MessageEntry>),
    /// An event in the life of a connection.
    Control(ControlEntry),
}

impl Entry {
    /// The market message, if it is one.
    pub fn message(&self) -> Option<&MessageEntry> {
        match self {
            Self::Message(entry) => Some(entry),
            Self::Control(_) => None,
        }
    }

    /// The control line, if it is one.
    pub fn control(&self) -> Option<&ControlEntry> {
        match self {
            Self::Message(_) => None,
            Self::Control(entry) => Some(entry),
        }
    }
}

/// The market messages of a ledger with its `undelivered` lines applied: `connections` then names only those to whose
/// socket a message is known to have been written. Whether the peer read it from there only a clean close proves.
pub fn settle(entries: &[Entry]) -> Vec<MessageEntry> {
    let mut lost: HashMap<u64, HashSet<u64>> = HashMap::new();
    for control in entries.iter().filter_map(Entry::control) {
        if control.message == ControlMessage::Undelivered {
            for &seq in &control.seqs {
                lost.entry(seq).or_default().insert(control.connection);
            }
        }
    }
    let mut messages: Vec<MessageEntry> = entries.iter().filter_map(Entry::message).cloned().collect();
    for message in &mut messages {
        if let Some(lost_by) = lost.get(&message.seq) {
            message.connections.retain(|connection| !lost_by.contains(connection));
        }
    }
    messages
}
