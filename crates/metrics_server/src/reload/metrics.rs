//! What reloading counts.

use crate::families::{Counter, Gauge, Handle};
use crate::registry::{RegisterError, Registry};
use std::time::{SystemTime, UNIX_EPOCH};

/// The metrics of a [`Reloader`](super::Reloader).
#[derive(Clone, Debug)]
pub struct ReloadMetrics {
    is_successful: Handle<Gauge>,
    succeeded_at: Handle<Gauge>,
    successes: Handle<Counter>,
    failures: Handle<Counter>,
}

impl ReloadMetrics {
    /// Adds the metrics to a registry.
    ///
    /// # Errors
    ///
    /// They were added before.
    pub fn register(registry: &mut Registry) -> Result<Self, RegisterError> {
        Self::register_as(registry, "metrics_server")
    }

    /// [`register`](Self::register) with another prefix than `metrics_server`, for a second one in the same registry.
    ///
    /// # Errors
    ///
    /// As its.
    pub fn register_as(registry: &mut Registry, prefix: &str) -> Result<Self, RegisterError> {
        let help = "Changes of the security configuration by result; a failure that stays the same counts once";
        let reloads = registry.counter(&format!("{prefix}_config_reloads"), help).labels(["result"]).register()?;
        let help =
            "1 if what is written down about the security of this endpoint is in force, 0 if an earlier version is";
        let is_successful = registry.gauge(&format!("{prefix}_config_last_reload_successful"), help).register()?;
        let help = "When the security configuration in force was loaded";
        let name = format!("{prefix}_config_last_reload_success_timestamp_seconds");
        Ok(Self {
            is_successful,
            succeeded_at: registry.gauge(&name, help).register()?,
            successes: reloads.handle(["success"]),
            failures: reloads.handle(["failure"]),
        })
    }

    pub(super) fn loaded(&self) {
        self.is_successful.set(1.0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.succeeded_at.set(now.as_secs_f64());
    }

    pub(super) fn reloaded(&self) {
        self.successes.inc();
        self.loaded();
    }

    pub(super) fn failed(&self) {
        self.failures.inc();
        self.is_successful.set(0.0);
    }

    /// The files are again what is in force.
    pub(super) fn recovered(&self) {
        self.is_successful.set(1.0);
    }
}
