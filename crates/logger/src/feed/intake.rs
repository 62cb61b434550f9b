//! What a connection's events come to: facts for the recorder, in the order in which they arrived, and what is to be done.

use column_store::Stream as Recorded;
use exchange_protocol::{Event, IdRule, Notice};
use tracing::{debug, info, warn};

use super::{
    Context,
    arrival::Arrival,
    subscriptions::{Data, Effect, Key, Subscriptions},
};
use crate::{
    capture::Wire,
    metrics::ErrorType,
    received::{self, Batch, ConnectionId, Fact, LostWhy, Received, SymbolIndex, recorded},
};

/// Facts in a batch at most, give or take a frame.
const BATCH: usize = 256;
/// Bytes of captured frames in a batch at most, give or take a frame.
const WIRE: usize = 256 << 10;

/// One connection's side of the recorder.
pub(crate) struct Intake {
    pub(crate) table: Subscriptions,
    id: ConnectionId,
    facts: Vec<Received>,
    /// Batches that are complete.
    ready: Vec<Batch>,
    /// The newest frame's number, where the venue counts them; none was missing since the last jump.
    sequence: Option<u64>,
    /// When the frame before this one arrived.
    previous: Arrival,
    /// What the frame refused.
    refused: Vec<Key>,
    /// What the connection has to do.
    todo: Vec<Effect>,
    notice: Option<Notice>,
    /// The newest time that the venue told, and the least of receive minus event time of trades, ns.
    server_time: Option<(Arrival, u64)>,
    least_latency: Option<i64>,
    /// What went over the connection, if raw data is captured.
    wire: Option<Wire>,
}

impl Intake {
    pub(crate) fn new(table: Subscriptions, id: ConnectionId, opened: Arrival, wire: Option<Wire>) -> Intake {
        Intake {
            table,
            id,
            facts: Vec::new(),
            ready: Vec::new(),
            sequence: None,
            previous: opened,
            refused: Vec::new(),
            todo: Vec::new(),
            notice: None,
            server_time: None,
            least_latency: None,
            wire,
        }
    }

    /// A frame is about to be read.
    pub(crate) fn frame_begins(&mut self, text: &str, arrival: Arrival) {
        self.note(|wire| wire.frame(arrival.receive_ns, text));
    }

    /// Tells the capture, if there is one.
    pub(crate) fn note(&mut self, note: impl FnOnce(&mut Wire)) {
        if let Some(wire) = &mut self.wire {
            note(wire);
        }
    }

    /// One thing that a frame says.
    pub(crate) fn event(&mut self, event: &Event<'_>, arrival: Arrival, context: &Context) {
        match event {
            Event::Trade(trade) => {
                let data = self.table.data(trade.symbol, Recorded::Trades, arrival);
                // A trade is one, whatever is known of its stream.
                self.keep(data, true, event, arrival, context);
                if !trade.snapshot && trade.event_ns > 0 {
                    let latency = arrival.receive_ns.cast_signed().wrapping_sub(trade.event_ns.cast_signed());
                    self.least_latency = Some(self.least_latency.map_or(latency, |least| least.min(latency)));
                }
            }
            Event::Quote(quote) => {
                let data = self.table.data(quote.symbol, Recorded::Quotes, arrival);
                self.keep(data, false, event, arrival, context);
            }
            Event::LastTrade { symbol, .. } => {
                let data = self.table.alive(symbol, Recorded::Trades, arrival);
                self.keep(data, false, event, arrival, context);
            }
            Event::Alive { symbol, stream } => {
                let data = self.table.alive(symbol, recorded(*stream), arrival);
                self.keep(data, false, event, arrival, context);
            }
            Event::Renumbered { symbol } => {
                match self.table.key(symbol, Recorded::Quotes).and_then(|key| self.table.wanted(key)) {
                    Some(wanted) => self.event_fact(wanted.symbol, arrival, Fact::Renumbered),
                    None => self.note(Wire::left),
                }
            }
            Event::Subscribed { symbol, stream } => {
                if let Some(key) = self.table.key(symbol, recorded(*stream)) {
                    self.table.acknowledged(key, arrival);
                }
            }
            Event::Unsubscribed { symbol, stream } => {
                if let Some(key) = self.table.key(symbol, recorded(*stream)) {
                    self.table.unsubscribed(key, arrival);
                }
            }
            Event::Rejected { symbol, stream, reason } => {
                context.metrics.error(ErrorType::Subscribe);
                warn!(symbol, reason, "the venue refused a subscription");
                let of_symbol = |stream| symbol.and_then(|symbol| self.table.key(symbol, stream));
                match stream {
                    Some(stream) => self.refused.extend(of_symbol(recorded(*stream))),
                    None => self.refused.extend([Recorded::Trades, Recorded::Quotes].into_iter().filter_map(of_symbol)),
                }
            }
            Event::Broken { symbol, stream, fault } => {
                context.metrics.error(ErrorType::Book);
                warn!(symbol, ?fault, "a kept book is wrong; it is subscribed to anew");
                if let Some(key) = self.table.key(symbol, recorded(*stream)) {
                    self.table.renew(key, LostWhy::Broken, arrival.at);
                }
            }
            // Of several answers the first is that to the newest question.
            Event::ServerTime(venue_ns) => _ = self.server_time.get_or_insert((arrival, *venue_ns)),
            Event::Notice(notice) => {
                info!(?notice, "the venue says");
                match notice {
                    Notice::Reconnect { .. } => self.notice = Some(*notice),
                    Notice::Maintenance => self.table.maintenance(arrival),
                    Notice::MaintenanceOver => self.table.maintenance_over(arrival),
                }
            }
            Event::SocketSequence(number) => self.number(*number, arrival),
        }
        self.settle(arrival, context);
    }

    /// The frame is read; `understood` if all of it was.
    pub(crate) fn frame_ends(&mut self, understood: bool, arrival: Arrival, context: &Context) {
        if !understood && context.venue.facts().trade_ids == IdRule::Unique {
            // Its number may have been counted, and no id will tell what was in it.
            self.missing(self.sequence, arrival);
        }
        if !self.refused.is_empty() {
            let refused = std::mem::take(&mut self.refused);
            self.table.refused(&refused, arrival.at);
        }
        self.previous = arrival;
        self.settle(arrival, context);
    }

    /// What time brings.
    pub(crate) fn check(&mut self, now: Arrival, context: &Context) {
        self.table.check(now.at);
        self.settle(now, context);
    }

    /// A stream of a symbol is suspected to be dead, and with it those of the symbol whose own silence tells nothing.
    pub(crate) fn suspect(
        &mut self,
        (symbol, name): (SymbolIndex, &str),
        stream: Recorded,
        now: Arrival,
        context: &Context,
    ) {
        for of_symbol in [Recorded::Trades, Recorded::Quotes] {
            let Some(key) = self.table.key(name, of_symbol) else { continue };
            // Another venue may have a symbol of the same name.
            let Some(wanted) = self.table.wanted(key).filter(|wanted| wanted.symbol == symbol) else { continue };
            let promises_nothing = context.venue.liveness(wanted.subscription.stream).repeats.is_none();
            if of_symbol == stream || promises_nothing && self.table.is_silent(key, now.at) {
                self.table.suspect(key, now.at);
            }
        }
        self.settle(now, context);
    }

    /// The connection ended, and was last alive at `proven`: it carries nothing any more.
    pub(crate) fn end(&mut self, proven: Arrival, context: &Context) {
        let receive_ns = context.clock.now_ns();
        for key in self.table.live().collect::<Vec<_>>() {
            let Some(wanted) = self.table.wanted(key) else { continue };
            let stream = recorded(wanted.subscription.stream);
            let fact = Fact::Lost { stream, why: LostWhy::Disconnected, proven_ns: proven.receive_ns };
            self.facts.push(Received { symbol: wanted.symbol, receive_ns, fact });
            self.note(Wire::own);
            context.status.carried(wanted.symbol, stream, false);
        }
        self.note(Wire::closed);
        self.complete();
    }

    /// Whether so much came that it should be handed over.
    pub(crate) fn is_full(&self) -> bool {
        let captured = self.wire.as_ref().map_or(0, Wire::bytes);
        self.facts.len() >= BATCH || captured >= WIRE || !self.ready.is_empty()
    }

    /// All that came since the last time.
    pub(crate) fn batches(&mut self) -> impl Iterator<Item = Batch> {
        self.complete();
        std::mem::take(&mut self.ready).into_iter()
    }

    /// What the connection has to do, in this order.
    pub(crate) fn todo(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.todo)
    }

    /// The announcement of an end that came since the last time.
    pub(crate) fn notice(&mut self) -> Option<Notice> {
        self.notice.take()
    }

    /// What came since the last time: the venue's time, and the least of receive minus event time, ns.
    pub(crate) fn times(&mut self) -> (Option<(Arrival, u64)>, Option<i64>) {
        (self.server_time.take(), self.least_latency.take())
    }

    fn keep(&mut self, data: Data, in_any_case: bool, event: &Event<'_>, arrival: Arrival, context: &Context) {
        if self.table.has_effects() {
            self.settle(arrival, context);
        }
        let Some((name, fact, inexact)) = received::to_record(event) else { return };
        let symbol = match data {
            Data::Carried(symbol) => symbol,
            Data::Uncarried(symbol) if in_any_case => symbol,
            Data::Uncarried(_) => return self.note(Wire::left),
            Data::Unknown => {
                // Heartbeats and the like of what is not wanted are no error.
                if matches!(fact, Fact::Trade(_) | Fact::Quote(_)) {
                    context.metrics.error(ErrorType::UnknownSymbol);
                    debug!(name, "a message of a symbol that was not asked for");
                }
                return self.note(Wire::left);
            }
        };
        if matches!(fact, Fact::Trade(_) | Fact::Quote(_))
            && let Some(symbol) = context.symbols.get(symbol)
        {
            symbol.heard(arrival.receive_ns);
        }
        if inexact > 0 {
            context.metrics.inexact.add(inexact);
        }
        self.event_fact(symbol, arrival, fact);
    }

    /// What the frame's newest event says.
    fn event_fact(&mut self, symbol: SymbolIndex, arrival: Arrival, fact: Fact) {
        self.note(Wire::kept);
        self.facts.push(Received { symbol, receive_ns: arrival.receive_ns, fact });
    }

    /// What the feed says itself.
    fn fact(&mut self, symbol: SymbolIndex, arrival: Arrival, fact: Fact) {
        self.note(Wire::own);
        self.facts.push(Received { symbol, receive_ns: arrival.receive_ns, fact });
    }

    /// The number of this frame. What came before a jump belongs into a batch of its own: its number is the old one.
    fn number(&mut self, number: u64, arrival: Arrival) {
        match self.sequence {
            Some(last) if number != last + 1 => self.missing(Some(number), arrival),
            _ => self.sequence = Some(number),
        }
    }

    fn missing(&mut self, sequence: Option<u64>, arrival: Arrival) {
        self.complete();
        self.sequence = sequence;
        self.table.frames_missing(self.previous.receive_ns, arrival.at);
    }

    fn complete(&mut self) {
        let wire = self.wire.as_mut().filter(|wire| !wire.is_empty()).map(|wire| Box::new(std::mem::take(wire)));
        if !self.facts.is_empty() || wire.is_some() {
            // The next one is likely as long.
            let next = Vec::with_capacity(self.facts.len());
            let facts = std::mem::replace(&mut self.facts, next);
            self.ready.push(Batch { sequence: self.sequence, wire, ..Batch::new(self.id, facts) });
        }
    }

    /// Makes facts of what became of subscriptions, at their place among the others; the rest is for the connection.
    fn settle(&mut self, arrival: Arrival, context: &Context) {
        if !self.table.has_effects() {
            return;
        }
        for effect in self.table.effects() {
            match effect {
                Effect::Live(key) => {
                    let Some(wanted) = self.table.wanted(key) else { continue };
                    let stream = recorded(wanted.subscription.stream);
                    self.fact(wanted.symbol, arrival, Fact::Live(stream));
                    context.status.carried(wanted.symbol, stream, true);
                }
                Effect::Lost { key, why, proven_ns } => {
                    let Some(wanted) = self.table.wanted(key) else { continue };
                    let stream = recorded(wanted.subscription.stream);
                    if why == LostWhy::Dead {
                        context.metrics.error(ErrorType::DeadSubscription);
                        let symbol = wanted.subscription.symbol.as_str();
                        warn!(symbol, ?stream, "a subscription is silent; it is subscribed to anew");
                    }
                    self.fact(wanted.symbol, arrival, Fact::Lost { stream, why, proven_ns });
                    context.status.carried(wanted.symbol, stream, false);
                }
                Effect::Refused(key) => {
                    let Some(wanted) = self.table.wanted(key) else { continue };
                    context.status.refused(wanted.symbol, recorded(wanted.subscription.stream));
                }
                effect => self.todo.push(effect),
            }
        }
    }
}
