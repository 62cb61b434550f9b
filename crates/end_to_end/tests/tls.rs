//! The exchanges speak `wss://` only: the logger checks their certificate, and records over TLS.
#![allow(clippy::unwrap_used)]

use std::{fs, time::Duration};

use end_to_end::{eventually, metrics::Scrape, metrics::wait_for, services::Logger};
use exchange_simulator::{Config, Simulator, Tls};
use logger::Clock;

#[tokio::test(flavor = "multi_thread")]
async fn records_over_tls_and_refuses_an_unknown_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let tls = Tls { cert: directory.path().join("cert.pem"), key: directory.path().join("key.pem") };
    fs::write(&tls.cert, key.cert.pem()).unwrap();
    fs::write(&tls.key, key.signing_key.serialize_pem()).unwrap();
    let simulator = Simulator::start(Config { tls: Some(tls), ..Config::default() }).await.unwrap();
    let config = simulator.logger_config();
    assert!(config.contains("wss://") && config.contains("ca_file"), "{config}");

    let data = tempfile::tempdir().unwrap();
    let logger = Logger::start(&config, data.path(), Clock::system()).await;
    for exchange in ["coinbase", "binance"] {
        let written = format!(r#"gpu_charts_rows_written_total{{exchange="{exchange}",table="MD"}}"#);
        wait_for(logger.metrics, &written, |rows| rows > 100.0).await;
    }
    logger.stop().await;

    // The same without the certificate: nothing is trusted that the system does not know.
    let without: String =
        config.lines().filter(|line| !line.contains("ca_file")).map(|line| format!("{line}\n")).collect();
    let logger = Logger::start(&without, data.path(), Clock::system()).await;
    let errors = r#"gpu_charts_exchange_errors_total{exchange="coinbase",error_type="connect"}"#;
    wait_for(logger.metrics, errors, |errors| errors >= 1.0).await;
    let messages = || async { Some(Scrape::of(logger.metrics).await?.sum("gpu_charts_exchange_messages_total", "")) };
    assert_eq!(eventually("a scrape", Duration::from_secs(10), messages).await, 0.0);
    logger.stop().await;
    simulator.shutdown().await.unwrap();
}
