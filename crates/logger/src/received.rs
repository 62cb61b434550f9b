//! What travels to the recorder: from the feeds, and from the backfill.
//!
//! The recorder is a function of the sequence of batches that it takes off the queue, and of the time it is told. Whatever
//! it has to know comes that way, so that a capture of the sequence can be replayed.

use column_store::Stream as Recorded;
use exchange_protocol::{Event, Level, Side, Stream};

use crate::capture::Wire;

/// Index into the [`Symbols`](crate::symbols::Symbols) of this run.
pub(crate) type SymbolIndex = usize;

/// Names a connection for ever: when it was opened, ns since the Unix epoch, and never the same as another one's of this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

impl ConnectionId {
    /// What REST brings belongs to no connection.
    pub(crate) const REST: ConnectionId = ConnectionId(0);
}

/// Facts of one source, in the order in which they arrived.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) connection: ConnectionId,
    /// The number of the connection's newest frame, where the venue counts frames and none was missing since the streams of
    /// this connection were last said to be [`Fact::Live`].
    pub(crate) sequence: Option<u64>,
    pub(crate) facts: Vec<Received>,
    /// What went over the connection, if raw data is captured.
    pub(crate) wire: Option<Box<Wire>>,
}

impl Batch {
    pub(crate) fn new(connection: ConnectionId, facts: Vec<Received>) -> Batch {
        Batch { connection, sequence: None, facts, wire: None }
    }
}

/// One fact about one symbol, with the time at which its frame arrived.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) symbol: SymbolIndex,
    /// Our clock, ns since the Unix epoch.
    pub(crate) receive_ns: u64,
    pub(crate) fact: Fact,
}

/// Several connections may carry the same stream, such as a spare one, or an old one and the one that replaces it.
#[derive(Debug)]
pub(crate) enum Fact {
    Trade(TradeFact),
    Quote(QuoteFact),
    /// The venue's word on which trade of the symbol was its last.
    LastTrade {
        id: u64,
    },
    /// The stream lives although nothing new came.
    Alive(Recorded),
    /// The venue numbers the symbol's quotes anew.
    Renumbered,
    /// The batch's connection carries the stream from here on.
    Live(Recorded),
    /// The batch's connection does not carry the stream any more, or lost some of it; its kept book, if any, is forgotten.
    Lost {
        stream: Recorded,
        why: LostWhy,
        /// Our clock when the stream was last proven to live on it, ns since the Unix epoch.
        proven_ns: u64,
    },
    /// What REST brought of a question of the recorder.
    Fill(Fill),
}

/// Why a connection carries a stream no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LostWhy {
    /// The connection ended.
    Disconnected,
    /// Its kept book was wrong.
    Broken,
    /// The connection lives, and the stream on it was silent for longer than it ever is.
    Dead,
    /// Frames of the connection are missing.
    Sequence,
    /// The venue ended the subscription, or is in maintenance.
    Ended,
}

impl LostWhy {
    /// The reason in records of gaps.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            LostWhy::Disconnected => "disconnected",
            LostWhy::Broken => "book broken",
            LostWhy::Dead => "silent",
            LostWhy::Sequence => "frames missing",
            LostWhy::Ended => "unsubscribed",
        }
    }
}

/// A part of the answer to a question of the recorder.
#[derive(Debug)]
pub(crate) struct Fill {
    /// [`Question::number`](crate::backfill::Question::number).
    pub(crate) question: u64,
    /// Trades that were asked for; some may come twice, and some may be known.
    pub(crate) trades: Vec<TradeFact>,
    /// How it ended; none if more follows.
    pub(crate) end: Option<FillEnd>,
}

/// How a question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FillEnd {
    /// The venue told all that it has: what is still missing it does not have (yet).
    Answered,
    /// The venue could not be asked, or stopped answering: worth asking again later.
    Failed,
    /// The venue cannot be asked for this, as far as this program knows: that depends on the form of the question and on
    /// nothing that changes while it runs, such as listings, so that asking again would only end so again.
    Unsupported,
}

/// A trade, as [`exchange_protocol::Trade`] without what borrows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TradeFact {
    pub(crate) first_id: u64,
    pub(crate) id: u64,
    pub(crate) event_ns: u64,
    pub(crate) price: f64,
    pub(crate) size: f64,
    pub(crate) taker: Side,
    pub(crate) maker_order_id: [u8; 16],
    pub(crate) taker_order_id: [u8; 16],
    pub(crate) snapshot: bool,
}

/// A quote, as [`exchange_protocol::Quote`] without what borrows; NaN where a side is empty or a size unknown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QuoteFact {
    pub(crate) update_id: u64,
    pub(crate) event_ns: u64,
    pub(crate) bid: f64,
    pub(crate) bid_size: f64,
    pub(crate) ask: f64,
    pub(crate) ask_size: f64,
}

/// What of an event is to be recorded: the symbol's name, the fact, and how many of its decimals an `f64` cannot give back.
pub(crate) fn to_record<'e>(event: &Event<'e>) -> Option<(&'e str, Fact, u64)> {
    match event {
        Event::Trade(trade) => {
            let inexact = u64::from(!trade.price.exact) + u64::from(!trade.size.exact);
            let fact = TradeFact {
                first_id: trade.first_id,
                id: trade.id,
                event_ns: trade.event_ns,
                price: trade.price.value,
                size: trade.size.value,
                taker: trade.taker,
                maker_order_id: trade.maker_order_id,
                taker_order_id: trade.taker_order_id,
                snapshot: trade.snapshot,
            };
            Some((trade.symbol, Fact::Trade(fact), inexact))
        }
        Event::Quote(quote) => {
            let sides = [quote.bid, quote.ask];
            let decimals = sides.iter().flatten().flat_map(|level| [Some(level.price), level.size]).flatten();
            let inexact = decimals.filter(|decimal| !decimal.exact).count() as u64;
            let price = |side: Option<Level>| side.map_or(f64::NAN, |level| level.price.value);
            let size = |side: Option<Level>| side.and_then(|level| level.size).map_or(f64::NAN, |size| size.value);
            let fact = QuoteFact {
                update_id: quote.update_id,
                event_ns: quote.event_ns,
                bid: price(quote.bid),
                bid_size: size(quote.bid),
                ask: price(quote.ask),
                ask_size: size(quote.ask),
            };
            Some((quote.symbol, Fact::Quote(fact), inexact))
        }
        Event::LastTrade { symbol, id } => Some((symbol, Fact::LastTrade { id: *id }, 0)),
        Event::Alive { symbol, stream } => Some((symbol, Fact::Alive(recorded(*stream)), 0)),
        Event::Renumbered { symbol } => Some((symbol, Fact::Renumbered, 0)),
        _ => None,
    }
}

/// The records to which a subscription belongs.
pub(crate) fn recorded(stream: Stream) -> Recorded {
    match stream {
        Stream::Trades | Stream::AggregatedTrades => Recorded::Trades,
        Stream::Quotes => Recorded::Quotes,
    }
}
