//! Raw capture: all that enters the recorder, in the recorder's order, in files from which its columns can be made again.
//! The files' format: `docs/capture.md`.

mod derive;
mod entry;
mod fact;
mod foreign;
mod header;
mod line;
mod reader;
mod replay;
mod wire;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use entry::Entry;
pub(crate) use header::Header;
pub(crate) use reader::{CaptureFile, ReadError};
pub(crate) use replay::{Replay, ReplayError, Replayed};
pub(crate) use wire::{Wire, WireItem};
pub(crate) use writer::Capture;
