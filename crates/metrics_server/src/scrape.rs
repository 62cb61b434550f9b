//! Scrapes: who gets which exposition, how many may wait, and what they share.
//!
//! A scrape joins the document that is about to be encoded for its format, compression and name filter, or causes a
//! new one. Documents are encoded off the async workers, in goes of a bounded size, one go at a time, and only as fast
//! as the first of their readers takes them ([`driver`], [`document`]).

mod body;
mod compressor;
mod cut;
mod document;
mod driver;
mod joinable;
mod limits;
mod live;
mod metrics;
mod name_query;
mod timeout;

use crate::exposition::Exposition;
use crate::negotiation::{self, Coding, MediaType};
pub(crate) use body::ScrapeBody;
use bytes::Bytes;
pub(crate) use cut::BodyError;
use document::Document;
use driver::Driver;
use http::{HeaderMap, Version};
use joinable::{Joinable, Key};
use limits::{DOCUMENTS_READ_MAX, HTTP_1_0_BYTES_MAX, HTTP_1_0_DOCUMENTS_MAX};
use live::Live;
use metrics::Refusal;
pub(crate) use metrics::ScrapeMetrics;
use name_query::{NameQueryError, Names, names};
use prometheus_client::metrics::gauge::Gauge;
use std::sync::Arc;
use std::time::Duration;
use timeout::ScrapeTimeout;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// What a client asks of `/metrics`.
#[derive(Clone, Debug)]
pub(crate) struct ScrapeRequest {
    media_type: MediaType,
    coding: Coding,
    names: Option<Names>,
    timeout: ScrapeTimeout,
    /// Whether the end of a body can be told from a connection that broke.
    can_be_chunked: bool,
}

/// An exposition on its way.
#[derive(Debug)]
pub(crate) struct Scrape {
    pub(crate) content_type: &'static str,
    pub(crate) content_encoding: Option<&'static str>,
    pub(crate) body: ScrapeBody,
}

/// Why a scrape got no exposition.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScrapeError {
    #[error("too many scrapes in flight")]
    Busy,
    #[error("no exposition within the scrape timeout of {} s (X-Prometheus-Scrape-Timeout-Seconds)", .0.as_secs_f64())]
    Timeout(Duration),
    #[error("the exposition could not be encoded")]
    Failed(#[from] BodyError),
    #[error("the exposition has more than {HTTP_1_0_BYTES_MAX} bytes, too many for HTTP/1.0; use HTTP/1.1")]
    TooLongForHttp10,
    #[error(transparent)]
    Names(#[from] NameQueryError),
    #[error("none of the accepted encodings is there; there is gzip, zstd and identity")]
    NoAcceptableCoding,
}

/// The scrapes of one endpoint. Cheap to clone; all clones share their documents.
#[derive(Clone, Debug)]
pub(crate) struct Scraper {
    exposition: Exposition,
    metrics: ScrapeMetrics,
    places: Arc<Semaphore>,
    live: Arc<Live>,
    http_1_0_documents: Arc<Semaphore>,
    turn: Arc<Semaphore>,
    joinable: Arc<Joinable>,
}

impl Scraper {
    pub(crate) fn new(exposition: Exposition, scrapes_in_flight: usize) -> Self {
        Self {
            metrics: exposition.scrape_metrics().clone(),
            exposition,
            places: Arc::new(Semaphore::new(scrapes_in_flight.min(Semaphore::MAX_PERMITS))),
            live: Arc::new(Live::new(scrapes_in_flight.saturating_add(DOCUMENTS_READ_MAX))),
            http_1_0_documents: Arc::new(Semaphore::new(HTTP_1_0_DOCUMENTS_MAX)),
            turn: Arc::new(Semaphore::new(1)),
            joinable: Arc::default(),
        }
    }

    /// Reads what a request asks for.
    pub(crate) fn request(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
        version: Version,
    ) -> Result<ScrapeRequest, ScrapeError> {
        Ok(ScrapeRequest {
            media_type: negotiation::media_type(headers),
            coding: negotiation::coding(headers).ok_or(ScrapeError::NoAcceptableCoding)?,
            names: names(query).inspect_err(|_| self.metrics.refused(Refusal::Names))?,
            timeout: ScrapeTimeout::of(headers, Instant::now()),
            can_be_chunked: version >= Version::HTTP_11,
        })
    }

    /// Waits for the first bytes of the exposition, none of whose values is older than this call.
    ///
    /// A place is held until then, and not until the client has read the answer: otherwise a few clients that do not
    /// read would keep everybody from scraping.
    /// Those of which there are too many make room then.
    pub(crate) async fn scrape(&self, request: ScrapeRequest) -> Result<Scrape, ScrapeError> {
        let _place = Place::new(self.place_of(&self.places)?, self.metrics.in_flight.clone());
        let ScrapeRequest { media_type, coding, names, timeout, can_be_chunked } = request;
        self.metrics.started(media_type.format, coding);
        let body = timeout_at(timeout.answer_by, async {
            let body = self.begin(Key { format: media_type.format, coding, names }, timeout.deadline).await?;
            if can_be_chunked || body.is_length_known() {
                return Ok(body);
            }
            let place = self.place_of(&self.http_1_0_documents)?;
            let pieces = body.collect(HTTP_1_0_BYTES_MAX).await?.ok_or(ScrapeError::TooLongForHttp10)?;
            Ok(self.collected(pieces, timeout.deadline, place))
        });
        let body = body.await.unwrap_or_else(|_| {
            self.metrics.refused(Refusal::Timeout);
            Err(ScrapeError::Timeout(timeout.timeout))
        })?;
        Ok(Scrape { content_type: media_type.content_type, content_encoding: coding.content_encoding(), body })
    }

    async fn begin(&self, key: Key, deadline: Instant) -> Result<ScrapeBody, BodyError> {
        let (membership, new) = self.joinable.join(&key, deadline, || Document::new(self.metrics.clone()));
        match new {
            None => {
                self.metrics.shared.inc();
            }
            Some(document) => {
                self.live.add(&document);
                let driver = Driver {
                    exposition: self.exposition.clone(),
                    metrics: self.metrics.clone(),
                    turn: Arc::clone(&self.turn),
                    joinable: Arc::clone(&self.joinable),
                    key,
                    document,
                };
                tokio::spawn(driver.run());
            }
        }
        let length = membership.begun().await?;
        Ok(ScrapeBody::new(membership, length))
    }

    /// The whole as a document of its own, which is there no longer than its only reader and its time are.
    fn collected(&self, pieces: Vec<Bytes>, deadline: Instant, place: OwnedSemaphorePermit) -> ScrapeBody {
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        let document = Document::new(self.metrics.clone());
        let membership = document.join(deadline);
        document.publish(pieces, true);
        tokio::spawn(async move {
            let _place = place;
            document.while_read(std::future::pending::<()>()).await;
        });
        ScrapeBody::new(membership, Some(length))
    }

    fn place_of(&self, places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ScrapeError> {
        Arc::clone(places).try_acquire_owned().map_err(|_| {
            self.metrics.refused(Refusal::InFlight);
            ScrapeError::Busy
        })
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

#[cfg(test)]
mod tests;
