//! One run of the logger under one load.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    blaster::Blaster,
    block::{QUOTES, TRADES},
    peer::Peer,
    program::Program,
    table,
    venue::Venue,
    verify::verify,
    watcher::{Watcher, wait_for_rows},
};

/// Symbols whose files are watched while they grow.
const WATCHED: usize = 20;
/// The logger's default flush interval.
const FLUSH_MS: f64 = 500.0;

/// How fast a venue sends.
#[derive(Clone, Copy)]
pub(crate) enum Rate {
    /// As fast as it is read.
    Flood,
    /// Messages a second, over all connections.
    PerSecond(u32),
}

/// A load.
pub(crate) struct Scenario {
    pub(crate) venue: Venue,
    pub(crate) symbols: usize,
    pub(crate) rate: Rate,
    pub(crate) length: Duration,
}

/// Runs it, prints its rows of the table, and returns the messages that a second of CPU time took, and the directory with the
/// data. It should be kept until all is measured:
/// ext4 passes over the numbers of files that were just removed, one by one, when it makes new ones.
pub(crate) fn run(scenario: &Scenario) -> (f64, TempDir) {
    let venue = scenario.venue;
    let directory = data_directory();
    let exchange = directory.path().join("data").join(venue.exchange());
    let symbols: Vec<String> = (0..scenario.symbols).map(|index| venue.symbol(index)).collect();
    let blaster = Blaster::start(venue, scenario.rate);
    let logger = Program::start(directory.path(), venue.exchange(), &symbols, blaster.address);
    blaster.wait_for_streams(2 * scenario.symbols);

    let table_of = |symbol: &String| exchange.join(venue.directory(symbol)).join("MD");
    let watcher = Watcher::start(symbols.iter().step_by(scenario.symbols / WATCHED).map(table_of).collect());
    let (started, cpu_before) = (Instant::now(), logger.cpu());
    let sent = blaster.send(scenario.length);
    // A connection's last frames are of its last symbol.
    for connection in &sent {
        let last = connection.symbols.last().unwrap();
        wait_for_rows(&table_of(last), connection.rounds * (QUOTES + TRADES));
    }
    let (elapsed, cpu_after) = (started.elapsed(), logger.cpu());
    let delays = watcher.finish();
    let peak_mb = logger.peak_mb();
    logger.finish();

    let messages: u64 = sent.iter().map(|connection| connection.frames).sum();
    let difference = verify(venue, &exchange, &sent);
    let [user, system] = [0, 1].map(|at| (cpu_after[at] - cpu_before[at]).as_secs_f64());
    let name = match scenario.rate {
        Rate::Flood => format!("{} flood", venue.exchange()),
        Rate::PerSecond(rate) => format!("{} {rate}/s", venue.exchange()),
    };
    table::note(&format!(
        "{name}: {messages} messages of {} symbols over {} connections in {:.1} s; CPU {user:.1} s user, {system:.1} s system",
        scenario.symbols,
        blaster.connections(),
        elapsed.as_secs_f64()
    ));
    let per_second = messages as f64 / elapsed.as_secs_f64();
    match scenario.rate {
        Rate::Flood => table::at_least(&format!("{name}: messages/s"), per_second, 250_000.0),
        // The last ones wait for their flush.
        Rate::PerSecond(_) => table::plain(&format!("{name}: messages/s"), per_second),
    }
    table::at_least(&format!("{name}: messages/s of CPU time"), messages as f64 / (user + system), 250_000.0);
    table::at_most(&format!("{name}: rows lost"), difference.missing as f64, 0.0);
    table::at_most(&format!("{name}: rows wrong or double"), difference.wrong as f64, 0.0);
    let quantile = |q: f64| delays[((delays.len() - 1) as f64 * q) as usize] as f64 / 1e6;
    table::at_most(&format!("{name}: receive to committed, p99, ms"), quantile(0.99), FLUSH_MS + 50.0);
    table::plain(&format!("{name}: receive to committed, median, ms"), quantile(0.5));
    table::at_most(&format!("{name}: RSS peak, MB"), peak_mb, 200.0);
    table::plain(&format!("{name}: bytes in files per message"), bytes_below(&exchange) as f64 / messages as f64);
    (messages as f64 / (user + system), directory)
}

/// Floods another recorder with Binance's frames, and prints how many of them ours takes in the time of one of theirs.
pub(crate) fn run_peer(peer: Peer, symbols: usize, length: Duration, ours: Option<f64>) -> Option<TempDir> {
    let directory = data_directory();
    let blaster = Blaster::start(Venue::Binance, Rate::Flood);
    let Some(program) = peer.start(directory.path(), symbols, blaster.address) else {
        table::note(&format!("{}: not installed", peer.name()));
        return None;
    };
    blaster.wait_for_streams(2 * symbols);
    let cpu = program.cpu_seconds();
    // What is still in the sockets at the end is little, and counts for the peer.
    let sent = blaster.send(length);
    let per_second =
        sent.iter().map(|connection| connection.frames).sum::<u64>() as f64 / (program.cpu_seconds() - cpu);
    table::peer(&format!("{}: messages/s of CPU time", peer.name()), per_second, ours.map(|ours| ours / per_second));
    Some(directory)
}

/// Below `$BENCH_DATA`, where it stays, or a temporary directory in the build's.
pub(crate) fn data_directory() -> TempDir {
    match std::env::var_os("BENCH_DATA") {
        Some(parent) => tempfile::Builder::new().disable_cleanup(true).tempdir_in(parent).unwrap(),
        None => tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(),
    }
}

fn bytes_below(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .map(|entry| if entry.path().is_dir() { bytes_below(&entry.path()) } else { entry.metadata().unwrap().len() })
        .sum()
}
