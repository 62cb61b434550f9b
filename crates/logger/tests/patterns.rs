//! Symbols by pattern, from the configuration to the metrics.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use exchange_simulator::{Config as SimulatorConfig, Simulator, VenueConfig, VenueKind};
use logger::{Clock, Config, Service, cli::RunArgs};
use metrics_server::{MetricsArgs, Registry};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

fn config(directory: &Path, yaml: &str) -> Config {
    let file = directory.join("logger.yaml");
    fs::write(&file, yaml).unwrap();
    let metrics = MetricsArgs { metrics_listen: vec!["127.0.0.1:0".to_owned()], ..MetricsArgs::default() };
    let data_path = Some(directory.join("data"));
    Config::load(&RunArgs { config: Some(file), data_path, metrics, ..RunArgs::default() }).unwrap()
}

async fn scrape(address: std::net::SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn what_a_pattern_matches_is_recorded() {
    let venues = vec![VenueConfig::new(VenueKind::Kraken)];
    let simulator =
        Simulator::start(SimulatorConfig { venues, symbols: 5, ..SimulatorConfig::default() }).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (ws_url, rest_url) = (simulator.ws_url("kraken"), simulator.rest_url("kraken"));
    let all = simulator.symbols("kraken");
    let yaml = format!(
        "exchanges:\n  kraken:\n    ws_url: {ws_url}\n    rest_url: {rest_url}\n    symbols: ['*']\n    exclude: ['{}']\n",
        all[2]
    );
    let service =
        Service::prepare(config(directory.path(), &yaml), Registry::default(), Clock::system()).await.unwrap();
    let address = service.metrics_addrs()[0];
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(service.run(shutdown.clone()));
    let deadline = Instant::now() + Duration::from_secs(30);
    let line = |symbol: &str| format!("gpu_charts_trades_processed_total{{exchange=\"kraken\",symbol=\"{symbol}\"}}");
    loop {
        let text = scrape(address).await;
        let recorded = |symbol: &String| {
            let value = text.lines().find_map(|found| found.strip_prefix(&line(symbol)));
            value.is_some_and(|value| value.trim() != "0")
        };
        assert!(!recorded(&all[2]), "it is excluded");
        if all.iter().filter(|symbol| **symbol != all[2]).all(recorded) {
            assert!(text.contains("gpu_charts_symbols_monitored{exchange=\"kraken\"} 4\n"));
            assert!(text.contains("gpu_charts_symbols_unlisted{exchange=\"kraken\"} 0\n"));
            assert!(text.contains("gpu_charts_symbols_unrecorded{exchange=\"kraken\"} 0\n"));
            assert!(text.contains("gpu_charts_rest_requests_total{exchange=\"kraken\",outcome=\"answered\"} "));
            break;
        }
        assert!(Instant::now() < deadline, "{text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shutdown.cancel();
    running.await.unwrap().unwrap();
    assert!(directory.path().join("data/kraken/instruments.json").is_file());
    assert!(directory.path().join("data/kraken/XBT_USD/TRADES").is_dir());
    assert!(directory.path().join("data/allowances.json").is_file());
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_end_does_not_wait_for_a_listing() {
    // It takes connections, and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let url = mute.local_addr().unwrap();
    let yaml = format!("exchanges:\n  coinbase:\n    rest_url: http://{url}\n    symbols: ['*-USD']\n");
    let shutdown = CancellationToken::new();
    let config = config(directory.path(), &yaml);
    let running = tokio::spawn(logger::run(config, Registry::default(), Clock::system(), shutdown.clone()));
    let _asked = tokio::time::timeout(Duration::from_secs(30), mute.accept()).await.unwrap().unwrap();
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(10), running).await.unwrap().unwrap().unwrap();
}
