//! Which instruments a venue lists, and which of them are recorded: patterns of the configuration are resolved by the
//! listing at the start, and the listing is refreshed while the logger runs.

mod listing;
mod pattern;
mod selection;
mod table;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use exchange_protocol::{RestError, Venue};
use futures_util::future::try_join_all;
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    clock::Clock,
    config::Exchange,
    error::LoggerError,
    rest::{Bounds, Interface, SendError},
};
use listing::Listing;
pub(crate) use pattern::Pattern;
use selection::Selection;
pub use table::{SymbolList, list_symbols};

/// A listing of the data directory that is this young needs no other at the start: who restarts in a loop asks no venue.
const FRESH: Duration = Duration::from_secs(60);
/// A venue that wants to be left alone for longer is not waited for.
const SILENCE: Duration = Duration::from_secs(20);

/// When the venues are asked for their listings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// A listing is as old as this at most.
    refresh: Duration,
    /// How long the start waits for one, where an older one is there, and where none is.
    at_start: [Duration; 2],
    /// Between attempts at the start, and while running; doubled after each failure.
    pause: [Duration; 2],
}

impl Pace {
    pub(crate) fn every(refresh: Duration) -> Pace {
        let seconds = Duration::from_secs;
        Pace { refresh, at_start: [seconds(20), seconds(120)], pause: [seconds(1), seconds(60)] }
    }
}

/// More than any venue lists, and what a pattern can match at most.
const MOST_LISTED: usize = 50_000;
/// Symbols named in one line of the log.
const NAMED: usize = 20;

/// Watches what the venues list.
#[derive(Debug)]
pub(crate) struct Discovery {
    watched: Vec<Watched>,
    pace: Pace,
}

/// A venue, and what is recorded of it.
struct Watched {
    venue: &'static dyn Venue,
    interface: Arc<Interface>,
    data_path: PathBuf,
    clock: Clock,
    selection: Selection,
    recorded: BTreeSet<String>,
    listing: Option<Listing>,
    unlisted: BTreeSet<String>,
    unrecorded: BTreeSet<String>,
}

/// Why there is no listing.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the venue wants no requests for another {}", humantime::format_duration(Duration::from_secs(.0.as_secs())))]
    Silent(Duration),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Rest(#[from] RestError),
    #[error("the listing has {0} instruments; 1 to {MOST_LISTED} are believed")]
    Unbelievable(usize),
    #[error("reading it was aborted")]
    Aborted,
    #[error("there was no time for it")]
    Late,
}

impl FetchError {
    fn of(&self, exchange: &Exchange) -> LoggerError {
        let (exchange, url) = (exchange.venue.facts().name.to_owned(), exchange.rest_url.clone());
        LoggerError::Listing { exchange, url, reason: self.to_string() }
    }
}

async fn fetch(venue: &'static dyn Venue, interface: &Interface, clock: Clock) -> Result<Listing, FetchError> {
    let silence = interface.allowance.silent_for();
    if silence > SILENCE {
        return Err(FetchError::Silent(silence));
    }
    let rest = venue.rest();
    let request = rest.instruments();
    interface.allowance.take(request.weight).await;
    let response = interface.send(&request, Bounds::LISTING).await?;
    // Binance's takes a tenth of a second.
    let reading = spawn_blocking(move || rest.read_instruments(&response.answer()));
    let read = reading.await.map_err(|_| FetchError::Aborted)?;
    interface.understood(&read).await;
    let listing = Listing::new(venue, clock.now_ns(), read?);
    match listing.instruments.len() {
        1..=MOST_LISTED => Ok(listing),
        count => Err(FetchError::Unbelievable(count)),
    }
}

impl Discovery {
    /// Replaces the patterns in the exchanges' symbols by what they stand for. Where there are none, no venue is asked.
    ///
    /// # Errors
    /// [`LoggerError::Listing`] if there is a pattern, but no listing, neither from the venue nor in the data directory.
    pub(crate) async fn resolve(
        exchanges: &mut [Exchange],
        interfaces: &[Arc<Interface>],
        data_path: &Path,
        pace: Pace,
        clock: Clock,
    ) -> Result<Discovery, LoggerError> {
        let resolving = exchanges.iter_mut().zip(interfaces).map(|(exchange, interface)| async move {
            let mut watched = Watched::new(exchange, Arc::clone(interface), data_path, clock).await;
            if watched.selection.has_patterns() {
                watched.list_at_start(pace).await.map_err(|error| error.of(exchange))?;
            }
            exchange.symbols = watched.select();
            if exchange.symbols.is_empty() {
                let error = LoggerError::NoSymbols { exchange: watched.interface.exchange.to_owned() };
                return Err(error);
            }
            watched.recorded = exchange.symbols.iter().cloned().collect();
            watched.compare();
            Ok(watched)
        });
        Ok(Discovery { watched: try_join_all(resolving).await?, pace })
    }

    /// Keeps the listings fresh until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut watching = JoinSet::new();
        for watched in self.watched {
            watching.spawn(watched.keep_fresh(self.pace));
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            Some(ended) = watching.join_next() => {
                error!(error = ended.err().map(|error| error.to_string()), "the watch over a listing ended");
            }
        }
        watching.shutdown().await;
    }
}

impl Watched {
    async fn new(exchange: &Exchange, interface: Arc<Interface>, data_path: &Path, clock: Clock) -> Watched {
        let (path, name) = (data_path.to_owned(), interface.exchange);
        let reading = spawn_blocking(move || Listing::read(&path, name));
        let listing = reading.await.map_err(std::io::Error::other).and_then(|read| read).unwrap_or_else(|error| {
            warn!(exchange = name, %error, "the last listing cannot be used");
            None
        });
        Watched {
            venue: exchange.venue,
            interface,
            data_path: data_path.to_owned(),
            clock,
            selection: Selection::new(&exchange.symbols, &exchange.exclude),
            recorded: BTreeSet::new(),
            listing,
            unlisted: BTreeSet::new(),
            unrecorded: BTreeSet::new(),
        }
    }

    fn age(&self) -> Option<Duration> {
        let listing = self.listing.as_ref()?;
        Some(Duration::from_nanos(self.clock.now_ns().saturating_sub(listing.fetched_ns)))
    }

    /// A listing of now, or else the last one.
    async fn list_at_start(&mut self, pace: Pace) -> Result<(), FetchError> {
        let exchange = self.interface.exchange;
        if self.age().is_some_and(|age| age < FRESH) {
            return Ok(());
        }
        let [with, without] = pace.at_start;
        let patience = if self.listing.is_some() { with } else { without };
        let mut last = FetchError::Late;
        let trying = async {
            let mut pause = pace.pause[0];
            while let Err(error) = self.fetch().await {
                warn!(exchange, %error, again_in = %humantime::format_duration(pause), "no listing to resolve patterns of symbols");
                let is_hopeless = matches!(error, FetchError::Silent(_));
                last = error;
                if is_hopeless {
                    return false;
                }
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            true
        };
        if timeout(patience, trying).await.unwrap_or(false) {
            return Ok(());
        }
        let Some(age) = self.age() else { return Err(last) };
        let age = humantime::format_duration(Duration::from_secs(age.as_secs()));
        warn!(exchange, %age, "the last listing resolves the patterns of symbols");
        Ok(())
    }

    /// Takes a new listing, and writes it down.
    async fn fetch(&mut self) -> Result<(), FetchError> {
        let listing = fetch(self.venue, &self.interface, self.clock).await?;
        let (path, written) = (self.data_path.clone(), listing.clone());
        let writing = spawn_blocking(move || written.write(&path));
        if let Err(error) = writing.await.map_err(std::io::Error::other).and_then(|written| written) {
            // The disk may be full; what is known is as good in memory.
            warn!(exchange = self.interface.exchange, %error, "the listing cannot be written down");
        }
        info!(exchange = self.interface.exchange, instruments = listing.instruments.len(), "listed");
        self.listing = Some(listing);
        Ok(())
    }

    /// What is to be recorded, by the listing at hand.
    fn select(&self) -> Vec<String> {
        let directory = self.data_path.join(self.interface.exchange);
        // What does not trade at this moment is recorded if it was recorded before.
        self.selection.symbols(self.listing.as_ref(), |stored| directory.join(stored).is_dir())
    }

    async fn keep_fresh(mut self, pace: Pace) {
        let refresh = pace.refresh;
        let first_pause = pace.pause[1].min(refresh);
        let mut pause = first_pause;
        let mut failing = false;
        loop {
            // The clock may be set while this waits: looked at again now and then.
            while let Some(left) = self.age().and_then(|age| refresh.checked_sub(age)).filter(|left| !left.is_zero()) {
                tokio::time::sleep(left.min(refresh).min(Duration::from_secs(60))).await;
            }
            let started = Instant::now();
            match self.fetch().await {
                Ok(()) => {
                    (pause, failing) = (first_pause, false);
                    self.compare();
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        warn!(exchange = self.interface.exchange, %error, "the listing stays as it is");
                    }
                    tokio::time::sleep_until(started + pause).await;
                    pause = (pause * 2).min(refresh);
                }
            }
        }
    }

    /// Says where the listing and what is recorded differ.
    fn compare(&mut self) {
        let Some(listing) = &self.listing else { return };
        let metrics = &self.interface.metrics;
        metrics.listed_at.set(listing.fetched_ns as f64 / 1e9);
        let is_listed = |symbol: &str| listing.get(symbol).is_some_and(|listed| listed.status != listing::Status::Gone);
        let unlisted: BTreeSet<String> = self.recorded.iter().filter(|symbol| !is_listed(symbol)).cloned().collect();
        let matching = self.selection.symbols(Some(listing), |_| false);
        let unrecorded: BTreeSet<String> =
            matching.into_iter().filter(|symbol| !self.recorded.contains(symbol)).collect();
        metrics.unlisted.set(i64::try_from(unlisted.len()).unwrap_or(i64::MAX));
        metrics.unrecorded.set(i64::try_from(unrecorded.len()).unwrap_or(i64::MAX));
        let exchange = self.interface.exchange;
        if let Some((symbols, more)) = named(&unlisted, &self.unlisted) {
            warn!(exchange, symbols, more, "recorded, but the venue does not list them (any more)");
        }
        if let Some((symbols, more)) = named(&unrecorded, &self.unrecorded) {
            warn!(exchange, symbols, more, "listed and matched by a pattern, but not recorded before a restart");
        }
        (self.unlisted, self.unrecorded) = (unlisted, unrecorded);
    }
}

/// Those that are new, for the log, and how many more there are.
fn named(now: &BTreeSet<String>, before: &BTreeSet<String>) -> Option<(String, usize)> {
    let new: Vec<&str> = now.difference(before).map(String::as_str).collect();
    let named = new.get(..NAMED).unwrap_or(&new);
    (!new.is_empty()).then(|| (named.join(", "), new.len() - named.len()))
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").field("exchange", &self.interface.exchange).finish_non_exhaustive()
    }
}
