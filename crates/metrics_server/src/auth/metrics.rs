//! What authentication counts.

use crate::families::{Counter, FloatCounter, Handle, IntGauge};
use crate::registry::{RegisterError, Registry};

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

const VERDICTS: [&str; 3] = ["right", "wrong", "unknown_user"];

/// The metrics of a [`Guard`](crate::Guard).
#[derive(Clone, Debug)]
pub struct GuardMetrics {
    failures: [Handle<Counter>; REASONS.len()],
    hashes: [Handle<Counter>; VERDICTS.len()],
    pub(crate) hash_seconds: Handle<FloatCounter>,
    pub(crate) queue_depth: Handle<IntGauge>,
    pub(crate) pinned: Handle<IntGauge>,
    pub(crate) rejected: Handle<IntGauge>,
    pub(crate) peers: Handle<IntGauge>,
    pub(crate) forgotten: Handle<Counter>,
    pub(crate) rate_limited: Handle<Counter>,
}

impl GuardMetrics {
    /// Adds the metrics to a registry; more than one guard may count into them.
    ///
    /// # Errors
    ///
    /// They were added before.
    pub fn register(registry: &mut Registry) -> Result<Self, RegisterError> {
        Self::register_as(registry, "metrics_server")
    }

    /// [`register`](Self::register) with another prefix than `metrics_server`, for a second set in the same registry.
    ///
    /// # Errors
    ///
    /// As its.
    pub fn register_as(registry: &mut Registry, prefix: &str) -> Result<Self, RegisterError> {
        let help = "Requests refused for want of valid credentials, by reason";
        let failures = registry.counter(&format!("{prefix}_auth_failures"), help).labels(["reason"]).register()?;
        let help = "Passwords compared by hashing, by verdict; known ones need no hashing";
        let hashes = registry.counter(&format!("{prefix}_auth_hashes"), help).labels(["verdict"]).register()?;
        let help = "Processor time spent hashing passwords";
        let hash_seconds = registry.float_counter(&format!("{prefix}_auth_hash_seconds"), help).register()?;
        let help = "Entries given up because a table of authentication was full";
        let forgotten = registry.counter(&format!("{prefix}_auth_forgotten"), help).register()?;
        let help = "Requests answered 429 because of rate_limit";
        let rate_limited = registry.counter(&format!("{prefix}_rate_limited"), help).register()?;
        let mut gauge = |name, help| registry.int_gauge(name, help).register();
        Ok(Self {
            // All series from the start, so that a rate is known when the first failure comes.
            failures: REASONS.map(|reason| failures.handle([reason])),
            hashes: VERDICTS.map(|verdict| hashes.handle([verdict])),
            hash_seconds,
            queue_depth: gauge(&format!("{prefix}_auth_queue_depth"), "Passwords that wait to be hashed")?,
            pinned: gauge(
                &format!("{prefix}_auth_pinned_credentials"),
                "Users whose right password is known without hashing",
            )?,
            rejected: gauge(
                &format!("{prefix}_auth_rejected_credentials"),
                "Wrong passwords that are known without hashing",
            )?,
            peers: gauge(&format!("{prefix}_auth_failing_peers"), "Peers whose failed attempts are remembered")?,
            forgotten,
            rate_limited,
        })
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
        self.forgotten.add(entries as u64);
    }
}
