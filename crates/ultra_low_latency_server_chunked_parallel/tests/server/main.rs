//! The server from outside: real sockets on free ports, and data directories written by the column store.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod api_rules;
mod client;
mod command_line;
mod data_answers;
mod faults;
mod formats;
mod frames;
mod gaps;
mod http2;
mod idle;
mod lifecycle;
mod metrics;
mod nanosecond_ranges;
mod page;
mod protocols;
mod reductions;
mod running;
mod sealed_cut;
mod streams;
mod symbols;
mod wire;
mod written;

use std::time::{Duration, Instant};

/// Beyond this a test has failed; machines under load are slow, and nothing waits for it to pass.
const DEADLINE: Duration = Duration::from_secs(30);

/// 2026-11-18 00:00:00 UTC, Unix seconds: the day `18.11.26`.
const DAY: u32 = 1_794_960_000;

/// Asks until the answer is yes.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < DEADLINE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
