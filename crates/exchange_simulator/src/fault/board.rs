//! The faults of one venue: which wait, which are on, and how often they struck.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use tokio::time::Instant;

use super::{Fault, FaultKind, HttpTarget, Start};
use crate::ledger::{MessageEntry, MessageKind};

/// Most faults a venue takes in one run; a matrix of all kinds and symbols needs some hundred.
pub(crate) const MAX_FAULTS: usize = 10_000;

/// A fault that begins or ends now.
#[derive(Debug)]
pub(crate) enum Turn {
    Begin(Fault),
    End(Fault),
}

/// What a fault does to one message.
#[derive(Debug)]
pub(crate) struct Blow {
    pub(crate) kind: FaultKind,
    /// The connections it does it to.
    pub(crate) on: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting,
    On,
    /// Used up or lifted: its end is still to be told.
    Spent,
    Over,
}

#[derive(Debug)]
struct Listed {
    id: u64,
    fault: Fault,
    phase: Phase,
    hits: u64,
    injected: Instant,
    ends: Option<Instant>,
    /// Trades a gap took: no other message of them comes through either.
    taken: BTreeSet<u64>,
}

impl Listed {
    fn strike(&mut self) {
        self.hits += 1;
        let once = self.fault.kind.is_of_messages().then_some(1);
        if self.fault.times.or(once).is_some_and(|times| self.hits >= times) {
            self.phase = Phase::Spent;
        }
    }

    fn is_about(&self, symbol: Option<&str>) -> bool {
        self.fault.symbol.as_deref().is_none_or(|named| symbol == Some(named))
    }

    fn is_with(&self, connection: u64) -> bool {
        self.fault.connection.is_none_or(|named| named == connection)
    }
}

/// The faults of one venue.
#[derive(Debug, Default)]
pub(crate) struct Board {
    listed: Vec<Listed>,
    /// Whether any fault is not over: nobody pays for a board at rest.
    busy: bool,
    /// Whether a gap took trades whose other messages may follow.
    taking: bool,
}

impl Board {
    /// Takes a fault; None if there are too many.
    pub(crate) fn inject(&mut self, id: u64, fault: Fault) -> Option<()> {
        if self.listed.len() == MAX_FAULTS {
            return None;
        }
        let (injected, taken) = (Instant::now(), BTreeSet::new());
        self.listed.push(Listed { id, fault, phase: Phase::Waiting, hits: 0, injected, ends: None, taken });
        self.busy = true;
        Some(())
    }

    /// Ends a fault, or takes it back before it begins.
    pub(crate) fn lift(&mut self, id: u64) {
        for listed in self.listed.iter_mut().filter(|listed| listed.id == id) {
            listed.phase = match listed.phase {
                Phase::Waiting | Phase::Over => Phase::Over,
                Phase::On | Phase::Spent => Phase::Spent,
            };
        }
    }

    /// How often a fault struck.
    pub(crate) fn hits(&self, id: u64) -> u64 {
        self.listed.iter().filter(|listed| listed.id == id).map(|listed| listed.hits).sum()
    }

    /// What begins and ends now, with `events` market events so far.
    pub(crate) fn turns(&mut self, events: u64) -> Vec<Turn> {
        if !self.busy {
            return Vec::new();
        }
        let now = Instant::now();
        let mut turns = Vec::new();
        for listed in &mut self.listed {
            let starts = match listed.fault.start {
                Start::Now => true,
                Start::After(delay) => now >= listed.injected + delay,
                Start::AtEvent(at) => events >= at,
            };
            if listed.phase == Phase::Waiting && starts {
                listed.phase = Phase::On;
                listed.ends = listed.fault.time().map(|time| now + time);
                turns.push(Turn::Begin(listed.fault.clone()));
                if listed.fault.kind.is_a_moment() {
                    listed.hits += 1;
                    listed.phase = Phase::Spent;
                }
            }
            let ends = listed.phase == Phase::Spent || listed.ends.is_some_and(|ends| now >= ends);
            if ends && listed.phase != Phase::Over {
                listed.phase = Phase::Over;
                turns.push(Turn::End(listed.fault.clone()));
            }
        }
        self.busy = self.listed.iter().any(|listed| listed.phase != Phase::Over);
        turns
    }

    /// Whether messages must be shown to [`Self::judge`].
    pub(crate) fn judges(&self) -> bool {
        self.busy || self.taking
    }

    /// What happens to a message whose lines are `entries`, which `connections` would get; `holds` says who waits for the
    /// message that overtakes another. At most one fault strikes.
    pub(crate) fn judge(
        &mut self,
        entries: &[MessageEntry],
        connections: &[u64],
        holds: impl Fn(u64) -> bool,
    ) -> Option<Blow> {
        let entry = entries.first()?;
        let ids = trade_ids(entries);
        let matching =
            |listed: &Listed| -> Vec<u64> { connections.iter().copied().filter(|&id| listed.is_with(id)).collect() };
        if let Some(ids) = &ids {
            let symbol = entry.symbol.as_deref();
            let took = |listed: &&Listed| {
                listed.is_about(symbol)
                    && listed.taken.range(ids.clone()).next().is_some()
                    && connections.iter().any(|&id| listed.is_with(id))
            };
            if let Some(listed) = self.listed.iter().find(took) {
                return Some(Blow { kind: listed.fault.kind.clone(), on: matching(listed) });
            }
        }
        for listed in &mut self.listed {
            let struck = listed.phase == Phase::On
                && listed.fault.kind.is_of_messages()
                && listed.fault.stream.has(entry.kind)
                && listed.is_about(entry.symbol.as_deref());
            if !struck {
                continue;
            }
            let mut on = matching(listed);
            if listed.fault.kind == FaultKind::OutOfOrder {
                on.retain(|&id| !holds(id));
            }
            if on.is_empty() {
                continue;
            }
            listed.strike();
            if let (FaultKind::Gap { .. }, Some(ids)) = (&listed.fault.kind, ids) {
                listed.taken.extend(ids);
                self.taking = true;
            }
            return Some(Blow { kind: listed.fault.kind.clone(), on });
        }
        None
    }

    /// Those that are on, and only these.
    fn on(&mut self) -> impl Iterator<Item = &mut Listed> {
        let busy = self.busy;
        self.listed.iter_mut().filter(move |listed| busy && listed.phase == Phase::On)
    }

    /// The status to answer an HTTP request with.
    pub(crate) fn http(&mut self, asked: HttpTarget) -> Option<(u16, Option<std::time::Duration>)> {
        self.on().find_map(|listed| match listed.fault.kind {
            FaultKind::Http { status, retry_after, on } if on == HttpTarget::Both || on == asked => {
                listed.strike();
                Some((status, retry_after))
            }
            _ => None,
        })
    }

    /// How much longer a REST answer takes.
    pub(crate) fn rest_delay(&mut self) -> std::time::Duration {
        let slow = |listed: &mut Listed| match listed.fault.kind {
            FaultKind::SlowRest { delay } => {
                listed.strike();
                Some(delay)
            }
            _ => None,
        };
        self.on().find_map(slow).unwrap_or_default()
    }

    /// Whether the first frame of a connection is glued to its handshake.
    pub(crate) fn glues(&mut self) -> bool {
        let found = self.on().find(|listed| listed.fault.kind == FaultKind::Glued);
        found.map(Listed::strike).is_some()
    }

    /// Whether a new subscription is to stay silent; `concerns` says whether it is about a symbol.
    pub(crate) fn silences(&mut self, connection: u64, concerns: impl Fn(&str) -> bool) -> bool {
        let found = self.on().find(|listed| {
            listed.fault.kind == FaultKind::AckThenSilence
                && listed.is_with(connection)
                && listed.fault.symbol.as_deref().is_none_or(&concerns)
        });
        found.map(Listed::strike).is_some()
    }

    /// The symbols that are refused, each with whether its whole request is.
    pub(crate) fn refused_symbols(&mut self) -> Vec<(Option<String>, bool)> {
        let refused = |listed: &mut Listed| match listed.fault.kind {
            FaultKind::BadSymbol { whole_batch } => Some((listed.fault.symbol.clone(), whole_batch)),
            _ => None,
        };
        self.on().filter_map(refused).collect()
    }

    /// Counts a refusal of a bad symbol.
    pub(crate) fn refused(&mut self) {
        if let Some(listed) = self.on().find(|listed| matches!(listed.fault.kind, FaultKind::BadSymbol { .. })) {
            listed.strike();
        }
    }
}

impl Fault {
    /// How long it lasts, if its end is a matter of time.
    fn time(&self) -> Option<std::time::Duration> {
        let pause = matches!(self.kind, FaultKind::Maintenance { .. }).then_some(super::MAINTENANCE);
        self.lasting.or(pause)
    }
}

/// The ids of all trades that lines of one frame are about.
fn trade_ids(entries: &[MessageEntry]) -> Option<RangeInclusive<u64>> {
    let (first, last) = (entries.first()?, entries.last()?);
    if first.kind != MessageKind::Trade || first.snapshot {
        return None;
    }
    Some(first.first_id.or(first.id)?..=last.id?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Stream;
    use crate::venue::VenueKind;

    fn trade(id: u64, message: &'static str) -> Vec<MessageEntry> {
        let entry = MessageEntry::new(VenueKind::Bitfinex, MessageKind::Trade, message);
        vec![MessageEntry { id: Some(id), symbol: Some("tBTCUSD".into()), ..entry }]
    }

    fn begun(fault: Fault) -> Board {
        let mut board = Board::default();
        board.inject(1, fault).unwrap();
        assert_eq!(board.turns(0).len(), 1);
        board
    }

    #[test]
    fn a_gap_takes_every_message_of_its_trades() {
        let mut board = begun(Fault::new(FaultKind::Gap { rest: true }).connection(7));
        assert!(board.judge(&trade(5, "te"), &[6], |_| false).is_none(), "another connection does not use it up");
        assert_eq!(board.judge(&trade(5, "te"), &[6, 7], |_| false).unwrap().on, [7]);
        assert!(board.judge(&trade(6, "te"), &[7], |_| false).is_none());
        assert!(board.judge(&trade(5, "tu"), &[6], |_| false).is_none(), "nor is another connection kept from it");
        assert_eq!(board.judge(&trade(5, "tu"), &[7], |_| false).unwrap().on, [7]);
        assert_eq!(board.hits(1), 1);
        assert!(matches!(board.turns(0)[..], [Turn::End(_)]));
        assert!(board.judges(), "the tu may come later");
    }

    #[test]
    fn stream_symbol_and_event_limit_it() {
        let fault = Fault::new(FaultKind::Corrupt).stream(Stream::Quotes);
        assert!(begun(fault).judge(&trade(5, "te"), &[1], |_| false).is_none());
        let fault = Fault::new(FaultKind::Corrupt).symbol("tETHUSD");
        assert!(begun(fault).judge(&trade(5, "te"), &[1], |_| false).is_none());
        let mut board = Board::default();
        board.inject(1, Fault::new(FaultKind::Corrupt).at_event(10)).unwrap();
        assert!(board.turns(9).is_empty() && board.judge(&trade(5, "te"), &[1], |_| false).is_none());
        assert_eq!(board.turns(10).len(), 1);
        assert!(board.judge(&trade(5, "te"), &[1], |_| true).is_some());
    }

    #[test]
    fn what_is_lifted_before_it_begins_never_does() {
        let mut board = Board::default();
        board.inject(1, Fault::new(FaultKind::Stall)).unwrap();
        board.lift(1);
        assert!(board.turns(0).is_empty());
    }
}
