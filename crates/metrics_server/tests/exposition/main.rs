//! What the families count and what the formats say, read back by parsers that share no code with the encoders.

#![allow(clippy::unwrap_used)] // helpers of tests are tests too

mod chunks;
mod concurrency;
mod limits;
mod openmetrics;
mod parse;
mod proto;
mod round_trip;
