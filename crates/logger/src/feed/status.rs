//! Which connections carry their subscriptions, and so which venues are connected.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use metrics_server::{Component, Handle, IntGauge};

use crate::metrics::Metrics;

/// All venues of this run: sets `gpu_charts_exchange_connection_status` and the readiness of the feeds.
pub(crate) struct Venues {
    health: Component,
    venues: Mutex<BTreeMap<&'static str, Venue>>,
}

struct Venue {
    gauge: Handle<IntGauge>,
    /// Whether each of its feeds is live.
    feeds: Vec<bool>,
}

/// One feed's part in its venue's status.
pub(crate) struct FeedStatus {
    venues: Arc<Venues>,
    exchange: &'static str,
    index: usize,
}

impl Venues {
    pub(crate) fn new(metrics: &Metrics, health: Component) -> Arc<Venues> {
        let venue = |gauge: &Handle<IntGauge>| Venue { gauge: gauge.clone(), feeds: Vec::new() };
        let venues = metrics.venues.iter().map(|metrics| (metrics.exchange, venue(&metrics.connected))).collect();
        health.not_ready("no venue is subscribed yet");
        Arc::new(Venues { health, venues: Mutex::new(venues) })
    }

    /// A new feed of a venue, not live yet.
    pub(crate) fn feed(self: &Arc<Venues>, exchange: &'static str) -> FeedStatus {
        let mut venues = self.venues.lock().unwrap_or_else(PoisonError::into_inner);
        let index = venues.get_mut(exchange).map_or(0, |venue| {
            venue.feeds.push(false);
            venue.feeds.len() - 1
        });
        FeedStatus { venues: Arc::clone(self), exchange, index }
    }

    /// The feeds end because they were asked to.
    pub(crate) fn finish(&self) {
        self.health.finish();
    }

    fn set(&self, exchange: &str, index: usize, live: bool) {
        let mut venues = self.venues.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(venue) = venues.get_mut(exchange) else { return };
        if let Some(feed) = venue.feeds.get_mut(index) {
            *feed = live;
        }
        venue.gauge.set(i64::from(venue.feeds.iter().all(|live| *live)));
        if venues.values().any(|venue| venue.gauge.get() == 1) {
            self.health.ready();
        } else {
            self.health.not_ready("no venue is subscribed");
        }
    }
}

impl FeedStatus {
    /// All that the feed subscribed to is acknowledged.
    pub(crate) fn live(&self) {
        self.venues.set(self.exchange, self.index, true);
    }

    /// The connection is gone.
    pub(crate) fn lost(&self) {
        self.venues.set(self.exchange, self.index, false);
    }
}
