//! What a capture consists of.

use crate::received::Batch;

/// One thing that the recorder's core was made to do, at a time that it was told, ns since the Unix epoch.
#[derive(Debug)]
pub(crate) enum Entry {
    /// Begin, after what the files hold.
    Resume(u64),
    /// Take in a batch. Facts that its frames give again are not in it when it was read from a file.
    Batch(Batch, u64),
    /// Do what time makes due.
    Tick(u64),
    /// Bring rows to the files; those that are there are looked at when a fill comes.
    Flush(u64),
    /// Nothing more comes.
    Release(u64),
    /// So many entries could not be captured.
    Lost(u64),
}

impl Entry {
    /// Bytes that it holds, give or take some.
    pub(crate) fn bytes(&self) -> usize {
        let Entry::Batch(batch, _) = self else { return 64 };
        256 + batch.facts.len() * 192 + batch.wire.as_ref().map_or(0, |wire| wire.bytes())
    }
}
