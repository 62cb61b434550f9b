//! Makes facts of captured frames again, by the code that made them when they arrived.

use std::collections::{HashMap, VecDeque};

use exchange_protocol::{Event, Session};

use super::WireItem;
use crate::received::{self, Batch, ConnectionId, Received, SymbolIndex};

/// The connections of a run, as they are being replayed.
#[derive(Default)]
pub(crate) struct Connections {
    /// Exchange and the venue's symbol → its number.
    symbols: HashMap<(String, String), SymbolIndex>,
    open: HashMap<ConnectionId, Connection>,
    /// Events that frames gave, and did not when they were captured, or the other way round.
    pub(crate) differences: u64,
    pub(crate) frames: u64,
}

struct Connection {
    exchange: String,
    session: Box<dyn Session>,
    /// Events of the newest frame that were not looked for yet; none for a symbol that is not recorded.
    events: VecDeque<Option<Received>>,
    /// Whether what the newest frame gives beyond what was captured is left out.
    leaves: bool,
}

impl Connections {
    pub(crate) fn new(symbols: impl Iterator<Item = (SymbolIndex, &'static str, String)>) -> Connections {
        let symbols = symbols.map(|(index, exchange, name)| ((exchange.to_owned(), name), index));
        Connections { symbols: symbols.collect(), ..Connections::default() }
    }

    /// The batch as the recorder took it.
    pub(crate) fn whole(&mut self, batch: Batch) -> Batch {
        let Batch { connection: id, sequence, facts, wire } = batch;
        let Some(wire) = wire else { return Batch { sequence, ..Batch::new(id, facts) } };
        let (mut own, mut facts) = (facts.into_iter(), Vec::new());
        for item in wire.items() {
            match item {
                WireItem::Opened(exchange) => self.opened(id, exchange),
                WireItem::Own(count) => facts.extend(own.by_ref().take(*count as usize)),
                WireItem::Closed => _ = self.open.remove(&id),
                item => self.on_connection(id, item, &mut facts),
            }
        }
        Batch { sequence, ..Batch::new(id, facts) }
    }

    fn opened(&mut self, id: ConnectionId, exchange: &str) {
        if let Some(venue) = exchange_protocol::venue(exchange) {
            let mut session = venue.session();
            session.open();
            let connection =
                Connection { exchange: exchange.to_owned(), session, events: VecDeque::new(), leaves: false };
            self.open.insert(id, connection);
        }
    }

    fn on_connection(&mut self, id: ConnectionId, item: &WireItem, facts: &mut Vec<Received>) {
        // A capture that begins in the middle of a run does not say how its connections began.
        let Some(connection) = self.open.get_mut(&id) else {
            self.differences += 1;
            return;
        };
        match item {
            WireItem::Subscribe(wanted) => _ = connection.session.subscribe(wanted),
            WireItem::Unsubscribe(unwanted) => _ = connection.session.unsubscribe(unwanted),
            WireItem::Frame { receive_ns, text } => {
                self.frames += 1;
                self.differences += connection.events.len() as u64;
                if !connection.leaves {
                    facts.extend(connection.events.drain(..).flatten());
                }
                connection.read(text, *receive_ns, &self.symbols);
            }
            WireItem::Kept(count) => {
                connection.leaves = false;
                for _ in 0..*count {
                    match connection.events.pop_front() {
                        Some(Some(received)) => facts.push(received),
                        Some(None) | None => self.differences += 1,
                    }
                }
            }
            WireItem::Left(count) => {
                connection.leaves = true;
                for _ in 0..*count {
                    self.differences += u64::from(connection.events.pop_front().is_none());
                }
            }
            WireItem::Opened(_) | WireItem::Closed | WireItem::Own(_) => {}
        }
    }
}

impl Connection {
    fn read(&mut self, text: &str, receive_ns: u64, symbols: &HashMap<(String, String), SymbolIndex>) {
        let Connection { exchange, session, events, leaves } = self;
        events.clear();
        *leaves = false;
        // What it does not understand was not understood then either, and what came before it counts.
        _ = session.decode(text, &mut |event: Event<'_>| {
            let Some((name, fact, _)) = received::to_record(&event) else { return };
            let symbol = symbols.get(&(exchange.clone(), name.to_owned())).copied();
            events.push_back(symbol.map(|symbol| Received { symbol, receive_ns, fact }));
        });
    }
}
