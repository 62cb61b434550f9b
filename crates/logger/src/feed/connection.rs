//! One connection, from the handshake to its end.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use exchange_protocol::{Notice, Session, Subscription};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    Context,
    arrival::{Arrival, Arrivals},
    handshake::{self, HANDSHAKE_LIMIT, NoConnection, Socket},
    intake::Intake,
    shard::Shard,
    subscriptions::{Effect, Key, Subscriptions},
};
use crate::{metrics::ErrorType, received::ConnectionId};

/// Time for a close frame to get out.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// The same reason for not understanding a frame is logged once in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Characters of a frame in the log.
const LOGGED_FRAME: usize = 256;
/// How often time-outs are looked at, at most; more often where they are shorter.
const TICK: Duration = Duration::from_millis(500);
/// A queue that was full for longer than this is no silence of the venue.
const HELD_UP: Duration = Duration::from_millis(250);

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Shutdown,
    NoConnection(NoConnection),
    ClosedByVenue(String),
    Broken(String),
    Silent(Duration),
    BadFrame(&'static str),
    /// The venue asked for it; nothing went wrong.
    Announced,
    /// Subscribing anew on it does not help.
    Useless,
}

impl Ended {
    pub(crate) fn error_type(&self) -> Option<ErrorType> {
        match self {
            Ended::Shutdown | Ended::Announced | Ended::Useless => None,
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
            Ended::Useless => f.write_str("subscribing anew on it did not help"),
            Ended::NoConnection(reason) => write!(f, "no connection: {reason}"),
            Ended::ClosedByVenue(reason) => write!(f, "the venue closed it: {reason}"),
            Ended::Broken(reason) => write!(f, "it broke: {reason}"),
            Ended::Silent(limit) => write!(f, "nothing came for {limit:?}"),
            Ended::BadFrame(kind) => write!(f, "the venue sent a {kind} frame, which its protocol does not have"),
        }
    }
}

/// An open connection.
pub(crate) struct Connection {
    socket: Socket,
    session: Box<dyn Session>,
    intake: Intake,
    arrivals: Arc<Arrivals>,
    /// Frames that wait for their turn, at the venue's pace.
    outbox: VecDeque<String>,
    settled: bool,
    /// When the feed last showed a sign of life, and whether it was nudged since.
    heard: Arrival,
    nudged: bool,
    /// When each reason for not understanding a frame was last logged.
    logged: HashMap<&'static str, Instant>,
}

impl Connection {
    /// Connects when it is the feed's turn. Subscribing comes with [`Connection::carry`].
    pub(crate) async fn open(context: &Context, shard: &Shard) -> Result<Connection, Ended> {
        context.gate.pass().await;
        let url = format!("{}{}", context.ws_url, shard.path);
        let arrivals = Arrivals::new(context.clock);
        let connecting = handshake::connect(&url, context.connector.clone(), Arc::clone(&arrivals));
        let socket = connecting.await.map_err(Ended::NoConnection)?;
        info!("connected");
        let opened = arrivals.newest();
        let mut session = context.venue.session();
        let table = Subscriptions::new(context.venue, &shard.wanted, &context.timeouts, opened);
        Ok(Connection {
            socket,
            outbox: session.open().into(),
            session,
            intake: Intake::new(table, context.status.name_connection(opened.receive_ns), opened),
            arrivals,
            settled: false,
            heard: opened,
            nudged: false,
            logged: HashMap::new(),
        })
    }

    /// Subscribes and carries messages until the connection ends.
    pub(crate) async fn carry(&mut self, context: &Context, shutdown: &CancellationToken) -> Ended {
        let ended = match self.until_it_ends(context, shutdown).await {
            ended @ (Ended::Broken(_) | Ended::ClosedByVenue(_)) => ended,
            ended => self.close(ended).await,
        };
        // Behind everything that it brought.
        self.intake.end(self.heard, context);
        self.hand_over(context).await;
        ended
    }

    async fn until_it_ends(&mut self, context: &Context, shutdown: &CancellationToken) -> Ended {
        let mut pace = interval(Duration::from_secs(1) / context.venue.facts().frames_per_second.max(1));
        let shortest = context.timeouts.shortest().min(context.silence_limit);
        let mut tick = interval((shortest / 4).min(TICK));
        loop {
            let result = tokio::select! {
                // In this order, so that a flood of messages does not keep the rest waiting.
                biased;
                () = shutdown.cancelled() => return Ended::Shutdown,
                _ = pace.tick(), if !self.outbox.is_empty() => self.send_next().await,
                _ = tick.tick() => self.check(context).await,
                message = self.socket.next() => self.read(message, context).await,
            };
            if let Err(ended) = result {
                return ended;
            }
        }
    }

    pub(crate) fn id(&self) -> ConnectionId {
        self.intake.id()
    }

    /// Whether it ever carried all that was asked for.
    pub(crate) fn was_settled(&self) -> bool {
        self.settled
    }

    /// Handles what was read, and what can be read without waiting.
    async fn read(
        &mut self,
        first: Option<Result<Message, tungstenite::Error>>,
        context: &Context,
    ) -> Result<(), Ended> {
        let mut next = Some(first);
        let mut result = Ok(());
        while let Some(message) = next.take() {
            result = self.take(message, context);
            if result.is_err() || self.intake.is_full() {
                break;
            }
            next = self.socket.next().now_or_never();
        }
        self.hand_over(context).await;
        result?;
        self.act(context)
    }

    /// Understands what was read.
    fn take(&mut self, message: Option<Result<Message, tungstenite::Error>>, context: &Context) -> Result<(), Ended> {
        let arrival = self.arrivals.newest();
        if !context.venue.facts().has_heartbeats || matches!(message, Some(Ok(Message::Text(_)))) {
            self.heard = arrival;
            self.nudged = false;
        }
        match message {
            Some(Ok(Message::Text(text))) => self.decode(&text, arrival, context),
            Some(Ok(Message::Binary(_))) => return Err(Ended::BadFrame("binary")),
            // The library answers pings by itself, and completes a close.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(frame))) => {
                return Err(Ended::ClosedByVenue(frame.map_or_else(
                    || "no reason given".to_owned(),
                    |frame| format!("{} {}", frame.code, frame.reason),
                )));
            }
            Some(Err(error)) => return Err(Ended::Broken(error.to_string())),
            None => return Err(Ended::ClosedByVenue("end of stream".to_owned())),
        }
        Ok(())
    }

    fn decode(&mut self, text: &str, arrival: Arrival, context: &Context) {
        let Connection { session, intake, .. } = self;
        let result = session.decode(text, &mut |event| intake.event(&event, arrival, context));
        // Another type of message brings nothing that could be missing.
        let understood = result.as_ref().err().is_none_or(|error| error.reason() == "unknown_type");
        intake.frame_ends(understood, arrival, context);
        match result {
            Ok(kind) => context.metrics.message(kind),
            Err(error) => {
                context.metrics.parse_errors.inc();
                context.metrics.error(ErrorType::Decode);
                self.log_undecodable(&error, text);
            }
        }
    }

    fn log_undecodable(&mut self, error: &exchange_protocol::DecodeError, text: &str) {
        let (now, reason) = (Instant::now(), error.reason());
        if self.logged.get(reason).is_none_or(|last| now.duration_since(*last) >= LOG_INTERVAL) {
            self.logged.insert(reason, now);
            let frame: String = text.chars().take(LOGGED_FRAME).collect();
            warn!(%error, frame, "a frame was not understood; others like it are counted, and logged once a minute");
        }
    }

    /// Brings what came to the recorder. While its queue is full nothing is read, which is no silence of the venue.
    async fn hand_over(&mut self, context: &Context) {
        let mut begun = None;
        for batch in self.intake.batches() {
            begun.get_or_insert_with(Instant::now);
            context.queue.send(batch).await;
        }
        if let Some(waited) = begun.map(|begun| begun.elapsed()).filter(|waited| *waited >= HELD_UP) {
            self.intake.table.held_up(waited);
            self.heard.at += waited;
        }
    }

    /// What time brings: subscriptions that are due, and silence.
    async fn check(&mut self, context: &Context) -> Result<(), Ended> {
        let now = Arrival { at: Instant::now(), receive_ns: context.clock.now_ns() };
        self.intake.check(now, context);
        self.hand_over(context).await;
        self.act(context)?;
        let silence = now.at.saturating_duration_since(self.heard.at);
        if silence >= context.silence_limit {
            return Err(Ended::Silent(context.silence_limit));
        }
        if silence >= context.keepalive_after && !self.nudged {
            // A quiet market and a dead socket look alike until the venue is made to answer.
            self.nudged = true;
            let nudge = self.session.keepalive().map_or_else(|| Message::Ping(Vec::new().into()), Message::text);
            self.send(nudge).await?;
        }
        Ok(())
    }

    /// Does what the subscriptions need.
    fn act(&mut self, context: &Context) -> Result<(), Ended> {
        let mut unanswered = Vec::new();
        for effect in self.intake.todo() {
            match effect {
                Effect::Ask(keys) => self.ask(&keys, context),
                Effect::End(key) => self.unsubscribe(key, context),
                Effect::Replace => return Err(Ended::Useless),
                Effect::Unanswered(key) => unanswered.extend(self.intake.table.wanted(key)),
                Effect::Live(_) | Effect::Lost { .. } | Effect::Refused(_) => {}
            }
        }
        if !unanswered.is_empty() {
            context.metrics.error(ErrorType::SubscribeTimeout);
            let some: Vec<_> = unanswered.iter().map(|wanted| &wanted.subscription).take(10).collect();
            warn!(count = unanswered.len(), ?some, "the venue has not answered these subscriptions");
        }
        if !self.settled && self.intake.table.is_settled() {
            self.settled = true;
            info!("subscribed");
        }
        if let Some(Notice::Reconnect { .. }) = self.intake.notice() {
            return Err(Ended::Announced);
        }
        Ok(())
    }

    fn ask(&mut self, keys: &[Key], context: &Context) {
        let wanted: Vec<Subscription> =
            keys.iter().filter_map(|key| Some(self.intake.table.wanted(*key)?.subscription)).collect();
        let frames = self.session.subscribe(&wanted);
        self.post(frames, keys, context);
    }

    fn unsubscribe(&mut self, key: Key, context: &Context) {
        let Some(wanted) = self.intake.table.wanted(key) else { return };
        let frames = self.session.unsubscribe(&[wanted.subscription]);
        if frames.is_empty() {
            self.intake.table.nothing_to_end(key);
        } else {
            self.post(frames, &[key], context);
        }
    }

    /// Queues frames; what they are about is answered only after their turn.
    fn post(&mut self, frames: Vec<String>, keys: &[Key], context: &Context) {
        self.outbox.extend(frames);
        let waiting = u32::try_from(self.outbox.len()).unwrap_or(u32::MAX);
        let delay = Duration::from_secs(1).saturating_mul(waiting) / context.venue.facts().frames_per_second.max(1);
        for key in keys {
            self.intake.table.delayed(*key, delay);
        }
    }

    async fn send_next(&mut self) -> Result<(), Ended> {
        match self.outbox.pop_front() {
            Some(frame) => self.send(Message::text(frame)).await,
            None => Ok(()),
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

fn interval(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period.max(Duration::from_millis(10)));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
