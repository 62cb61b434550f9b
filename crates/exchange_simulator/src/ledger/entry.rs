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
    /// One or more fills: `match`, `last_match`, `trade`, `aggTrade`, `trades`, `trades-all`, `te`, `tu`.
    Trade,
    /// Best bid and ask: `ticker`, `bookTicker`, `bbo-tbt`.
    Quote,
    /// A sign of life: `heartbeat`, `hb`.
    Heartbeat,
    /// Depth of the book: `snapshot`, `l2update`, `book`. `bid` and `ask` are the best once it is applied.
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
    /// Trade id; of an aggTrade the last one (`l`), of OKX' `trades` too; of a heartbeat `last_trade_id`; of a quote its
    /// `sequence` (Coinbase), update id `u` (Binance) or `seqId` (OKX).
    pub id: Option<u64>,
    /// First trade id of an aggTrade (`f`), and of OKX' `trades` (`tradeId` - `count` + 1).
    pub first_id: Option<u64>,
    /// Id of an aggTrade (`a`).
    pub agg_id: Option<u64>,
    /// Trade id inside a Coinbase ticker, whose `id` is its sequence.
    pub trade_id: Option<u64>,
    /// Coinbase's `sequence`, OKX' `seqId` of `trades`.
    pub sequence: Option<u64>,
    /// When it happened as the frame's digits say (Coinbase `time`, Binance `T`, Kraken `timestamp`, OKX `ts`, Bitfinex `MTS`),
    /// ns since the epoch; `null` in a bookTicker, a Coinbase book snapshot and in Bitfinex' books.
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
    /// Whether it tells of the past because somebody subscribed: a first `ticker`, a `last_match`, the trades and the book of a
    /// snapshot.
    pub snapshot: bool,
    /// Whether the venue's REST service shows it: a trade of the simulated market that no fault hides. The service forgets all
    /// but the newest trades ([`HISTORY_TRADES`](crate::HISTORY_TRADES)).
    #[serde(default)]
    pub rest: bool,
    /// Number of the first line of the frame it was sent in: a frame with several trades has a line for each.
    #[serde(default)]
    pub frame: u64,
    /// Ids of the connections it was handed to; empty when nobody was subscribed. See [`settle`].
    pub connections: Vec<u64>,
    /// The connections' own counts of the frame (Bitfinex' SEQ_ALL), beside `connections`; empty elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub socket_seqs: Vec<u64>,
    /// Connections that were subscribed and did not get it, or not so that it can be understood, because of a fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<u64>,
    /// The fault that befell it, by its name on the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Cow<'static, str>>,
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
            rest: kind == MessageKind::Trade,
            frame: 0,
            connections: Vec::new(),
            socket_seqs: Vec::new(),
            withheld: Vec::new(),
            fault: None,
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
    /// A fault began; `reason` is its text form. A fault of a whole venue names connection 0.
    Fault,
    /// A fault is over: it was lifted, its time ended, or it was used up.
    FaultEnd,
    /// A handshake or a REST request was turned down by a fault or by a limit on its address; `reason` says which.
    Refused,
    /// An announcement was sent: of the end of the connection, of maintenance or of its end; `reason` is the frame.
    Notice,
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
    /// To which connection; ids are unique over all venues and begin with 1.
    pub connection: u64,
    /// Market clock, ns since the epoch.
    pub at_ns: u64,
    /// Why, where there is a why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Of (un)subscribe: stream names at Binance, `channel:symbol` elsewhere.
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
            let kept: Vec<bool> = message.connections.iter().map(|held| !lost_by.contains(held)).collect();
            let mut keeps = kept.iter();
            message.connections.retain(|_| keeps.next().copied().unwrap_or(true));
            let mut keeps = kept.iter();
            message.socket_seqs.retain(|_| keeps.next().copied().unwrap_or(true));
        }
    }
    messages
}
