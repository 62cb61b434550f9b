//! What the data directory has, by exchange: an index that is kept up to date in the background.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use column_store::{Reader, StoreError, Table, layout};
use metrics_server::{Handle, IntGauge};
use serde::Serialize;
use tokio::{sync::watch, task::spawn_blocking};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    instruments::{self, Instrument, Stamp},
    symbol_names::Pair,
    symbol_search::{Known, SymbolSearch},
};

/// From the end of one walk to the next at least: how soon a new symbol appears.
const INTERVAL: Duration = Duration::from_secs(1);
/// So many times as long as a walk takes there is none: with very many symbols it costs 5 % of a core at most.
const REST: u32 = 20;

/// The index; whoever asks gets what the last walk found.
///
/// Every directory that the store may have written counts, also one with a dot in its name: venues list symbols such as
/// `BRK.B-USD`. Only names with a leading dot are passed over, which no symbol can have, and files, which are none.
#[derive(Debug)]
pub(crate) struct Symbols {
    /// `None` until the first walk is done.
    found: watch::Receiver<Option<Result<Arc<Listing>, Arc<ListError>>>>,
    _ends_walks: DropGuard,
}

/// What one walk found.
#[derive(Debug)]
pub(crate) struct Listing {
    by_exchange: BTreeMap<String, Vec<String>>,
    /// The answer to whoever wants all, which nearly everybody does.
    all: Bytes,
    search: SymbolSearch,
}

/// Why there is no listing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    #[error("the data directory cannot be listed")]
    Store(#[from] StoreError),
    #[error("the data directory cannot be listed")]
    Read(#[from] io::Error),
    #[error("the listing cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    #[error("the walk through the data directory was aborted")]
    Aborted,
}

/// The order of the fields is the order of the keys.
#[derive(Serialize)]
struct Answer<'a> {
    exchanges: BTreeMap<&'a str, &'a [String]>,
    symbols: BTreeSet<&'a str>,
}

impl Symbols {
    /// Starts to walk, and goes on until this is dropped. At most `symbols_max` symbols are listed; `listed` tells how
    /// many are.
    pub(crate) fn watch(root: PathBuf, symbols_max: usize, listed: Handle<IntGauge>) -> Symbols {
        let (tell, found) = watch::channel(None);
        let stop = CancellationToken::new();
        let walker = Walker { root, symbols_max, instruments: BTreeMap::new(), last: None, is_cut: false };
        tokio::spawn(walker.walk_on(tell, listed, stop.clone()));
        Symbols { found, _ends_walks: stop.drop_guard() }
    }

    /// What the last walk found; waits for the first one.
    ///
    /// # Errors
    /// A directory cannot be read. That the data directory does not exist is no error: there are no symbols then.
    pub(crate) async fn list(&self) -> Result<Arc<Listing>, Arc<ListError>> {
        let mut found = self.found.clone();
        match found.wait_for(Option::is_some).await {
            Ok(found) => found.clone().unwrap_or_else(|| Err(Arc::new(ListError::Aborted))),
            Err(_) => Err(Arc::new(ListError::Aborted)),
        }
    }
}

impl Listing {
    /// `{"exchanges":{…},"symbols":[…]}` of one exchange, or of all.
    ///
    /// # Errors
    /// It cannot be written as JSON, which does not happen to strings.
    pub(crate) fn json(&self, exchange: Option<&str>) -> Result<Bytes, ListError> {
        match exchange {
            None => Ok(self.all.clone()),
            Some(exchange) => Ok(json(self.by_exchange.get_key_value(exchange).into_iter())?),
        }
    }

    /// The symbols by exchange, both sorted.
    pub(crate) fn by_exchange(&self) -> &BTreeMap<String, Vec<String>> {
        &self.by_exchange
    }

    /// The pairs that are traded.
    pub(crate) fn search(&self) -> &SymbolSearch {
        &self.search
    }
}

/// What is remembered from one walk to the next.
struct Walker {
    root: PathBuf,
    symbols_max: usize,
    /// An exchange's instruments; `None` if its file cannot be used.
    instruments: BTreeMap<String, (Option<Stamp>, Vec<Instrument>)>,
    last: Option<Arc<Listing>>,
    /// Whether it was told that there are too many symbols.
    is_cut: bool,
}

impl Walker {
    async fn walk_on(
        mut self,
        tell: watch::Sender<Option<Result<Arc<Listing>, Arc<ListError>>>>,
        listed: Handle<IntGauge>,
        stop: CancellationToken,
    ) {
        let mut had_failed = false;
        loop {
            let begun = Instant::now();
            let walked = spawn_blocking(move || {
                let walked = self.walk();
                (self, walked)
            });
            // A walk that panicked ends the index: what it remembered is gone with it, and requests say so.
            let Ok((walker, walked)) = walked.await else { break };
            self = walker;
            if let Ok(listing) = &walked {
                let symbols: usize = listing.by_exchange.values().map(Vec::len).sum();
                listed.set(i64::try_from(symbols).unwrap_or(i64::MAX));
            }
            let has_failed = walked.is_err();
            if let (Err(error), false) = (&walked, had_failed) {
                tracing::error!(error = ?error, "symbols cannot be listed");
            }
            had_failed = has_failed;
            tell.send_replace(Some(walked.map_err(Arc::new)));
            let rest = INTERVAL.max(begun.elapsed() * REST);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(rest) => {}
            }
        }
        tell.send_replace(Some(Err(Arc::new(ListError::Aborted))));
    }

    fn walk(&mut self) -> Result<Arc<Listing>, ListError> {
        let by_exchange = match Reader::open(&self.root) {
            Ok(_) => self.directories()?,
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error.into()),
        };
        let has_news = self.read_instruments(by_exchange.keys());
        if let Some(last) = self.last.as_ref().filter(|last| !has_news && last.by_exchange == by_exchange) {
            return Ok(Arc::clone(last));
        }
        let search = self.search(&by_exchange);
        let listing = Arc::new(Listing { all: json(by_exchange.iter())?, by_exchange, search });
        self.last = Some(Arc::clone(&listing));
        Ok(listing)
    }

    /// Exchanges and symbols that have a table, sorted, up to the limit.
    fn directories(&mut self) -> Result<BTreeMap<String, Vec<String>>, ListError> {
        let mut by_exchange = BTreeMap::new();
        let mut room = self.symbols_max;
        for exchange in names(&self.root)? {
            let directory = self.root.join(&exchange);
            let has_table =
                |symbol: &String| Table::ALL.iter().any(|table| directory.join(symbol).join(table.name()).is_dir());
            let symbols: Vec<String> = names(&directory)?.into_iter().filter(has_table).take(room).collect();
            room -= symbols.len();
            if !symbols.is_empty() {
                by_exchange.insert(exchange, symbols);
            }
        }
        if room == 0 && !self.is_cut {
            tracing::warn!(limit = self.symbols_max, "more symbols than are listed: the last ones are left out");
        }
        self.is_cut = room == 0;
        Ok(by_exchange)
    }

    /// Reads what changed; whether anything did.
    fn read_instruments<'a>(&mut self, exchanges: impl Iterator<Item = &'a String>) -> bool {
        let mut has_news = false;
        for exchange in exchanges {
            let known = self.instruments.get(exchange).and_then(|(stamp, _)| *stamp);
            match instruments::read(&self.root, exchange, known) {
                Ok(Some((stamp, instruments))) => {
                    self.instruments.insert(exchange.clone(), (Some(stamp), instruments));
                    has_news = true;
                }
                Ok(None) => {}
                Err(error) => {
                    // Told once; names are split instead, or what was known before is used.
                    if let std::collections::btree_map::Entry::Vacant(vacant) = self.instruments.entry(exchange.clone())
                    {
                        vacant.insert((None, Vec::new()));
                        tracing::warn!(%exchange, %error, "instruments cannot be read");
                    }
                }
            }
        }
        has_news
    }

    fn search(&self, by_exchange: &BTreeMap<String, Vec<String>>) -> SymbolSearch {
        let mut known = Vec::new();
        for (exchange, symbols) in by_exchange {
            let instruments: BTreeMap<&str, &Instrument> = self
                .instruments
                .get(exchange)
                .into_iter()
                .flat_map(|(_, instruments)| instruments)
                .map(|instrument| (instrument.stored.as_str(), instrument))
                .collect();
            known.extend(symbols.iter().map(|stored| match instruments.get(stored.as_str()) {
                Some(Instrument { symbol, base, quote, .. }) => {
                    Known { exchange, stored, symbol, pair: Pair::new(base, quote) }
                }
                None => Known { exchange, stored, symbol: stored, pair: Pair::of_name(exchange, stored) },
            }));
        }
        SymbolSearch::new(known.into_iter())
    }
}

/// Names of the directories in a directory that the store may have made, sorted.
fn names(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        // Such as `lost+found`; or it was just removed.
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let kind = entry.file_type()?;
        let is_directory = kind.is_dir() || (kind.is_symlink() && entry.path().is_dir());
        if is_directory && layout::check_name(&name, "a directory").is_ok() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn json<'a>(exchanges: impl Iterator<Item = (&'a String, &'a Vec<String>)>) -> serde_json::Result<Bytes> {
    let exchanges: BTreeMap<&str, &[String]> =
        exchanges.map(|(exchange, symbols)| (exchange.as_str(), symbols.as_slice())).collect();
    let symbols = exchanges.values().flat_map(|symbols| symbols.iter()).map(String::as_str).collect();
    serde_json::to_vec(&Answer { exchanges, symbols }).map(Bytes::from)
}
