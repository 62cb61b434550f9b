//! One connection, from the handshake to its end.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    fmt,
    time::Duration,
};

use exchange_protocol::{Event, Notice, Session, Subscription};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    net::TcpStream,
    time::{Instant, MissedTickBehavior},
};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::{self, Message, protocol::WebSocketConfig},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Feed;
use crate::{
    metrics::ErrorType,
    received::{self, Batch, ConnectionId, Received},
};

/// TCP, TLS and WebSocket handshake together.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// A venue answers a subscription within this time, or something is wrong with it.
const ACKNOWLEDGE_LIMIT: Duration = Duration::from_secs(10);
/// What was refused or not answered is asked for again this often.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// Time for a close frame to get out.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// The largest message a venue sends: a snapshot of a large order book has a few MB.
const MESSAGE_LIMIT: usize = 16 << 20;
/// The same reason for not understanding a frame is logged once in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Characters of a frame in the log.
const LOGGED_FRAME: usize = 256;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Shutdown,
    NoConnection(String),
    ClosedByVenue(String),
    Broken(String),
    Silent(Duration),
    BadFrame(&'static str),
    /// The venue asked for it; nothing went wrong.
    Announced,
}

impl Ended {
    pub(crate) fn error_type(&self) -> Option<ErrorType> {
        match self {
            Ended::Shutdown | Ended::Announced => None,
            Ended::NoConnection(_) => Some(ErrorType::Connect),
            Ended::ClosedByVenue(_) => Some(ErrorType::Closed),
            Ended::Broken(_) => Some(ErrorType::Broken),
            Ended::Silent(_) => Some(ErrorType::Silence),
            Ended::BadFrame(_) => Some(ErrorType::Protocol),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Shutdown => f.write_str("the logger ends"),
            Ended::Announced => f.write_str("the venue announced that it will close the connection"),
            Ended::NoConnection(reason) => write!(f, "no connection: {reason}"),
            Ended::ClosedByVenue(reason) => write!(f, "the venue closed it: {reason}"),
            Ended::Broken(reason) => write!(f, "it broke: {reason}"),
            Ended::Silent(limit) => write!(f, "nothing came for {} s", limit.as_secs()),
            Ended::BadFrame(kind) => write!(f, "the venue sent a {kind} frame, which its protocol does not have"),
        }
    }
}

/// An open connection.
pub(crate) struct Connection {
    id: ConnectionId,
    socket: Socket,
    session: Box<dyn Session>,
    /// Frames that wait for their turn, at the venue's pace.
    outbox: VecDeque<String>,
    /// What was asked for and not answered yet.
    unanswered: BTreeSet<Subscription>,
    /// What the venue refused.
    refused: BTreeSet<Subscription>,
    /// Whether anything at all was acknowledged.
    any_acknowledged: bool,
    live: bool,
    opened: Instant,
    /// When the feed last showed a sign of life, and whether it was nudged since.
    heard: Instant,
    nudged: bool,
    /// When each reason for not understanding a frame was last logged.
    logged: HashMap<&'static str, Instant>,
}

impl Connection {
    /// Connects when it is the feed's turn. Subscribing comes with [`Connection::carry`].
    pub(crate) async fn open(feed: &Feed) -> Result<Connection, Ended> {
        feed.gate.pass().await;
        let config =
            WebSocketConfig::default().max_message_size(Some(MESSAGE_LIMIT)).max_frame_size(Some(MESSAGE_LIMIT));
        let connector = feed.connector.clone().unwrap_or(Connector::Plain);
        let connect = connect_async_tls_with_config(feed.url.as_str(), Some(config), true, Some(connector));
        let (socket, _) = match tokio::time::timeout(HANDSHAKE_LIMIT, connect).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => return Err(Ended::NoConnection(error.to_string())),
            Err(_) => return Err(Ended::NoConnection(format!("no handshake in {} s", HANDSHAKE_LIMIT.as_secs()))),
        };
        info!("connected");
        let mut session = feed.venue.session();
        let mut outbox = VecDeque::from(session.open());
        outbox.extend(session.subscribe(&feed.subscriptions));
        Ok(Connection {
            id: ConnectionId(feed.clock.now_ns()),
            socket,
            session,
            outbox,
            unanswered: feed.subscriptions.iter().cloned().collect(),
            refused: BTreeSet::new(),
            any_acknowledged: false,
            live: false,
            opened: Instant::now(),
            heard: Instant::now(),
            nudged: false,
            logged: HashMap::new(),
        })
    }

    /// Subscribes and carries messages until the connection ends.
    pub(crate) async fn carry(&mut self, feed: &mut Feed, shutdown: &CancellationToken) -> Ended {
        let facts = feed.venue.facts();
        let mut pace = tokio::time::interval(Duration::from_secs(1) / facts.frames_per_second.max(1));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ask_again = tokio::time::interval_at(self.opened + ACKNOWLEDGE_LIMIT, ASK_AGAIN);
        loop {
            let silent_at = self.heard + if self.nudged { facts.silence_limit } else { facts.keepalive_after };
            tokio::select! {
                // In this order, so that a flood of messages does not keep the rest waiting.
                biased;
                () = shutdown.cancelled() => return self.close(Ended::Shutdown).await,
                _ = pace.tick(), if !self.outbox.is_empty() => {
                    if let Some(frame) = self.outbox.pop_front()
                        && let Err(ended) = self.send(Message::text(frame)).await
                    {
                        return ended;
                    }
                }
                _ = ask_again.tick() => self.ask_again(feed),
                message = self.socket.next() => {
                    if !facts.has_heartbeats || matches!(message, Some(Ok(Message::Text(_)))) {
                        self.heard = Instant::now();
                        self.nudged = false;
                    }
                    match self.take(message, feed).await {
                        None => {}
                        Some(ended @ Ended::Broken(_)) => return ended,
                        Some(ended) => return self.close(ended).await,
                    }
                }
                () = tokio::time::sleep_until(silent_at) => {
                    if self.nudged {
                        return self.close(Ended::Silent(facts.silence_limit)).await;
                    }
                    // A quiet market and a dead socket look alike until the venue is made to answer.
                    self.nudged = true;
                    let nudge = self.session.keepalive().map_or_else(|| Message::Ping(Vec::new().into()), Message::text);
                    if let Err(ended) = self.send(nudge).await { return ended }
                }
            }
        }
    }

    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    /// Whether it ever carried all that was asked for.
    pub(crate) fn was_live(&self) -> bool {
        self.live
    }

    /// Handles what was read; `Some` if the connection ended with it.
    async fn take(&mut self, message: Option<Result<Message, tungstenite::Error>>, feed: &Feed) -> Option<Ended> {
        match message {
            Some(Ok(Message::Text(text))) => self.decode(&text, feed).await,
            Some(Ok(Message::Binary(_))) => Some(Ended::BadFrame("binary")),
            // The library answers pings by itself, and completes a close.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => None,
            Some(Ok(Message::Close(frame))) => Some(Ended::ClosedByVenue(
                frame.map_or_else(|| "no reason given".to_owned(), |frame| format!("{} {}", frame.code, frame.reason)),
            )),
            Some(Err(error)) => Some(Ended::Broken(error.to_string())),
            None => Some(Ended::ClosedByVenue("end of stream".to_owned())),
        }
    }

    async fn decode(&mut self, text: &str, feed: &Feed) -> Option<Ended> {
        let receive_ns = feed.clock.now_ns();
        // Nearly every frame has one fact.
        let mut facts: Vec<Received> = Vec::with_capacity(1);
        let mut announced = false;
        let Connection { session, unanswered, refused, any_acknowledged, .. } = self;
        let result = session.decode(text, &mut |event| match event {
            Event::Subscribed { symbol, stream } => {
                *any_acknowledged = true;
                let subscription = Subscription { symbol: symbol.to_owned(), stream };
                unanswered.remove(&subscription);
                refused.remove(&subscription);
            }
            Event::Rejected { symbol, reason, .. } => {
                feed.metrics.error(ErrorType::Subscribe);
                warn!(symbol, reason, "the venue refused a subscription");
                let all = std::mem::take(unanswered);
                let (of_symbol, others): (BTreeSet<_>, _) =
                    all.into_iter().partition(|asked| Some(asked.symbol.as_str()) == symbol);
                refused.extend(of_symbol);
                *unanswered = others;
            }
            Event::Notice(notice) => {
                info!(?notice, "the venue says");
                announced |= matches!(notice, Notice::Reconnect { .. });
            }
            // Gap detection by these comes with backfill.
            Event::LastTrade { .. } | Event::SocketSequence(_) => {}
            // What to do about these comes with the venues and streams that need it.
            Event::Unsubscribed { .. }
            | Event::Alive { .. }
            | Event::Broken { .. }
            | Event::Renumbered { .. }
            | Event::ServerTime(_) => {}
            Event::Trade(_) | Event::Quote(_) => facts.extend(to_received(&event, receive_ns, feed)),
        });
        match result {
            Ok(kind) => feed.metrics.message(kind),
            Err(error) => {
                feed.metrics.parse_errors.inc();
                feed.metrics.error(ErrorType::Decode);
                self.log_undecodable(error.reason(), &error, text);
            }
        }
        if !facts.is_empty() {
            feed.queue.send(Batch::new(self.id, facts)).await;
        }
        if !self.live && self.unanswered.is_empty() && self.any_acknowledged {
            self.live = true;
            feed.status.live();
            info!(subscriptions = feed.subscriptions.len(), "subscribed");
        }
        announced.then_some(Ended::Announced)
    }

    fn log_undecodable(&mut self, reason: &'static str, error: &exchange_protocol::DecodeError, text: &str) {
        let now = Instant::now();
        if self.logged.get(reason).is_none_or(|last| now.duration_since(*last) >= LOG_INTERVAL) {
            self.logged.insert(reason, now);
            let frame: String = text.chars().take(LOGGED_FRAME).collect();
            warn!(%error, frame, "a frame was not understood; others like it are counted, and logged once a minute");
        }
    }

    /// Asks again for what is not subscribed, each alone, so that one bad symbol does not take others with it.
    fn ask_again(&mut self, feed: &Feed) {
        if !self.unanswered.is_empty() {
            feed.metrics.error(ErrorType::SubscribeTimeout);
            let missing: Vec<_> = self.unanswered.iter().take(10).collect();
            warn!(count = self.unanswered.len(), ?missing, "the venue has not answered these subscriptions");
        }
        if self.outbox.is_empty() {
            for missing in self.unanswered.iter().chain(&self.refused) {
                self.outbox.extend(self.session.subscribe(std::slice::from_ref(missing)));
            }
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Ended> {
        debug!(frame = %message, "sending");
        match tokio::time::timeout(HANDSHAKE_LIMIT, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Ended::Broken(error.to_string())),
            Err(_) => Err(Ended::Broken("the venue does not read".to_owned())),
        }
    }

    /// Says goodbye; a venue that does not listen is not waited for.
    async fn close(&mut self, ended: Ended) -> Ended {
        _ = tokio::time::timeout(CLOSE_LIMIT, self.socket.close(None)).await;
        ended
    }
}

/// What is to be recorded of an event; none if its symbol was not asked for.
fn to_received(event: &Event<'_>, receive_ns: u64, feed: &Feed) -> Option<Received> {
    let (name, fact, inexact) = received::to_record(event)?;
    let Some((symbol, of_symbol)) = feed.by_name.get(name).and_then(|index| Some((*index, feed.symbols.get(*index)?)))
    else {
        feed.metrics.error(ErrorType::UnknownSymbol);
        debug!(name, "a message of a symbol that was not asked for");
        return None;
    };
    of_symbol.heard(receive_ns);
    if inexact > 0 {
        feed.metrics.inexact.add(inexact);
    }
    Some(Received { symbol, receive_ns, fact })
}
