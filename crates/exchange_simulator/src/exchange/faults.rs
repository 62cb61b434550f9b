//! How faults come over a venue.

use std::time::Duration;

use tokio::time::Instant;

use super::{Exchange, Refuse, State};
use crate::fault::board::Turn;
use crate::fault::{Fault, FaultKind, HttpTarget};
use crate::hub::{Close, Ending};
use crate::ledger::ControlMessage;
use crate::rest::RestAnswer;
use crate::venue::{Notice, Refusal};

/// What happens to a REST request before it is answered.
#[derive(Debug, Default)]
pub(crate) struct RestGate {
    /// It waits so long.
    pub(crate) delay: Duration,
    /// It is answered so and not from the market.
    pub(crate) refusal: Option<RestAnswer>,
}

impl Exchange {
    /// Takes a fault, which begins at once if it is due; false if there are too many.
    pub(crate) fn inject(&self, id: u64, fault: Fault) -> bool {
        let mut state = self.lock();
        let taken = state.hub.board.inject(id, fault).is_some();
        self.turn(&mut state);
        taken
    }

    /// Ends a fault.
    pub(crate) fn lift(&self, id: u64) {
        let mut state = self.lock();
        state.hub.board.lift(id);
        self.turn(&mut state);
    }

    /// How often a fault struck.
    pub(crate) fn hits(&self, id: u64) -> u64 {
        self.lock().hub.board.hits(id)
    }

    /// Lets faults begin and end that are due, and announced ends come.
    pub(super) fn turn(&self, state: &mut State) {
        let events = state.market.as_ref().map_or(0, crate::market::Market::events);
        for turn in state.hub.board.turns(events) {
            match turn {
                Turn::Begin(fault) => {
                    self.note(ControlMessage::Fault, fault.connection.unwrap_or(0), fault.to_string());
                    self.begin(state, &fault);
                }
                Turn::End(fault) => {
                    self.end(state, &fault);
                    self.note(ControlMessage::FaultEnd, fault.connection.unwrap_or(0), fault.to_string());
                }
            }
        }
        if state.cuts.is_empty() {
            return;
        }
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.cuts).into_iter().partition(|(at, _)| now >= *at);
        state.cuts = later;
        for (_, id) in due {
            state.hub.leave(id, Close::ANNOUNCED, Ending::Drain);
        }
    }

    fn note(&self, message: ControlMessage, connection: u64, reason: String) {
        self.ledger.control(message, self.kind, connection, |entry| entry.reason = Some(reason));
    }

    /// The connections a fault is about.
    fn struck(&self, state: &mut State, fault: &Fault) -> Vec<u64> {
        let mut ids = state.hub.ids();
        ids.retain(|&id| {
            fault.connection.is_none_or(|named| named == id)
                && fault.symbol.as_deref().is_none_or(|symbol| {
                    let session = state.hub.session(id);
                    session
                        .is_some_and(|session| session.topics.iter().any(|topic| self.protocol.concerns(topic, symbol)))
                })
        });
        ids
    }

    fn begin(&self, state: &mut State, fault: &Fault) {
        let ids = self.struck(state, fault);
        match fault.kind {
            FaultKind::Stall if fault.symbol.is_none() => {
                ids.into_iter().for_each(|id| state.hub.stall(id, Some(fault.kind.name())));
            }
            FaultKind::Stall => ids.into_iter().for_each(|id| self.mute(state, id, fault)),
            FaultKind::Close { refuse } => {
                state.refuse_for(refuse);
                for id in ids {
                    state.hub.leave(id, Close::GOING_AWAY, Ending::Drain);
                }
            }
            FaultKind::Reset { refuse } => {
                state.refuse_for(refuse);
                for id in ids {
                    state.hub.leave(id, Close::RESET, Ending::Reset);
                }
            }
            FaultKind::PingFlood { pings } => {
                for id in ids {
                    (0..pings).for_each(|number| state.hub.ping(id, &format!("flood {number}")));
                }
            }
            FaultKind::Notice { lead } => {
                let at = Instant::now() + lead;
                for id in ids {
                    self.announce(state, id, Notice::End);
                    state.cuts.push((at, id));
                }
            }
            FaultKind::Maintenance { .. } => {
                for id in ids {
                    self.announce(state, id, Notice::MaintenanceBegins);
                    self.mute(state, id, fault);
                }
            }
            FaultKind::ClockSkew { ns } => self.set_clock(state, ns),
            // The others strike when something comes along.
            _ => (),
        }
    }

    fn end(&self, state: &mut State, fault: &Fault) {
        match fault.kind {
            FaultKind::Stall | FaultKind::Maintenance { .. } => {
                for id in self.struck(state, fault) {
                    if fault.kind == FaultKind::Stall && fault.symbol.is_none() {
                        state.hub.stall(id, None);
                        continue;
                    }
                    let Some(session) = state.hub.session(id) else { continue };
                    session.muted.retain(|_, by| *by != fault.kind.name());
                    if let FaultKind::Maintenance { keeps } = fault.kind {
                        if !keeps && self.protocol.forgets_in_maintenance() {
                            forget(state, id);
                        }
                        self.announce(state, id, Notice::MaintenanceEnds);
                    }
                }
            }
            FaultKind::ClockSkew { .. } => self.set_clock(state, 0),
            _ => (),
        }
    }

    fn set_clock(&self, state: &mut State, skew_ns: i64) {
        self.clock.set_skew(skew_ns);
        if let Some(market) = &mut state.market {
            market.forget_time();
        }
    }

    /// Silences the subscriptions that a connection has now.
    fn mute(&self, state: &mut State, id: u64, fault: &Fault) {
        let Some(session) = state.hub.session(id) else { return };
        for topic in &session.topics {
            if fault.symbol.as_deref().is_none_or(|symbol| self.protocol.concerns(topic, symbol)) {
                session.muted.insert(topic.clone(), fault.kind.name());
            }
        }
    }

    fn announce(&self, state: &mut State, id: u64, notice: Notice) {
        let Some(session) = state.hub.session(id) else { return };
        let Some(frame) = self.protocol.notice(notice, session, self.clock.now_us()) else { return };
        state.hub.reply(id, frame.clone());
        self.note(ControlMessage::Notice, id, frame);
    }

    /// Whether a handshake is turned down by a fault or for coming too often.
    pub(super) fn gate_handshake(&self, state: &mut State) -> Result<(), Refusal> {
        if let Some((status, retry_after)) = state.hub.board.http(HttpTarget::Handshake) {
            self.note(ControlMessage::Refused, 0, format!("handshake {status}"));
            return Err(Refusal { status, text: "refused by a fault", retry_after });
        }
        if !admits(&mut state.connects, self.policy.connects) {
            self.note(ControlMessage::Refused, 0, "handshake 429: too many in a short time".to_owned());
            return Err(Refusal::new(429, "too many connections in a short time"));
        }
        Ok(())
    }

    /// What happens to a REST request that arrives now.
    pub(crate) fn gate_rest(&self) -> RestGate {
        let mut state = self.lock();
        let delay = state.hub.board.rest_delay();
        let refusal = if let Some((status, retry_after)) = state.hub.board.http(HttpTarget::Rest) {
            self.note(ControlMessage::Refused, 0, format!("REST {status}"));
            let mut answer = RestAnswer { status, ..self.protocol.throttled() };
            answer.headers.retain(|(name, _)| *name != "retry-after");
            answer.headers.extend(retry_after.map(|after| ("retry-after", after.as_secs().to_string())));
            Some(answer)
        } else if admits(&mut state.requests, self.policy.requests) {
            None
        } else {
            self.note(ControlMessage::Refused, 0, "REST: too many in a short time".to_owned());
            Some(self.protocol.throttled())
        };
        RestGate { delay, refusal }
    }

    /// Whether a new connection's first frame is glued to the handshake's response.
    pub(crate) fn glues(&self) -> bool {
        self.lock().hub.board.glues()
    }
}

impl State {
    fn refuse_for(&mut self, time: Duration) {
        if !time.is_zero() {
            self.refuse = Refuse::Until(Instant::now() + time);
        }
    }
}

/// The venue has lost the subscriptions of a connection.
fn forget(state: &mut State, id: u64) {
    let Some(session) = state.hub.session(id) else { return };
    let forgotten: Vec<String> = std::mem::take(&mut session.topics).into_iter().collect();
    if let Some(channels) = &mut session.channels {
        channels.ids.clear();
    }
    state.hub.unsubscribe(id, forgotten);
}

/// Whether one more fits into so many in so long.
fn admits(earlier: &mut std::collections::VecDeque<Instant>, limit: Option<(usize, Duration)>) -> bool {
    let Some((count, period)) = limit else { return true };
    let now = Instant::now();
    while earlier.front().is_some_and(|&at| now - at >= period) {
        earlier.pop_front();
    }
    let admitted = earlier.len() < count;
    if admitted {
        earlier.push_back(now);
    }
    admitted
}
