//! Which streams are carried by any connection, and so which venues are connected.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use column_store::Stream as Recorded;
use metrics_server::{Component, Handle, IntGauge};

use crate::{
    metrics::Metrics,
    received::{ConnectionId, SymbolIndex},
};

/// All venues of this run: sets `gpu_charts_exchange_connection_status` and the readiness of the feeds.
pub(crate) struct Venues {
    health: Component,
    newest_connection: AtomicU64,
    venues: Mutex<BTreeMap<&'static str, Venue>>,
}

struct Venue {
    gauge: Handle<IntGauge>,
    refused: Option<Handle<IntGauge>>,
    streams: HashMap<(SymbolIndex, Recorded), Carried>,
    /// Streams that any connection carries.
    carried: usize,
    /// Streams that none carries though the venue does not refuse them.
    missing: usize,
}

#[derive(Clone, Copy, Default)]
struct Carried {
    /// Connections that carry it now: a spare or a replacement is one more.
    connections: u32,
    refused: bool,
}

/// One venue's part of it.
#[derive(Clone)]
pub(crate) struct VenueStatus {
    venues: Arc<Venues>,
    exchange: &'static str,
}

impl Venues {
    pub(crate) fn new(metrics: &Metrics, health: Component) -> Arc<Venues> {
        let venue = |gauge: &Handle<IntGauge>| Venue {
            gauge: gauge.clone(),
            refused: None,
            streams: HashMap::new(),
            carried: 0,
            missing: 0,
        };
        let venues = metrics.venues.iter().map(|metrics| (metrics.exchange, venue(&metrics.connected))).collect();
        health.not_ready("no venue is subscribed yet");
        Arc::new(Venues { health, newest_connection: AtomicU64::new(0), venues: Mutex::new(venues) })
    }

    /// The status of one venue, whose streams these are.
    pub(crate) fn venue(
        self: &Arc<Venues>,
        exchange: &'static str,
        refused: &Handle<IntGauge>,
        streams: impl Iterator<Item = (SymbolIndex, Recorded)>,
    ) -> VenueStatus {
        let mut venues = self.venues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(venue) = venues.get_mut(exchange) {
            venue.refused = Some(refused.clone());
            venue.streams.extend(streams.map(|stream| (stream, Carried::default())));
            venue.missing = venue.streams.len();
        }
        VenueStatus { venues: Arc::clone(self), exchange }
    }

    /// The feeds end because they were asked to.
    pub(crate) fn finish(&self) {
        self.health.finish();
    }

    /// A name for a connection that no other one has, however close together two are opened.
    pub(crate) fn name_connection(&self, opened_ns: u64) -> ConnectionId {
        let after = |newest: u64| Some(opened_ns.max(newest + 1));
        let newest = self.newest_connection.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after);
        ConnectionId(after(newest.unwrap_or_default()).unwrap_or(opened_ns))
    }

    fn change(&self, exchange: &str, stream: (SymbolIndex, Recorded), change: impl FnOnce(&mut Carried)) {
        let mut venues = self.venues.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(venue) = venues.get_mut(exchange) else { return };
        let Some(carried) = venue.streams.get_mut(&stream) else { return };
        let is_missing = |carried: &Carried| usize::from(carried.connections == 0 && !carried.refused);
        let is_carried = |carried: &Carried| usize::from(carried.connections > 0);
        let before = *carried;
        change(carried);
        if let Some(refused) = &venue.refused {
            refused.add(i64::from(carried.refused) - i64::from(before.refused));
        }
        venue.missing = venue.missing + is_missing(carried) - is_missing(&before);
        venue.carried = venue.carried + is_carried(carried) - is_carried(&before);
        let connected = i64::from(venue.missing == 0 && venue.carried > 0);
        if venue.gauge.get() == connected {
            return;
        }
        venue.gauge.set(connected);
        if venues.values().any(|venue| venue.gauge.get() == 1) {
            self.health.ready();
        } else {
            self.health.not_ready("no venue is subscribed");
        }
    }
}

impl VenueStatus {
    /// One more connection carries the stream, or one less.
    pub(crate) fn carried(&self, symbol: SymbolIndex, stream: Recorded, is_carried: bool) {
        self.venues.change(self.exchange, (symbol, stream), |carried| {
            if is_carried {
                carried.connections += 1;
                carried.refused = false;
            } else {
                carried.connections = carried.connections.saturating_sub(1);
            }
        });
    }

    /// The venue refuses the stream: nobody waits for it.
    pub(crate) fn refused(&self, symbol: SymbolIndex, stream: Recorded) {
        self.venues.change(self.exchange, (symbol, stream), |carried| carried.refused = true);
    }

    pub(crate) fn name_connection(&self, opened_ns: u64) -> ConnectionId {
        self.venues.name_connection(opened_ns)
    }
}

#[cfg(test)]
mod tests {
    use metrics_server::{Health, Registry};

    use super::*;
    use crate::{Clock, rest::hostile, symbols::Symbols};

    #[test]
    fn a_venue_is_connected_while_each_stream_is_carried_or_refused() {
        let exchange = hostile::exchange("coinbase", "http://127.0.0.1:1", &["A", "B"]);
        let symbols = Symbols::new(&[exchange], 9, Clock::system());
        let metrics = Metrics::register(&mut Registry::default(), &symbols).unwrap();
        let venues = Venues::new(&metrics, Health::new("test").component("feeds", None));
        let refused = &metrics.feed("coinbase").unwrap().refused;
        let stream = Recorded::Trades;
        let status = venues.venue("coinbase", refused, [(0, stream), (1, stream)].into_iter());
        let connected = || metrics.venues[0].connected.get() == 1;
        status.refused(0, stream);
        status.refused(1, stream);
        assert!(!connected(), "nothing is carried");
        assert_eq!(refused.get(), 2);
        status.carried(0, stream, true);
        assert!(connected(), "the other one is refused");
        assert_eq!(refused.get(), 1);
        // A spare one, or the next.
        status.carried(0, stream, true);
        status.carried(0, stream, false);
        assert!(connected());
        status.carried(1, stream, true);
        status.carried(0, stream, false);
        assert!(!connected());
        status.carried(0, stream, true);
        assert!(connected());
        status.carried(7, stream, true);
        assert!(connected(), "nobody needs it");
    }

    #[test]
    fn connections_have_names_of_their_own() {
        let symbols = Symbols::new(&[], 9, Clock::system());
        let metrics = Metrics::register(&mut Registry::default(), &symbols).unwrap();
        let venues = Venues::new(&metrics, Health::new("test").component("feeds", None));
        let names = [50, 50, 49, 60].map(|opened_ns| venues.name_connection(opened_ns).0);
        assert_eq!(names, [50, 51, 52, 60]);
    }
}
