//! What the program is able to do right now: liveness for supervisors, readiness for load balancers.

mod component;
mod report;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use component::Component;
use component::State;
pub use report::{Liveness, Readiness};
pub(crate) use report::{liveness_json, readiness_json};

/// The health of one program: its name and its components.
///
/// Cheap to clone; all clones are the same health. Liveness and readiness are separate questions:
///
/// - **liveness** asks whether a restart would help. Only a component that missed its deadline, gave up
///   ([`Component::failed`]) or vanished says so. A full disk or a venue that is down are *degraded*: a supervisor
///   must not kill the process that holds the unwritten rows.
/// - **readiness** asks whether the program does its work now. It does when every component said
///   [`ready`](Component::ready) and none has a complaint.
#[derive(Clone)]
pub struct Health {
    inner: Arc<Inner>,
}

struct Inner {
    service: String,
    clock: Clock,
    components: Mutex<Vec<Arc<State>>>,
}

/// A monotonic clock as deadlines need it.
type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

impl Health {
    /// The health of `service`, the name that `/health` and `/ready` answer with, such as `gpu-charts-logger`.
    pub fn new(service: impl Into<String>) -> Self {
        Self::with_clock(service, Instant::now)
    }

    /// Like [`new`](Self::new), with the monotonic clock that deadlines are measured on; for tests that do not want
    /// to wait.
    pub fn with_clock(service: impl Into<String>, clock: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        let inner = Inner { service: service.into(), clock: Box::new(clock), components: Mutex::new(Vec::new()) };
        Self { inner: Arc::new(inner) }
    }

    /// The name of the service.
    pub fn service(&self) -> &str {
        &self.inner.service
    }

    /// Adds a component: a part of the program whose loss somebody has to hear of.
    ///
    /// It is not ready until it says so. With a `deadline` it has to give a sign of life (any call on the
    /// [`Component`]) at least that often, counted from now; missing it makes `/health` fail. Register it where the
    /// component's work starts, and [`beat`](Component::beat) while it prepares.
    ///
    /// A component that was dropped or has finished is replaced by a new one of the same name, so that work that is
    /// started again heals.
    pub fn component(&self, name: impl Into<String>, deadline: Option<Duration>) -> Component {
        let state = Arc::new(State::new(name.into(), deadline, (self.inner.clock)()));
        let mut components = self.components();
        components.retain(|other| other.name() != state.name() || other.is_held());
        components.push(Arc::clone(&state));
        drop(components);
        Component::new(self.clone(), state)
    }

    /// Whether the program works, works with complaints, or should be restarted.
    pub fn liveness(&self) -> Liveness {
        let now = self.now();
        let mut failing = Vec::new();
        let mut degraded = Vec::new();
        for component in self.components().iter() {
            failing.extend(component.failing(now));
            degraded.extend(component.degraded());
        }
        if !failing.is_empty() {
            // What a restart would cure stands first.
            failing.append(&mut degraded);
            Liveness::Failing(failing)
        } else if !degraded.is_empty() {
            Liveness::Degraded(degraded)
        } else {
            Liveness::Ok
        }
    }

    /// Whether the program does its work now. A health without any component is not ready: nothing has started yet.
    pub fn readiness(&self) -> Readiness {
        let now = self.now();
        let components = self.components();
        if components.is_empty() {
            return Readiness::NotReady(vec!["no component has started yet".to_owned()]);
        }
        let reasons: Vec<String> = components.iter().filter_map(|component| component.not_ready(now)).collect();
        if reasons.is_empty() { Readiness::Ready } else { Readiness::NotReady(reasons) }
    }

    fn now(&self) -> Instant {
        (self.inner.clock)()
    }

    /// The list is only ever pushed to or filtered, so it is whole even if a holder of the lock panicked.
    fn components(&self) -> MutexGuard<'_, Vec<Arc<State>>> {
        self.inner.components.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("service", &self.inner.service).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
