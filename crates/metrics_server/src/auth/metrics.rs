//! What authentication counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// No credentials.
    Missing,
    /// An `Authorization` header that is none.
    Malformed,
    /// A wrong user, password or token.
    Wrong,
    /// Not looked at, because the peer failed too often.
    Throttled,
    /// Not looked at in time, because too many passwords waited.
    Overloaded,
}

/// The label values, in the order of the variants.
const REASONS: [&str; 5] = ["missing", "malformed", "wrong", "throttled", "overloaded"];

/// How a comparison by hashing came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The password is right.
    Right,
    /// The password is wrong.
    Wrong,
    /// There is no such user; a fake hash of the same cost was computed.
    UnknownUser,
}

type Label = [(&'static str, &'static str); 1];

const VERDICTS: [&str; 3] = ["right", "wrong", "unknown_user"];

/// The metrics of a [`Guard`](crate::Guard).
#[derive(Clone, Debug, Default)]
pub struct GuardMetrics {
    /// By reason. Handles of their own, so that counting takes no lock that a scrape may hold.
    failures: [Counter; 5],
    /// By verdict.
    hashes: [Counter; 3],
    pub(crate) hash_seconds: Counter<f64, AtomicU64>,
    pub(crate) queue_depth: Gauge,
    pub(crate) pinned: Gauge,
    pub(crate) rejected: Gauge,
    pub(crate) peers: Gauge,
    pub(crate) forgotten: Counter,
    pub(crate) rate_limited: Counter,
}

impl GuardMetrics {
    /// Adds the metrics to a registry; more than one guard may count into them.
    pub fn register(registry: &mut Registry) -> Self {
        // All series from the start, so that a rate is known when the first failure comes.
        let (failures, hashes) = (Family::<Label, Counter>::default(), Family::<Label, Counter>::default());
        let metrics = Self {
            failures: REASONS.map(|reason| failures.get_or_create_owned(&[("reason", reason)])),
            hashes: VERDICTS.map(|verdict| hashes.get_or_create_owned(&[("verdict", verdict)])),
            ..Self::default()
        };
        registry.register(
            "metrics_server_auth_failures",
            "Requests refused for want of valid credentials, by reason",
            failures,
        );
        registry.register(
            "metrics_server_auth_hashes",
            "Passwords compared by hashing, by verdict; known ones need no hashing",
            hashes,
        );
        registry.register(
            "metrics_server_auth_hash_seconds",
            "Processor time spent hashing passwords",
            metrics.hash_seconds.clone(),
        );
        registry.register(
            "metrics_server_auth_queue_depth",
            "Passwords that wait to be hashed",
            metrics.queue_depth.clone(),
        );
        registry.register(
            "metrics_server_auth_pinned_credentials",
            "Users whose right password is known without hashing",
            metrics.pinned.clone(),
        );
        registry.register(
            "metrics_server_auth_rejected_credentials",
            "Wrong passwords that are known without hashing",
            metrics.rejected.clone(),
        );
        registry.register(
            "metrics_server_auth_failing_peers",
            "Peers whose failed attempts are remembered",
            metrics.peers.clone(),
        );
        registry.register(
            "metrics_server_auth_forgotten",
            "Entries given up because a table of authentication was full",
            metrics.forgotten.clone(),
        );
        registry.register(
            "metrics_server_rate_limited",
            "Requests answered 429 because of rate_limit",
            metrics.rate_limited.clone(),
        );
        metrics
    }

    pub(crate) fn failed(&self, reason: Reason) {
        if let Some(counter) = self.failures.get(reason as usize) {
            counter.inc();
        }
    }

    pub(crate) fn hashed(&self, verdict: Verdict) {
        if let Some(counter) = self.hashes.get(verdict as usize) {
            counter.inc();
        }
    }

    pub(crate) fn forgot(&self, entries: usize) {
        self.forgotten.inc_by(entries as u64);
    }
}
