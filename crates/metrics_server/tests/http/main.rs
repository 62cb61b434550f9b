//! Everything the crate serves, seen through real sockets on the loopback interface.

#![allow(clippy::unwrap_used)] // helpers of tests are tests too

mod accept_loop;
mod client;
mod endpoint;
mod http_metrics;
mod names;
mod scrape;
