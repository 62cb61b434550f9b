//! What a connection was asked to carry, and what became of it: asked, acknowledged, alive, refused, dead. No clock and no
//! socket: times come in, what is to be done comes out.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use column_store::Stream as Recorded;
use exchange_protocol::{Liveness, Stream, Subscription, Venue};

use super::{arrival::Arrival, shard::Wanted};
use crate::{
    config::Exchange,
    received::{LostWhy, SymbolIndex, recorded},
};

/// A venue answers a subscription within this time, or something is wrong with it.
const ACKNOWLEDGE_LIMIT: Duration = Duration::from_secs(10);
/// A venue confirms the end of a subscription within this time, or it is subscribed anew without.
const END_LIMIT: Duration = Duration::from_secs(2);
/// After a refusal, what was asked for together with it is answered within this time, or each is asked for alone.
const AFTER_REFUSAL: Duration = Duration::from_secs(2);
/// The first pause before asking again for what was refused, and what keeps failing; it doubles each time.
const PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);
/// A subscription that lived this long has proven itself: its next failure is its first.
const PROVEN_AFTER: Duration = Duration::from_secs(60);
/// What brought anything in this time did not fall silent before the trade that another stream did not bring.
const SILENCED: Duration = Duration::from_secs(1);
/// Asked for so many times without any answer, a subscription counts as refused.
const IGNORED_AFTER: u32 = 3;
/// A subscription that had lived and failed so many times in a row: it is the connection that is bad.
const GIVE_UP_AFTER: u32 = 4;

/// One stream of one symbol on this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    row: usize,
    stream: Recorded,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Subscribe to these, in as few requests as the venue allows.
    Ask(Vec<Key>),
    /// Unsubscribe; it is asked for again later.
    End(Key),
    /// The connection carries it from here on.
    Live(Key),
    /// The connection carries it no more.
    Lost {
        key: Key,
        why: LostWhy,
        /// When it was last proven alive, ns since the Unix epoch.
        proven_ns: u64,
    },
    /// The venue refuses it, or does not answer however often it is asked.
    Refused(Key),
    /// It was not answered in time.
    Unanswered(Key),
    /// Subscribing anew does not help any more: another connection may.
    Replace,
}

/// For how long what may take.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timeouts {
    pub(crate) acknowledge: Duration,
    /// In place of what the venue promises, where it promises anything.
    pub(crate) first_data: Option<Duration>,
    pub(crate) repeats: Option<Duration>,
}

impl Timeouts {
    /// Those of the configuration, else the venue's.
    pub(crate) fn of(exchange: &Exchange) -> Timeouts {
        let configured = exchange.timeouts;
        Timeouts {
            acknowledge: configured.acknowledge.unwrap_or(ACKNOWLEDGE_LIMIT),
            first_data: configured.first_data,
            repeats: configured.repeats,
        }
    }

    /// How soon any of them can be over.
    pub(crate) fn shortest(&self) -> Duration {
        [self.first_data, self.repeats].into_iter().flatten().fold(self.acknowledge, Duration::min)
    }
}

/// All subscriptions of a connection.
pub(crate) struct Subscriptions {
    rows: Vec<Row>,
    names: HashMap<Box<str>, usize>,
    acknowledge: Duration,
    in_maintenance: bool,
    effects: Vec<Effect>,
}

struct Row {
    symbol: SymbolIndex,
    name: String,
    /// By [`Recorded`].
    streams: [Option<Entry>; 2],
}

struct Entry {
    stream: Stream,
    liveness: Liveness,
    keeps_book: bool,
    state: State,
    /// Its newest data or heartbeat, else when it began to live.
    heard: Arrival,
    /// Whether data came since it was acknowledged.
    had_data: bool,
    /// Whether data ever came on this connection.
    proven: bool,
    /// In a row.
    failures: u32,
    refused: bool,
    /// The newest request for it was one for other symbols, too.
    with_others: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be asked for at that time.
    Waiting {
        until: Instant,
    },
    /// Since then, which may lie ahead while requests wait for their turn.
    Asked {
        since: Instant,
        /// Data can be taken for what was asked for: nothing was before it, or what was has ended, or lives on.
        is_first: bool,
    },
    /// Acknowledged, and the book has not come.
    Acknowledged {
        since: Instant,
    },
    Live {
        since: Instant,
    },
    /// Unsubscribed from, to be asked for again.
    Ending {
        since: Instant,
        ask_at: Instant,
    },
}

/// What to do with data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    /// Of a stream that the connection carries.
    Carried(SymbolIndex),
    /// Of one that it does not carry (any more).
    Uncarried(SymbolIndex),
    /// Nobody asked for it.
    Unknown,
}

fn index(stream: Recorded) -> usize {
    match stream {
        Recorded::Trades => 0,
        Recorded::Quotes => 1,
    }
}

/// The first time at once, then later and later.
fn pause(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        failures => (PAUSE / 2).saturating_mul(2_u32.saturating_pow(failures - 2)).min(LONGEST_PAUSE),
    }
}

fn pause_after_refusal(failures: u32) -> Duration {
    PAUSE.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(LONGEST_PAUSE)
}

impl Subscriptions {
    pub(crate) fn new(venue: &dyn Venue, wanted: &[Wanted], timeouts: &Timeouts, opened: Arrival) -> Subscriptions {
        let mut table = Subscriptions {
            rows: Vec::new(),
            names: HashMap::new(),
            acknowledge: timeouts.acknowledge,
            in_maintenance: false,
            effects: Vec::new(),
        };
        for Wanted { symbol, subscription: Subscription { symbol: name, stream } } in wanted {
            let promised = venue.liveness(*stream);
            let entry = Entry {
                stream: *stream,
                liveness: Liveness {
                    first_data: promised.first_data.map(|promised| timeouts.first_data.unwrap_or(promised)),
                    repeats: promised.repeats.map(|promised| timeouts.repeats.unwrap_or(promised)),
                },
                keeps_book: venue.keeps_book(*stream),
                state: State::Waiting { until: opened.at },
                heard: opened,
                had_data: false,
                proven: false,
                failures: 0,
                refused: false,
                with_others: false,
            };
            let row = *table.names.entry(name.as_str().into()).or_insert_with(|| {
                table.rows.push(Row { symbol: *symbol, name: name.clone(), streams: [None, None] });
                table.rows.len() - 1
            });
            if let Some(slot) = table.rows.get_mut(row).and_then(|row| row.streams.get_mut(index(recorded(*stream)))) {
                *slot = Some(entry);
            }
        }
        table
    }

    /// What has become of it, oldest first.
    pub(crate) fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub(crate) fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// The key of a subscription that was asked for.
    pub(crate) fn key(&self, name: &str, stream: Recorded) -> Option<Key> {
        let key = Key { row: *self.names.get(name)?, stream };
        self.entry(key).map(|_| key)
    }

    pub(crate) fn wanted(&self, key: Key) -> Option<Wanted> {
        let row = self.rows.get(key.row)?;
        let stream = self.entry(key)?.stream;
        Some(Wanted { symbol: row.symbol, subscription: Subscription { symbol: row.name.clone(), stream } })
    }

    /// Whether each is carried or refused, and at least one carried.
    pub(crate) fn is_settled(&self) -> bool {
        let is_live = |entry: &Entry| matches!(entry.state, State::Live { .. });
        self.entries().all(|(_, entry)| is_live(entry) || entry.refused)
            && self.entries().any(|(_, entry)| is_live(entry))
    }

    /// Whether the venue said that maintenance began, and not that it is over.
    pub(crate) fn in_maintenance(&self) -> bool {
        self.in_maintenance
    }

    /// What is carried now.
    pub(crate) fn live(&self) -> impl Iterator<Item = Key> {
        self.entries().filter(|(_, entry)| matches!(entry.state, State::Live { .. })).map(|(key, _)| key)
    }

    fn entries(&self) -> impl Iterator<Item = (Key, &Entry)> {
        self.rows.iter().enumerate().flat_map(|(row, of_row)| {
            let key = move |stream| Key { row, stream };
            let [trades, quotes] = &of_row.streams;
            let trades = trades.iter().map(move |entry| (key(Recorded::Trades), entry));
            trades.chain(quotes.iter().map(move |entry| (key(Recorded::Quotes), entry)))
        })
    }

    fn keys(&self) -> Vec<Key> {
        self.entries().map(|(key, _)| key).collect()
    }

    fn entry(&self, key: Key) -> Option<&Entry> {
        self.rows.get(key.row)?.streams.get(index(key.stream))?.as_ref()
    }

    fn entry_mut(&mut self, key: Key) -> Option<&mut Entry> {
        self.rows.get_mut(key.row)?.streams.get_mut(index(key.stream))?.as_mut()
    }

    /// The venue acknowledged it.
    pub(crate) fn acknowledged(&mut self, key: Key, arrival: Arrival) {
        let Some(entry) = self.entry_mut(key) else { return };
        match entry.state {
            State::Live { .. } | State::Acknowledged { .. } | State::Ending { .. } => return,
            State::Waiting { .. } | State::Asked { .. } => {}
        }
        entry.refused = false;
        entry.had_data = false;
        entry.heard = arrival;
        if entry.keeps_book {
            entry.state = State::Acknowledged { since: arrival.at };
        } else {
            entry.state = State::Live { since: arrival.at };
            self.effects.push(Effect::Live(key));
        }
    }

    /// A trade or a quote came.
    pub(crate) fn data(&mut self, name: &str, stream: Recorded, arrival: Arrival) -> Data {
        let Some(&row) = self.names.get(name) else { return Data::Unknown };
        let Some(of_row) = self.rows.get_mut(row) else { return Data::Unknown };
        let symbol = of_row.symbol;
        let Some(entry) = of_row.streams.get_mut(index(stream)).and_then(Option::as_mut) else { return Data::Unknown };
        match entry.state {
            State::Live { .. } => {}
            // It is there, so it is subscribed, whatever the order in which the venue tells both.
            State::Acknowledged { .. } | State::Asked { is_first: true, .. } => {
                entry.state = State::Live { since: arrival.at };
                entry.refused = false;
                self.effects.push(Effect::Live(Key { row, stream }));
            }
            State::Waiting { .. } | State::Asked { .. } | State::Ending { .. } => return Data::Uncarried(symbol),
        }
        entry.heard = arrival;
        entry.had_data = true;
        entry.proven = true;
        Data::Carried(symbol)
    }

    /// A sign of life came without data.
    pub(crate) fn alive(&mut self, name: &str, stream: Recorded, arrival: Arrival) -> Data {
        let Some(&row) = self.names.get(name) else { return Data::Unknown };
        let Some(of_row) = self.rows.get_mut(row) else { return Data::Unknown };
        let symbol = of_row.symbol;
        let Some(entry) = of_row.streams.get_mut(index(stream)).and_then(Option::as_mut) else { return Data::Unknown };
        if !matches!(entry.state, State::Live { .. }) {
            return Data::Uncarried(symbol);
        }
        entry.heard = arrival;
        entry.had_data = true;
        entry.proven = true;
        Data::Carried(symbol)
    }

    /// The venue refused these. What was asked for with others may be the victim of one bad symbol among them, which some venues
    /// tell with one message for each: it is asked for alone at once. What was asked for alone is bad itself.
    pub(crate) fn refused(&mut self, keys: &[Key], now: Instant) {
        for key in keys {
            let Some(entry) = self.entry_mut(*key) else { continue };
            match entry.state {
                State::Live { .. } | State::Acknowledged { .. } => {}
                State::Ending { ask_at, .. } => entry.state = State::Waiting { until: ask_at },
                State::Asked { .. } | State::Waiting { .. } if entry.with_others => {
                    entry.with_others = false;
                    entry.failures = entry.failures.max(1);
                    entry.state = State::Waiting { until: now };
                }
                State::Asked { .. } | State::Waiting { .. } => {
                    entry.failures += 1;
                    entry.refused = true;
                    entry.state = State::Waiting { until: now + pause_after_refusal(entry.failures) };
                    self.effects.push(Effect::Refused(*key));
                }
            }
        }
        // Whether one bad symbol cancelled the others of its request shows soon.
        let latest = now + AFTER_REFUSAL;
        let acknowledge = self.acknowledge;
        for key in self.keys() {
            if let Some(Entry { state: State::Asked { since, .. }, .. }) = self.entry_mut(key)
                && *since <= now
                && *since + acknowledge > latest
                && let Some(earlier) = latest.checked_sub(acknowledge)
            {
                *since = earlier;
            }
        }
    }

    /// The venue confirmed the end, or ended it by itself.
    pub(crate) fn unsubscribed(&mut self, key: Key, arrival: Arrival) {
        let Some(entry) = self.entry_mut(key) else { return };
        match entry.state {
            State::Ending { ask_at, .. } => entry.state = State::Waiting { until: ask_at },
            State::Live { .. } | State::Acknowledged { .. } => {
                entry.failures += 1;
                let until = arrival.at + pause(entry.failures);
                let was = std::mem::replace(&mut entry.state, State::Waiting { until });
                if matches!(was, State::Live { .. }) {
                    self.effects.push(Effect::Lost { key, why: LostWhy::Ended, proven_ns: arrival.receive_ns });
                }
            }
            State::Waiting { .. } | State::Asked { .. } => {}
        }
    }

    /// Its kept book is wrong, or it is dead, or suspected of it: it is unsubscribed from and subscribed to anew.
    pub(crate) fn renew(&mut self, key: Key, why: LostWhy, now: Instant) {
        let Some(entry) = self.entry_mut(key) else { return };
        let was_live = match entry.state {
            State::Live { .. } => true,
            State::Acknowledged { .. } => false,
            State::Waiting { .. } | State::Asked { .. } | State::Ending { .. } => return,
        };
        entry.failures += 1;
        let gives_up = entry.proven && entry.failures >= GIVE_UP_AFTER;
        entry.state = State::Ending { since: now, ask_at: now + pause(entry.failures) };
        let proven_ns = entry.heard.receive_ns;
        if was_live {
            self.effects.push(Effect::Lost { key, why, proven_ns });
        }
        self.effects.push(Effect::End(key));
        if gives_up {
            self.effects.push(Effect::Replace);
        }
    }

    /// It is suspected to be dead: it begins anew, unless it did so just now.
    pub(crate) fn suspect(&mut self, key: Key, now: Instant) {
        let state = self.entry(key).map(|entry| entry.state);
        if let Some(State::Live { since }) = state
            && now.saturating_duration_since(since) >= PROVEN_AFTER
        {
            self.renew(key, LostWhy::Dead, now);
        }
    }

    /// Whether it may have fallen silent together with one that is suspected.
    pub(crate) fn is_silent(&self, key: Key, now: Instant) -> bool {
        self.entry(key).is_some_and(|entry| now.saturating_duration_since(entry.heard.at) >= SILENCED)
    }

    /// Frames of the connection are missing: each stream lost something. Those with a kept book begin anew, the others go on.
    pub(crate) fn frames_missing(&mut self, proven_ns: u64, now: Instant) {
        for key in self.live().collect::<Vec<_>>() {
            let why = LostWhy::Sequence;
            self.effects.push(Effect::Lost { key, why, proven_ns });
            let Some(entry) = self.entry_mut(key) else { continue };
            if entry.keeps_book {
                entry.state = State::Ending { since: now, ask_at: now };
                self.effects.push(Effect::End(key));
            } else {
                self.effects.push(Effect::Live(key));
            }
        }
    }

    /// Maintenance begins: nothing is carried, and nothing is asked for until it is over.
    pub(crate) fn maintenance(&mut self, arrival: Arrival) {
        self.in_maintenance = true;
        for key in self.live().collect::<Vec<_>>() {
            self.effects.push(Effect::Lost { key, why: LostWhy::Ended, proven_ns: arrival.receive_ns });
            if let Some(entry) = self.entry_mut(key) {
                entry.state = State::Waiting { until: arrival.at };
            }
        }
    }

    /// Maintenance is over: all is asked for anew at once. Some venues keep subscriptions meanwhile: what comes is taken up, but
    /// for books, which may have missed changes.
    pub(crate) fn maintenance_over(&mut self, arrival: Arrival) {
        self.maintenance(arrival);
        self.in_maintenance = false;
        let mut together = Vec::new();
        for key in self.keys() {
            if let Some(entry) = self.entry_mut(key).filter(|entry| !entry.refused) {
                entry.failures = 0;
                entry.state = State::Asked { since: arrival.at, is_first: !(entry.keeps_book && entry.proven) };
                together.push(key);
            }
        }
        self.ask_together(together);
    }

    /// The request for it goes out so much later.
    pub(crate) fn delayed(&mut self, key: Key, delay: Duration) {
        let state = self.entry_mut(key).map(|entry| &mut entry.state);
        if let Some(State::Asked { since, .. } | State::Ending { since, .. }) = state {
            *since += delay;
        }
    }

    /// Nothing needs to be ended at the venue: the subscription is unknown there.
    pub(crate) fn nothing_to_end(&mut self, key: Key) {
        if let Some(entry) = self.entry_mut(key)
            && let State::Ending { ask_at, .. } = entry.state
        {
            entry.state = State::Waiting { until: ask_at };
        }
    }

    /// For so long nothing was read, for reasons of our own: no silence of that time counts.
    pub(crate) fn held_up(&mut self, duration: Duration) {
        for key in self.keys() {
            let Some(entry) = self.entry_mut(key) else { continue };
            entry.heard.at += duration;
            match &mut entry.state {
                State::Waiting { .. } => {}
                State::Asked { since, .. }
                | State::Acknowledged { since }
                | State::Live { since }
                | State::Ending { since, .. } => *since += duration,
            }
        }
    }

    /// What is due at this time, and what took too long.
    pub(crate) fn check(&mut self, now: Instant) {
        if self.in_maintenance {
            return;
        }
        let mut together = Vec::new();
        for key in self.keys() {
            self.check_one(key, now, &mut together);
        }
        self.ask_together(together);
    }

    fn ask_together(&mut self, keys: Vec<Key>) {
        let Some(first) = keys.first().map(|key| key.row) else { return };
        let with_others = keys.iter().any(|key| key.row != first);
        for key in &keys {
            if let Some(entry) = self.entry_mut(*key) {
                entry.with_others = with_others;
            }
        }
        self.effects.push(Effect::Ask(keys));
    }

    fn check_one(&mut self, key: Key, now: Instant, together: &mut Vec<Key>) {
        let acknowledge = self.acknowledge;
        let Some(entry) = self.entry_mut(key) else { return };
        let longer = |since: Instant, limit: Duration| now.saturating_duration_since(since) >= limit;
        match entry.state {
            State::Waiting { until } if now >= until => {
                let is_first = !entry.proven;
                entry.state = State::Asked { since: now, is_first };
                if entry.failures == 0 {
                    together.push(key);
                } else {
                    entry.with_others = false;
                    self.effects.push(Effect::Ask(vec![key]));
                }
            }
            State::Asked { since, .. } if longer(since, acknowledge) => {
                entry.failures += 1;
                entry.state = State::Waiting { until: now + pause(entry.failures) };
                let is_ignored = entry.failures >= IGNORED_AFTER;
                entry.refused |= is_ignored;
                self.effects.push(Effect::Unanswered(key));
                if is_ignored {
                    self.effects.push(Effect::Refused(key));
                }
            }
            State::Acknowledged { since } if entry.liveness.first_data.is_some_and(|limit| longer(since, limit)) => {
                self.renew(key, LostWhy::Dead, now);
            }
            State::Live { since } => {
                let Liveness { first_data, repeats } = entry.liveness;
                let no_data = !entry.had_data && first_data.is_some_and(|limit| longer(since, limit));
                if no_data || repeats.is_some_and(|limit| longer(entry.heard.at, limit)) {
                    self.renew(key, LostWhy::Dead, now);
                } else if (entry.had_data || first_data.is_none()) && longer(since, PROVEN_AFTER) {
                    entry.failures = 0;
                }
            }
            State::Ending { since, ask_at } if longer(since, END_LIMIT) => {
                entry.state = State::Waiting { until: ask_at };
            }
            State::Waiting { .. } | State::Asked { .. } | State::Acknowledged { .. } | State::Ending { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;
