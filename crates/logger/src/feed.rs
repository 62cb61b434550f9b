//! The feeds keep connections to the venues alive: they connect, subscribe, read, and begin again when a connection ends.
//! The same for all venues; what differs is in [`exchange_protocol`].

mod arrival;
mod backoff;
mod connection;
mod gate;
mod handshake;
mod intake;
mod shard;
mod status;
mod subscriptions;
mod suspicion;
mod tls;

use std::{sync::Arc, time::Duration};

use exchange_protocol::Venue;
use tokio::time::Instant;
use tokio_tungstenite::Connector;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info, info_span, warn};

use crate::{
    clock::Clock,
    config::Exchange,
    error::LoggerError,
    metrics::{Metrics, VenueMetrics},
    queue,
    received::{SymbolIndex, recorded},
    symbols::Symbols,
};
use backoff::Backoff;
use connection::{Connection, Ended};
use gate::ConnectGate;
use shard::Shard;
use status::VenueStatus;
pub(crate) use status::Venues;
use subscriptions::Timeouts;
pub(crate) use suspicion::Suspicions;

/// A connection that carried its subscriptions this long has proven itself: the next retry is immediate again.
const PROVEN_AFTER: Duration = Duration::from_secs(30);

/// What all connections of a venue share.
pub(crate) struct Context {
    venue: &'static dyn Venue,
    /// Without path.
    ws_url: String,
    connector: Option<Connector>,
    symbols: Arc<Symbols>,
    metrics: Arc<VenueMetrics>,
    queue: queue::Sender,
    clock: Clock,
    gate: ConnectGate,
    status: VenueStatus,
    timeouts: Timeouts,
    silence_limit: Duration,
    keepalive_after: Duration,
}

/// One shard of a venue's subscriptions, carried by one connection after the other.
pub(crate) struct Feed {
    context: Arc<Context>,
    shard: Shard,
}

/// What all feeds share.
pub(crate) struct Shared<'s> {
    pub(crate) symbols: &'s Arc<Symbols>,
    pub(crate) metrics: &'s Metrics,
    pub(crate) queue: &'s queue::Sender,
    pub(crate) clock: Clock,
    pub(crate) venues: &'s Arc<Venues>,
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
        let silence_limit = exchange.timeouts.silence.unwrap_or(facts.silence_limit);
        let context = Arc::new(Context {
            venue,
            ws_url: exchange.ws_url.clone(),
            connector: tls::connector(exchange)?,
            symbols: Arc::clone(shared.symbols),
            metrics: Arc::clone(shared.metrics.venue(facts.name)?),
            queue: shared.queue.clone(),
            clock: shared.clock,
            gate: ConnectGate::new(facts.connect_spacing),
            status: shared.venues.venue(facts.name, streams),
            timeouts: Timeouts::of(exchange),
            silence_limit,
            keepalive_after: facts.keepalive_after.min(silence_limit / 2),
        });
        Ok(shards.into_iter().map(|shard| Feed { context: Arc::clone(&context), shard }).collect())
    }

    /// Runs until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let span = info_span!("feed", exchange = self.context.venue.facts().name, path = self.shard.path);
        self.keep_connected(&shutdown).instrument(span).await;
    }

    async fn keep_connected(self, shutdown: &CancellationToken) {
        let Feed { context, shard } = self;
        let mut backoff = Backoff::default();
        let mut connected_before = false;
        loop {
            let connected = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                connected = Connection::open(&context, &shard) => connected,
            };
            let ended = match connected {
                Ok(mut connection) => {
                    if connected_before {
                        context.metrics.reconnections.inc();
                    }
                    connected_before = true;
                    let opened = Instant::now();
                    let ended = connection.carry(&context, shutdown).await;
                    if connection.was_settled() && opened.elapsed() >= PROVEN_AFTER {
                        backoff.reset();
                    }
                    ended
                }
                Err(ended) => ended,
            };
            if let Ended::Shutdown = ended {
                return;
            }
            if let Some(kind) = ended.error_type() {
                context.metrics.error(kind);
                warn!(reason = %ended, error_type = kind.label(), "connection ended");
            }
            let wait = backoff.next();
            info!(wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), "connecting again");
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}
