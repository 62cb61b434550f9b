//! The pings a connection has not answered yet.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Pings sent and not answered, oldest first.
#[derive(Debug, Default)]
pub(super) struct Pings {
    open: Mutex<VecDeque<(Vec<u8>, Instant)>>,
    sent: Notify,
}

impl Pings {
    /// Notes a ping that goes out now.
    pub(super) fn note(&self, payload: &[u8]) {
        self.lock().push_back((payload.to_vec(), Instant::now()));
        self.sent.notify_one();
    }

    /// Takes a pong. It answers the ping of the same payload and those before it; one that nobody asked for (then false)
    /// keeps nothing alive.
    pub(super) fn answer(&self, payload: &[u8]) -> bool {
        let mut open = self.lock();
        let asked = open.iter().position(|(asked, _)| asked == payload);
        if let Some(index) = asked {
            open.drain(..=index);
        }
        asked.is_some()
    }

    /// Returns when the oldest open ping has waited for `limit`; never without a limit.
    pub(super) async fn overdue(&self, limit: Option<Duration>) {
        let Some(limit) = limit else { return std::future::pending().await };
        loop {
            let oldest = self.lock().front().map(|(_, sent)| *sent);
            match oldest {
                Some(sent) => return tokio::time::sleep_until(sent + limit).await,
                None => self.sent.notified().await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Vec<u8>, Instant)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_asked_payload_answers() {
        let pings = Pings::default();
        for payload in [b"1", b"2", b"3"] {
            pings.note(payload);
        }
        assert!(!pings.answer(b"x"));
        assert_eq!(pings.lock().len(), 3);
        assert!(pings.answer(b"2"));
        assert_eq!(pings.lock().len(), 1);
    }
}
