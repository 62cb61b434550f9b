//! Until when a connection of a data loop may do what it does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use metrics_server::{ConnectionTimeout, Limits};

/// Nothing is awaited of the client.
const NEVER: u64 = u64::MAX >> 2;

/// The time of a loop, as of its last tick: connections read it far more often than it has to be exact.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    milliseconds: AtomicU64,
}

impl Clock {
    pub(super) fn new() -> Clock {
        Clock { start: Instant::now(), milliseconds: AtomicU64::new(0) }
    }

    /// Reads the real time.
    pub(super) fn tick(&self) {
        self.milliseconds.store(millis(self.start.elapsed()), Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        self.milliseconds.load(Ordering::Relaxed)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER)
}

/// What a client is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// To send the rest of a request's head, or its first request.
    Head,
    /// To send another request, or nothing more.
    Request,
    /// To take some of an answer.
    Room,
    /// Nothing: it waits for us.
    Nothing,
}

/// One connection's state, told by it and looked at by its loop.
#[derive(Debug)]
pub(super) struct Watch {
    clock: Arc<Clock>,
    /// The deadline, milliseconds of the clock, above two bits of what is awaited.
    state: AtomicU64,
    allowed: [u64; 3],
}

impl Watch {
    pub(super) fn new(clock: Arc<Clock>, limits: &Limits) -> Watch {
        let allowed = [limits.header_read, limits.idle, limits.write_stall].map(millis);
        let watch = Watch { clock, state: AtomicU64::new(0), allowed };
        watch.awaits(Awaited::Head);
        watch
    }

    /// From now on the client is to do this, within its time.
    pub(super) fn awaits(&self, awaited: Awaited) {
        let allowed = self.allowed.get(awaited as usize);
        let deadline = allowed.map_or(NEVER, |allowed| self.clock.now().saturating_add(*allowed).min(NEVER));
        self.state.store(deadline << 2 | awaited as u64, Ordering::Relaxed);
    }

    fn awaited(&self) -> Awaited {
        match self.state.load(Ordering::Relaxed) & 3 {
            0 => Awaited::Head,
            1 => Awaited::Request,
            2 => Awaited::Room,
            _ => Awaited::Nothing,
        }
    }

    /// The connection reads; `has_begun` says whether a part of a request has come. The time for a request runs from its
    /// first byte, and that for the first one from the connection's opening.
    pub(super) fn reads(&self, has_begun: bool) {
        match (self.awaited(), has_begun) {
            (Awaited::Nothing | Awaited::Room, false) => self.awaits(Awaited::Request),
            (Awaited::Nothing | Awaited::Room | Awaited::Request, true) => self.awaits(Awaited::Head),
            (Awaited::Head | Awaited::Request, _) => {}
        }
    }

    /// Whether no request is being answered.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.awaited(), Awaited::Head | Awaited::Request)
    }

    /// What the client took too long for.
    pub(super) fn overdue(&self) -> Option<ConnectionTimeout> {
        if self.state.load(Ordering::Relaxed) >> 2 > self.clock.now() {
            return None;
        }
        match self.awaited() {
            Awaited::Head => Some(ConnectionTimeout::Header),
            Awaited::Request => Some(ConnectionTimeout::Idle),
            Awaited::Room => Some(ConnectionTimeout::WriteStall),
            Awaited::Nothing => None,
        }
    }
}
