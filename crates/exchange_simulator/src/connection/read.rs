//! What a client sends, and the deadlines it must keep.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_util::sync::CancellationToken;

use super::handshake::Socket;
use super::ping::Pings;
use super::{CLOSE_GRACE, CUT_GRACE};
use crate::exchange::Exchange;
use crate::hub::{Close, Ending, Signals};

/// The period of the limit on incoming messages.
const RATE_PERIOD: Duration = Duration::from_secs(1);

/// Reads until the connection has ended, whoever ends it.
pub(super) async fn run(
    mut stream: SplitStream<Socket>,
    exchange: &Exchange,
    id: u64,
    signals: &Signals,
    pings: &Pings,
    written: &CancellationToken,
) {
    let policy = exchange.policy();
    let mut rate = RateLimit::new(policy.incoming_per_second);
    let mut subscribe_by = policy.subscribe_within.map(|within| Instant::now() + within);
    let ends_at = policy.lifetime.map(|lifetime| Instant::now() + lifetime);
    loop {
        let (close, ending) = tokio::select! {
            message = stream.next() => match take(message, exchange, id, pings, &mut rate) {
                None => continue,
                Some(end) => end,
            },
            () = reached(subscribe_by) => {
                subscribe_by = None;
                if exchange.is_subscribed(id) {
                    continue;
                }
                (Close::NO_SUBSCRIBE, Ending::Drain)
            }
            () = pings.overdue(policy.pong_within) => (Close::NO_PONG, Ending::Drain),
            () = reached(ends_at) => (Close::LIFETIME, Ending::Drain),
            close = idle(exchange, id) => (close, Ending::Drain),
            () = signals.closing.cancelled() => break,
        };
        exchange.leave(id, close, ending);
        break;
    }
    // Only the end of the stream is awaited now: the peer's Close frame, or that the peer is gone.
    let patience = async {
        written.cancelled().await;
        let grace = if signals.cut.is_cancelled() { CUT_GRACE } else { CLOSE_GRACE };
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        () = patience => (),
        // Nobody is waited for: the stream is to be dropped at once.
        () = signals.reset.cancelled() => written.cancelled().await,
        () = async { while let Some(Ok(_)) = stream.next().await {} } => (),
    }
}

/// Obeys one message; tells how the connection ends if it must.
fn take(
    message: Option<Result<Message, WsError>>,
    exchange: &Exchange,
    id: u64,
    pings: &Pings,
    rate: &mut RateLimit,
) -> Option<(Close, Ending)> {
    match message {
        None | Some(Err(_)) => return Some((Close::CONNECTION_LOST, Ending::Cut)),
        Some(Ok(Message::Close(_))) => return Some((Close::PEER_CLOSED, Ending::Cut)),
        // A venue that was set to ping faster than a client may speak must not hold the answers against it.
        Some(Ok(Message::Pong(payload))) if pings.answer(&payload) => (),
        Some(Ok(_)) if !rate.admits(Instant::now()) => return Some((Close::TOO_MANY_REQUESTS, Ending::Drain)),
        Some(Ok(Message::Text(text))) => exchange.receive(id, &text),
        Some(Ok(Message::Binary(_))) => return Some((Close::NOT_TEXT, Ending::Drain)),
        // The WebSocket library has answered a ping; a pong nobody asked for means nothing.
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => (),
    }
    None
}

/// Returns when nothing was said in either direction for longer than the venue allows, with how it then ends.
async fn idle(exchange: &Exchange, id: u64) -> Close {
    let Some((within, close)) = exchange.policy().idle else { return std::future::pending().await };
    while let Some(active) = exchange.active(id) {
        let end = active + within;
        if Instant::now() >= end {
            return close;
        }
        tokio::time::sleep_until(end).await;
    }
    std::future::pending().await
}

async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// At most so many messages within any second.
struct RateLimit {
    limit: Option<usize>,
    admitted: VecDeque<Instant>,
}

impl RateLimit {
    fn new(limit: Option<usize>) -> Self {
        Self { limit, admitted: VecDeque::new() }
    }

    fn admits(&mut self, now: Instant) -> bool {
        let Some(limit) = self.limit else { return true };
        while self.admitted.front().is_some_and(|&earlier| now - earlier >= RATE_PERIOD) {
            self.admitted.pop_front();
        }
        self.admitted.push_back(now);
        self.admitted.len() <= limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_message_of_a_second_is_too_much() {
        let mut rate = RateLimit::new(Some(5));
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        assert!((0..5).all(|index| rate.admits(at(index * 100))));
        assert!(rate.admits(at(1_000)), "the first is a second ago");
        assert!(!rate.admits(at(1_050)));
        assert!((0..100).all(|_| RateLimit::new(None).admits(start)));
    }
}
