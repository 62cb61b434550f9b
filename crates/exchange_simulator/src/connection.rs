//! The life of one WebSocket connection: handshake, reading and writing side by side, an orderly end.

mod glue;
mod handshake;
mod ping;
mod read;
mod reset;
mod write;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::exchange::Exchange;
use crate::hub::{Close, Ending, Membership};
use crate::replay;

use handshake::{Socket, handshake};
use ping::Pings;
use reset::Abort;

/// How long a queue may take to drain before the connection is cut.
const DRAIN_GRACE: Duration = Duration::from_secs(10);

/// How long the peer may take to answer the Close frame.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// The same for a connection that was cut: its peer is gone, has closed by itself or does not read.
const CUT_GRACE: Duration = Duration::from_millis(500);

/// Pause after a failed accept, e.g. when file descriptors are used up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until `stop`, each in a task of its own; then waits for their end.
///
/// # Errors
///
/// [`Error::Task`] if a connection's task panicked.
pub(crate) async fn run_listener(
    exchange: Arc<Exchange>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
) -> Result<()> {
    let mut connections: JoinSet<()> = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(serve(exchange.clone(), stream, peer, tls.clone(), stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(venue = %exchange.kind(), %error, "cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = connections.join_next() => check(&exchange, ended)?,
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        check(&exchange, ended)?;
    }
    Ok(())
}

fn check(exchange: &Exchange, ended: std::result::Result<(), tokio::task::JoinError>) -> Result<()> {
    let task = || format!("{} connection", exchange.kind());
    ended.map_err(|error| Error::Task { task: task(), reason: error.to_string() })
}

async fn serve(
    exchange: Arc<Exchange>,
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
) {
    let venue = exchange.kind();
    let opened = tokio::select! {
        opened = Box::pin(handshake(&exchange, stream, tls)) => opened,
        () = stop.cancelled() => return,
    };
    let handshake::Opened { socket, session, glue, abort } = match opened {
        Ok(opened) => opened,
        Err(error) => {
            tracing::info!(%venue, %peer, %error, "no WebSocket");
            return;
        }
    };
    if let Some(membership) = exchange.join(session, glue.holds()) {
        glue.release();
        tracing::info!(%venue, %peer, connection = membership.id, "connected");
        live(&exchange, socket, membership, &abort).await;
    }
}

/// Everything between the handshake and the end of the connection.
async fn live(exchange: &Exchange, socket: Socket, membership: Membership, abort: &Abort) {
    let Membership { id, queue, signals } = membership;
    let _finished = signals.finished.clone().drop_guard();
    let (sink, stream) = socket.split();
    let pings = Pings::default();
    let written = CancellationToken::new();
    let writing = async {
        let seqs = write::run(sink, queue, &signals, &pings, exchange.policy()).await;
        // Without effect unless it was the writing that failed first.
        exchange.leave(id, Close::CONNECTION_LOST, Ending::Cut);
        exchange.ledger().undelivered(exchange.kind(), id, seqs);
        if signals.reset.is_cancelled() {
            abort.arm();
        }
        written.cancel();
    };
    let reading = read::run(stream, exchange, id, &signals, &pings, &written);
    let drain_limit = async {
        signals.closing.cancelled().await;
        tokio::select! {
            () = written.cancelled() => (),
            () = tokio::time::sleep(DRAIN_GRACE) => signals.cut.cancel(),
        }
    };
    let playing = async {
        tokio::select! {
            () = signals.closing.cancelled() => (),
            () = replay::play(exchange, id, &signals) => signals.closing.cancelled().await,
        }
    };
    tokio::join!(writing, reading, drain_limit, playing);
    let close = signals.close();
    exchange.note_end(id, close);
    tracing::info!(venue = %exchange.kind(), connection = id, reason = close.reason, "disconnected");
}
