//! A server in this process, on a thread and free ports of its own.

use std::{net::SocketAddr, path::Path, sync::mpsc, thread::JoinHandle};

use metrics_server::{Registry, SecuritySource};
use tokio_util::sync::CancellationToken;
use ultra_low_latency_server_chunked_parallel::{Config, DataTls, Limits, Server, ServerError};

use crate::client::{Answer, get};

/// Stops when it is dropped.
pub(crate) struct Running {
    pub(crate) data: SocketAddr,
    pub(crate) metrics: SocketAddr,
    shutdown: CancellationToken,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
}

pub(crate) fn config(root: &Path) -> Config {
    Config {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        tls: DataTls::Plain,
        cors_origins: Vec::new(),
        bearer_tokens_file: None,
        metrics_listen: vec!["127.0.0.1:0".parse().unwrap()],
        metrics_security: SecuritySource::default(),
        data_path: root.to_owned(),
        log: "off".to_owned(),
        warn_plain: false,
        limits: Limits::default(),
    }
}

impl Running {
    pub(crate) fn start(root: &Path) -> Running {
        Running::with_limits(root, Limits::default())
    }

    pub(crate) fn with_limits(root: &Path, limits: Limits) -> Running {
        Running::with_config(Config { limits, ..config(root) })
    }

    pub(crate) fn with_config(config: Config) -> Running {
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let server = Server::bind(&config, Registry::default()).await?;
                tell.send((server.data_addrs()[0], server.metrics_addrs()[0])).unwrap();
                server.run(stop).await
            })
        });
        let (data, metrics) = told.recv().unwrap();
        Running { data, metrics, shutdown, thread: Some(thread) }
    }

    /// Asks the data port.
    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Answer {
        get(self.data, target)
    }

    /// Asks for data of coinbase's BTC-USD.
    #[track_caller]
    pub(crate) fn data(&self, parameters: &str) -> Answer {
        self.get(&format!("/api/data?symbol=BTC-USD&{parameters}"))
    }

    /// The exposition.
    pub(crate) fn scrape(&self) -> String {
        get(self.metrics, "/metrics").expect(200).text().to_owned()
    }

    /// A sample of the exposition by its name and labels, 0 if there is none.
    pub(crate) fn sample(&self, series: &str) -> f64 {
        let text = self.scrape();
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        lines.next().map_or(0.0, |value| value.parse().unwrap())
    }

    /// Asks the server to stop, and does not wait.
    pub(crate) fn begin_shutdown(&self) {
        self.shutdown.cancel();
    }

    /// Waits for the end and tells how it ended.
    pub(crate) fn join(mut self) -> Result<(), ServerError> {
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.unwrap().unwrap();
            }
        }
    }
}
