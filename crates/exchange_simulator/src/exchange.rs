//! One running venue: its market, its connections and the tasks that move them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::clock::MarketClock;
use crate::config::{Config, MarketState};
use crate::hub::{Close, Ending, Hub, Membership, Outgoing, Signals};
use crate::ledger::{ControlMessage, Ledger};
use crate::market::Market;
use crate::replay::Capture;
use crate::rest::{RestAnswer, RestRequest};
use crate::venue::{Policy, Protocol, Refusal, Session, Target, VenueKind, instruments, protocol};

/// How often the market looks whether events are due.
const MARKET_TICK: Duration = Duration::from_millis(1);

/// A market that was held up catches up at most so much; the rest of the events never happens.
const MAX_CATCH_UP_SECONDS: f64 = 1.0;

/// Steps of the market between two chances for connections and REST to be served.
const STEPS_PER_LOCK: usize = 64;

/// Most connections of one venue; a test needs a handful, and each can hold a queue of tens of MB.
pub(crate) const MAX_CONNECTIONS: usize = 1_024;

/// A capture and the pace to play it at.
#[derive(Debug)]
pub(crate) struct Tape {
    pub(crate) capture: Capture,
    /// 1 is the captured pace; 0 as fast as the client reads.
    pub(crate) speed: f64,
}

/// One venue.
pub(crate) struct Exchange {
    kind: VenueKind,
    symbols: Vec<String>,
    protocol: Box<dyn Protocol>,
    policy: Policy,
    clock: MarketClock,
    ledger: Arc<Ledger>,
    /// Last connection id given out, over all venues of the simulator.
    last_connection: Arc<AtomicU64>,
    tape: Option<Tape>,
    rate: f64,
    max_events: Option<u64>,
    state: Mutex<State>,
}

struct State {
    hub: Hub,
    /// None in a replay.
    market: Option<Market>,
    running: bool,
    refuse: Refuse,
}

/// Whether new connections are turned down.
#[derive(Clone, Copy, Debug)]
enum Refuse {
    Never,
    Until(Instant),
    Always,
}

impl Exchange {
    /// A venue with a simulated market, or with a capture to play if there is a `tape`.
    pub(crate) fn new(
        kind: VenueKind,
        config: &Config,
        tape: Option<Tape>,
        ledger: Arc<Ledger>,
        last_connection: Arc<AtomicU64>,
    ) -> Self {
        let clock = MarketClock::new(config.clock_offset_ns);
        let instruments = instruments(kind, config.symbols);
        let symbols = match &tape {
            Some(tape) => tape.capture.symbols.clone(),
            None => instruments.iter().map(|instrument| instrument.symbol.clone()).collect(),
        };
        let protocol = protocol(kind, &symbols, tape.is_some());
        // Venues of one seed must not move alike.
        let seed = config.seed.wrapping_add((kind as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let market = tape.is_none().then(|| Market::open(seed, instruments, protocol.quote_percent(), clock.now_us()));
        let hub = Hub::new(kind, ledger.clone(), config.limits.queue_frames);
        let running = config.market == MarketState::Running;
        Self {
            kind,
            symbols,
            policy: protocol.policy(&config.limits),
            protocol,
            clock,
            ledger,
            last_connection,
            tape,
            rate: config.rate,
            max_events: config.max_events,
            state: Mutex::new(State { hub, market, running, refuse: Refuse::Never }),
        }
    }

    pub(crate) fn kind(&self) -> VenueKind {
        self.kind
    }

    pub(crate) fn symbols(&self) -> &[String] {
        &self.symbols
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(crate) fn tape(&self) -> Option<&Tape> {
        self.tape.as_ref()
    }

    pub(crate) fn events(&self) -> u64 {
        self.lock().market.as_ref().map_or(0, Market::events)
    }

    pub(crate) fn connections(&self) -> usize {
        self.lock().hub.len()
    }

    pub(crate) fn set_running(&self, running: bool) {
        self.lock().running = running;
    }

    /// Decides on a handshake.
    pub(crate) fn open(&self, target: &Target) -> Result<Session, Refusal> {
        let state = self.lock();
        if state.refuses() {
            return Err(Refusal { status: 503, text: "try again later" });
        }
        if state.hub.len() >= MAX_CONNECTIONS {
            return Err(Refusal { status: 503, text: "too many connections" });
        }
        self.protocol.open(target)
    }

    /// Begins to route to a connection after its handshake; None if connections are refused meanwhile.
    pub(crate) fn join(&self, session: Session) -> Option<Membership> {
        let mut state = self.lock();
        if state.refuses() {
            return None;
        }
        let id = self.last_connection.fetch_add(1, Ordering::Relaxed) + 1;
        Some(state.hub.join(id, session))
    }

    /// Stops routing to a connection.
    pub(crate) fn leave(&self, id: u64, close: Close, ending: Ending) {
        self.lock().hub.leave(id, close, ending);
    }

    /// Obeys a client's text message. Ack, snapshots and everything later come from under one lock, so that the snapshot
    /// is followed by exactly the next event.
    pub(crate) fn receive(&self, id: u64, text: &str) {
        let mut state = self.lock();
        let State { hub, market, .. } = &mut *state;
        let Some(session) = hub.session(id) else { return };
        let reaction = self.protocol.receive(session, text);
        for reply in reaction.replies {
            hub.reply(id, reply);
        }
        hub.unsubscribe(id, reaction.removed);
        hub.subscribe(id, reaction.added.clone());
        if let Some(market) = market {
            for topic in &reaction.added {
                self.protocol.snapshot(topic, market, &mut |frame| hub.publish_to(id, frame));
            }
        }
    }

    /// Whether a connection has any subscription.
    pub(crate) fn is_subscribed(&self, id: u64) -> bool {
        self.lock().hub.session(id).is_some_and(|session| !session.topics.is_empty())
    }

    /// What a connection asked for so far; None once it has left.
    pub(crate) fn with_session<T>(&self, id: u64, look: impl FnOnce(&Session) -> T) -> Option<T> {
        self.lock().hub.session(id).map(|session| look(session))
    }

    /// The queue of a connection; see [`Hub::queue`].
    pub(crate) fn queue(&self, id: u64) -> Option<mpsc::Sender<Outgoing>> {
        self.lock().hub.queue(id)
    }

    /// Notes the end of a connection.
    pub(crate) fn note_end(&self, id: u64, close: Close) {
        self.ledger.control(ControlMessage::Disconnect, self.kind, id, |entry| {
            entry.reason = Some(close.reason.to_owned());
        });
    }

    /// Answers a GET.
    pub(crate) fn rest(&self, request: &RestRequest) -> RestAnswer {
        let state = self.lock();
        self.protocol.rest(request, state.market.as_ref())
    }

    /// Closes every connection after draining its queue and refuses new ones for a time; returns when all have ended.
    pub(crate) async fn disconnect(&self, refuse_for: Duration) {
        self.close_all(Refuse::Until(Instant::now() + refuse_for)).await;
    }

    /// Stops the market and closes every connection for good; returns when all have ended.
    pub(crate) async fn close(&self) {
        self.set_running(false);
        self.close_all(Refuse::Always).await;
    }

    async fn close_all(&self, refuse: Refuse) {
        let leaving: Vec<Arc<Signals>> = {
            let mut state = self.lock();
            state.refuse = refuse;
            state.hub.leave_all(Close::GOING_AWAY)
        };
        for signals in leaving {
            signals.finished.cancelled().await;
        }
    }

    /// Makes at least `count` events happen, whole orders at a time, at once and even if the market is paused. Returns how
    /// many it were; fewer than `count` only if the market reached its end.
    pub(crate) fn emit(&self, count: u64) -> u64 {
        let mut happened = 0;
        while happened < count {
            let mut state = self.lock();
            for _ in 0..STEPS_PER_LOCK {
                if happened >= count {
                    break;
                }
                let Some(events) = self.step(&mut state) else { return happened };
                happened += events;
            }
        }
        happened
    }

    /// Lets one thing happen and publishes it; None if the market has reached its end or there is none.
    fn step(&self, state: &mut State) -> Option<u64> {
        let State { hub, market, .. } = state;
        let market = market.as_mut()?;
        let left = self.max_events.map_or(u64::MAX, |max| max.saturating_sub(market.events()));
        if left == 0 {
            return None;
        }
        let (index, happening) = market.step(self.clock.now_us(), left);
        self.protocol.publish(&market.books()[index], &happening, &mut |frame| hub.publish(frame));
        Some(happening.events())
    }

    /// Moves the market at its rate until `stop`.
    pub(crate) async fn run_market(self: Arc<Self>, stop: CancellationToken) {
        let mut tick = tokio::time::interval(MARKET_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut last = Instant::now();
        // Events due; below zero after an order with more fills than were due.
        let mut due = 0.0;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => (),
            }
            let now = Instant::now();
            due += (now - last).as_secs_f64() * self.rate;
            due = due.min((self.rate * MAX_CATCH_UP_SECONDS).max(1.0));
            last = now;
            while due >= 1.0 {
                due -= self.run_steps(due);
                tokio::task::yield_now().await;
            }
        }
    }

    /// Makes up to `due` events happen, as far as one lock goes; returns how many it were, or all if the market rests.
    fn run_steps(&self, due: f64) -> f64 {
        let mut happened = 0.0;
        let mut state = self.lock();
        for _ in 0..STEPS_PER_LOCK {
            if due - happened < 1.0 {
                break;
            }
            match if state.running { self.step(&mut state) } else { None } {
                Some(events) => happened += events as f64,
                None => return due,
            }
        }
        happened
    }

    /// Sends heartbeats until `stop`, if the venue has them; a replay has those of the capture only.
    pub(crate) async fn run_heartbeat(self: Arc<Self>, stop: CancellationToken) {
        let Some(every) = self.policy.heartbeat_every else { return stop.cancelled().await };
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => (),
            }
            let mut state = self.lock();
            let State { hub, market, .. } = &mut *state;
            if let Some(market) = market {
                self.protocol.heartbeat(market, self.clock.now_us(), &mut |frame| hub.publish(frame));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock ends its task, which the simulator reports; the others may still close in order.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn refuses(&self) -> bool {
        match self.refuse {
            Refuse::Never => false,
            Refuse::Until(end) => Instant::now() < end,
            Refuse::Always => true,
        }
    }
}
