//! Who is connected to a venue and subscribed to what; hands messages to their queues and tells the ledger.

mod delivery;
mod signals;

use std::collections::{BTreeMap, HashMap};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::fault::board::Board;
use crate::ledger::{ControlMessage, Ledger};
use crate::venue::{Session, VenueKind};

pub(crate) use signals::{Close, Ending, Signals};

/// A frame on its way to one connection.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// The text, or the payload of a ping.
    pub(crate) text: Utf8Bytes,
    /// Its numbers in the ledger; empty for acks, errors and what a fault has spoiled.
    pub(crate) seqs: Range<u64>,
    /// A ping frame and not a text.
    pub(crate) ping: bool,
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
    /// The fault that keeps everything from it.
    stalled: Option<&'static str>,
    /// Frames that wait for the next one of their topic to overtake them.
    held: HashMap<String, Outgoing>,
    /// Last frame in either direction.
    active: Instant,
    /// Nothing was sent since the last look.
    quiet: bool,
}

/// The connections of one venue.
#[derive(Debug)]
pub(crate) struct Hub {
    venue: VenueKind,
    ledger: Arc<Ledger>,
    queue_frames: usize,
    members: BTreeMap<u64, Member>,
    topics: HashMap<String, Vec<u64>>,
    pub(crate) board: Board,
    /// Trades a gap has taken that REST must not show: for the market to hide.
    hidden: Vec<(String, RangeInclusive<u64>)>,
}

impl Hub {
    pub(crate) fn new(venue: VenueKind, ledger: Arc<Ledger>, queue_frames: usize) -> Self {
        Self {
            venue,
            ledger,
            queue_frames,
            members: BTreeMap::new(),
            topics: HashMap::new(),
            board: Board::default(),
            hidden: Vec::new(),
        }
    }

    /// How many connections are routed to.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Begins to route to a new connection.
    pub(crate) fn join(&mut self, id: u64, mut session: Session) -> Membership {
        let (sender, queue) = mpsc::channel(self.queue_frames);
        let signals = Arc::new(Signals::new());
        self.ledger.control(ControlMessage::Connect, self.venue, id, |_| ());
        session.id = id;
        let topics: Vec<String> = session.topics.iter().cloned().collect();
        let member = Member {
            queue: sender,
            session,
            signals: signals.clone(),
            stalled: None,
            held: HashMap::new(),
            active: Instant::now(),
            quiet: true,
        };
        self.members.insert(id, member);
        self.subscribe(id, topics);
        Membership { id, queue, signals }
    }

    /// Stops routing to a connection; its task does the rest. Without effect if it has left before.
    pub(crate) fn leave(&mut self, id: u64, close: Close, ending: Ending) -> Option<Arc<Signals>> {
        let mut member = self.members.remove(&id)?;
        for topic in &member.session.topics {
            self.forget(id, topic);
        }
        let mut lost = Vec::new();
        for (_, held) in std::mem::take(&mut member.held) {
            let seqs = held.seqs.clone();
            if ending != Ending::Drain || member.queue.try_send(held).is_err() {
                lost.extend(seqs);
            }
        }
        self.ledger.undelivered(self.venue, id, lost);
        member.signals.end(close, ending);
        Some(member.signals)
    }

    /// Lets all connections leave after draining; the signals tell when they have.
    pub(crate) fn leave_all(&mut self, close: Close) -> Vec<Arc<Signals>> {
        self.ids().into_iter().filter_map(|id| self.leave(id, close, Ending::Drain)).collect()
    }

    /// All connections.
    pub(crate) fn ids(&self) -> Vec<u64> {
        self.members.keys().copied().collect()
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
            if let Some(member) = self.members.get_mut(&id) {
                member.session.muted.remove(topic);
            }
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

    /// Notes that a connection's client said something.
    pub(crate) fn heard_from(&mut self, id: u64) {
        if let Some(member) = self.members.get_mut(&id) {
            member.active = Instant::now();
        }
    }

    /// When a connection last sent or was sent anything.
    pub(crate) fn active(&self, id: u64) -> Option<Instant> {
        self.members.get(&id).map(|member| member.active)
    }

    /// Whether nothing was sent to a connection since this was last asked.
    pub(crate) fn take_quiet(&mut self, id: u64) -> bool {
        self.members.get_mut(&id).is_some_and(|member| std::mem::replace(&mut member.quiet, true))
    }

    /// Lets a whole connection fall silent by a fault, or speak again.
    pub(crate) fn stall(&mut self, id: u64, fault: Option<&'static str>) {
        if let Some(member) = self.members.get_mut(&id) {
            member.stalled = fault;
            member.signals.stalled.store(fault.is_some(), Ordering::Relaxed);
        }
    }

    /// Keeps a subscription silent by a fault.
    pub(crate) fn mute(&mut self, id: u64, topic: &str, fault: &'static str) {
        if let Some(member) = self.members.get_mut(&id) {
            member.session.muted.insert(topic.to_owned(), fault);
        }
    }

    /// Takes the trades that REST must not show.
    pub(crate) fn take_hidden(&mut self) -> Vec<(String, RangeInclusive<u64>)> {
        std::mem::take(&mut self.hidden)
    }

    fn give_up_on(&mut self, id: u64) {
        let frames = self.queue_frames;
        self.ledger.control(ControlMessage::SlowConsumer, self.venue, id, |entry| {
            entry.reason = Some(format!("{frames} frames waited"));
        });
        self.leave(id, Close::SLOW_CONSUMER, Ending::Cut);
    }
}
