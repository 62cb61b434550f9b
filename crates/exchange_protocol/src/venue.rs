//! What a venue is to the connection lifecycle, which is written once for all of them.

use std::time::Duration;

use crate::{DecodeError, Event, MessageType, Rest};

/// What can be subscribed of a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// Every trade.
    Trades,
    /// Trades of one taker order at one price, summed up by the venue.
    AggregatedTrades,
    /// Best bid and ask.
    Quotes,
}

/// One stream of one symbol.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subscription {
    /// The venue's symbol.
    pub symbol: String,
    /// What of it.
    pub stream: Stream,
}

/// What a venue's trade ids prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdRule {
    /// Each trade of a symbol has the id after the one before it: a jump is a gap.
    Contiguous,
    /// Ids are unique and prove nothing about what is missing.
    Unique,
}

/// So many in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How many.
    pub count: u32,
    /// In how much time.
    pub per: Duration,
}

/// What a subscription that is alive shows by itself. The times are bounds for giving it up: the venue's period, with room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Liveness {
    /// Its first data comes within this time after the acknowledgement, however quiet the market; none if nothing is promised.
    pub first_data: Option<Duration>,
    /// Afterwards data, [`Event::Alive`] or [`Event::LastTrade`] of it comes at least this often; none if nothing is promised.
    pub repeats: Option<Duration>,
}

/// The numbers of a venue that the connection lifecycle needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Lower-case name: directory, label and configuration key.
    pub name: &'static str,
    /// Public endpoint, without path.
    pub ws_url: &'static str,
    /// Symbols to record when nobody says which.
    pub majors: &'static [&'static str],
    /// Subscriptions per connection at most: a symbol's trades are one, its quotes another.
    pub streams_per_connection: usize,
    /// Frames that we may send per second.
    pub frames_per_second: u32,
    /// Time between two connection attempts at least: the venue's budget per address, spread out.
    pub connect_spacing: Duration,
    /// Connection attempts per address at most.
    pub connect_budget: Budget,
    /// Requests that subscribe or unsubscribe, per connection at most; none if no such limit is known.
    pub request_budget: Option<Budget>,
    /// Whether these requests are drawn from [`Facts::connect_budget`] as well.
    pub requests_count_as_connects: bool,
    /// A connection that was silent for this long is dead.
    pub silence_limit: Duration,
    /// Whether the venue itself sends messages more often than that: then pings and pongs are no sign of life, for they tell
    /// of the socket and not of the feed.
    pub has_heartbeats: bool,
    /// After this long without a frame, [`Session::keepalive`] is asked for one to send.
    pub keepalive_after: Duration,
    /// The venue closes connections at this age.
    pub lifetime: Option<Duration>,
    /// What trade ids prove.
    pub trade_ids: IdRule,
    /// Whether quotes carry the venue's timestamp.
    pub quotes_have_time: bool,
}

/// A venue: its facts, and the state machine of one of its connections.
pub trait Venue: Send + Sync {
    /// The numbers of the venue.
    fn facts(&self) -> &'static Facts;

    /// Path and query of the endpoint that serves a stream. Subscriptions with different paths need different connections.
    fn path(&self, stream: Stream) -> &'static str;

    /// What to subscribe to so that all trades and quotes of a symbol are recorded.
    fn streams(&self) -> &'static [Stream] {
        &[Stream::Trades, Stream::Quotes]
    }

    /// What a subscription to a stream shows by itself while it is alive.
    fn liveness(&self, _: Stream) -> Liveness {
        Liveness::default()
    }

    /// Whether the stream's quotes are those of a book that the session keeps: they begin with its snapshot, and what is
    /// missing in between makes it wrong.
    fn keeps_book(&self, _: Stream) -> bool {
        false
    }

    /// The venue's REST interface: listing and backfill.
    fn rest(&self) -> &'static dyn Rest;

    /// Begins a connection.
    fn session(&self) -> Box<dyn Session>;

    /// The currency in which prices of the symbol are told, upper-case; `None` if the symbol's name does not show it.
    fn quote_currency<'s>(&self, symbol: &'s str) -> Option<&'s str>;

    /// The symbol in the venue's own spelling, which is the one that comes back in its messages.
    fn spelling(&self, symbol: &str) -> String {
        symbol.to_uppercase()
    }

    /// The symbol under which it is stored, where that differs from the name used on the wire.
    fn stored_symbol<'s>(&self, symbol: &'s str) -> std::borrow::Cow<'s, str> {
        symbol.into()
    }
}

/// The state of one connection.
pub trait Session: Send {
    /// Text frames to send right after the handshake, before those that subscribe.
    fn open(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Text frames that subscribe, to be sent at [`Facts::frames_per_second`]. The venue's answers come as
    /// [`Event::Subscribed`] and [`Event::Rejected`]; what is refused or not answered may be asked for again.
    fn subscribe(&mut self, wanted: &[Subscription]) -> Vec<String>;

    /// Text frames that end subscriptions, so that they can be begun anew. What a session keeps of them is forgotten at once.
    fn unsubscribe(&mut self, unwanted: &[Subscription]) -> Vec<String>;

    /// Understands a text frame and hands each thing that it says to `sink`, in the frame's order; trades of before the
    /// subscription come oldest first.
    ///
    /// # Errors
    /// The first message of the frame that was not understood; the frame's other messages were handed over all the same, and
    /// an [`Event::Broken`] for each kept book that it may have changed.
    fn decode(&mut self, frame: &str, sink: &mut dyn FnMut(Event<'_>)) -> Result<MessageType, DecodeError>;

    /// A text frame that makes the venue answer, where pings of the WebSocket protocol are not enough.
    fn keepalive(&mut self) -> Option<String> {
        None
    }
}
