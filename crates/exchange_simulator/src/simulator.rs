//! The simulator as one thing: started, asked, shut down.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::clock::MarketClock;
use crate::config::{Config, Tls, VenueConfig};
use crate::connection::run_listener;
use crate::error::{Error, Result};
use crate::exchange::{Exchange, Tape};
use crate::fault::Fault;
use crate::ledger::{Entry, Ledger};
use crate::logger_config::{self, VenueEntry};
use crate::venue::VenueKind;
use crate::{replay, rest, tls};

/// Time between two flushes of the ledger file.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// How long the tasks may take to end after the connections have; only a stuck REST client needs any of it.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// How [`Simulator::disconnect`] ends connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disconnect {
    /// Queues are drained, a Close frame (1001) is sent, the peer's answer is awaited: everything the ledger says was
    /// delivered has been read.
    Clean,
}

/// Running venues. Dropping it ends everything at once; [`Simulator::shutdown`] does it in order.
///
/// Methods that take a venue's name (`coinbase`, `binance`, `kraken`, `okx`, `bitfinex`) panic if the simulator was not started with it: that is a mistake in
/// the test that calls them.
#[derive(Debug)]
pub struct Simulator {
    venues: Vec<Venue>,
    ledger: Arc<Ledger>,
    tls: Option<Tls>,
    stop: CancellationToken,
    tasks: JoinSet<Result<()>>,
    names: HashMap<Id, String>,
    last_fault: AtomicU64,
}

/// A fault that was injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FaultId(u64);

struct Venue {
    exchange: Arc<Exchange>,
    ws: SocketAddr,
    rest: SocketAddr,
}

impl std::fmt::Debug for Venue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} at {} and {}", self.exchange.kind(), self.ws, self.rest)
    }
}

impl Simulator {
    /// Opens all ports, the ledger and the captures, and lets the market move. When it returns, clients can connect.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`], [`Error::Tls`], [`Error::Read`] and [`Error::Capture`] for a configuration that cannot work,
    /// [`Error::Listen`] for a taken port.
    pub async fn start(config: Config) -> Result<Self> {
        config.check()?;
        let acceptor = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let plan = plan(&config)?;
        let ledger = Arc::new(Ledger::create(
            config.ledger.as_deref(),
            config.keep_ledger_in_memory,
            MarketClock::new(config.clock_offset_ns, config.clock_pace),
        )?);
        let last_connection = Arc::new(AtomicU64::new(0));
        let mut simulator = Self {
            venues: Vec::new(),
            ledger: ledger.clone(),
            tls: config.tls.clone(),
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
            names: HashMap::new(),
            last_fault: AtomicU64::new(0),
        };
        for (venue, tape) in plan {
            let (ws_listener, ws) = listen(&config, venue, venue.ws_port).await?;
            let (rest_listener, rest_address) = listen(&config, venue, venue.rest_port).await?;
            let exchange = Arc::new(Exchange::new(venue.kind, &config, tape, ledger.clone(), last_connection.clone()));
            tracing::info!(venue = %venue.kind, %ws, rest = %rest_address, symbols = exchange.symbols().len(), "listening");
            let stop = simulator.stop.clone();
            let name = |what| format!("{} {what}", venue.kind);
            simulator
                .spawn(name("listener"), run_listener(exchange.clone(), ws_listener, acceptor.clone(), stop.clone()));
            simulator.spawn(name("REST"), ended(rest::serve(exchange.clone(), rest_listener, stop.clone())));
            simulator.spawn(name("market"), ended(exchange.clone().run_market(stop.clone())));
            simulator.spawn(name("heartbeat"), ended(exchange.clone().run_heartbeat(stop)));
            simulator.venues.push(Venue { exchange, ws, rest: rest_address });
        }
        let stop = simulator.stop.clone();
        simulator.spawn("ledger".to_owned(), flush_regularly(ledger, stop));
        for fault in &config.faults {
            simulator.inject(fault)?;
        }
        Ok(simulator)
    }

    fn spawn(&mut self, name: String, task: impl Future<Output = Result<()>> + Send + 'static) {
        let id = self.tasks.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Where a venue's WebSocket clients connect: `ws://127.0.0.1:PORT`, with TLS `wss://localhost:PORT`; without a path.
    pub fn ws_url(&self, venue: &str) -> String {
        self.ws_url_of(self.venue(venue))
    }

    fn ws_url_of(&self, venue: &Venue) -> String {
        if self.tls.is_some() {
            // Certificates are made out to names.
            format!("wss://localhost:{}", venue.ws.port())
        } else {
            format!("ws://{}", reachable(venue.ws))
        }
    }

    /// Where a venue's REST service is: `http://127.0.0.1:PORT`, without a path.
    pub fn rest_url(&self, venue: &str) -> String {
        format!("http://{}", reachable(self.venue(venue).rest))
    }

    /// A venue's symbols as it names them.
    pub fn symbols(&self, venue: &str) -> Vec<String> {
        self.venue(venue).exchange.symbols().to_vec()
    }

    /// The YAML for the logger that records everything here.
    pub fn logger_config(&self) -> String {
        let entries = self.venues.iter().map(|venue| VenueEntry {
            name: venue.exchange.kind().name(),
            ws_url: self.ws_url_of(venue),
            rest_url: format!("http://{}", reachable(venue.rest)),
            symbols: venue.exchange.symbols(),
            agg_trades: venue.exchange.tape().is_some_and(|tape| tape.capture.has_only_agg_trades()),
            ca_file: self.tls.as_ref().map(|tls| tls.cert.as_path()),
        });
        logger_config::render(entries)
    }

    /// Stops the market of every venue; connections, acks, heartbeats and pings go on.
    pub fn pause_market(&self) {
        self.venues.iter().for_each(|venue| venue.exchange.set_running(false));
    }

    /// Lets the market of every venue move again.
    pub fn resume_market(&self) {
        self.venues.iter().for_each(|venue| venue.exchange.set_running(true));
    }

    /// Market events of a venue so far.
    pub fn events(&self, venue: &str) -> u64 {
        self.venue(venue).exchange.events()
    }

    /// Makes at least `count` events happen at once, also while the market is paused: whole taker orders, so up to three
    /// more. Returns how many; fewer than `count` only if `max_events` was reached, 0 in a replay.
    pub fn emit_events(&self, venue: &str, count: u64) -> u64 {
        self.venue(venue).exchange.emit(count)
    }

    /// How many WebSocket connections a venue serves.
    pub fn connections(&self, venue: &str) -> usize {
        self.venue(venue).exchange.connections()
    }

    /// Ends all connections of a venue and turns new ones down (HTTP 503) for `refuse_for` from now, while the market and REST go
    /// on. Returns when the connections have ended, which takes until every client has answered the Close frame or 15 s.
    pub async fn disconnect(&self, venue: &str, how: Disconnect, refuse_for: Duration) {
        match how {
            Disconnect::Clean => self.venue(venue).exchange.disconnect(refuse_for).await,
        }
    }

    /// Lets something go wrong, at the fault's venue or at all that know it. It begins before this returns unless the fault says
    /// later.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if no running venue has such a thing, or has had too many faults.
    pub fn inject(&self, fault: &Fault) -> Result<FaultId> {
        let fail = |reason: String| Error::Setting { setting: "fault", reason: format!("{fault}: {reason}") };
        let named = |venue: &&Venue| fault.venue.is_none_or(|named| named == venue.exchange.kind());
        let venues: Vec<_> = self
            .venues
            .iter()
            .filter(named)
            .filter(|venue| fault.applies_to(venue.exchange.kind()))
            .filter(|venue| {
                let symbols = venue.exchange.symbols();
                fault.symbol.as_ref().is_none_or(|symbol| symbols.contains(symbol))
            })
            .collect();
        if venues.is_empty() {
            return Err(fail("no running venue has such a thing, or the symbol".to_owned()));
        }
        let id = self.last_fault.fetch_add(1, Ordering::Relaxed) + 1;
        for venue in venues {
            if !venue.exchange.inject(id, fault.clone()) {
                return Err(fail(format!("{} has had too many faults", venue.exchange.kind())));
            }
        }
        Ok(FaultId(id))
    }

    /// Ends a fault now, or takes it back before it begins.
    pub fn lift(&self, fault: FaultId) {
        self.venues.iter().for_each(|venue| venue.exchange.lift(fault.0));
    }

    /// How often a fault struck: messages, handshakes, requests or subscriptions; 1 for what happens once, such as a reset. A
    /// stall, maintenance or clock skew strikes nothing.
    pub fn fault_hits(&self, fault: FaultId) -> u64 {
        self.venues.iter().map(|venue| venue.exchange.hits(fault.0)).sum()
    }

    /// The ids of the trades of a symbol that the venue's REST service can deliver now, rising.
    pub fn rest_ids(&self, venue: &str, symbol: &str) -> Vec<u64> {
        self.venue(venue).exchange.rest_ids(symbol)
    }

    /// The ledger kept in memory so far, in order; empty unless `keep_ledger_in_memory`.
    pub fn ledger(&self) -> Vec<Entry> {
        self.ledger.entries()
    }

    /// Waits until a task of the simulator dies, which none should, and tells why.
    pub async fn failure(&mut self) -> Error {
        let Some(ended) = self.tasks.join_next_with_id().await else { return std::future::pending().await };
        self.verdict(ended).err().unwrap_or_else(|| Error::Task {
            task: "simulator".to_owned(),
            reason: "a task ended before the shutdown".to_owned(),
        })
    }

    /// Stops the market, drains and closes all connections, ends every task and flushes the ledger.
    ///
    /// # Errors
    ///
    /// The first failure of any task since the start, or that of the ledger.
    pub async fn shutdown(mut self) -> Result<()> {
        join_all(self.venues.iter().map(|venue| venue.exchange.close())).await;
        self.stop.cancel();
        let mut outcome = Ok(());
        let deadline = tokio::time::Instant::now() + STOP_GRACE;
        loop {
            match tokio::time::timeout_at(deadline, self.tasks.join_next_with_id()).await {
                Ok(None) => break,
                Ok(Some(ended)) => outcome = outcome.and(self.verdict(ended)),
                Err(_) => {
                    tracing::warn!(tasks = self.tasks.len(), "tasks are late and are aborted");
                    self.tasks.shutdown().await;
                    break;
                }
            }
        }
        outcome.and(self.ledger.flush())
    }

    fn verdict(&self, ended: std::result::Result<(Id, Result<()>), tokio::task::JoinError>) -> Result<()> {
        match ended {
            Ok((_, outcome)) => outcome,
            Err(error) => {
                let task = self.names.get(&error.id()).cloned().unwrap_or_default();
                Err(Error::Task { task, reason: error.to_string() })
            }
        }
    }

    fn venue(&self, name: &str) -> &Venue {
        match self.venues.iter().find(|venue| venue.exchange.kind().name() == name) {
            Some(venue) => venue,
            None => panic!("the simulator was not started with {name:?}"),
        }
    }
}

/// Which venues to start, and what to play there.
fn plan(config: &Config) -> Result<Vec<(VenueConfig, Option<Tape>)>> {
    let Some(replay) = &config.replay else {
        return Ok(config.venues.iter().map(|venue| (*venue, None)).collect());
    };
    let ports = |kind: VenueKind| {
        config.venues.iter().find(|venue| venue.kind == kind).copied().unwrap_or_else(|| VenueConfig::new(kind))
    };
    let captures = replay::load(&replay.files)?;
    let tape = |capture| Some(Tape { capture, speed: replay.speed });
    Ok(captures.into_iter().map(|capture| (ports(capture.venue), tape(capture))).collect())
}

async fn listen(config: &Config, venue: VenueConfig, port: u16) -> Result<(TcpListener, SocketAddr)> {
    let address = SocketAddr::new(config.listen, port);
    let fail = |source| Error::Listen { venue: venue.kind, address, source };
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let bound = listener.local_addr().map_err(fail)?;
    Ok((listener, bound))
}

/// An address that leads to a listener from this machine: "all interfaces" is none to connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn ended(task: impl Future<Output = ()>) -> Result<()> {
    task.await;
    Ok(())
}

async fn flush_regularly(ledger: Arc<Ledger>, stop: CancellationToken) -> Result<()> {
    let mut tick = tokio::time::interval(FLUSH_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = tick.tick() => ledger.flush()?,
        }
    }
}
