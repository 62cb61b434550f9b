//! What a guard lets through, and what it costs to ask.

#![allow(clippy::unwrap_used)] // helpers of tests are tests too

mod basic;
mod bearer;
mod flood;
mod rate_limit;
mod sockets;
mod tried;
