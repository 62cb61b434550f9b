//! What a frame says, in the same words for every venue.

use std::time::Duration;

use crate::{Decimal, DecodeError, Stream};

/// One thing that a frame says. Texts are borrowed from the frame or from the session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'f> {
    /// A trade, or an aggregate of trades at one price.
    Trade(Trade<'f>),
    /// The best bid and ask.
    Quote(Quote<'f>),
    /// The venue's word on which trade was its last.
    LastTrade {
        /// The venue's symbol.
        symbol: &'f str,
        /// Id of the last trade it sent.
        id: u64,
    },
    /// A subscription is acknowledged.
    Subscribed {
        /// The venue's symbol.
        symbol: &'f str,
        /// What of it.
        stream: Stream,
    },
    /// A subscription ended, by our wish or by the venue's.
    Unsubscribed {
        /// The venue's symbol.
        symbol: &'f str,
        /// What of it.
        stream: Stream,
    },
    /// A subscription is refused, or a request was.
    Rejected {
        /// The venue's symbol, if the venue names it.
        symbol: Option<&'f str>,
        /// What of it; none if the venue refuses all of the symbol, or does not say.
        stream: Option<Stream>,
        /// The venue's words.
        reason: &'f str,
    },
    /// A subscription without news lives: the venue's heartbeat of just this subscription, or what it sent already, again.
    Alive {
        /// The venue's symbol.
        symbol: &'f str,
        /// What of it.
        stream: Stream,
    },
    /// What the session keeps of a subscription is wrong. It is forgotten, and the quote is unknown from here on: only
    /// unsubscribing and subscribing again brings a new beginning.
    Broken {
        /// The venue's symbol.
        symbol: &'f str,
        /// What of it.
        stream: Stream,
        /// How it shows.
        fault: BookFault,
    },
    /// The venue numbers the symbol's quotes anew: those that follow have smaller [`Quote::update_id`]s than those before.
    Renumbered {
        /// The venue's symbol.
        symbol: &'f str,
    },
    /// The venue's clock when it sent this frame, ns since the Unix epoch.
    ServerTime(u64),
    /// The venue tells something about the connection.
    Notice(Notice),
    /// The number of this frame on its connection, where a venue counts frames: contiguous, so a jump means loss.
    SocketSequence(u64),
}

/// A trade.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trade<'f> {
    /// The venue's symbol.
    pub symbol: &'f str,
    /// Its id; of an aggregate, the last one's.
    pub id: u64,
    /// The id of the aggregate's first trade; else the same as `id`.
    pub first_id: u64,
    /// The venue's timestamp, ns since the Unix epoch; 0 if it gave none that makes sense.
    pub event_ns: u64,
    /// Price.
    pub price: Decimal,
    /// Size, base currency, positive.
    pub size: Decimal,
    /// Who took liquidity.
    pub taker: Side,
    /// RFC 4122 bytes, nil if unknown.
    pub maker_order_id: [u8; 16],
    /// RFC 4122 bytes, nil if unknown.
    pub taker_order_id: [u8; 16],
    /// It happened before the subscription and was sent as its starting state; it may have been seen before.
    pub snapshot: bool,
}

/// The best bid and ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quote<'f> {
    /// The venue's symbol.
    pub symbol: &'f str,
    /// Grows with every quote of the symbol on one connection; 0 where the venue numbers none.
    pub update_id: u64,
    /// The venue's timestamp, ns since the Unix epoch; 0 if it gives none.
    pub event_ns: u64,
    /// The best bid; none if that side of the book is empty.
    pub bid: Option<Level>,
    /// The best ask; none if that side of the book is empty.
    pub ask: Option<Level>,
}

/// One side of a quote.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Price.
    pub price: Decimal,
    /// Size, base currency; none if the venue does not say.
    pub size: Option<Decimal>,
}

/// Side of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Bought.
    Buy,
    /// Sold.
    Sell,
}

impl Side {
    /// `buy` or `sell`, as all venues but Binance and Bitfinex write it.
    pub(crate) fn named(field: &'static str, name: Option<&str>) -> Result<Side, DecodeError> {
        match name {
            Some("buy") => Ok(Side::Buy),
            Some("sell") => Ok(Side::Sell),
            Some(other) => Err(DecodeError::value(field, other)),
            None => Err(DecodeError::Missing(field)),
        }
    }

    /// The other one.
    pub fn opposite(self) -> Side {
        match self {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        }
    }
}

/// What a venue tells about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It will be closed; open another one now.
    Reconnect {
        /// How long it lasts still, if the venue's protocol says.
        within: Option<Duration>,
    },
    /// Maintenance begins: nothing will come until it ends.
    Maintenance,
    /// Maintenance is over: subscribe again.
    MaintenanceOver,
}

/// Why a kept book is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BookFault {
    /// The venue's checksum says otherwise.
    Checksum,
    /// The levels that were kept ran out, and what lies behind them was forgotten.
    Exhausted,
    /// Bids stay at or above asks.
    Crossed,
    /// A change of it was not understood.
    Undecodable,
}

/// What kind of message a frame was, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MessageType {
    /// One or more trades.
    Trade,
    /// A quote or a change of the book.
    Quote,
    /// A sign of life.
    Heartbeat,
    /// An answer to a subscription.
    Subscription,
    /// The venue complains.
    Error,
    /// The venue tells something about the connection.
    Notice,
    /// Described by the protocol, of no use here.
    Other,
}
