//! The logger under load, on one core: a program of its own that records from loopback WebSockets, and a venue on the other
//! core that sends as fast as it is read, or at a rate. `scripts/bench-logger.sh` starts it.
//!
//! What was sent is compared with what stands in the files afterwards, row by row.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

mod blaster;
mod block;
mod frames;
mod idle;
mod peer;
mod program;
mod scenario;
mod table;
mod venue;
mod verify;
mod watcher;

use std::{process::Command, time::Duration};

use peer::Peer;
use scenario::{Rate, Scenario};
use venue::Venue;

/// The core of the logger, and the one of everything else.
const LOGGER_CORE: usize = 0;
const OTHER_CORE: usize = 1;
/// Symbols that trade all the time.
const SYMBOLS: usize = 1_000;

fn main() {
    // `cargo bench` passes --bench.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if let [record, address, symbols, directory] = wanted.as_slice()
        && record == "record"
    {
        return peer::record(address, symbols.parse().unwrap(), directory.as_ref());
    }
    if let [read, address] = wanted.as_slice()
        && read == "read"
    {
        return idle::read(address.parse().unwrap());
    }
    if let [frames, directory] = wanted.as_slice()
        && frames == "frames"
    {
        return frames::write(directory.as_ref());
    }
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|other| other == name);
    pin_self();
    let seconds = std::env::var("BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(15);
    let length = Duration::from_secs(seconds);
    let scenario = |venue, rate| Scenario { venue, symbols: SYMBOLS, rate, length };
    let mut kept = Vec::new();
    let mut ours = None;
    table::heading();
    for venue in Venue::ALL.into_iter().filter(|venue| is_wanted(venue.exchange())) {
        for rate in [Rate::Flood, Rate::PerSecond(250_000)] {
            let (of_flood, directory) = scenario::run(&scenario(venue, rate));
            ours = ours.or(Some(of_flood));
            kept.push(directory);
        }
    }
    if is_wanted("peers") {
        for peer in [Peer::Rust, Peer::Python] {
            kept.extend(scenario::run_peer(peer, SYMBOLS, length, ours));
        }
    }
    if is_wanted("idle") {
        kept.extend(idle::run(2 * length));
    }
}

/// Everything that this process starts from here on runs on [`OTHER_CORE`], unless it says otherwise.
fn pin_self() {
    let (core, process) = (OTHER_CORE.to_string(), std::process::id().to_string());
    let pinned = Command::new("taskset").args(["-p", "-c", &core, &process]).output().unwrap();
    assert!(pinned.status.success(), "taskset: {}", String::from_utf8_lossy(&pinned.stderr));
}
