//! The simulator's own frames of one seed become files whose bytes are known: of every column but those of time, which the
//! clock decides.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::Duration;

use end_to_end::{
    eventually, files, golden,
    metrics::Scrape,
    oracle::Oracle,
    services::{Logger, brisk},
};
use exchange_simulator::{Config, Simulator, VenueConfig, VenueKind};
use logger::Clock;

/// Venue, table, rows, and [`golden::checksum`].
const GOLDEN: [(VenueKind, &str, usize, &str); 9] = [
    (VenueKind::Coinbase, "TRADES", 732, "002071079d75889f"),
    (VenueKind::Coinbase, "MD", 1270, "da9148d7f7e1f7a8"),
    (VenueKind::Binance, "TRADES", 233, "d1712f2170c75297"),
    (VenueKind::Binance, "MD", 753, "66218f91af43f71e"),
    (VenueKind::Kraken, "TRADES", 326, "fcb685d2279bd569"),
    (VenueKind::Kraken, "MD", 959, "c3e2bae03bab0c32"),
    // Its trades and its quotes come by two connections: how they mix in MD is not known.
    (VenueKind::Okx, "TRADES", 308, "d95e87d842902448"),
    (VenueKind::Bitfinex, "TRADES", 325, "02891097293c0862"),
    (VenueKind::Bitfinex, "MD", 2168, "6cd7dfe53bf86e4b"),
];

#[tokio::test(flavor = "multi_thread")]
async fn one_seed_gives_known_bytes() {
    let simulator = Simulator::start(Config {
        venues: VenueKind::ALL.map(VenueConfig::new).to_vec(),
        seed: 7,
        rate: 0.0,
        symbols: 2,
        keep_ledger_in_memory: true,
        ..Config::default()
    })
    .await
    .unwrap();
    let data = tempfile::tempdir().unwrap();
    let logger = Logger::start(&brisk(&simulator), data.path(), Clock::system()).await;
    let status = || async { Some(Scrape::of(logger.metrics).await?.sum("gpu_charts_exchange_connection_status", "")) };
    let five = || async { status().await.filter(|status| *status == VenueKind::ALL.len() as f64) };
    eventually("all venues are recorded", Duration::from_secs(60), five).await;
    for venue in VenueKind::ALL {
        simulator.emit_events(venue.name(), 1_000);
    }
    eventually("the files are whole", Duration::from_secs(60), || async {
        let (verdicts, findings) = Oracle::of(&simulator, &VenueKind::ALL).judge_all(data.path());
        (findings.is_empty() && verdicts.values().all(|verdict| verdict.trades > 0)).then_some(())
    })
    .await;
    logger.stop().await;

    let mut differ = Vec::new();
    for (venue, table, rows, checksum) in GOLDEN {
        let symbol = &simulator.symbols(venue.name())[0];
        let columns = files::table(data.path(), venue.name(), symbol, table).columns;
        let found = golden::checksum([&columns], table);
        let found_rows = columns.u32s("time").len();
        if (found_rows, found.as_str()) != (rows, checksum) {
            differ.push(format!("{venue} {symbol} {table}: {found_rows} rows, {found}"));
        }
    }
    assert!(differ.is_empty(), "{differ:#?}");
    simulator.shutdown().await.unwrap();
}
