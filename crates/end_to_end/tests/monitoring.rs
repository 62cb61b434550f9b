//! A real Prometheus scrapes both services: targets, dashboards, the check script, and what the documents say of metrics.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use end_to_end::{
    data::Columns,
    eventually,
    metrics::{Scrape, wait_for},
    program::free_address,
    project,
    prometheus::Prometheus,
    services::{DataServer, Logger},
};
use exchange_simulator::{Config, Simulator};
use logger::Clock;
use metrics_server::{Exposition, Registry, Security, SecuritySource};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

/// Both services with data flowing, and a client of the server.
struct Thread {
    simulator: Simulator,
    logger: Logger,
    server: DataServer,
    _data: tempfile::TempDir,
}

impl Thread {
    async fn start() -> Thread {
        let simulator = Simulator::start(Config::default()).await.unwrap();
        let data = tempfile::tempdir().unwrap();
        let server = DataServer::start(data.path()).await;
        let logger = Logger::start(&simulator.logger_config(), data.path(), Clock::system()).await;
        for exchange in ["coinbase", "binance"] {
            let written = format!(r#"gpu_charts_rows_written_total{{exchange="{exchange}",table="MD"}}"#);
            wait_for(logger.metrics, &written, |rows| rows > 100.0).await;
        }
        let thread = Thread { simulator, logger, server, _data: data };
        thread.read_some().await;
        thread
    }

    async fn read_some(&self) {
        let now = Clock::system().now_ns() / 1_000_000_000;
        for symbol in self.simulator.symbols("coinbase") {
            Columns::get(self.server.data, "coinbase", &symbol, "MD", &["time", "price"], (now - 60, now)).await;
        }
        end_to_end::http::get(self.server.data, "/api/symbols").await;
    }

    async fn stop(self) {
        self.logger.stop().await;
        self.server.stop().await;
        self.simulator.shutdown().await.unwrap();
    }
}

fn check_script(logger: SocketAddr, server: SocketAddr, prometheus: SocketAddr) -> Output {
    Command::new(project().join("scripts/test-pull-metrics.sh"))
        .env("LOGGER_METRICS_URL", format!("http://{logger}"))
        .env("SERVER_METRICS_URL", format!("http://{server}"))
        .env("PROMETHEUS_URL", format!("http://{prometheus}"))
        .env("TIMEOUT", "10")
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_both_services_and_every_panel_has_data() {
    let thread = Thread::start().await;
    let directory = tempfile::tempdir().unwrap();
    let (logger, server) = (thread.logger.metrics, thread.server.metrics);
    let prometheus = Prometheus::start(directory.path(), logger, server).await;

    let expected: BTreeMap<String, String> =
        ["gpu-charts-logger", "gpu-charts-server", "prometheus"].map(|job| (job.into(), "up".into())).into();
    eventually("all targets to be up", LIMIT, || async {
        (prometheus.targets().await.into_iter().collect::<BTreeMap<_, _>>() == expected).then_some(())
    })
    .await;
    let itself = eventually("Prometheus to have scraped itself", LIMIT, || {
        prometheus.value(r#"count(prometheus_build_info{job="prometheus"})"#)
    })
    .await;
    assert_eq!(itself, 1.0);
    for expression in [
        r#"up{job="gpu-charts-logger",instance="logger-1",environment="production"}"#,
        r#"up{job="gpu-charts-server",instance="server-1",environment="production"}"#,
    ] {
        assert_eq!(prometheus.value(expression).await, Some(1.0), "{expression}");
    }

    let messages = "sum(gpu_charts_exchange_messages_total)";
    let before = prometheus.value(messages).await.unwrap();
    eventually("the message counter to rise", LIMIT, || async {
        prometheus.value(messages).await.filter(|now| *now > before)
    })
    .await;

    // Rates need two scrapes of the same series.
    thread.read_some().await;
    for (panel, expression) in panels() {
        eventually(&format!("data in the panel {panel}: {expression}"), LIMIT, || async {
            thread.read_some().await;
            let samples = prometheus.query(&expression).await;
            samples.iter().any(|(_, value)| value.is_finite()).then_some(())
        })
        .await;
    }

    let output = tokio::task::spawn_blocking({
        let prometheus = prometheus.address;
        move || check_script(logger, server, prometheus)
    })
    .await
    .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for (line, least) in [("Logger metrics: ", 1), ("Server metrics: ", 1), ("Prometheus targets: ", 3)] {
        let count = text.lines().find_map(|text| text.strip_prefix(line)).unwrap();
        assert!(count.parse::<u32>().unwrap() >= least, "{line}{count}");
    }
    assert!(text.starts_with("Testing Pull-Based Metrics\n") && text.contains("Done!"), "{text}");
    let alerts = prometheus.query("ALERTS").await;
    assert!(alerts.is_empty(), "nothing is wrong, so nothing is pending or firing: {alerts:?}");

    // With the logger gone the same script fails, and says what is wrong.
    let address = prometheus.address;
    thread.logger.stop().await;
    let output = tokio::task::spawn_blocking(move || check_script(logger, server, address)).await.unwrap();
    assert!(!output.status.success());
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.to_lowercase().contains("logger"), "{message}");
    let down = || prometheus.value(r#"up{job="gpu-charts-logger"}"#);
    eventually("the logger to be seen down", LIMIT, || async { down().await.filter(|up| *up == 0.0) }).await;
    let pending = r#"count(ALERTS{alertname="MetricsEndpointDown",alertstate="pending"})"#;
    eventually("the alert to be pending", LIMIT, || prometheus.value(pending)).await;
    thread.server.stop().await;
    thread.simulator.shutdown().await.unwrap();
}

/// Title and expression of every panel of every dashboard, as Prometheus gets to see it.
fn panels() -> Vec<(String, String)> {
    fn collect(panels: &Value, found: &mut Vec<(String, String)>) {
        for panel in panels.as_array().into_iter().flatten() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expression = target["expr"].as_str().unwrap().replace("$__rate_interval", "10s");
                found.push((panel["title"].as_str().unwrap().to_owned(), expression.replace("$exchange", ".*")));
            }
            collect(&panel["panels"], found);
        }
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(project().join("grafana/dashboards")).unwrap() {
        let dashboard: Value = serde_json::from_slice(&fs::read(entry.unwrap().path()).unwrap()).unwrap();
        collect(&dashboard["panels"], &mut found);
    }
    assert!(found.len() >= 20, "{} panels", found.len());
    found
}

/// Names that people's dashboards and alerts use: as Prometheus stores them.
const CONTRACT: [&str; 40] = [
    "gpu_charts_exchange_connection_status",
    "gpu_charts_exchange_messages_total",
    "gpu_charts_exchange_errors_total",
    "gpu_charts_exchange_reconnections_total",
    "gpu_charts_websocket_latency_seconds_bucket",
    "gpu_charts_symbols_monitored",
    "gpu_charts_parse_errors_total",
    "gpu_charts_last_update_timestamp",
    "gpu_charts_data_freshness_seconds",
    "gpu_charts_data_gaps_total",
    "gpu_charts_data_gaps_detected_total",
    "gpu_charts_data_gaps_filled_total",
    "gpu_charts_trades_processed_total",
    "gpu_charts_trade_volume_total",
    "gpu_charts_trade_volume_usd_total",
    "gpu_charts_large_trades_total",
    "gpu_charts_bid_ask_spread",
    "gpu_charts_vwap_price",
    "gpu_charts_vwap_deviation",
    "gpu_charts_data_bytes_written_total",
    "gpu_charts_rows_written_total",
    "gpu_charts_rows_out_of_order_total",
    "gpu_charts_rows_dropped_total",
    "gpu_charts_inexact_values_total",
    "gpu_charts_server_http_requests_total",
    "gpu_charts_server_http_request_duration_seconds_bucket",
    "gpu_charts_server_concurrent_connections",
    "gpu_charts_server_data_bytes_served_total",
    "gpu_charts_server_data_query_duration_seconds_bucket",
    "gpu_charts_build_info",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_virtual_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_start_time_seconds",
    "process_threads",
    "process_network_receive_bytes_total",
    "process_network_transmit_bytes_total",
    "gpu_charts_disk_days_left",
];

/// The metric names in a text.
fn metric_names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| {
        ["gpu_charts_", "process_", "metrics_server_", "tokio_runtime_"].iter().any(|prefix| word.starts_with(prefix))
            && !word.ends_with('_')
    });
    ours.map(str::to_owned).collect()
}

fn read_all(directory: &Path, endings: &[&str], found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, endings, found);
        } else if endings.iter().any(|ending| path.extension().is_some_and(|extension| extension == *ending)) {
            found.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
}

/// What an endpoint has beside, once it asks for credentials.
async fn metrics_of_security() -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, "rate_limit: { interval: 1s, burst: 5 }\n").unwrap();
    let mut registry = Registry::new();
    Security::start(SecuritySource::web_config(file.path()), &mut registry).await.unwrap();
    Exposition::new(registry).encode().unwrap()
}

/// Every metric that a rule, a panel or a document names exists in a live scrape, and every live one is documented.
#[tokio::test(flavor = "multi_thread")]
async fn every_metric_named_anywhere_exists_and_every_metric_is_documented() {
    let thread = Thread::start().await;
    wait_for(thread.logger.metrics, "gpu_charts_sync_duration_seconds_count", |count| count >= 1.0).await;
    let scrapes = [Scrape::of(thread.logger.metrics).await.unwrap(), Scrape::of(thread.server.metrics).await.unwrap()];
    let secured = metrics_of_security().await;
    let live: BTreeSet<String> = scrapes
        .iter()
        .map(Scrape::text)
        .chain([secured.as_str()])
        .flat_map(str::lines)
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(['{', ' ']).next().unwrap().to_owned())
        .collect();
    for name in CONTRACT {
        assert!(live.contains(name), "{name} is promised to the outside world");
    }

    let root = project();
    let mut texts = Vec::new();
    read_all(&root.join("prometheus"), &["yml"], &mut texts);
    read_all(&root.join("grafana"), &["json"], &mut texts);
    read_all(&root.join("docs"), &["md"], &mut texts);
    for name in ["README.md", "ARCHITECTURE.md"] {
        texts.push((name.into(), fs::read_to_string(root.join(name)).unwrap()));
    }
    for (path, text) in &texts {
        for name in metric_names(text) {
            // A histogram is named without its suffix where it is described.
            let known = live.contains(&name) || live.contains(&format!("{name}_bucket"));
            assert!(known, "{} names the metric {name}, which no service has", path.display());
        }
    }
    let documented = metric_names(&fs::read_to_string(root.join("docs/metrics.md")).unwrap());
    for name in &live {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let known = documented.contains(name) || family.is_some_and(|family| documented.contains(family));
        assert!(known, "{name} is not in docs/metrics.md");
    }
    thread.stop().await;
}

/// A busy port is refused with its name, and nothing half-started stays behind.
#[test]
fn the_check_script_fails_when_nothing_runs() {
    let output = check_script(free_address(), free_address(), free_address());
    assert!(!output.status.success());
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    for part in ["logger", "server", "prometheus"] {
        assert!(message.to_lowercase().contains(part), "{part} is not named: {message}");
    }
}
