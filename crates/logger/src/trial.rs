//! Tries an exchange: connects and subscribes as a recording logger does, and tells what arrived instead of recording it.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use column_store::Stream;
use metrics_server::{Health, Registry};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    config::Exchange,
    error::LoggerError,
    feed::{Feed, Shared, Suspicions, Venues},
    metrics::Metrics,
    queue,
    received::{Batch, Fact, SymbolIndex, recorded},
    rest::Allowances,
    symbols::Symbols,
};

/// Facts that wait for the trial at most.
const QUEUE: usize = 65_536;

/// What arrived of one stream of a symbol.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrived {
    /// After how long the subscription was live.
    live_after: Option<Duration>,
    /// After how long the first trade or quote came.
    data_after: Option<Duration>,
    events: u64,
    /// Signs of life without a trade or quote.
    alive: u64,
    latest: Option<String>,
    /// Receive time − event time of live events, ns, summed up, and how many.
    latency_ns: (i128, u64),
}

/// The outcome of a trial.
#[derive(Debug)]
pub(crate) struct Trial {
    names: Vec<String>,
    streams: BTreeMap<(SymbolIndex, Stream), Arrived>,
    took: Duration,
}

impl Trial {
    /// Tries an exchange for so long.
    pub(crate) async fn run(exchange: &Exchange, lasting: Duration, clock: Clock) -> Result<Trial, LoggerError> {
        let exchanges = [exchange.clone()];
        let symbols = Arc::new(Symbols::new(&exchanges, exchange.symbols.len(), clock));
        let metrics = Metrics::register(&mut Registry::default(), &symbols)?;
        let venues = Venues::new(&metrics, Health::new("gpu-charts-logger").component("feeds", None));
        let (sender, mut receiver) = queue::channel(QUEUE);
        let shared = Shared {
            symbols: &symbols,
            metrics: &metrics,
            queue: &sender,
            clock,
            venues: &venues,
            allowances: &Allowances::forgetful(clock),
            suspicions: &Suspicions::default(),
            captures: false,
        };
        let stop = CancellationToken::new();
        let mut feeds = tokio::task::JoinSet::new();
        for feed in Feed::of_exchange(exchange, &shared)? {
            feeds.spawn(feed.run(stop.clone()));
        }
        drop(sender);
        let began = Instant::now();
        let mut trial = Trial::new(exchange);
        while let Some(left) = lasting.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
            receiver.take(left, |batch| trial.take(&batch, began.elapsed())).await;
        }
        trial.took = began.elapsed();
        stop.cancel();
        feeds.shutdown().await;
        Ok(trial)
    }

    fn new(exchange: &Exchange) -> Trial {
        let streams: Vec<Stream> = exchange.streams.iter().map(|stream| recorded(*stream)).collect();
        let all = (0..exchange.symbols.len()).flat_map(|symbol| streams.iter().map(move |stream| (symbol, *stream)));
        let streams = all.map(|of| (of, Arrived::default())).collect();
        Trial { names: exchange.symbols.clone(), streams, took: Duration::ZERO }
    }

    fn take(&mut self, batch: &Batch, after: Duration) {
        for received in &batch.facts {
            let (stream, event) = match &received.fact {
                Fact::Live(stream) => {
                    if let Some(arrived) = self.streams.get_mut(&(received.symbol, *stream)) {
                        arrived.live_after.get_or_insert(after);
                    }
                    continue;
                }
                Fact::Alive(stream) => (*stream, None),
                Fact::LastTrade { .. } => (Stream::Trades, None),
                Fact::Trade(trade) => {
                    let side = match trade.taker {
                        exchange_protocol::Side::Buy => "bought",
                        exchange_protocol::Side::Sell => "sold",
                    };
                    let text = format!("{} {side} at {}", trade.size, trade.price);
                    (Stream::Trades, Some((text, if trade.snapshot { 0 } else { trade.event_ns })))
                }
                Fact::Quote(quote) => {
                    (Stream::Quotes, Some((format!("{} / {}", quote.bid, quote.ask), quote.event_ns)))
                }
                Fact::Renumbered | Fact::Lost { .. } | Fact::Fill(_) => continue,
            };
            let Some(arrived) = self.streams.get_mut(&(received.symbol, stream)) else { continue };
            match event {
                None => arrived.alive += 1,
                Some((text, event_ns)) => {
                    arrived.events += 1;
                    arrived.data_after.get_or_insert(after);
                    arrived.latest = Some(text);
                    if event_ns > 0 {
                        arrived.latency_ns.0 += i128::from(received.receive_ns) - i128::from(event_ns);
                        arrived.latency_ns.1 += 1;
                    }
                }
            }
        }
    }

    /// Whether every subscription was acknowledged, and of every symbol something came.
    pub(crate) fn is_good(&self) -> bool {
        let of_symbol = |symbol| self.streams.iter().filter(move |((of, _), _)| *of == symbol);
        self.streams.values().all(|arrived| arrived.live_after.is_some())
            && (0..self.names.len()).all(|symbol| of_symbol(symbol).any(|(_, arrived)| arrived.events > 0))
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(6);
        writeln!(f, "{:width$}  STREAM  SUBSCRIBED  FIRST DATA    EVENTS  PER SECOND  LATENCY  LATEST", "SYMBOL")?;
        let seconds =
            |after: Option<Duration>| after.map_or("never".to_owned(), |after| format!("{:.2} s", after.as_secs_f64()));
        for ((symbol, stream), arrived) in &self.streams {
            let Arrived { live_after, data_after, events, alive, latest, latency_ns: (sum, count) } = arrived;
            let stream = match stream {
                Stream::Trades => "trades",
                Stream::Quotes => "quotes",
            };
            let latency = match count {
                0 => "-".to_owned(),
                count => format!("{} ms", sum / i128::from(*count) / 1_000_000),
            };
            let rate = *events as f64 / self.took.as_secs_f64().max(0.001);
            let latest = match (latest, alive) {
                (Some(latest), _) => latest.clone(),
                (None, 0) => "-".to_owned(),
                (None, alive) => format!("quiet; {alive} signs of life"),
            };
            let name = self.names.get(*symbol).map_or("", String::as_str);
            writeln!(
                f,
                "{name:width$}  {stream}  {:>10}  {:>10}  {events:>8}  {rate:>10.1}  {latency:>7}  {latest}",
                seconds(*live_after),
                seconds(*data_after),
            )?;
        }
        Ok(())
    }
}
