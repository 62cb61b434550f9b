//! Spaces connection attempts of one venue out, whichever feed makes them.

use std::time::Duration;

use tokio::{sync::Mutex, time::Instant};

/// Lets one attempt through per interval.
pub(crate) struct ConnectGate {
    spacing: Duration,
    next: Mutex<Instant>,
}

impl ConnectGate {
    pub(crate) fn new(spacing: Duration) -> ConnectGate {
        ConnectGate { spacing, next: Mutex::new(Instant::now()) }
    }

    /// Waits for the caller's turn.
    pub(crate) async fn pass(&self) {
        let mut next = self.next.lock().await;
        tokio::time::sleep_until(*next).await;
        *next = Instant::now() + self.spacing;
    }
}
