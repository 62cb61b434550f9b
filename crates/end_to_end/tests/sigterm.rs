//! The logger as a process, ended properly.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{collections::BTreeSet, fs, net::SocketAddr, path::Path, time::Duration};

use column_store::Audit;
use end_to_end::{
    data::{Columns, MD, TRADES},
    metrics::{Scrape, wait_for},
    program::{Program, built, free_address},
    services::DataServer,
};
use exchange_simulator::{Config, MessageKind, Simulator, settle};
use logger::Clock;

const S: u64 = 1_000_000_000;
const VENUES: [&str; 2] = ["coinbase", "binance"];

fn now_ns() -> u64 {
    Clock::system().now_ns()
}

fn start(directory: &Path, metrics: SocketAddr) -> Program {
    let (config, data) = (directory.join("logger.yaml"), directory.join("data"));
    let args = [
        "run",
        "--config",
        config.to_str().unwrap(),
        "--data-path",
        data.to_str().unwrap(),
        "--metrics-listen",
        &metrics.to_string(),
    ];
    Program::start(&built("logger"), &args, &directory.join("logger.log"))
}

async fn wait_until_connected(metrics: SocketAddr) {
    for exchange in VENUES {
        let status = format!(r#"gpu_charts_exchange_connection_status{{exchange="{exchange}"}}"#);
        wait_for(metrics, &status, |value| value == 1.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_leaves_nothing_in_memory() {
    let simulator =
        Simulator::start(Config { rate: 1_000.0, keep_ledger_in_memory: true, ..Config::default() }).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    // With a flush only every minute, all that is in the files was brought there by the end.
    let config = format!("flush_interval: 1m\n{}", simulator.logger_config());
    fs::write(directory.path().join("logger.yaml"), config).unwrap();
    let metrics = free_address();
    let mut logger = start(directory.path(), metrics);
    wait_until_connected(metrics).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    simulator.pause_market();
    let messages = settle(&simulator.ledger());
    let trades: BTreeSet<_> = messages
        .iter()
        .filter(|message| message.kind == MessageKind::Trade && !message.connections.is_empty())
        .map(|message| (message.venue, message.symbol.clone(), message.id))
        .collect();
    let processed = || async {
        let processed = Scrape::of(metrics).await?.sum("gpu_charts_trades_processed_total", "");
        (processed >= trades.len() as f64).then_some(())
    };
    end_to_end::eventually("all trades in memory", Duration::from_secs(30), processed).await;
    assert_eq!(Scrape::of(metrics).await.unwrap().sum("gpu_charts_rows_written_total", ""), 0.0);
    assert!(logger.terminate().success(), "{}", logger.log());
    assert!(logger.log().contains("all rows are on disk"), "{}", logger.log());

    let data = directory.path().join("data");
    let totals = column_store::verify(&data, &Audit::default(), &mut |_| {}, &mut |_| {}).unwrap();
    assert_eq!((totals.series, totals.damage), (40, 0), "{totals}");
    let server = DataServer::start(&data).await;
    let range = (now_ns() / S - 86_400, now_ns() / S + 86_400);
    let mut rows = 0;
    for exchange in VENUES {
        for symbol in simulator.symbols(exchange) {
            let table = Columns::get(server.data, exchange, &symbol, "TRADES", &TRADES, range).await;
            table.check_rules(&[("price", "price_f64")]);
            rows += table.u64s("id").len();
            let md = Columns::get(server.data, exchange, &symbol, "MD", &MD, range).await;
            md.check_rules(&[("best_bid", "best_bid_f64")]);
        }
    }
    assert_eq!(rows, trades.len());
    server.stop().await;
    simulator.shutdown().await.unwrap();
}
