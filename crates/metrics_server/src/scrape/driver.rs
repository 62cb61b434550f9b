//! The task that encodes one document: when its readers want more, and when it is its turn.

use super::compressor::Compressor;
use super::document::Document;
use super::joinable::{Joinable, Key};
use super::limits::{BURST_BYTES, BURST_SENT_BYTES};
use super::metrics::ScrapeMetrics;
use crate::encoding::{EncodeError, Encoder, NameFilter};
use crate::exposition::Exposition;
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};

/// What a document is made from.
pub(super) struct Driver {
    pub(super) exposition: Exposition,
    pub(super) metrics: ScrapeMetrics,
    /// Held by whoever encodes: one go at a time, so that scrapes never take more than one processor of the program.
    pub(super) turn: Arc<Semaphore>,
    pub(super) joinable: Arc<Joinable>,
    pub(super) key: Key,
    pub(super) document: Arc<Document>,
}

/// Why a document has no end.
#[derive(Debug, thiserror::Error)]
enum DriverError {
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("the exposition could not be compressed")]
    Compress(#[from] io::Error),
    /// A collector panicked, or the runtime is shutting down.
    #[error("the encoding was aborted")]
    Aborted(#[from] JoinError),
}

impl Driver {
    /// Encodes the document to its end, as far as somebody reads it, and stays until the last reader has gone, because
    /// it is the one who looks at the clock.
    pub(super) async fn run(self) {
        // However this ends, no reader waits for ever and nobody joins what has no driver.
        let _ended = Ended(&self);
        match self.encode().await {
            Ok(()) => {}
            Err(error) => {
                self.metrics.errors.inc();
                let source = std::error::Error::source(&error);
                tracing::error!(%error, source, "scrape failed");
                self.document.fail();
            }
        }
        self.document.while_read(std::future::pending::<()>()).await;
    }

    async fn encode(&self) -> Result<(), DriverError> {
        let mut writer = None;
        loop {
            let turn = Arc::clone(&self.turn).acquire_owned();
            let Some(turn) = self.document.while_read(turn).await else {
                // Between the last reader's leaving and now another one may have joined.
                if writer.is_some() || self.joinable.close_deserted(&self.key, &self.document) {
                    return Ok(());
                }
                continue;
            };
            let mut at_work = match writer.take() {
                Some(writer) => writer,
                // Whoever asks from here on gets a document of its own: this one's values are older than its request.
                None => {
                    self.joinable.close(&self.key, &self.document);
                    Writer::new(self.exposition.clone(), self.key.clone())
                }
            };
            let go = spawn_blocking(move || {
                // The turn is held by the work itself, which goes on when nobody waits for it any more. The semaphore
                // is never closed; were it, going on without a turn would still be correct.
                let _turn = turn;
                let go = at_work.go();
                (at_work, go)
            });
            // The readers may all go meanwhile; what was encoded is then dropped.
            let Some(joined) = self.document.while_read(go).await else { return Ok(()) };
            let (at_work, go) = joined?;
            let Go { pieces, is_last } = go?;
            let is_empty = pieces.is_empty();
            self.document.publish(pieces, is_last);
            if is_last {
                return Ok(());
            }
            writer = Some(at_work);
            if !is_empty && self.document.while_read(self.document.wanted.notified()).await.is_none() {
                return Ok(());
            }
        }
    }
}

/// Closes a document when its driver ends, even if by a panic or with the runtime.
struct Ended<'a>(&'a Driver);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.joinable.close(&self.0.key, &self.0.document);
        self.0.document.fail();
    }
}

/// What one go made.
struct Go {
    pieces: Vec<Bytes>,
    is_last: bool,
}

/// A document being encoded.
struct Writer {
    /// The exposition, until the first go takes the snapshot from it, which may take long and so is not done before.
    exposition: Exposition,
    key: Key,
    parts: Option<(Encoder, Compressor)>,
    buffer: Vec<u8>,
}

impl Writer {
    fn new(exposition: Exposition, key: Key) -> Self {
        Self { exposition, key, parts: None, buffer: Vec::new() }
    }

    /// Encodes and compresses until the document is complete or this go has done enough.
    fn go(&mut self) -> Result<Go, DriverError> {
        let (encoder, compressor) = match &mut self.parts {
            Some(parts) => parts,
            none => {
                let names = self.key.names.as_ref().map(|names| NameFilter::new(names.iter().cloned()));
                let encoder = self.exposition.encoder(self.key.format, names);
                none.insert((encoder, Compressor::new(self.key.coding)?))
            }
        };
        let (mut pieces, mut encoded, mut to_send) = (Vec::new(), 0, 0);
        let is_last = loop {
            let has_more = encoder.encode_chunk(&mut self.buffer)?;
            encoded += self.buffer.len();
            compressor.write(&mut self.buffer)?;
            if !has_more {
                compressor.finish()?;
            }
            let is_over = !has_more || encoded >= BURST_BYTES || to_send >= BURST_SENT_BYTES;
            if let Some(mut piece) = compressor.take(is_over) {
                to_send += piece.len();
                // A family of the binary format comes as one; nobody is to fall behind by taking one piece.
                while piece.len() > BURST_SENT_BYTES {
                    pieces.push(piece.split_to(BURST_SENT_BYTES));
                }
                pieces.push(piece);
            }
            if is_over || to_send >= BURST_SENT_BYTES {
                break !has_more;
            }
        };
        Ok(Go { pieces, is_last })
    }
}
