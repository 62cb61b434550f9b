//! The simulator as its clients see it: over real sockets.
// All of it is test code, helpers included; a skipped test says so aloud.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod binance;
mod cli;
mod client;
mod coinbase;
mod faults;
mod market;
mod message_faults;
mod outage;
mod replay;
mod rest;
mod tls;
mod venue_client;
mod venues;
