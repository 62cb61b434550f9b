//! What a client is sent: its queue in batches, pings between them, a Close frame at the end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::handshake::Socket;
use super::ping::Pings;
use crate::hub::{Close, Outgoing, Signals};
use crate::venue::Policy;

/// Frames written between two flushes. When a connection breaks, so many at most are in doubt.
const BATCH_FRAMES: usize = 64;

/// A frame that does not fit into a socket's buffer.
const LONG_BYTES: usize = 64 << 10;

/// How long the Close frame may take to get out.
const CLOSE_WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// Writes until the queue ends or the connection is cut. Returns the ledger numbers of the frames that were in the queue
/// but are not known to have reached the socket.
pub(super) async fn run(
    mut sink: SplitSink<Socket, Message>,
    mut queue: mpsc::Receiver<Outgoing>,
    signals: &Signals,
    pings: &Pings,
    policy: &Policy,
) -> Vec<u64> {
    let mut ping_tick = policy.ping_every.map(|every| tokio::time::interval_at(Instant::now() + every, every));
    let mut batch = Vec::with_capacity(BATCH_FRAMES);
    loop {
        batch.clear();
        let sent = tokio::select! {
            biased;
            () = signals.cut.cancelled() => break,
            () = next_tick(&mut ping_tick) => {
                if signals.stalled.load(Ordering::Relaxed) {
                    continue;
                }
                let payload = unix_millis().into_bytes();
                pings.note(&payload);
                tokio::select! {
                    biased;
                    sent = sink.send(Message::Ping(payload.into())) => sent.is_ok(),
                    () = signals.cut.cancelled() => false,
                }
            }
            taken = queue.recv_many(&mut batch, BATCH_FRAMES) => {
                if taken == 0 {
                    break;
                }
                let mut written = 0;
                // Biased: what can go out at once goes out, even if the cut came meanwhile.
                tokio::select! {
                    biased;
                    () = send(&mut sink, &batch, pings, &mut written) => (),
                    () = signals.cut.cancelled() => (),
                }
                batch.drain(..written);
                batch.is_empty()
            }
        };
        if !sent {
            break;
        }
    }
    queue.close();
    // Unlike try_recv, recv also waits for a frame that is being put in at this moment.
    while let Some(left) = queue.recv().await {
        batch.push(left);
    }
    let close = signals.close();
    if close.code != Close::NO_FRAME {
        let frame = CloseFrame { code: close.code.into(), reason: close.reason.into() };
        // The peer may be gone, or may have closed first: nothing depends on this frame getting through.
        let _ = tokio::time::timeout(CLOSE_WRITE_TIMEOUT, sink.send(Message::Close(Some(frame)))).await;
    }
    batch.into_iter().flat_map(|left| left.seqs).collect()
}

/// Writes a batch and flushes it; `written` is how many frames are known to have reached the socket, also if it is dropped.
async fn send(sink: &mut SplitSink<Socket, Message>, batch: &[Outgoing], pings: &Pings, written: &mut usize) {
    for (index, outgoing) in batch.iter().enumerate() {
        // A client that finds a frame too long hangs up in the middle of it, but has got those before it.
        if outgoing.text.len() >= LONG_BYTES {
            if sink.flush().await.is_err() {
                return;
            }
            *written = index;
        }
        let message = if outgoing.ping {
            pings.note(outgoing.text.as_bytes());
            Message::Ping(outgoing.text.clone().into())
        } else {
            Message::Text(outgoing.text.clone())
        };
        let fed: Result<(), WsError> = sink.feed(message).await;
        if fed.is_err() {
            // Those before this one may be in the library's buffer: the peer's Close frame does not hinder their flush.
            if sink.flush().await.is_ok() {
                *written = index;
            }
            return;
        }
    }
    if sink.flush().await.is_ok() {
        *written = batch.len();
    }
}

async fn next_tick(tick: &mut Option<Interval>) {
    match tick {
        Some(tick) => {
            tick.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// The venue's ping payload: its time in ms.
fn unix_millis() -> String {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since_epoch.as_millis().to_string()
}
