//! Plays a capture to one connection, from the beginning, as far as it subscribed.

use std::time::Duration;

use tokio::time::Instant;

use super::CapturedFrame;
use crate::exchange::{Exchange, Tape};
use crate::hub::{Outgoing, Signals};
use crate::ledger::{Delivery, MessageEntry};

/// Playing begins when a connection has not subscribed to more for this long, so that nothing it wants is missed.
const SETTLE: Duration = Duration::from_millis(200);

/// Plays to connection `id` if the venue has a tape; returns when the last frame is queued. To be dropped when the
/// connection closes: it holds a sender of the queue.
pub(crate) async fn play(exchange: &Exchange, id: u64, signals: &Signals) {
    let Some(tape) = exchange.tape() else { return };
    settled(signals).await;
    let Some(queue) = exchange.queue(id) else { return };
    let start = Instant::now();
    for frame in &tape.capture.frames {
        if let Some(due) = due(start, tape, frame) {
            tokio::time::sleep_until(due).await;
        }
        // Waits for room: a replay is never too fast for its client.
        let Ok(permit) = queue.reserve().await else { return };
        let wanted = exchange.with_session(id, |session| {
            frame.topics.iter().any(|topic| session.topics.contains(topic)).then_some(session.form)
        });
        match wanted {
            None => return,
            Some(None) => (),
            Some(Some(form)) => {
                let deliver = |seqs| {
                    permit.send(Outgoing { text: frame.text(form), seqs, ping: false });
                    Delivery { connections: vec![id], ..Delivery::default() }
                };
                // No REST service of a replay has its trades.
                let entry = || vec![MessageEntry { rest: false, ..frame.entry.clone() }];
                exchange.ledger().message(1, entry, deliver);
            }
        }
    }
    tracing::info!(venue = %exchange.kind(), connection = id, "replay ended");
}

/// When a frame is due; None if at once.
fn due(start: Instant, tape: &Tape, frame: &CapturedFrame) -> Option<Instant> {
    let seconds = frame.at.as_secs_f64() / tape.speed;
    // A speed near 0 asks for times no clock has: then as late as possible.
    (tape.speed > 0.0)
        .then(|| start + Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(u32::MAX.into())))
}

async fn settled(signals: &Signals) {
    let mut subscribed = signals.subscribed.subscribe();
    loop {
        let last = *subscribed.borrow_and_update();
        let settled = async {
            match last {
                Some(last) => tokio::time::sleep_until(last + SETTLE).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = settled => return,
            changed = subscribed.changed() => if changed.is_err() { return },
        }
    }
}
