//! Who is connected to a venue and subscribed to what; hands messages to their queues and tells the ledger.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::sync::CancellationToken;

use crate::frame::{Form, Frame};
use crate::ledger::{ControlMessage, Ledger};
use crate::venue::{Session, VenueKind};

/// A frame on its way to one connection.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) text: Utf8Bytes,
    /// Its number in the ledger; acks and errors have none.
    pub(crate) seq: Option<u64>,
}

/// Why a connection ends, as its Close frame and the ledger say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Close {
    /// WebSocket close code.
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
}

impl Close {
    pub(crate) const GOING_AWAY: Self = Self { code: 1001, reason: "going away" };
    pub(crate) const PEER_CLOSED: Self = Self { code: 1000, reason: "closed by the client" };
    pub(crate) const CONNECTION_LOST: Self = Self { code: 1006, reason: "connection lost" };
    pub(crate) const SLOW_CONSUMER: Self = Self { code: 1008, reason: "ErrSlowConsume" };
    pub(crate) const NO_SUBSCRIBE: Self = Self { code: 1008, reason: "no subscription in time" };
    pub(crate) const NO_PONG: Self = Self { code: 1008, reason: "Pong timeout" };
    pub(crate) const TOO_MANY_REQUESTS: Self = Self { code: 1008, reason: "Too many requests" };
    pub(crate) const NOT_TEXT: Self = Self { code: 1003, reason: "text frames only" };
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// What waits in its queue is still sent.
    Drain,
    /// At once; what waits is reported as undelivered.
    Cut,
}

/// The signals between the hub and a connection's task.
#[derive(Debug)]
pub(crate) struct Signals {
    /// The connection is no longer routed to.
    pub(crate) closing: CancellationToken,
    /// Stop writing even if something waits.
    pub(crate) cut: CancellationToken,
    /// The connection's task has ended.
    pub(crate) finished: CancellationToken,
    /// When it last subscribed to something.
    pub(crate) subscribed: watch::Sender<Option<Instant>>,
    close: OnceLock<Close>,
}

impl Signals {
    fn new() -> Self {
        Self {
            closing: CancellationToken::new(),
            cut: CancellationToken::new(),
            finished: CancellationToken::new(),
            subscribed: watch::Sender::new(None),
            close: OnceLock::new(),
        }
    }

    /// Why it ends: the first reason given.
    pub(crate) fn close(&self) -> Close {
        self.close.get().copied().unwrap_or(Close::CONNECTION_LOST)
    }
}

/// What a connection's task gets when it joins.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) id: u64,
    pub(crate) queue: mpsc::Receiver<Outgoing>,
    pub(crate) signals: Arc<Signals>,
}

#[derive(Debug)]
struct Member {
    /// The only lasting sender: dropping it lets the connection drain and close.
    queue: mpsc::Sender<Outgoing>,
    session: Session,
    signals: Arc<Signals>,
}

/// The connections of one venue.
#[derive(Debug)]
pub(crate) struct Hub {
    venue: VenueKind,
    ledger: Arc<Ledger>,
    queue_frames: usize,
    members: BTreeMap<u64, Member>,
    topics: HashMap<String, Vec<u64>>,
}

impl Hub {
    pub(crate) fn new(venue: VenueKind, ledger: Arc<Ledger>, queue_frames: usize) -> Self {
        Self { venue, ledger, queue_frames, members: BTreeMap::new(), topics: HashMap::new() }
    }

    /// How many connections are routed to.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Begins to route to a new connection.
    pub(crate) fn join(&mut self, id: u64, session: Session) -> Membership {
        let (sender, queue) = mpsc::channel(self.queue_frames);
        let signals = Arc::new(Signals::new());
        self.ledger.control(ControlMessage::Connect, self.venue, id, |_| ());
        let topics: Vec<String> = session.topics.iter().cloned().collect();
        self.members.insert(id, Member { queue: sender, session, signals: signals.clone() });
        self.subscribe(id, topics);
        Membership { id, queue, signals }
    }

    /// Stops routing to a connection; its task does the rest. Without effect if it has left before.
    pub(crate) fn leave(&mut self, id: u64, close: Close, ending: Ending) -> Option<Arc<Signals>> {
        let member = self.members.remove(&id)?;
        for topic in &member.session.topics {
            self.forget(id, topic);
        }
        // Only the first reason counts, and this is the first: a member leaves once.
        let _ = member.signals.close.set(close);
        member.signals.closing.cancel();
        if ending == Ending::Cut {
            member.signals.cut.cancel();
        }
        Some(member.signals)
    }

    /// Lets all connections leave after draining; the signals tell when they have.
    pub(crate) fn leave_all(&mut self, close: Close) -> Vec<Arc<Signals>> {
        let ids: Vec<u64> = self.members.keys().copied().collect();
        ids.into_iter().filter_map(|id| self.leave(id, close, Ending::Drain)).collect()
    }

    /// What a connection asked for so far.
    pub(crate) fn session(&mut self, id: u64) -> Option<&mut Session> {
        self.members.get_mut(&id).map(|member| &mut member.session)
    }

    /// A connection's queue, for senders that wait for room; it must not outlive the connection's `closing`.
    pub(crate) fn queue(&self, id: u64) -> Option<mpsc::Sender<Outgoing>> {
        self.members.get(&id).map(|member| member.queue.clone())
    }

    /// Routes `topics` to a connection whose session already names them.
    pub(crate) fn subscribe(&mut self, id: u64, topics: Vec<String>) {
        if topics.is_empty() {
            return;
        }
        for topic in &topics {
            self.topics.entry(topic.clone()).or_default().push(id);
        }
        if let Some(member) = self.members.get(&id) {
            member.signals.subscribed.send_replace(Some(Instant::now()));
        }
        self.ledger.control(ControlMessage::Subscribe, self.venue, id, |entry| entry.topics = topics);
    }

    /// Stops routing `topics` to a connection whose session no longer names them.
    pub(crate) fn unsubscribe(&mut self, id: u64, topics: Vec<String>) {
        if topics.is_empty() {
            return;
        }
        for topic in &topics {
            self.forget(id, topic);
        }
        self.ledger.control(ControlMessage::Unsubscribe, self.venue, id, |entry| entry.topics = topics);
    }

    fn forget(&mut self, id: u64, topic: &str) {
        if let Some(ids) = self.topics.get_mut(topic) {
            ids.retain(|&held| held != id);
            if ids.is_empty() {
                self.topics.remove(topic);
            }
        }
    }

    /// Sends an ack or error.
    pub(crate) fn reply(&mut self, id: u64, text: String) {
        let Some(member) = self.members.get(&id) else { return };
        let sent = member.queue.try_send(Outgoing { text: text.into(), seq: None });
        if let Err(mpsc::error::TrySendError::Full(_)) = sent {
            self.give_up_on(id);
        }
    }

    /// Hands a message to everybody who subscribed to its topic. It is one line of the ledger, or two if some of them see
    /// its times in milliseconds and others in microseconds; if nobody listens, one line with the finest times.
    pub(crate) fn publish(&mut self, frame: &dyn Frame) {
        let ids = self.topics.get(frame.topic()).map_or(&[][..], Vec::as_slice);
        let members: Vec<(u64, Form)> =
            ids.iter().filter_map(|&id| Some((id, self.members.get(&id)?.session.form))).collect();
        let (micros, millis): (Vec<_>, Vec<_>) =
            members.into_iter().partition(|(_, form)| form.micros || !frame.has_times_by_unit());
        if !micros.is_empty() || millis.is_empty() {
            self.hand_out(frame, Form { micros: true, ..Form::default() }, &micros);
        }
        if !millis.is_empty() {
            self.hand_out(frame, Form::default(), &millis);
        }
    }

    /// Hands a message to one connection: a line of the ledger of its own.
    pub(crate) fn publish_to(&mut self, id: u64, frame: &dyn Frame) {
        if let Some(form) = self.members.get(&id).map(|member| member.session.form) {
            self.hand_out(frame, form, &[(id, form)]);
        }
    }

    fn hand_out(&mut self, frame: &dyn Frame, line_form: Form, members: &[(u64, Form)]) {
        let mut slow = Vec::new();
        // Within a line forms differ in the wrapping only: each text is made once.
        let mut texts: [Option<Utf8Bytes>; 2] = [None, None];
        let deliver = |seq| {
            let mut reached = Vec::with_capacity(members.len());
            for &(id, form) in members {
                let Some(member) = self.members.get(&id) else { continue };
                let text = texts[usize::from(form.wrapped)].get_or_insert_with(|| frame.text(form).into()).clone();
                match member.queue.try_send(Outgoing { text, seq: Some(seq) }) {
                    Ok(()) => reached.push(id),
                    Err(mpsc::error::TrySendError::Full(_)) => slow.push(id),
                    // Its task is ending and will leave.
                    Err(mpsc::error::TrySendError::Closed(_)) => (),
                }
            }
            reached
        };
        self.ledger.message(|| frame.entry(line_form), deliver);
        for id in slow {
            self.give_up_on(id);
        }
    }

    fn give_up_on(&mut self, id: u64) {
        let frames = self.queue_frames;
        self.ledger.control(ControlMessage::SlowConsumer, self.venue, id, |entry| {
            entry.reason = Some(format!("{frames} frames waited"));
        });
        self.leave(id, Close::SLOW_CONSUMER, Ending::Cut);
    }
}
