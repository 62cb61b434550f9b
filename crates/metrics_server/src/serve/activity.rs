//! What a connection is doing, and until when it may.

use super::observer::ConnectionTimeout;
use crate::limits::Limits;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What one connection is doing. All clones are about the same connection.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// What the client is to do while no request is under way.
    awaited: Awaited,
    /// Since when it is.
    since: Instant,
    /// Requests whose answer has not been handed over whole.
    requests: usize,
    /// Bodies of which a part was handed over, and since when the next one has not been asked for.
    untaken: HashMap<u64, Instant>,
    next_body: u64,
    /// Some of an answer waits for room in the socket: its body may be gone long before its last bytes are.
    is_sending: bool,
    /// A write to the socket made no progress for too long.
    stalled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// The rest of a request's headers, or the first request.
    Headers,
    /// Another request, or nothing more.
    Anything,
}

impl Activity {
    /// Of a connection that was just opened, and owes its first request.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            awaited: Awaited::Headers,
            since: Instant::now(),
            requests: 0,
            untaken: HashMap::new(),
            next_body: 0,
            is_sending: false,
            stalled: false,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code under this lock can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection is as good as new: the first request is owed from now on.
    pub(super) fn opened(&self) {
        self.state().since = Instant::now();
    }

    /// Bytes have come; of an idle client they begin the headers of a request.
    pub(super) fn received(&self) {
        let mut state = self.state();
        if state.requests == 0 && state.awaited == Awaited::Anything {
            (state.awaited, state.since) = (Awaited::Headers, Instant::now());
        }
    }

    /// A request is under way until the returned value is dropped.
    pub(super) fn request(&self) -> UnderWay {
        let mut state = self.state();
        state.requests += 1;
        let body = state.next_body;
        state.next_body += 1;
        UnderWay { activity: self.clone(), body }
    }

    /// Whether something waits for room in the socket.
    pub(super) fn sending(&self, is_sending: bool) {
        let mut state = self.state();
        state.is_sending = is_sending;
        if state.requests == 0 && state.awaited == Awaited::Anything {
            state.since = Instant::now();
        }
    }

    pub(super) fn stalled(&self) {
        self.state().stalled = true;
    }

    /// Whether a write stalled.
    pub(super) fn has_stalled(&self) -> bool {
        self.state().stalled
    }

    /// Since when there is no request; none while there is one, or its answer is on its way.
    pub(super) fn quiet_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.requests == 0 && !state.is_sending).then_some(state.since)
    }

    /// Since when nothing but another request is awaited. None before the first one.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let is_anything_awaited = self.state().awaited == Awaited::Anything;
        self.quiet_since().filter(|_| is_anything_awaited)
    }

    /// When the connection will have taken too long for something, and for what, if nothing happens until then.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<(Instant, ConnectionTimeout)> {
        let state = self.state();
        let (since, limit, timeout) = match (state.requests, state.awaited) {
            (0, Awaited::Headers) => (state.since, limits.header_read, ConnectionTimeout::Header),
            // Whether the answer advances is seen where it is written.
            (0, Awaited::Anything) if state.is_sending => return None,
            (0, Awaited::Anything) => (state.since, limits.idle, ConnectionTimeout::Idle),
            _ => (*state.untaken.values().min()?, limits.write_stall, ConnectionTimeout::WriteStall),
        };
        Some((later(since, limit), timeout))
    }
}

/// `since` and `limit` later, as far as the clock goes.
pub(super) fn later(since: Instant, limit: Duration) -> Instant {
    /// A limit that nobody lives to see.
    const CENTURY: Duration = Duration::from_secs(100 * 366 * 86_400);
    since.checked_add(limit.min(CENTURY)).unwrap_or(since)
}

/// Keeps a request under way.
#[derive(Debug)]
pub(super) struct UnderWay {
    activity: Activity,
    body: u64,
}

impl UnderWay {
    /// A part of the answer was handed over; the client is to make room for the next one.
    pub(super) fn handed_over(&self) {
        self.activity.state().untaken.insert(self.body, Instant::now());
    }

    /// There is room for the next part of the answer.
    pub(super) fn asked_for_more(&self) {
        self.activity.state().untaken.remove(&self.body);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.untaken.remove(&self.body);
        state.requests = state.requests.saturating_sub(1);
        if state.requests == 0 {
            (state.awaited, state.since) = (Awaited::Anything, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn each_phase_has_its_limit() {
        let limits = Limits { header_read: seconds(1), idle: seconds(2), write_stall: seconds(3), ..Limits::default() };
        let activity = Activity::new();
        let kind = || activity.deadline(&limits).map(|(_, timeout)| timeout);
        assert_eq!(kind(), Some(ConnectionTimeout::Header), "the first request is owed");
        let first = activity.request();
        assert_eq!((kind(), activity.quiet_since()), (None, None));
        let second = activity.request();
        first.handed_over();
        assert_eq!(kind(), Some(ConnectionTimeout::WriteStall));
        first.asked_for_more();
        assert_eq!(kind(), None);
        second.handed_over();
        drop(second);
        assert_eq!(kind(), None, "what is gone does not wait");
        activity.received();
        drop(first);
        assert_eq!(kind(), Some(ConnectionTimeout::Idle));
        activity.received();
        let (begun, timeout) = activity.deadline(&limits).unwrap();
        assert_eq!(timeout, ConnectionTimeout::Header);
        activity.received();
        assert_eq!(activity.deadline(&limits).unwrap().0, begun, "another byte buys no time");
    }

    #[test]
    fn who_takes_an_answer_is_not_idle() {
        let (limits, activity) = (Limits::default(), Activity::new());
        drop(activity.request());
        activity.sending(true);
        assert_eq!((activity.deadline(&limits), activity.quiet_since()), (None, None));
        activity.sending(false);
        let quiet_since = activity.quiet_since().unwrap();
        assert_eq!(activity.deadline(&limits), Some((later(quiet_since, limits.idle), ConnectionTimeout::Idle)));
    }

    #[test]
    fn a_limit_without_end_is_far_away() {
        let limits = Limits { header_read: Duration::MAX, ..Limits::default() };
        assert!(Activity::new().deadline(&limits).unwrap().0 > Instant::now() + seconds(1_000_000));
    }
}
