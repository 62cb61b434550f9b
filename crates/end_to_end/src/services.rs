//! The logger and the server, in this process, on free ports.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use exchange_simulator::Simulator;
use logger::{Clock, LoggerError, Service, cli::RunArgs};
use metrics_server::{MetricsArgs, Registry, SecuritySource};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use ultra_low_latency_server_chunked_parallel::{Config as ServerConfig, DataTls, Limits, Server};

/// The configuration by which a logger records all that a simulator has, with time limits that let a test see within seconds
/// what takes minutes otherwise.
pub fn brisk(simulator: &Simulator) -> String {
    with_limits(
        simulator,
        "{acknowledge: 2s, silence: 3s, first_data: 3s, repeats: 3s}",
        "{hold: 3s, claim_grace: 200ms, quiet_poll: 1s, retries: [200ms, 500ms, 1s], seal_delay: 10m}",
    )
}

/// Limits of a simulator whose heartbeats suit the short time limits of [`brisk`]: a market that rests is not taken for dead.
pub fn brisk_limits() -> exchange_simulator::Limits {
    exchange_simulator::Limits {
        heartbeat_interval: Some(Duration::from_millis(300)),
        confirm_after: Duration::from_millis(200),
        ..exchange_simulator::Limits::default()
    }
}

/// As [`brisk`], where the clocks run a thousand times as fast and more: what the recorder counts on its clock is over as soon,
/// and REST, which counts on the system's, is not asked more for that.
pub fn brisk_and_fast(simulator: &Simulator) -> String {
    with_limits(
        simulator,
        // With many symbols it takes a while until the last one is asked for.
        "{acknowledge: 20s, silence: 30s, first_data: 30s, repeats: 30s}",
        "{hold: 10s, claim_grace: 60s, quiet_poll: 10d, answer_timeout: 30d, retries: [10m, 30m, 1h], seal_delay: 10m}",
    )
}

fn with_limits(simulator: &Simulator, timeouts: &str, completeness: &str) -> String {
    let limits = format!("    timeouts: {timeouts}\n    ws_url:");
    let exchanges = simulator.logger_config().replace("    ws_url:", &limits);
    format!("flush_interval: 100ms\nsync_interval: 500ms\ncompleteness: {completeness}\n{exchanges}")
}

/// A running logger.
pub struct Logger {
    /// Where its metrics are.
    pub metrics: SocketAddr,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), LoggerError>>,
}

impl Logger {
    /// Starts a logger with a configuration file's text.
    pub async fn start(yaml: &str, data: &Path, clock: Clock) -> Logger {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, yaml).unwrap();
        let args = RunArgs {
            config: Some(file.path().to_owned()),
            data_path: Some(data.to_owned()),
            metrics: MetricsArgs { metrics_listen: vec!["127.0.0.1:0".to_owned()], ..MetricsArgs::default() },
            ..RunArgs::default()
        };
        let config = logger::Config::load(&args).unwrap();
        let service = Service::prepare(config, Registry::default(), clock).await.unwrap();
        let (metrics, shutdown) = (service.metrics_addrs()[0], CancellationToken::new());
        let running = tokio::spawn(service.run(shutdown.clone()));
        Logger { metrics, shutdown, running }
    }

    /// Ends it as SIGTERM would, and says how that went.
    pub async fn end(self) -> Result<(), LoggerError> {
        self.shutdown.cancel();
        self.running.await.unwrap()
    }

    /// Ends it as SIGTERM would, with everything on disk.
    pub async fn stop(self) {
        self.end().await.unwrap();
    }
}

/// A running data server.
pub struct DataServer {
    /// Where the data API is.
    pub data: SocketAddr,
    /// Where its metrics are.
    pub metrics: SocketAddr,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), ultra_low_latency_server_chunked_parallel::ServerError>>,
}

impl DataServer {
    /// Starts a server on a data directory.
    pub async fn start(data: &Path) -> DataServer {
        let config = ServerConfig {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            tls: DataTls::Plain,
            cors_origins: Vec::new(),
            bearer_tokens_file: None,
            metrics_listen: vec!["127.0.0.1:0".parse().unwrap()],
            metrics_security: SecuritySource::default(),
            data_path: data.to_owned(),
            log: "info".to_owned(),
            warn_plain: false,
            limits: Limits::default(),
        };
        let server = Server::bind(&config, Registry::default()).await.unwrap();
        let (data, metrics) = (server.data_addrs()[0], server.metrics_addrs()[0]);
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(server.run(shutdown.clone()));
        DataServer { data, metrics, shutdown, running }
    }

    /// Ends it as SIGTERM would.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.unwrap().unwrap();
    }
}
