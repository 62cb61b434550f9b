//! Replay of captured frames.

mod binance;
mod capture;
mod coinbase;
mod playback;

pub(crate) use capture::{Capture, CapturedFrame, load};
pub(crate) use playback::play;
