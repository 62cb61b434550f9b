//! One connection, from the handshake to its end.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use column_store::Stream as Recorded;
use exchange_protocol::{Notice, Session, Subscription};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::{
    sync::broadcast,
    time::{Interval, MissedTickBehavior},
};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    Context,
    arrival::{Arrival, Arrivals},
    handshake::{self, HANDSHAKE_LIMIT, NoConnection, Socket},
    intake::Intake,
    line::Report,
    shard::Shard,
    subscriptions::{Effect, Key, Subscriptions},
};
use crate::{
    capture::Wire,
    metrics::ErrorType,
    received::SymbolIndex,
    rest::{Allowance, Allowances},
};

/// Time for a close frame to get out.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// The same reason for not understanding a frame is logged once in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Characters of a frame in the log.
const LOGGED_FRAME: usize = 256;
/// How often time-outs are looked at, at most; more often where they are shorter.
const TICK: Duration = Duration::from_millis(500);
/// A connection that carries anything is taken for as good as it gets after this time.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);
/// When a venue is first asked for its time, behind what subscribes, and how often from then on.
const FIRST_ASK_TIME: Duration = Duration::from_secs(3);
const ASK_TIME: Duration = Duration::from_secs(20);
/// A queue that was full for longer than this is no silence of the venue.
const HELD_UP: Duration = Duration::from_millis(250);

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The logger ends, or another connection has taken over.
    Stopped,
    NoConnection(NoConnection),
    ClosedByVenue(String),
    Broken(String),
    Silent(Duration),
    BadFrame(&'static str),
    /// The venue had announced it; nothing went wrong.
    Announced,
}

/// Why a connection should be replaced while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// The venue announced that it will end.
    Announced,
    /// It is nearly as old as the venue lets any become.
    Age,
    /// Subscribing anew on it does not help.
    Useless,
}

impl fmt::Display for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Leave::Announced => "the venue announced that it will close it",
            Leave::Age => "the venue lets none live much longer",
            Leave::Useless => "subscribing anew on it did not help",
        })
    }
}

impl Ended {
    pub(crate) fn error_type(&self) -> Option<ErrorType> {
        match self {
            Ended::Stopped | Ended::Announced => None,
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
            Ended::Stopped => f.write_str("it is not needed any more"),
            Ended::Announced => f.write_str("as the venue had announced"),
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
    /// The venue announced its end.
    announced: bool,
    opened: Instant,
    /// When the feed last showed a sign of life, and whether it was nudged since.
    heard: Arrival,
    nudged: bool,
    /// When each reason for not understanding a frame was last logged.
    logged: HashMap<&'static str, Instant>,
    /// What the venue grants this connection in requests, if it limits them.
    requests: Option<Allowance>,
    /// When the newest frame went out to which the venue answers with its time, ns since the Unix epoch.
    asked_time_ns: u64,
    ask_time_at: Instant,
    suspected: broadcast::Receiver<(SymbolIndex, Recorded)>,
}

impl Connection {
    /// Connects when it is the feed's turn. Subscribing comes with [`Connection::carry`].
    pub(crate) async fn open(context: &Context, shard: &Shard) -> Result<Connection, Ended> {
        let waiting = Instant::now();
        context.gate.pass().await;
        context.connects.take(1).await;
        // Before the attempt that it allows: a logger that dies in it must not be granted another one.
        context.connects.save().await;
        context.feed_metrics.waited.add(waiting.elapsed().as_secs_f64());
        let url = format!("{}{}", context.ws_url, shard.path);
        let arrivals = Arrivals::new(context.clock);
        let connecting = handshake::connect(&url, context.connector.clone(), Arc::clone(&arrivals), context.clock);
        let socket = match connecting.await {
            Ok(socket) => socket,
            Err(error) => {
                if let Some(pause) = error.wants_silence() {
                    let pause = context.connects.silence(pause);
                    context.connects.save().await;
                    warn!(seconds = pause.as_secs(), "the venue wants no connections for a time");
                }
                return Err(Ended::NoConnection(error));
            }
        };
        context.connects.answered();
        info!("connected");
        let opened = arrivals.newest();
        let mut session = context.venue.session();
        let wire = context.captures.then(|| Wire::opened(context.venue.facts().name));
        let table = Subscriptions::new(context.venue, &shard.wanted, &context.timeouts, opened);
        Ok(Connection {
            socket,
            outbox: session.open().into(),
            session,
            intake: Intake::new(table, context.status.name_connection(opened.receive_ns), opened, wire),
            arrivals,
            settled: false,
            announced: false,
            opened: Instant::now(),
            heard: opened,
            nudged: false,
            logged: HashMap::new(),
            requests: context
                .venue
                .facts()
                .request_budget
                .map(|budget| Allowances::forgetful(context.clock).allowance("requests", budget)),
            asked_time_ns: 0,
            ask_time_at: Instant::now() + FIRST_ASK_TIME,
            suspected: context.suspicions.listen(),
        })
    }

    /// Subscribes and carries messages until the connection ends or is stopped.
    pub(crate) async fn carry(
        &mut self,
        context: &Context,
        report: &(dyn Fn(Report) + Sync),
        stop: &CancellationToken,
    ) -> Ended {
        context.feed_metrics.connections.add(1);
        let ended = match self.until_it_ends(context, report, stop).await {
            ended @ Ended::Broken(_) => ended,
            ended => self.close(ended).await,
        };
        context.feed_metrics.connections.add(-1);
        // Behind everything that it brought.
        self.intake.end(self.heard, context);
        self.hand_over(context).await;
        match ended {
            Ended::Broken(_) | Ended::ClosedByVenue(_) if self.announced => Ended::Announced,
            ended => ended,
        }
    }

    async fn until_it_ends(
        &mut self,
        context: &Context,
        report: &(dyn Fn(Report) + Sync),
        stop: &CancellationToken,
    ) -> Ended {
        let mut pace = interval(Duration::from_secs(1) / context.venue.facts().frames_per_second.max(1));
        let shortest = context.timeouts.shortest().min(context.silence_limit);
        let mut tick = interval((shortest / 4).min(TICK));
        loop {
            let result = tokio::select! {
                // In this order, so that a flood of messages does not keep the rest waiting.
                biased;
                () = stop.cancelled() => return Ended::Stopped,
                _ = pace.tick(), if !self.outbox.is_empty() => self.send_next(context).await,
                _ = tick.tick() => self.check(context, report).await,
                Ok((symbol, stream)) = self.suspected.recv() => self.suspect(symbol, stream, context),
                message = self.socket.next() => self.read(message, context, report).await,
            };
            if let Err(ended) = result {
                return ended;
            }
        }
    }

    /// Whether the venue is in maintenance.
    pub(crate) fn in_maintenance(&self) -> bool {
        self.intake.table.in_maintenance()
    }

    /// Handles what was read, and what can be read without waiting.
    async fn read(
        &mut self,
        first: Option<Result<Message, tungstenite::Error>>,
        context: &Context,
        report: &(dyn Fn(Report) + Sync),
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
        self.act(context, report);
        Ok(())
    }

    /// The recorder knows of trades that this stream did not bring.
    fn suspect(&mut self, symbol: SymbolIndex, stream: Recorded, context: &Context) -> Result<(), Ended> {
        let now = Arrival { at: Instant::now(), receive_ns: context.clock.now_ns() };
        if let Some(name) = context.symbols.get(symbol).map(|symbol| symbol.name.as_str()) {
            self.intake.suspect((symbol, name), stream, now, context);
        }
        Ok(())
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
        intake.frame_begins(text, arrival);
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
    async fn check(&mut self, context: &Context, report: &(dyn Fn(Report) + Sync)) -> Result<(), Ended> {
        let now = Arrival { at: Instant::now(), receive_ns: context.clock.now_ns() };
        self.intake.check(now, context);
        self.hand_over(context).await;
        self.act(context, report);
        self.measure_clock(now, context).await?;
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
    fn act(&mut self, context: &Context, report: &dyn Fn(Report)) {
        let mut unanswered = Vec::new();
        for effect in self.intake.todo() {
            match effect {
                Effect::Ask(keys) => self.ask(&keys, context),
                Effect::End(key) => self.unsubscribe(key, context),
                Effect::Replace => report(Report::Leave(Leave::Useless)),
                Effect::Unanswered(key) => unanswered.extend(self.intake.table.wanted(key)),
                Effect::Live(_) | Effect::Lost { .. } | Effect::Refused(_) => {}
            }
        }
        if !unanswered.is_empty() {
            context.metrics.error(ErrorType::SubscribeTimeout);
            let some: Vec<_> = unanswered.iter().map(|wanted| &wanted.subscription).take(10).collect();
            warn!(count = unanswered.len(), ?some, "the venue has not answered these subscriptions");
        }
        // What some subscriptions never become must not keep the others from being taken over.
        let is_late = self.opened.elapsed() >= SETTLE_LIMIT && self.intake.table.live().next().is_some();
        if !self.settled && (is_late || self.intake.table.is_settled()) {
            self.settled = true;
            info!("subscribed");
            report(Report::Settled);
        }
        if let Some(Notice::Reconnect { .. }) = self.intake.notice() {
            self.announced = true;
            report(Report::Leave(Leave::Announced));
        }
    }

    fn ask(&mut self, keys: &[Key], context: &Context) {
        let wanted: Vec<Subscription> =
            keys.iter().filter_map(|key| Some(self.intake.table.wanted(*key)?.subscription)).collect();
        let frames = self.session.subscribe(&wanted);
        self.intake.note(|wire| wire.subscribe(&wanted));
        self.post(frames, keys, context);
    }

    fn unsubscribe(&mut self, key: Key, context: &Context) {
        let Some(wanted) = self.intake.table.wanted(key) else { return };
        context.feed_metrics.resubscriptions.inc();
        let unwanted = [wanted.subscription];
        let frames = self.session.unsubscribe(&unwanted);
        self.intake.note(|wire| wire.unsubscribe(&unwanted));
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

    /// Sends the next frame, if the venue grants it now.
    async fn send_next(&mut self, context: &Context) -> Result<(), Ended> {
        let of_address = context.venue.facts().requests_count_as_connects.then_some(&context.connects);
        let allowances = [self.requests.as_ref(), of_address];
        if allowances.into_iter().flatten().any(|allowance| allowance.try_take(1).is_err()) {
            return Ok(());
        }
        match self.outbox.pop_front() {
            Some(frame) => self.send(Message::text(frame)).await,
            None => Ok(()),
        }
    }

    /// Asks a venue that answers with its time for it, and brings together what shows how its clock stands.
    async fn measure_clock(&mut self, now: Arrival, context: &Context) -> Result<(), Ended> {
        if now.at < self.ask_time_at {
            return Ok(());
        }
        self.ask_time_at = now.at + ASK_TIME;
        let (answer, least_latency) = self.intake.times();
        let seconds = {
            let mut offset = context.clock_offset.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((arrival, venue_ns)) = answer.filter(|_| self.asked_time_ns > 0) {
                offset.answered(arrival.at, self.asked_time_ns, arrival.receive_ns, venue_ns);
            }
            if let Some(least) = least_latency {
                offset.latency(now.at, least);
            }
            offset.seconds(now.at)
        };
        context.feed_metrics.clock_offset.set(seconds);
        self.asked_time_ns = 0;
        if let Some(frame) = self.session.keepalive() {
            self.asked_time_ns = context.clock.now_ns();
            self.send(Message::text(frame)).await?;
        }
        Ok(())
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
