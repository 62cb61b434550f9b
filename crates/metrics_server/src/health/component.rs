//! One part of a program, and what it last said of itself.

use super::Health;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Longest text kept of a reason, in bytes; longer ones are cut. A reason often carries a chain of errors, and the
/// answer of `/health` should stay readable in a terminal and small in a supervisor's log.
const REASON_BYTES_MAX: usize = 512;

/// The handle by which a component reports its state; see [`Health::component`].
///
/// It is not `Clone`, because its end means something: dropped without [`finish`](Self::finish), the work it stood
/// for is gone and `/health` fails with `"NAME: gone"`. Work that several tasks share holds it in an [`Arc`].
/// Every call counts as a sign of life, and after `finish` none has an effect.
#[derive(Debug)]
#[must_use = "a component that is dropped counts as gone"]
pub struct Component {
    health: Health,
    state: Arc<State>,
}

impl Component {
    pub(super) fn new(health: Health, state: Arc<State>) -> Self {
        Self { health, state }
    }

    /// The work can be done from now on.
    pub fn ready(&self) {
        self.update(|report| report.not_ready = None);
    }

    /// The work cannot be done now for a reason that is no fault, such as recovering or draining; does not touch
    /// liveness.
    pub fn not_ready(&self, reason: impl Into<String>) {
        let reason = bounded(reason.into());
        self.update(|report| report.not_ready = Some(reason));
    }

    /// A sign of life. Costs a clock reading and one atomic store, so it fits into a loop.
    pub fn beat(&self) {
        self.state.beat(self.health.now());
    }

    /// The work suffers from something that a restart would not cure, such as a full disk: `/health` stays 200 and
    /// names the reason, `/ready` is 503, until [`recovered`](Self::recovered).
    pub fn degraded(&self, reason: impl Into<String>) {
        let reason = bounded(reason.into());
        self.update(|report| report.degraded = Some(reason));
    }

    /// The component gave up and a restart would help: `/health` and `/ready` are 503, until
    /// [`recovered`](Self::recovered).
    pub fn failed(&self, reason: impl Into<String>) {
        let reason = bounded(reason.into());
        self.update(|report| report.failed = Some(reason));
    }

    /// Takes back [`degraded`](Self::degraded) and [`failed`](Self::failed).
    pub fn recovered(&self) {
        self.update(|report| {
            report.degraded = None;
            report.failed = None;
        });
    }

    /// The proper end of the work: the component no longer counts for liveness, and readiness says that the program
    /// is draining.
    pub fn finish(&self) {
        self.update(|report| {
            *report = Report { held: Held::Finished, ..Report::default() };
        });
    }

    fn update(&self, change: impl FnOnce(&mut Report)) {
        self.beat();
        let mut report = self.state.report();
        if report.held == Held::Yes {
            change(&mut report);
        }
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        let mut report = self.state.report();
        if report.held == Held::Yes {
            report.held = Held::Gone;
        }
    }
}

/// What [`Health`] keeps of a component.
#[derive(Debug)]
pub(super) struct State {
    name: String,
    deadline: Option<Duration>,
    registered: Instant,
    /// The last sign of life, in nanoseconds after `registered`; 64 bits last for 584 years.
    last_beat_ns: AtomicU64,
    report: Mutex<Report>,
}

#[derive(Debug, Default)]
struct Report {
    held: Held,
    not_ready: Option<String>,
    degraded: Option<String>,
    failed: Option<String>,
}

/// Whether anybody still stands behind the component.
#[derive(Debug, Default, PartialEq, Eq)]
enum Held {
    #[default]
    Yes,
    Finished,
    Gone,
}

impl State {
    pub(super) fn new(name: String, deadline: Option<Duration>, now: Instant) -> Self {
        let report = Report { not_ready: Some("starting".to_owned()), ..Report::default() };
        Self { name, deadline, registered: now, last_beat_ns: AtomicU64::new(0), report: Mutex::new(report) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_held(&self) -> bool {
        self.report().held == Held::Yes
    }

    fn beat(&self, now: Instant) {
        let since = now.saturating_duration_since(self.registered);
        let ns = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        // Tasks that share a component may read the clock in one order and get here in the other.
        self.last_beat_ns.fetch_max(ns, Ordering::Relaxed);
    }

    /// Why a restart would help, if it would.
    pub(super) fn failing(&self, now: Instant) -> Option<String> {
        let report = self.report();
        let reason = match report.held {
            Held::Finished => None,
            Held::Gone => Some("gone".to_owned()),
            Held::Yes => report.failed.clone().or_else(|| self.missed_deadline(now)),
        };
        reason.map(|reason| self.named(&reason))
    }

    /// The complaint that a restart would not cure, if there is one.
    pub(super) fn degraded(&self) -> Option<String> {
        let report = self.report();
        (report.held == Held::Yes).then(|| report.degraded.as_deref().map(|reason| self.named(reason))).flatten()
    }

    /// Why the work is not done now, if it is not.
    pub(super) fn not_ready(&self, now: Instant) -> Option<String> {
        if let Some(reason) = self.failing(now).or_else(|| self.degraded()) {
            return Some(reason);
        }
        let report = self.report();
        match report.held {
            Held::Finished => Some(self.named("draining")),
            _ => report.not_ready.as_deref().map(|reason| self.named(reason)),
        }
    }

    fn missed_deadline(&self, now: Instant) -> Option<String> {
        let deadline = self.deadline?;
        let last_beat = self.registered + Duration::from_nanos(self.last_beat_ns.load(Ordering::Relaxed));
        let silent = now.saturating_duration_since(last_beat);
        (silent > deadline).then(|| {
            format!("no sign of life for {:.1} s, deadline {:.1} s", silent.as_secs_f64(), deadline.as_secs_f64())
        })
    }

    fn named(&self, reason: &str) -> String {
        format!("{}: {reason}", self.name)
    }

    /// Every field is replaced as a whole, so a report is usable even if a holder of the lock panicked.
    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bounded(mut reason: String) -> String {
    if reason.len() > REASON_BYTES_MAX {
        let end = (0..=REASON_BYTES_MAX).rev().find(|&at| reason.is_char_boundary(at)).unwrap_or(0);
        reason.truncate(end);
        reason.push('…');
    }
    reason
}
