//! A feed keeps one connection to a venue alive: connects, subscribes, reads, and begins again when it ends. The same for
//! all venues; what differs is in [`exchange_protocol`].

mod backoff;
mod connection;
mod gate;
mod status;
mod suspicion;
mod tls;

use std::{collections::HashMap, sync::Arc, time::Duration};

use exchange_protocol::{Subscription, Venue};
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
    received::{self, Batch, ConnectionId, Fact, LostWhy, Received, SymbolIndex},
    symbols::Symbols,
};
use backoff::Backoff;
use connection::{Connection, Ended};
use gate::ConnectGate;
use status::FeedStatus;
pub(crate) use status::Venues;
pub(crate) use suspicion::Suspicions;

/// A connection that carried its subscriptions this long has proven itself: the next retry is immediate again.
const PROVEN_AFTER: Duration = Duration::from_secs(30);

/// One connection's worth of subscriptions.
pub(crate) struct Feed {
    venue: &'static dyn Venue,
    url: String,
    subscriptions: Vec<Subscription>,
    by_name: HashMap<String, SymbolIndex>,
    connector: Option<Connector>,
    symbols: Arc<Symbols>,
    metrics: Arc<VenueMetrics>,
    queue: queue::Sender,
    clock: Clock,
    gate: Arc<ConnectGate>,
    status: FeedStatus,
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
    /// Shards an exchange's symbols over connections within the venue's limits.
    pub(crate) fn of_exchange(exchange: &Exchange, shared: &Shared<'_>) -> Result<Vec<Feed>, LoggerError> {
        let facts = exchange.venue.facts();
        let connector = tls::connector(exchange)?;
        let gate = Arc::new(ConnectGate::new(facts.connect_spacing));
        let mut feeds = Vec::new();
        let metrics = shared.metrics.venue(facts.name)?;
        let of_exchange = |symbol: &crate::symbols::Symbol| symbol.exchange() == facts.name;
        let indices: HashMap<&str, SymbolIndex> = shared
            .symbols
            .iter()
            .filter(|(_, symbol)| of_exchange(symbol))
            .map(|(index, symbol)| (symbol.name.as_str(), index))
            .collect();
        let mut paths: Vec<&str> = exchange.streams.iter().map(|stream| exchange.venue.path(*stream)).collect();
        paths.dedup();
        for path in paths {
            let streams: Vec<_> =
                exchange.streams.iter().filter(|stream| exchange.venue.path(**stream) == path).copied().collect();
            for symbols in exchange.symbols.chunks(facts.symbols_per_connection) {
                let subscribe = |symbol: &String| {
                    streams.iter().map(|stream| Subscription { symbol: symbol.clone(), stream: *stream }).collect()
                };
                let by_name = |symbol: &String| Some((symbol.clone(), *indices.get(symbol.as_str())?));
                feeds.push(Feed {
                    venue: exchange.venue,
                    url: format!("{}{path}", exchange.ws_url),
                    subscriptions: symbols.iter().flat_map(|symbol| -> Vec<_> { subscribe(symbol) }).collect(),
                    by_name: symbols.iter().filter_map(by_name).collect(),
                    connector: connector.clone(),
                    symbols: Arc::clone(shared.symbols),
                    metrics: Arc::clone(metrics),
                    queue: shared.queue.clone(),
                    clock: shared.clock,
                    gate: Arc::clone(&gate),
                    status: shared.venues.feed(facts.name),
                });
            }
        }
        Ok(feeds)
    }

    /// Runs until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let span = info_span!("feed", exchange = self.venue.facts().name, url = %self.url);
        self.keep_connected(&shutdown).instrument(span).await;
    }

    async fn keep_connected(mut self, shutdown: &CancellationToken) {
        let mut backoff = Backoff::default();
        let mut connected_before = false;
        loop {
            let connected = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                connected = Connection::open(&self) => connected,
            };
            match connected {
                Ok(mut connection) => {
                    if connected_before {
                        self.metrics.reconnections.inc();
                    }
                    connected_before = true;
                    let opened = Instant::now();
                    let ended = connection.carry(&mut self, shutdown).await;
                    self.status.lost();
                    if let Ended::Shutdown = ended {
                        return;
                    }
                    self.tell_lost(connection.id()).await;
                    self.report(&ended);
                    if connection.was_live() && opened.elapsed() >= PROVEN_AFTER {
                        backoff.reset();
                    }
                }
                Err(ended) => self.report(&ended),
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

    fn report(&self, ended: &Ended) {
        if let Some(kind) = ended.error_type() {
            self.metrics.error(kind);
            warn!(reason = %ended, error_type = kind.label(), "connection ended");
        }
    }

    /// Tells the recorder, behind everything that this connection brought, that it carries nothing any more.
    async fn tell_lost(&self, connection: ConnectionId) {
        let receive_ns = self.clock.now_ns();
        let lost = |subscription: &Subscription| {
            let stream = received::recorded(subscription.stream);
            let fact = Fact::Lost { stream, why: LostWhy::Disconnected, proven_ns: receive_ns };
            Some(Received { symbol: *self.by_name.get(&subscription.symbol)?, receive_ns, fact })
        };
        let facts = self.subscriptions.iter().filter_map(lost).collect();
        self.queue.send(Batch::new(connection, facts)).await;
    }
}
