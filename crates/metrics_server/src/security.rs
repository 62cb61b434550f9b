//! Who may see an endpoint and how it is encrypted: what is written down, in force, and followed when it changes.

mod demands;

use crate::args::SecuritySource;
use crate::auth::GuardMetrics;
use crate::guard::{Guard, Policy};
use crate::registry::{RegisterError, Registry};
use crate::reload::{PrepareError, RELOAD_INTERVAL, ReloadError, ReloadHandle, ReloadMetrics, Reloader};
use crate::tls::{ServerTls, server_config};
use crate::web_config::{WebConfig, WebConfigError};
use arc_swap::ArcSwapOption;
use demands::Demands;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The security of an [`Endpoint`](crate::Endpoint); given to it by
/// [`EndpointBuilder::security`](crate::EndpointBuilder::security).
///
/// The files are read again when they change, and at once on SIGHUP. A changed set that has a mistake is logged and
/// counted, and the last good one stays in force; a set that asks less of clients counts as one. Whether there is TLS at
/// all is decided at the start.
pub struct Security {
    active: Option<Active>,
    every: Duration,
}

struct Active {
    tls: Option<ServerTls>,
    guard: Guard,
    reloader: Reloader<Prepared>,
    demands: Arc<ArcSwapOption<Demands>>,
}

/// What changes at once.
struct Prepared {
    policy: Policy,
    tls: Option<rustls::ServerConfig>,
    demands: Demands,
}

/// Why the security of an endpoint cannot be established. A program should not go on without it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecurityError {
    /// What is written down cannot be used.
    #[error(transparent)]
    Load(#[from] ReloadError),
    /// The guard cannot be made.
    #[error(transparent)]
    Guard(#[from] WebConfigError),
    /// Its metrics cannot be registered.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

impl Prepared {
    fn of(config: &WebConfig) -> Result<Self, PrepareError> {
        let policy = Policy::load(config)?;
        let tls = config.tls.as_ref().map(|tls| server_config(tls, config.http2)).transpose()?;
        Ok(Self { policy, tls, demands: Demands::of(config) })
    }
}

impl Security {
    /// Reads all that `source` names, and keeps nothing of it.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn check(source: &SecuritySource) -> Result<(), SecurityError> {
        let config = source.load().map_err(ReloadError::Load)?;
        Prepared::of(&config).map_err(|source| ReloadError::Prepare { source })?;
        Ok(())
    }

    /// Reads what `source` names, and registers the metrics of authentication and reloading in `registry`; none of
    /// them if nothing is named.
    ///
    /// # Errors
    ///
    /// [`SecurityError`] names the file, the line and the key that cannot be used.
    pub async fn start(source: SecuritySource, registry: &mut Registry) -> Result<Self, SecurityError> {
        Self::start_as(source, registry, "metrics_server").await
    }

    /// [`start`](Self::start) with another prefix of the metrics than `metrics_server`, for a second endpoint.
    ///
    /// # Errors
    ///
    /// As its.
    pub async fn start_as(
        source: SecuritySource,
        registry: &mut Registry,
        prefix: &str,
    ) -> Result<Self, SecurityError> {
        let every = RELOAD_INTERVAL;
        if source.is_open() {
            return Ok(Self { active: None, every });
        }
        // Of the configuration in force; none yet.
        let demands = Arc::new(ArcSwapOption::<Demands>::empty());
        let in_force = Arc::clone(&demands);
        let prepare = move |config: &WebConfig| {
            let prepared = Prepared::of(config)?;
            if let Some(demands) = &*in_force.load() {
                demands.check_tls(&prepared.demands)?;
                demands.check_kept(&prepared.demands)?;
            }
            Ok(prepared)
        };
        let reload_metrics = ReloadMetrics::register_as(registry, prefix)?;
        let (prepared, reloader) = Reloader::start(source, reload_metrics, prepare).await?;
        let guard = Guard::new(prepared.policy, GuardMetrics::register_as(registry, prefix)?)?;
        demands.store(Some(Arc::new(prepared.demands)));
        let tls = prepared.tls.map(ServerTls::new);
        Ok(Self { active: Some(Active { tls, guard, reloader, demands }), every })
    }

    /// Looks at the files this often instead of every [`RELOAD_INTERVAL`].
    #[must_use]
    pub fn look_every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// What handshakes are made with, if there is TLS.
    pub fn tls(&self) -> Option<ServerTls> {
        self.active.as_ref()?.tls.clone()
    }

    /// What stands before the service, if anything is written down.
    pub fn guard(&self) -> Option<Guard> {
        Some(self.active.as_ref()?.guard.clone())
    }

    /// For reloading at once.
    pub fn reload_handle(&self) -> Option<ReloadHandle> {
        Some(self.active.as_ref()?.reloader.handle())
    }

    /// Follows the files until `shutdown` is cancelled; an [`Endpoint`](crate::Endpoint) does that itself.
    pub async fn follow(self, shutdown: CancellationToken) {
        let Some(Active { tls, guard, reloader, demands }) = self.active else {
            return reload_on_hangup(None, shutdown).await;
        };
        let handle = reloader.handle();
        let apply = move |prepared: Prepared| {
            demands.store(Some(Arc::new(prepared.demands)));
            guard.apply(prepared.policy);
            if let (Some(tls), Some(config)) = (&tls, prepared.tls) {
                tls.replace(config);
            }
        };
        tokio::join!(reloader.run(self.every, apply, shutdown.clone()), reload_on_hangup(Some(handle), shutdown));
    }
}

/// Reloads at each SIGHUP, as Prometheus does. Who has nothing to reload survives it all the same: somebody may send it
/// to all services of a host.
async fn reload_on_hangup(handle: Option<ReloadHandle>, shutdown: CancellationToken) {
    let mut hangups: Signal = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => {
            tracing::warn!(%error, "SIGHUP cannot be listened to; changed files are still seen");
            return;
        }
    };
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            Some(()) = hangups.recv() => match &handle {
                None => tracing::info!("SIGHUP: there is nothing to reload"),
                Some(handle) => {
                    tracing::info!("SIGHUP: reloading the security configuration");
                    // What is wrong is logged and counted there.
                    _ = handle.reload_now().await;
                }
            },
        }
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Security").field("is_open", &self.active.is_none()).finish_non_exhaustive()
    }
}
