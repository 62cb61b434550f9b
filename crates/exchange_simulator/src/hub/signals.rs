//! How a connection ends, and the signals between the hub and its task.

use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Why a connection ends, as its Close frame and the ledger say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Close {
    /// WebSocket close code. 1006 stands for an end without a Close frame.
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
}

impl Close {
    /// Never in a Close frame (RFC 6455, 7.4.1).
    pub(crate) const NO_FRAME: u16 = 1006;

    pub(crate) const GOING_AWAY: Self = Self { code: 1001, reason: "going away" };
    pub(crate) const PEER_CLOSED: Self = Self { code: 1000, reason: "closed by the client" };
    pub(crate) const CONNECTION_LOST: Self = Self { code: Self::NO_FRAME, reason: "connection lost" };
    pub(crate) const RESET: Self = Self { code: Self::NO_FRAME, reason: "reset" };
    pub(crate) const SLOW_CONSUMER: Self = Self { code: 1008, reason: "ErrSlowConsume" };
    pub(crate) const NO_SUBSCRIBE: Self = Self { code: 1008, reason: "no subscription in time" };
    pub(crate) const NO_PONG: Self = Self { code: 1008, reason: "Pong timeout" };
    pub(crate) const TOO_MANY_REQUESTS: Self = Self { code: 1008, reason: "Too many requests" };
    pub(crate) const NOT_TEXT: Self = Self { code: 1003, reason: "text frames only" };
    /// How a silent connection is closed where the venue's code is not known.
    pub(crate) const IDLE: Self = Self { code: 1000, reason: "idle" };
    /// OKX' code, as a clone of it shows.
    pub(crate) const NO_DATA: Self = Self { code: 4004, reason: "No data received in 30s." };
    /// Bitfinex closes without a Close frame.
    pub(crate) const UNUSED: Self = Self { code: Self::NO_FRAME, reason: "no subscription and no frame" };
    pub(crate) const LIFETIME: Self = Self { code: 1001, reason: "end of the connection's lifetime" };
    pub(crate) const ANNOUNCED: Self = Self { code: 1001, reason: "announced end" };
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// What waits in its queue is still sent.
    Drain,
    /// At once; what waits is reported as undelivered.
    Cut,
    /// At once and with a TCP RST; what waits is reported as undelivered.
    Reset,
}

/// The signals between the hub and a connection's task.
#[derive(Debug)]
pub(crate) struct Signals {
    /// The connection is no longer routed to.
    pub(crate) closing: CancellationToken,
    /// Stop writing even if something waits.
    pub(crate) cut: CancellationToken,
    /// End with a TCP RST.
    pub(crate) reset: CancellationToken,
    /// The connection's task has ended.
    pub(crate) finished: CancellationToken,
    /// When it last subscribed to something.
    pub(crate) subscribed: watch::Sender<Option<Instant>>,
    /// Not even pings go out.
    pub(crate) stalled: AtomicBool,
    close: OnceLock<Close>,
}

impl Signals {
    pub(super) fn new() -> Self {
        Self {
            closing: CancellationToken::new(),
            cut: CancellationToken::new(),
            reset: CancellationToken::new(),
            finished: CancellationToken::new(),
            subscribed: watch::Sender::new(None),
            stalled: AtomicBool::new(false),
            close: OnceLock::new(),
        }
    }

    /// Why it ends: the first reason given.
    pub(crate) fn close(&self) -> Close {
        self.close.get().copied().unwrap_or(Close::CONNECTION_LOST)
    }

    /// Tells the task to end.
    pub(super) fn end(&self, close: Close, ending: Ending) {
        // Only the first reason counts, and this is the first: a member leaves once.
        let _ = self.close.set(close);
        if ending == Ending::Reset {
            self.reset.cancel();
        }
        self.closing.cancel();
        if ending != Ending::Drain {
            self.cut.cancel();
        }
    }
}
