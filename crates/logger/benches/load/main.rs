//! The logger under load, on one core: a program of its own that records from loopback WebSockets, and a venue on the other
//! core that sends as fast as it is read, or at a rate. `scripts/bench-logger.sh` starts it.
//!
//! What was sent is compared with what stands in the files afterwards, row by row.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

mod blaster;
mod block;
mod program;
mod scenario;
mod table;
mod venue;
mod verify;
mod watcher;

use std::{process::Command, time::Duration};

use scenario::{Rate, Scenario};
use venue::Venue;

/// The core of the logger, and the one of everything else.
const LOGGER_CORE: usize = 0;
const OTHER_CORE: usize = 1;

fn main() {
    // `cargo bench` passes --bench.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|other| other == name);
    pin_self();
    let seconds = std::env::var("BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(15);
    let scenario = |venue, rate| Scenario { venue, symbols: 1_000, rate, length: Duration::from_secs(seconds) };
    let mut kept = Vec::new();
    table::heading();
    for venue in Venue::ALL {
        if is_wanted(venue.exchange()) || is_wanted("flood") {
            kept.push(scenario::run(&scenario(venue, Rate::Flood)));
        }
        if is_wanted(venue.exchange()) || is_wanted("paced") {
            kept.push(scenario::run(&scenario(venue, Rate::PerSecond(250_000))));
        }
    }
}

/// Everything that this process starts from here on runs on [`OTHER_CORE`], unless it says otherwise.
fn pin_self() {
    let (core, process) = (OTHER_CORE.to_string(), std::process::id().to_string());
    let pinned = Command::new("taskset").args(["-p", "-c", &core, &process]).output().unwrap();
    assert!(pinned.status.success(), "taskset: {}", String::from_utf8_lossy(&pinned.stderr));
}
