//! `logger test` and `logger symbols`, against a simulated exchange.

use exchange_simulator::{Config, Simulator, VenueConfig, VenueKind};

use super::*;

struct Exchange {
    runtime: tokio::runtime::Runtime,
    simulator: Simulator,
    root: tempfile::TempDir,
}

impl Exchange {
    fn start() -> Exchange {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let venues = vec![VenueConfig::new(VenueKind::Kraken)];
        let config = Config { venues, symbols: 2, rate: 100.0, ..Config::default() };
        let simulator = runtime.block_on(Simulator::start(config)).unwrap();
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("logger.yaml"), simulator.logger_config()).unwrap();
        Exchange { runtime, simulator, root }
    }

    fn run(&self, args: &[&str]) -> Ran {
        run(&[args, &["--config", path(&self.root.path().join("logger.yaml"))]].concat())
    }

    fn end(self) {
        self.runtime.block_on(self.simulator.shutdown()).unwrap();
    }
}

#[test]
fn an_exchange_that_answers_passes_the_test() {
    let exchange = Exchange::start();
    let ran = exchange.run(&["test", "kraken", "--for", "6s"]);
    ran.says(
        0,
        &["SYMBOL", "BTC/USD", "trades", "quotes", " ms", "REST: 2 instruments listed by http://", "everything works"],
    );
    assert!(!ran.stdout.contains("never"), "{}", ran.stdout);
    exchange.run(&["symbols", "kraken"]).says(0, &["SYMBOL", "BTC/USD", "XBT_USD"]);
    exchange.run(&["symbols", "kraken", "ETH*", "--json"]).says(0, &["\"ETH/USD\""]);
    exchange.end();
}

#[test]
fn what_does_not_work_is_told() {
    let exchange = Exchange::start();
    exchange
        .run(&["test", "kraken", "--symbols", "NOPE/USD", "--for", "3s"])
        .says(1, &["NOPE/USD", "never", "something does not work"]);
    exchange.run(&["test", "mtgox"]).says(64, &["`mtgox` is not an exchange"]);
    exchange.run(&["test", "kraken", "--symbols", "*/USD"]).says(64, &["`*/USD` is a pattern"]);
    exchange.run(&["test", "kraken", "--for", "soon"]).says(64, &["--for"]);
    exchange.end();
    let closed = "exchanges:\n  kraken:\n    ws_url: ws://127.0.0.1:1\n    rest_url: http://127.0.0.1:1\n";
    let root = tempfile::tempdir().unwrap();
    let config = root.path().join("logger.yaml");
    fs::write(&config, closed).unwrap();
    run(&["test", "kraken", "--for", "1s", "--config", path(&config)])
        .says(1, &["never", "REST: ", "something does not work"]);
    run(&["symbols", "kraken", "--config", path(&config)]).says(1, &["kraken"]);
}
