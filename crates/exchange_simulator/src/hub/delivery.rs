//! From a message to the queues of those who subscribed to it, with what faults do on the way.

use std::ops::Range;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{Hub, Member, Outgoing};
use crate::fault::FaultKind;
use crate::fault::board::Blow;
use crate::frame::{Form, Frame};
use crate::ledger::Delivery;

impl Hub {
    /// Sends an ack or error. A connection that a fault keeps silent does not get it.
    pub(crate) fn reply(&mut self, id: u64, text: String) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if member.stalled.is_some() {
            return;
        }
        if member.send(Outgoing { text: text.into(), seqs: 0..0, ping: false }) == Delivered::NoRoom {
            self.give_up_on(id);
        }
    }

    /// Sends a ping frame.
    pub(crate) fn ping(&mut self, id: u64, payload: &str) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if member.send(Outgoing { text: payload.into(), seqs: 0..0, ping: true }) == Delivered::NoRoom {
            self.give_up_on(id);
        }
    }

    /// Hands a message to everybody who subscribed to its topic. It is one line of the ledger, or two if some of them see
    /// its times in milliseconds and others in microseconds; if nobody listens, one line with the finest times.
    pub(crate) fn publish(&mut self, frame: &dyn Frame) {
        let ids = self.topics.get(frame.topic()).map_or(&[][..], Vec::as_slice);
        if ids.is_empty() && !frame.told_unheard() {
            return;
        }
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

    /// Hands a message to one connection: lines of the ledger of its own.
    pub(crate) fn publish_to(&mut self, id: u64, frame: &dyn Frame) {
        if let Some(form) = self.members.get(&id).map(|member| member.session.form) {
            self.hand_out(frame, form, &[(id, form)]);
        }
    }

    fn hand_out(&mut self, frame: &dyn Frame, line_form: Form, addressees: &[(u64, Form)]) {
        let blow = self.judge(frame, line_form, addressees);
        let mut slow = Vec::new();
        // Within a line forms differ in the wrapping only: each text is made once.
        let mut texts: [Option<Utf8Bytes>; 2] = [None, None];
        let members = &mut self.members;
        let deliver = |seqs: Range<u64>| {
            let mut delivery = Delivery {
                fault: blow.as_ref().map(|blow| blow.kind.name()),
                hidden: blow.as_ref().is_some_and(|blow| blow.kind == FaultKind::Gap { rest: false }),
                ..Delivery::default()
            };
            for &(id, form) in addressees {
                let Some(member) = members.get_mut(&id) else { continue };
                if let Some(fault) = member.silenced(frame.topic()) {
                    delivery.withheld.push(id);
                    delivery.fault = Some(fault);
                    continue;
                }
                let stamp = member.session.stamp(frame.topic());
                let stamped = stamp.and_then(|stamp| frame.stamped(stamp));
                let text = stamped.map_or_else(
                    || texts[usize::from(form.wrapped)].get_or_insert_with(|| frame.text(form).into()).clone(),
                    Utf8Bytes::from,
                );
                let struck = blow.as_ref().filter(|blow| blow.on.contains(&id)).map(|blow| &blow.kind);
                match member.deliver(frame.topic(), text, seqs.clone(), struck) {
                    Delivered::Sent => {
                        delivery.connections.push(id);
                        delivery.socket_seqs.extend(stamp.and_then(|stamp| stamp.seq));
                    }
                    Delivered::Withheld => delivery.withheld.push(id),
                    Delivered::NoRoom => slow.push(id),
                    Delivered::Gone => (),
                }
            }
            // Beside each other or not at all.
            if delivery.socket_seqs.len() != delivery.connections.len() {
                delivery.socket_seqs.clear();
            }
            delivery
        };
        self.ledger.message(frame.lines(), || frame.entries(line_form), deliver);
        for id in slow {
            self.give_up_on(id);
        }
    }

    /// Whether a fault strikes the message, and whom.
    fn judge(&mut self, frame: &dyn Frame, line_form: Form, addressees: &[(u64, Form)]) -> Option<Blow> {
        if !self.board.judges() {
            return None;
        }
        let topic = frame.topic();
        let hears = |id: &u64| self.members.get(id).is_some_and(|member| member.silenced(topic).is_none());
        let ids: Vec<u64> = addressees.iter().map(|(id, _)| *id).filter(hears).collect();
        let entries = frame.entries(line_form);
        let holds = |id: u64| self.members.get(&id).is_some_and(|member| member.held.contains_key(topic));
        let blow = self.board.judge(&entries, &ids, holds)?;
        if blow.kind == (FaultKind::Gap { rest: false })
            && let (Some(first), Some(last)) = (entries.first(), entries.last())
            && let (Some(symbol), Some(from), Some(to)) = (&first.symbol, first.first_id.or(first.id), last.id)
        {
            self.hidden.push((symbol.clone(), from..=to));
        }
        Some(blow)
    }
}

/// What became of one connection's copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivered {
    /// In its queue, or held back until the next one.
    Sent,
    Withheld,
    /// Its queue is full.
    NoRoom,
    /// Its task is ending and will leave.
    Gone,
}

impl Member {
    /// The fault that keeps a topic from it.
    fn silenced(&self, topic: &str) -> Option<&'static str> {
        self.stalled.or_else(|| self.session.muted.get(topic).copied())
    }

    /// Puts a frame into the queue.
    fn send(&mut self, outgoing: Outgoing) -> Delivered {
        self.active = Instant::now();
        self.quiet = false;
        match self.queue.try_send(outgoing) {
            Ok(()) => Delivered::Sent,
            Err(mpsc::error::TrySendError::Full(_)) => Delivered::NoRoom,
            Err(mpsc::error::TrySendError::Closed(_)) => Delivered::Gone,
        }
    }

    fn deliver(&mut self, topic: &str, text: Utf8Bytes, seqs: Range<u64>, struck: Option<&FaultKind>) -> Delivered {
        let spoiled = |text: String| Outgoing { text: text.into(), seqs: 0..0, ping: false };
        let whole = Outgoing { text, seqs, ping: false };
        let delivered = match struck {
            Some(FaultKind::Gap { .. }) => Delivered::Withheld,
            Some(FaultKind::Corrupt) => self.send(spoiled(half(&whole.text).to_owned())).spoiled(),
            Some(FaultKind::Oversized { bytes }) => {
                let mut long = half(&whole.text).to_owned();
                long.push_str(&" ".repeat(bytes.saturating_sub(long.len())));
                self.send(spoiled(long)).spoiled()
            }
            Some(FaultKind::OutOfOrder) => {
                self.held.insert(topic.to_owned(), whole);
                return Delivered::Sent;
            }
            Some(FaultKind::Duplicate) => {
                let again = Outgoing { text: whole.text.clone(), seqs: 0..0, ping: false };
                let first = self.send(whole);
                if first == Delivered::Sent && self.send(again) == Delivered::NoRoom {
                    return Delivered::NoRoom;
                }
                first
            }
            _ => self.send(whole),
        };
        if !self.held.is_empty()
            && let Some(held) = self.held.remove(topic)
            && self.send(held) == Delivered::NoRoom
        {
            return Delivered::NoRoom;
        }
        delivered
    }
}

impl Delivered {
    /// The same for a frame that nobody can understand.
    fn spoiled(self) -> Self {
        if self == Self::Sent { Self::Withheld } else { self }
    }
}

/// The first half of a text: no JSON any more.
fn half(text: &str) -> &str {
    let mut middle = text.len() / 2;
    while !text.is_char_boundary(middle) {
        middle -= 1;
    }
    &text[..middle]
}
