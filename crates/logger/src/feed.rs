//! The feeds keep connections to the venues alive: they connect, subscribe, read, and begin again when a connection ends.
//! The same for all venues; what differs is in [`exchange_protocol`].

mod arrival;
mod backoff;
mod clock_offset;
mod connection;
mod gate;
mod handshake;
mod intake;
mod line;
mod shard;
mod status;
mod subscriptions;
mod suspicion;
mod tls;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use exchange_protocol::Venue;
use tokio_tungstenite::Connector;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    config::Exchange,
    error::LoggerError,
    metrics::{FeedMetrics, Metrics, VenueMetrics},
    queue,
    received::{SymbolIndex, recorded},
    rest::{Allowance, Allowances},
    symbols::Symbols,
};
use clock_offset::ClockOffset;
use gate::ConnectGate;
use line::Line;
use status::VenueStatus;
pub(crate) use status::Venues;
use subscriptions::Timeouts;
pub(crate) use suspicion::Suspicions;

/// What all connections of a venue share.
pub(crate) struct Context {
    venue: &'static dyn Venue,
    /// Without path.
    ws_url: String,
    connector: Option<Connector>,
    symbols: Arc<Symbols>,
    metrics: Arc<VenueMetrics>,
    feed_metrics: Arc<FeedMetrics>,
    queue: queue::Sender,
    clock: Clock,
    gate: ConnectGate,
    /// What the venue grants this address, restarts included.
    connects: Allowance,
    status: VenueStatus,
    suspicions: Suspicions,
    clock_offset: Mutex<ClockOffset>,
    timeouts: Timeouts,
    silence_limit: Duration,
    keepalive_after: Duration,
    /// After which the venue ends a connection.
    lifetime: Option<Duration>,
    /// Whether what goes over connections is kept for a capture.
    captures: bool,
}

/// One of the connections that a venue needs, or a spare one.
pub(crate) struct Feed(Line);

/// What all feeds share.
pub(crate) struct Shared<'s> {
    pub(crate) symbols: &'s Arc<Symbols>,
    pub(crate) metrics: &'s Metrics,
    pub(crate) queue: &'s queue::Sender,
    pub(crate) clock: Clock,
    pub(crate) venues: &'s Arc<Venues>,
    pub(crate) allowances: &'s Arc<Allowances>,
    pub(crate) suspicions: &'s Suspicions,
    /// Whether what goes over connections is kept for a capture.
    pub(crate) captures: bool,
}

impl Feed {
    /// Shards an exchange's subscriptions over connections within the venue's limits.
    pub(crate) fn of_exchange(exchange: &Exchange, shared: &Shared<'_>) -> Result<Vec<Feed>, LoggerError> {
        let venue = exchange.venue;
        let facts = venue.facts();
        let symbols: Vec<(SymbolIndex, String)> = shared
            .symbols
            .iter()
            .filter(|(_, symbol)| symbol.exchange() == facts.name)
            .map(|(index, symbol)| (index, symbol.name.clone()))
            .collect();
        let shards = shard::shards(venue, &exchange.streams, &symbols);
        let streams = shards.iter().flat_map(|shard| &shard.wanted);
        let streams = streams.map(|wanted| (wanted.symbol, recorded(wanted.subscription.stream)));
        let feed_metrics = shared.metrics.feed(facts.name)?;
        let silence_limit = exchange.timeouts.silence.unwrap_or(facts.silence_limit);
        let context = Arc::new(Context {
            venue,
            ws_url: exchange.ws_url.clone(),
            connector: tls::connector(exchange)?,
            symbols: Arc::clone(shared.symbols),
            metrics: Arc::clone(shared.metrics.venue(facts.name)?),
            feed_metrics: Arc::clone(feed_metrics),
            queue: shared.queue.clone(),
            clock: shared.clock,
            gate: ConnectGate::new(facts.connect_spacing),
            connects: shared.allowances.allowance(&format!("{}/connect", facts.name), facts.connect_budget),
            status: shared.venues.venue(facts.name, &feed_metrics.refused, streams),
            suspicions: shared.suspicions.clone(),
            clock_offset: Mutex::default(),
            timeouts: Timeouts::of(exchange),
            silence_limit,
            keepalive_after: facts.keepalive_after.min(silence_limit / 2),
            lifetime: exchange.timeouts.lifetime.or(facts.lifetime),
            captures: shared.captures,
        });
        let line = |(shard, spare)| Feed(Line { context: Arc::clone(&context), shard, spare });
        // The spare ones last: all streams come before any comes twice.
        let shards: Vec<_> = shards.into_iter().map(Arc::new).collect();
        let each = (0..=exchange.spare_connections).flat_map(|spare| shards.iter().map(move |shard| (shard, spare)));
        Ok(each.map(|(shard, spare)| line((Arc::clone(shard), spare))).collect())
    }

    /// Runs until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        self.0.run(shutdown).await;
    }
}
