//! One running venue: its market, its connections and the tasks that move them.

mod faults;

use std::collections::VecDeque;
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
use crate::market::{Happening, Market, Trade};
use crate::replay::Capture;
use crate::rest::{RestAnswer, RestRequest};
use crate::venue::{Command, Policy, Protocol, Refusal, Refused, Session, Target, VenueKind, instruments, protocol};

/// How often the market looks whether events are due.
const MARKET_TICK: Duration = Duration::from_millis(1);

/// A market that was held up catches up at most so much; the rest of the events never happens.
const MAX_CATCH_UP_SECONDS: f64 = 1.0;

/// Steps of the market between two chances for connections and REST to be served.
const STEPS_PER_LOCK: usize = 64;

/// Most connections of one venue; a test needs a handful, and each can hold a queue of tens of MB.
pub(crate) const MAX_CONNECTIONS: usize = 1_024;

/// Most trades that wait for their confirmation: some 20 MB. Beyond it the oldest are confirmed early.
const MAX_UNCONFIRMED: usize = 100_000;

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
    /// Connections whose end is announced, and when it comes.
    cuts: Vec<(Instant, u64)>,
    /// Trades whose confirmation is still to come: when, symbol, trade.
    unconfirmed: VecDeque<(Instant, String, Trade)>,
    /// Recent handshakes and REST requests.
    connects: VecDeque<Instant>,
    requests: VecDeque<Instant>,
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
        let clock = MarketClock::new(config.clock_offset_ns, config.clock_pace);
        let instruments = instruments(kind, config.symbols);
        let symbols = match &tape {
            Some(tape) => tape.capture.symbols.clone(),
            None => instruments.iter().map(|instrument| instrument.symbol.clone()).collect(),
        };
        let protocol = protocol(kind, &symbols, tape.is_some());
        // Venues of one seed must not move alike.
        let seed = config.seed.wrapping_add((kind as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let market = tape.is_none().then(|| Market::open(seed, instruments, protocol.habits(), clock.now_us()));
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
            state: Mutex::new(State {
                hub,
                market,
                running,
                refuse: Refuse::Never,
                cuts: Vec::new(),
                unconfirmed: VecDeque::new(),
                connects: VecDeque::new(),
                requests: VecDeque::new(),
            }),
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
        let mut state = self.lock();
        if state.refuses() {
            return Err(Refusal::new(503, "try again later"));
        }
        if state.hub.len() >= MAX_CONNECTIONS {
            return Err(Refusal::new(503, "too many connections"));
        }
        self.gate_handshake(&mut state)?;
        self.protocol.open(target)
    }

    /// Begins to route to a connection after its handshake; None if connections are refused meanwhile. A connection whose
    /// handshake waits for its first frame (`glued`) gets a ping if the venue greets nobody.
    pub(crate) fn join(&self, mut session: Session, glued: bool) -> Option<Membership> {
        let mut state = self.lock();
        if state.refuses() {
            return None;
        }
        let id = self.last_connection.fetch_add(1, Ordering::Relaxed) + 1;
        session.clock = self.clock.clone();
        let topics: Vec<String> = session.topics.iter().cloned().collect();
        let membership = state.hub.join(id, session);
        // Whoever names its subscriptions in the URL (Binance) is not refused any, but a bad one stays silent.
        let refused = Refused { symbols: state.hub.board.refused_symbols() };
        for topic in topics.iter().filter(|topic| refused.matches(|symbol| self.protocol.concerns(topic, symbol))) {
            state.hub.board.refused();
            state.hub.mute(id, topic, "bad-symbol");
        }
        self.silence(&mut state.hub, id, &topics);
        let greeting = state.hub.session(id).map(|session| self.protocol.greeting(session)).unwrap_or_default();
        if glued && greeting.is_empty() {
            state.hub.ping(id, "glued");
        }
        for text in greeting {
            state.hub.reply(id, text);
        }
        Some(membership)
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
        hub.heard_from(id);
        let refused = Refused { symbols: hub.board.refused_symbols() };
        let Some(session) = hub.session(id) else { return };
        let command = Command { text, now_us: self.clock.now_us(), refused: &refused };
        let reaction = self.protocol.receive(session, &command);
        if reaction.struck {
            hub.board.refused();
        }
        for reply in reaction.replies {
            hub.reply(id, reply);
        }
        hub.unsubscribe(id, reaction.removed);
        hub.subscribe(id, reaction.added.clone());
        self.silence(hub, id, &reaction.added);
        if let Some(market) = market {
            for topic in &reaction.told {
                self.protocol.snapshot(topic, market, &mut |frame| hub.publish_to(id, frame));
            }
        }
    }

    /// Keeps new subscriptions silent if a fault says so.
    fn silence(&self, hub: &mut Hub, id: u64, topics: &[String]) {
        for topic in topics {
            if hub.board.silences(id, |symbol| self.protocol.concerns(topic, symbol)) {
                hub.mute(id, topic, "ack-silence");
            }
        }
    }

    /// Whether a connection has any subscription.
    pub(crate) fn is_subscribed(&self, id: u64) -> bool {
        self.lock().hub.session(id).is_some_and(|session| !session.topics.is_empty())
    }

    /// When a connection last sent or was sent anything; None once it has left.
    pub(crate) fn active(&self, id: u64) -> Option<Instant> {
        self.lock().hub.active(id)
    }

    /// The ids of the trades that REST shows of a symbol now, rising.
    pub(crate) fn rest_ids(&self, symbol: &str) -> Vec<u64> {
        let state = self.lock();
        let book = state.market.as_ref().and_then(|market| market.book(symbol));
        book.into_iter().flat_map(|book| book.shown()).map(|trade| trade.id).collect()
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
        self.turn(state);
        let State { hub, market, unconfirmed, .. } = state;
        let market = market.as_mut()?;
        let left = self.max_events.map_or(u64::MAX, |max| max.saturating_sub(market.events()));
        if left == 0 {
            return None;
        }
        let (index, happening) = market.step(self.clock.now_us(), left);
        let book = &market.books()[index];
        self.protocol.publish(book, &happening, &mut |frame| hub.publish(frame));
        if let (Some(after), Happening::Order(trades)) = (self.policy.confirm_after, &happening) {
            let (due, symbol) = (Instant::now() + after, &book.instrument().symbol);
            unconfirmed.extend(trades.iter().map(|trade| (due, symbol.clone(), trade.clone())));
        }
        for (symbol, ids) in hub.take_hidden() {
            market.hide(&symbol, ids);
        }
        Some(happening.events())
    }

    /// Everything that is due by the clock and not by the market.
    fn look_at_the_clock(&self) {
        let mut state = self.lock();
        self.turn(&mut state);
        let State { hub, unconfirmed, .. } = &mut *state;
        let now = Instant::now();
        while unconfirmed.front().is_some_and(|(due, ..)| *due <= now) || unconfirmed.len() > MAX_UNCONFIRMED {
            let Some((_, symbol, trade)) = unconfirmed.pop_front() else { return };
            self.protocol.confirm(&symbol, &trade, &mut |frame| hub.publish(frame));
        }
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
            self.look_at_the_clock();
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
            for id in hub.ids() {
                let quiet = hub.take_quiet(id);
                let pulse = hub.session(id).map(|session| self.protocol.pulse(session, quiet)).unwrap_or_default();
                for frame in pulse {
                    hub.publish_to(id, &*frame);
                }
                // Heartbeats do not count as something that was sent.
                let _ = hub.take_quiet(id);
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
