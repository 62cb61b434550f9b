//! What the data directory has, by exchange.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use column_store::{Reader, StoreError};
use serde::Serialize;
use tokio::{
    sync::{Mutex, Semaphore},
    task::{JoinError, spawn_blocking},
};

/// How long a listing is used again. A new symbol appears within this time, and a page that asks often, or many pages,
/// cost one walk through the directories a second.
const MAX_AGE: Duration = Duration::from_secs(1);

/// The symbols of the data directory, listed at most once a second.
///
/// Every directory that the store may have written counts, also one with a dot in its name: venues list symbols such as
/// `BRK.B-USD`. Only names with a leading dot are passed over, which no symbol can have, and files, which are none.
#[derive(Debug)]
pub(crate) struct Symbols {
    root: PathBuf,
    /// Held during a walk, so that there is one however many ask.
    listing: Mutex<Option<(Instant, Arc<Listing>)>>,
    /// Shared with the plans: the same disk.
    turns: Arc<Semaphore>,
}

/// One walk's result.
#[derive(Debug)]
pub(crate) struct Listing {
    by_exchange: BTreeMap<String, Vec<String>>,
    /// The answer to whoever wants all, which nearly everybody does.
    all: Bytes,
}

/// A listing and where it came from.
pub(crate) struct Listed {
    /// The listing.
    pub(crate) listing: Arc<Listing>,
    /// Time that the walk took, if there was one for this request.
    pub(crate) walked: Option<Duration>,
}

/// Why there is no listing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    #[error("the data directory cannot be listed")]
    Store(#[from] StoreError),
    #[error("the listing cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    #[error("the walk through the data directory was aborted")]
    Aborted(#[from] JoinError),
}

/// The order of the fields is the order of the keys.
#[derive(Serialize)]
struct Answer<'a> {
    exchanges: BTreeMap<&'a str, &'a [String]>,
    symbols: BTreeSet<&'a str>,
}

impl Symbols {
    pub(crate) fn new(root: PathBuf, turns: Arc<Semaphore>) -> Symbols {
        Symbols { root, listing: Mutex::new(None), turns }
    }

    /// The current listing; walks through the directories if the last walk is too long ago.
    ///
    /// # Errors
    /// A directory cannot be read. That the data directory does not exist is no error: there are no symbols then.
    pub(crate) async fn list(&self) -> Result<Listed, ListError> {
        let mut cached = self.listing.lock().await;
        if let Some((walked_at, listing)) = &*cached
            && walked_at.elapsed() < MAX_AGE
        {
            return Ok(Listed { listing: Arc::clone(listing), walked: None });
        }
        let start = Instant::now();
        let root = self.root.clone();
        // Never closed; if it were, walking without a turn would still be correct.
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        let walked = spawn_blocking(move || {
            let _held_until_walked = turn;
            walk(&root)
        });
        let listing = Arc::new(walked.await??);
        // Old from the moment the walk began: what appeared during it may have been missed.
        *cached = Some((start, Arc::clone(&listing)));
        Ok(Listed { listing, walked: Some(start.elapsed()) })
    }
}

fn walk(root: &Path) -> Result<Listing, ListError> {
    let by_exchange = match Reader::open(root).and_then(|reader| reader.symbols()) {
        Ok(by_exchange) => by_exchange,
        Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
        Err(error) => return Err(error.into()),
    };
    let all = json(by_exchange.iter())?;
    Ok(Listing { by_exchange, all })
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
}

fn json<'a>(exchanges: impl Iterator<Item = (&'a String, &'a Vec<String>)>) -> serde_json::Result<Bytes> {
    let exchanges: BTreeMap<&str, &[String]> =
        exchanges.map(|(exchange, symbols)| (exchange.as_str(), symbols.as_slice())).collect();
    let symbols = exchanges.values().flat_map(|symbols| symbols.iter()).map(String::as_str).collect();
    serde_json::to_vec(&Answer { exchanges, symbols }).map(Bytes::from)
}
