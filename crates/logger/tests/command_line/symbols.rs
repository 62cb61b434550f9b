//! `logger symbols`.

use exchange_simulator::{Config, MarketState, Simulator, VenueConfig, VenueKind};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn lists_what_the_exchange_says() {
    let venues = vec![VenueConfig::new(VenueKind::Kraken)];
    let simulator = Simulator::start(Config { venues, symbols: 4, market: MarketState::Paused, ..Config::default() });
    let simulator = simulator.await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("logger.yaml");
    fs::write(&file, simulator.logger_config()).unwrap();
    let all = simulator.symbols("kraken");
    let listed = run(&["symbols", "kraken", "--config", path(&file)]);
    let symbols: Vec<&str> = all.iter().map(String::as_str).collect();
    listed.says(0, &symbols);
    listed.says(0, &["SYMBOL", "STORED AS", "XBT_USD", "trading"]);
    assert_eq!(listed.stdout.lines().count(), all.len() + 1);
    let one = run(&["symbols", "kraken", "btc/*", "--json", "--config", path(&file)]);
    let document: serde_json::Value = serde_json::from_str(&one.stdout).unwrap();
    assert_eq!(document["exchange"], "kraken");
    assert_eq!(document["instruments"].as_array().unwrap().len(), 1);
    assert_eq!(document["instruments"][0]["stored"], "XBT_USD");
    simulator.shutdown().await.unwrap();
    run(&["symbols", "kraken", "--config", path(&file)]).says(1, &["kraken", "http://127.0.0.1:"]);
}

#[test]
fn mistakes_are_named() {
    run(&["symbols"]).says(64, &["<EXCHANGE>"]);
    run(&["symbols", "mtgox"]).says(64, &["`mtgox` is not an exchange", "kraken"]);
}
