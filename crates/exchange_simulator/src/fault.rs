//! What can go wrong at a venue on purpose.

pub(crate) mod board;
mod spec;

use std::time::Duration;

use crate::ledger::MessageKind;
use crate::venue::VenueKind;

pub use spec::FAULT_HELP;

/// How long maintenance lasts without another word.
const MAINTENANCE: Duration = Duration::from_secs(5);

/// A fault to be injected: what, where, when and how often. In text form (see [`FromStr`](std::str::FromStr)) as on the command
/// line: `KIND[@VENUE][:key=value,…]`, e.g. `gap@kraken:symbol=BTC/USD,times=20,rest=no`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// At which venue; None at all that know the fault.
    pub venue: Option<VenueKind>,
    /// With which symbol only, in the venue's name of it.
    pub symbol: Option<String>,
    /// With which connection only.
    pub connection: Option<u64>,
    /// With which messages only; for faults of single messages.
    pub stream: Stream,
    /// When it begins.
    pub start: Start,
    /// After so many uses it is over. None: 1 for faults of single messages, else without limit.
    pub times: Option<u64>,
    /// It is over after so long.
    pub lasting: Option<Duration>,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FaultKind {
    /// `stall`: the connections of that moment stay open and get nothing more, no ack, ping or heartbeat either. With a
    /// symbol: only that symbol's subscriptions of that moment fall silent.
    Stall,
    /// `ack-silence`: what is subscribed while it lasts is acknowledged and then silent, until it is subscribed anew. Frames that
    /// tell the past (snapshots) do not come either.
    AckThenSilence,
    /// `close`: connections are drained and closed with a Close frame (1001).
    Close {
        /// New connections are turned down (503) for so long.
        refuse: Duration,
    },
    /// `reset`: connections end with a TCP RST; frames that were written just before may be lost with it.
    Reset {
        /// New connections are turned down (503) for so long.
        refuse: Duration,
    },
    /// `ping-flood`: so many ping frames at once.
    PingFlood {
        /// How many.
        pings: usize,
    },
    /// `corrupt`: a market message is cut in half.
    Corrupt,
    /// `oversized`: a market message is cut in half and filled up with spaces.
    Oversized {
        /// Length of the frame.
        bytes: usize,
    },
    /// `out-of-order`: a market message comes right after the next one of its subscription.
    OutOfOrder,
    /// `duplicate`: a market message comes twice.
    Duplicate,
    /// `gap`: a market message does not come; where the venue counts frames, the count goes on.
    Gap {
        /// Whether REST still shows the trades.
        rest: bool,
    },
    /// `notice`: the end of the connections is announced as the venue does it, and comes. Binance, OKX, Bitfinex.
    Notice {
        /// Time from the announcement to the end.
        lead: Duration,
    },
    /// `maintenance`: announced, nothing of the market comes for `lasting` (5 s without), its end is announced. Bitfinex and
    /// Kraken.
    Maintenance {
        /// Whether Bitfinex has the subscriptions still when it is over; Kraken always has.
        keeps: bool,
    },
    /// `http`: handshakes, REST requests or both are answered with a status.
    Http {
        /// The status, e.g. 429 or 418.
        status: u16,
        /// Value of `Retry-After`, in whole seconds.
        retry_after: Option<Duration>,
        /// What is answered so.
        on: HttpTarget,
    },
    /// `glued`: the first frame leaves in one TCP segment with the handshake's response: the venue's greeting, or a ping frame.
    Glued,
    /// `bad-symbol`: a listed symbol is refused like one that does not exist.
    BadSymbol {
        /// Everything that was asked for in the same request is refused too.
        whole_batch: bool,
    },
    /// `clock-skew`: times of events are ahead of the clock, or behind it.
    ClockSkew {
        /// By so many ns; below zero: behind.
        ns: i64,
    },
    /// `slow-rest`: REST answers take so much longer.
    SlowRest {
        /// How much.
        delay: Duration,
    },
}

/// Messages a fault is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stream {
    /// `trades`
    #[default]
    Trades,
    /// `quotes`: best bid and ask, and books.
    Quotes,
    /// `heartbeats`
    Heartbeats,
    /// `all`
    All,
}

impl Stream {
    fn has(self, kind: MessageKind) -> bool {
        match self {
            Self::Trades => kind == MessageKind::Trade,
            Self::Quotes => matches!(kind, MessageKind::Quote | MessageKind::Book),
            Self::Heartbeats => kind == MessageKind::Heartbeat,
            Self::All => true,
        }
    }
}

/// When a fault begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At once.
    #[default]
    Now,
    /// So long after it was injected.
    After(Duration),
    /// When the venue's market has had so many events.
    AtEvent(u64),
}

/// What is answered with an HTTP status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpTarget {
    /// `both`
    #[default]
    Both,
    /// `handshake`: WebSocket handshakes.
    Handshake,
    /// `rest`: REST requests.
    Rest,
}

impl Fault {
    /// A fault that begins at once, at all venues, with everything.
    pub fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            venue: None,
            symbol: None,
            connection: None,
            stream: Stream::default(),
            start: Start::Now,
            times: None,
            lasting: None,
        }
    }

    /// At this venue only.
    #[must_use]
    pub fn at(self, venue: VenueKind) -> Self {
        Self { venue: Some(venue), ..self }
    }

    /// With this symbol only.
    #[must_use]
    pub fn symbol(self, symbol: &str) -> Self {
        Self { symbol: Some(symbol.to_owned()), ..self }
    }

    /// With this connection only.
    #[must_use]
    pub fn connection(self, id: u64) -> Self {
        Self { connection: Some(id), ..self }
    }

    /// With these messages only.
    #[must_use]
    pub fn stream(self, stream: Stream) -> Self {
        Self { stream, ..self }
    }

    /// So long after it is injected.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { start: Start::After(delay), ..self }
    }

    /// When the venue's market has had so many events.
    #[must_use]
    pub fn at_event(self, events: u64) -> Self {
        Self { start: Start::AtEvent(events), ..self }
    }

    /// So often.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self { times: Some(times), ..self }
    }

    /// For so long.
    #[must_use]
    pub fn lasting(self, time: Duration) -> Self {
        Self { lasting: Some(time), ..self }
    }

    /// Whether a venue has what the fault is about.
    pub fn applies_to(&self, venue: VenueKind) -> bool {
        match self.kind {
            FaultKind::Notice { .. } => {
                matches!(venue, VenueKind::Binance | VenueKind::Okx | VenueKind::Bitfinex)
            }
            FaultKind::Maintenance { .. } => matches!(venue, VenueKind::Kraken | VenueKind::Bitfinex),
            _ => true,
        }
    }
}

impl FaultKind {
    /// Its name on the command line and in the ledger.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stall => "stall",
            Self::AckThenSilence => "ack-silence",
            Self::Close { .. } => "close",
            Self::Reset { .. } => "reset",
            Self::PingFlood { .. } => "ping-flood",
            Self::Corrupt => "corrupt",
            Self::Oversized { .. } => "oversized",
            Self::OutOfOrder => "out-of-order",
            Self::Duplicate => "duplicate",
            Self::Gap { .. } => "gap",
            Self::Notice { .. } => "notice",
            Self::Maintenance { .. } => "maintenance",
            Self::Http { .. } => "http",
            Self::Glued => "glued",
            Self::BadSymbol { .. } => "bad-symbol",
            Self::ClockSkew { .. } => "clock-skew",
            Self::SlowRest { .. } => "slow-rest",
        }
    }

    /// Whether it befalls single market messages.
    pub(crate) fn is_of_messages(&self) -> bool {
        matches!(self, Self::Corrupt | Self::Oversized { .. } | Self::OutOfOrder | Self::Duplicate | Self::Gap { .. })
    }

    /// Whether it is over as soon as it has happened.
    pub(crate) fn is_a_moment(&self) -> bool {
        matches!(self, Self::Close { .. } | Self::Reset { .. } | Self::PingFlood { .. } | Self::Notice { .. })
    }
}
