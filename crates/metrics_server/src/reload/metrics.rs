//! What reloading counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

/// The metrics of a [`Reloader`](super::Reloader).
#[derive(Clone, Debug, Default)]
pub struct ReloadMetrics {
    is_successful: Gauge,
    succeeded_at: Gauge<f64, AtomicU64>,
    successes: Counter,
    failures: Counter,
}

impl ReloadMetrics {
    /// Adds the metrics to a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let reloads = Family::<[(&'static str, &'static str); 1], Counter>::default();
        let metrics = Self {
            successes: reloads.get_or_create_owned(&[("result", "success")]),
            failures: reloads.get_or_create_owned(&[("result", "failure")]),
            ..Self::default()
        };
        registry.register(
            "metrics_server_config_last_reload_successful",
            "1 if what is written down about the security of this endpoint is in force, 0 if an earlier version is",
            metrics.is_successful.clone(),
        );
        registry.register(
            "metrics_server_config_last_reload_success_timestamp_seconds",
            "When the security configuration in force was loaded",
            metrics.succeeded_at.clone(),
        );
        registry.register(
            "metrics_server_config_reloads",
            "Changes of the security configuration by result; a failure that stays the same counts once",
            reloads,
        );
        metrics
    }

    pub(super) fn loaded(&self) {
        self.is_successful.set(1);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.succeeded_at.set(now.as_secs_f64());
    }

    pub(super) fn reloaded(&self) {
        self.successes.inc();
        self.loaded();
    }

    pub(super) fn failed(&self) {
        self.failures.inc();
        self.is_successful.set(0);
    }

    /// The files are again what is in force.
    pub(super) fn recovered(&self) {
        self.is_successful.set(1);
    }
}
