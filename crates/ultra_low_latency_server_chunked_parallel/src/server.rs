//! The server as a whole: its sockets, its tasks, and how they end together.

use std::{net::SocketAddr, path::PathBuf};

use metrics_server::{
    BindError, Component, Endpoint, Exposition, Health, LandingPage, RegisterError, Registry, Security, SecurityError,
    ServeError, build_info, http_bind_all, process, runtime,
};
use tokio::{
    runtime::Handle,
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{
    api::Api,
    budget,
    config::Config,
    cors::Cors,
    data_answer::DataAnswers,
    data_port::DataPort,
    data_security::{self, DataSecurityError},
    limits::Limits,
    metrics::Metrics,
    readiness,
};

/// The name that `/health` and `/ready` answer with.
const SERVICE: &str = "gpu-charts-server";

/// A server whose sockets are open; [`run`](Server::run) answers on them.
#[must_use = "a server answers nobody before it runs"]
pub struct Server {
    data: DataPort,
    data_addrs: Vec<SocketAddr>,
    data_security: Security,
    endpoint: Endpoint,
    answers: DataAnswers,
    data_path: PathBuf,
    data_directory: Component,
}

/// Why the server could not start, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The data port cannot be opened.
    #[error("the data port cannot be opened")]
    DataPort(#[source] BindError),
    /// TLS or tokens of the data port cannot be used.
    #[error("the data port cannot be secured")]
    DataSecurity(#[from] DataSecurityError),
    /// The metrics endpoint cannot be opened.
    #[error("the metrics endpoint cannot be opened")]
    MetricsPort(#[source] BindError),
    /// The threads that serve data cannot be started.
    #[error("the threads that serve data cannot be started")]
    Threads(#[source] std::io::Error),
    /// A metric cannot be registered: a mistake in this program.
    #[error(transparent)]
    Metric(#[from] RegisterError),
    /// TLS or credentials of the metrics endpoint cannot be used.
    #[error("the metrics endpoint cannot be secured")]
    Security(#[from] SecurityError),
    /// A part of the server stopped working.
    #[error("the {part} stopped serving")]
    Serve {
        /// Which.
        part: &'static str,
        /// Why.
        source: ServeError,
    },
    /// A part of the server ended though nobody asked it to.
    #[error("the {part} ended unasked")]
    Ended {
        /// Which.
        part: &'static str,
    },
    /// A part of the server panicked.
    #[error("a part of the server died")]
    Died(#[from] JoinError),
}

/// [`Server::bind`] and [`Server::run`].
///
/// # Errors
/// Theirs.
pub async fn run(config: &Config, registry: Registry, shutdown: CancellationToken) -> Result<(), ServerError> {
    Server::bind(config, registry).await?.run(shutdown).await
}

impl Server {
    /// Opens the data port and the metrics endpoint, and registers the server's metrics. From here on clients can
    /// connect; they are answered once the server runs.
    ///
    /// # Errors
    /// An address that cannot be listened on.
    pub async fn bind(config: &Config, mut registry: Registry) -> Result<Server, ServerError> {
        let limits = config.limits.clone();
        let metrics = Metrics::register(&mut registry, &limits)?;
        process::register(&mut registry);
        runtime::register(&mut registry, &Handle::current());
        build_info!("gpu_charts").register(&mut registry);
        let health = Health::new(SERVICE);
        let data_directory = health.component("data directory", None);
        let cors = Cors::new(&config.cors_origins);
        let api = Api::new(&config.data_path, &limits, &metrics, cors.clone());

        let (data_security, tls) = data_security::start(config, &mut registry).await?;
        let mut listeners = Vec::new();
        for address in &config.listen {
            let opened = http_bind_all(address).await.map_err(ServerError::DataPort)?;
            listeners.extend(opened.into_iter().map(|listener| listener.tls(tls.clone())));
        }
        let security = Security::start(config.metrics_security.clone(), &mut registry).await?;
        let page = LandingPage::default().build(build_info!("gpu_charts"));
        let mut endpoint = Endpoint::builder(Exposition::new(registry), health).security(security).landing_page(page);
        for address in &config.metrics_listen {
            endpoint = endpoint.listen(address.clone());
        }
        let endpoint = endpoint.bind().await.map_err(ServerError::MetricsPort)?;
        for listener in &listeners {
            let (address, tls) = (listener.address(), listener.has_tls());
            tracing::info!(%address, data_path = %config.data_path.display(), tls, "data port listens");
        }
        let data_addrs = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        let answers = api.answers();
        let limits = connection_limits(&limits);
        let data = DataPort::start(listeners, api, metrics, limits, cors, data_security.guard());
        let data = data.map_err(ServerError::Threads)?;
        let data_path = config.data_path.clone();
        Ok(Server { data, data_addrs, data_security, endpoint, answers, data_path, data_directory })
    }

    /// Where the data port listens over TCP, with the ports that the system chose for port 0, in the order of the
    /// configuration.
    pub fn data_addrs(&self) -> Vec<SocketAddr> {
        self.data_addrs.clone()
    }

    /// Where the metrics endpoint listens, in the order of the configuration.
    pub fn metrics_addrs(&self) -> Vec<SocketAddr> {
        self.endpoint.local_addrs()
    }

    /// Answers requests until `shutdown` is cancelled; answers under way may then finish within the drain time of
    /// [`metrics_server::Limits`], while `/ready` says that the server is draining and `/metrics` still answers.
    ///
    /// # Errors
    /// A part that failed, ended or panicked ends all of them: half a server would look alive.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ServerError> {
        let stop = shutdown.child_token();
        let drained = CancellationToken::new();
        let mut parts = JoinSet::new();

        // However it ends, the metrics endpoint goes after it, and with that one the rest.
        let (has_drained, stop_data) = (drained.clone().drop_guard(), stop.clone());
        parts.spawn(async move {
            let _when_ended = has_drained;
            ("data port", self.data.serve(stop_data).await)
        });

        let (ends_all, stop_security) = (stop.clone().drop_guard(), stop.clone());
        parts.spawn(async move {
            let _when_ended = ends_all;
            self.data_security.follow(stop_security).await;
            ("data port's security", Ok(()))
        });

        let (ends_all, stop_watch) = (stop.clone().drop_guard(), stop.clone());
        parts.spawn(async move {
            let _when_ended = ends_all;
            readiness::watch(self.data_path, self.answers, self.data_directory, stop_watch).await;
            ("data directory's watch", Ok(()))
        });

        let ends_all = stop.drop_guard();
        parts.spawn(async move {
            let _when_ended = ends_all;
            ("metrics endpoint", self.endpoint.serve(drained).await)
        });

        let mut result = Ok(());
        while let Some(ended) = parts.join_next().await {
            let ended = match ended {
                Ok((part, Err(source))) => Err(ServerError::Serve { part, source }),
                Ok((part, Ok(()))) if !shutdown.is_cancelled() => Err(ServerError::Ended { part }),
                Ok(_) => Ok(()),
                Err(died) => Err(ServerError::Died(died)),
            };
            // The first is the cause and the others follow from it, except that a part which ends because another one
            // failed may be seen before that one.
            if matches!(result, Ok(()) | Err(ServerError::Ended { .. })) && ended.is_err() {
                result = ended;
            }
        }
        result
    }
}

/// What connections may use up; no more of them than there are descriptors for.
fn connection_limits(limits: &Limits) -> metrics_server::Limits {
    let connections = budget::connections(limits.connections);
    if connections < limits.connections {
        let wanted = limits.connections;
        tracing::warn!(wanted, connections, "fewer connections than configured: the process may not open more files");
    }
    metrics_server::Limits {
        connections,
        http2_streams: limits.http2_streams,
        http2_send_bytes: limits.http2_send_bytes,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Shutdown, path::Path, time::Duration};

    use super::*;

    fn config() -> Config {
        let free: metrics_server::ListenAddr = "127.0.0.1:0".parse().unwrap();
        Config {
            listen: vec![free.clone()],
            tls: crate::DataTls::Plain,
            cors_origins: Vec::new(),
            bearer_tokens_file: None,
            metrics_listen: vec![free],
            metrics_security: metrics_server::SecuritySource::default(),
            data_path: Path::new("/nonexistent").to_owned(),
            log: String::new(),
            warn_plain: false,
            limits: Limits::default(),
        }
    }

    #[tokio::test]
    async fn a_part_that_dies_ends_the_others() {
        let server = Server::bind(&config(), Registry::default()).await.unwrap();
        let metrics = server.metrics_addrs()[0];
        // A listening socket that is shut down refuses to accept for ever.
        socket2::SockRef::from(&server.data.listeners()[0]).shutdown(Shutdown::Read).unwrap();
        let shutdown = CancellationToken::new();
        let ended = tokio::time::timeout(Duration::from_secs(30), server.run(shutdown.clone())).await.unwrap();
        assert!(matches!(ended, Err(ServerError::Serve { part: "data port", .. })), "{ended:?}");
        assert!(tokio::net::TcpStream::connect(metrics).await.is_err(), "half a server would look alive");
        assert!(!shutdown.is_cancelled(), "it is not ours to stop the whole program");
    }
}
