//! Scrapes in turn: how many may wait, and where they are encoded.

use crate::encoding::EncodeError;
use crate::exposition::Exposition;
use prometheus_client::metrics::gauge::Gauge;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;

/// Lets a bounded number of scrapes in and encodes them one at a time.
#[derive(Clone, Debug)]
pub(crate) struct Scraper {
    exposition: Exposition,
    places: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

/// Why a scrape got no exposition.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScrapeError {
    #[error("too many scrapes in flight")]
    Refused,
    #[error("the exposition could not be encoded")]
    Encode(#[from] EncodeError),
    /// A collector panicked, or the runtime is shutting down.
    #[error("the encoding was aborted")]
    Aborted(#[from] JoinError),
}

impl Scraper {
    pub(crate) fn new(exposition: Exposition, scrapes_in_flight: usize) -> Self {
        let places = Arc::new(Semaphore::new(scrapes_in_flight.min(Semaphore::MAX_PERMITS)));
        Self { exposition, places, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Encodes the exposition off the async workers, so that a large one does not hold up the program's own work.
    ///
    /// A place is held until the encoding ends, not until the client has read the answer: otherwise a few clients
    /// that do not read would keep everybody from scraping. And it is held by the encoding itself, so that clients
    /// which ask and hang up cannot pile encodings up.
    pub(crate) async fn scrape(&self) -> Result<String, ScrapeError> {
        let metrics = self.exposition.metrics();
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            metrics.refused.inc();
            return Err(ScrapeError::Refused);
        };
        let place = Place::new(place, metrics.in_flight.clone());
        // The semaphore is never closed; if it were, encoding without the turn would still be correct.
        let turn = Arc::clone(&self.turn).acquire_owned().await.ok();
        let exposition = self.exposition.clone();
        let encoded = tokio::task::spawn_blocking(move || {
            let _held_until_encoded = (place, turn);
            exposition.encode()
        })
        .await;
        let result = encoded.map_err(ScrapeError::from).and_then(|body| Ok(body?));
        if result.is_err() {
            metrics.errors.inc();
        }
        result
    }
}

/// A place in flight, counted while it is held.
struct Place {
    _permit: OwnedSemaphorePermit,
    in_flight: Gauge,
}

impl Place {
    fn new(permit: OwnedSemaphorePermit, in_flight: Gauge) -> Self {
        in_flight.inc();
        Self { _permit: permit, in_flight }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.in_flight.dec();
    }
}
