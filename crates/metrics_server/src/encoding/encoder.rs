//! A document, piece by piece.

use super::{Bridge, FamilyWriter, Format, NameFilter, Snapshot, proto};
use crate::exposition::Exposition;
use prometheus_client::encoding::prometheus_protobuf;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes after which a piece is complete.
const PIECE: usize = 64 * 1024;

/// The registry could not be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// A collector of the client library's registry reported an error.
    #[error("a metric could not be encoded")]
    Collector(#[from] fmt::Error),
    /// A collector of the client library's registry panicked.
    #[error("a collector panicked")]
    Panicked,
    /// [`Exposition::encode`] only: what was made is not text.
    #[error("the exposition is not UTF-8")]
    NotUtf8,
}

/// An exposition in the making; from [`Exposition::encoder`].
///
/// Which series there are was settled when it was made; their values are read when their turn comes. The families of
/// the client library's registry come first and are collected by the first call, so that this call is the one that can
/// fail, before anything was sent. They are held in memory until written; those of our own never are, except that in
/// protobuf one family at a time is put together, because its length stands before it.
pub struct Encoder {
    exposition: Exposition,
    format: Format,
    names: Option<NameFilter>,
    /// What comes after the bridge, in the order of registration.
    waiting: VecDeque<(FamilyWriter, Box<dyn Snapshot>)>,
    bridged: bool,
    done: bool,
    spent: Duration,
    bytes: usize,
}

impl Encoder {
    pub(crate) fn new(exposition: Exposition, format: Format, names: Option<NameFilter>) -> Self {
        let sources = exposition.registry().sources().iter();
        let kept = sources.filter(|source| names.as_ref().is_none_or(|names| names.keeps(source.descriptor())));
        let waiting = kept
            .map(|source| (FamilyWriter::new(Arc::clone(source.descriptor()), format), source.snapshot()))
            .collect();
        Self { exposition, format, names, waiting, bridged: false, done: false, spent: Duration::ZERO, bytes: 0 }
    }

    /// Appends about 64 KiB to `out`; false when the document is complete (this call may have appended its end).
    ///
    /// A piece is longer than that by at most one series; in protobuf by at most one family. Never waits for anything
    /// but the collectors and callbacks.
    ///
    /// # Errors
    ///
    /// A collector of the client library's registry failed or panicked: then nothing was appended, and calls from
    /// there on say that the document is complete.
    pub fn encode_chunk(&mut self, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        if self.done {
            return Ok(false);
        }
        let (start, before) = (Instant::now(), out.len());
        if !self.bridged {
            self.bridged = true;
            self.bridge().inspect_err(|_| self.done = true)?;
        }
        let more = self.families(out, before + PIECE);
        if !more && self.format == Format::OpenMetrics {
            out.extend_from_slice(b"# EOF\n");
        }
        self.done = !more;
        self.spent += start.elapsed();
        self.bytes += out.len() - before;
        if self.done {
            self.exposition.metrics().encoded(self.spent, self.names.is_none().then_some(self.bytes));
        }
        Ok(more)
    }

    fn families(&mut self, out: &mut Vec<u8>, limit: usize) -> bool {
        while out.len() < limit {
            let Some((mut writer, mut series)) = self.waiting.pop_front() else { return false };
            if series.encode(&mut writer, out, limit) {
                self.waiting.push_front((writer, series));
                return true;
            }
            writer.finish(out);
        }
        !self.waiting.is_empty()
    }

    /// Puts the client library's families before ours; the bad ones are counted and left out.
    fn bridge(&mut self) -> Result<(), EncodeError> {
        let registry = self.exposition.registry();
        let collect = || prometheus_protobuf::encode(registry.client_ref());
        let collected: Vec<proto::MetricFamily> =
            catch_unwind(AssertUnwindSafe(collect)).map_err(|_| EncodeError::Panicked)??;
        let mut taken = registry.claimed_names();
        let mut bridged = Vec::with_capacity(collected.len());
        for family in collected.into_iter().filter(|family| !family.metric.is_empty()) {
            let name = family.name.clone();
            match Bridge::new(family, &mut taken) {
                Ok(family) => bridged.push(family),
                Err(reason) => registry.invalid(&name, &reason),
            }
        }
        for family in bridged.into_iter().rev() {
            if self.names.as_ref().is_none_or(|names| names.keeps(family.descriptor())) {
                self.waiting.push_front((family.writer(self.format), Box::new(family)));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let families = self.waiting.len();
        f.debug_struct("Encoder").field("format", &self.format).field("families", &families).finish_non_exhaustive()
    }
}
