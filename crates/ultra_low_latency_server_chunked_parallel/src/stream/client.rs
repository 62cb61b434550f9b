//! One client's subscriptions, from its first message to its last.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use column_store::{Column, SeriesId};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use warp::ws::{Message, WebSocket};

use super::{
    Shared,
    cursor::{Cursor, Found, Step},
    message::{self, Event, Subscribe, Wish},
};
use crate::{
    api_metrics::StreamEnd,
    metrics::Refusal,
    missing::Missing,
    query::{QueryError, columns, series},
};

/// Bytes of a subscription's name at most.
const ID_BYTES_MAX: usize = 64;
/// How often a client is asked for a sign of life, and how long it may owe one.
const PING: Duration = Duration::from_secs(20);
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long a client may take for the farewell.
const FAREWELL: Duration = Duration::from_secs(5);

/// Close codes of RFC 6455 and its registry.
const GOING_AWAY: u16 = 1001;
const UNSUPPORTED: u16 = 1003;
const INTERNAL: u16 = 1011;
const TRY_AGAIN_LATER: u16 = 1013;

/// A series that a client follows.
#[derive(Debug)]
struct Subscription {
    id: SeriesId,
    columns: Vec<&'static Column>,
    cursor: Cursor,
    /// Whether there may be rows.
    is_due: bool,
    /// Whether it had all rows once.
    was_live: bool,
    changes: watch::Receiver<[u64; 4]>,
}

/// A connection.
pub(super) struct Client {
    shared: Arc<Shared>,
    socket: WebSocket,
    subscriptions: BTreeMap<String, Subscription>,
    /// The subscription that had its turn last.
    served_last: String,
    heard: Instant,
}

/// Why it ended.
struct Ended {
    end: StreamEnd,
    /// What the client is told, if it can still hear.
    close: Option<(u16, String)>,
}

impl Ended {
    fn by_client() -> Ended {
        Ended { end: StreamEnd::Client, close: None }
    }

    fn telling(end: StreamEnd, code: u16, reason: impl Into<String>) -> Ended {
        Ended { end, close: Some((code, reason.into())) }
    }
}

impl Client {
    /// Serves a client until either side ends it.
    pub(super) async fn serve(shared: Arc<Shared>, socket: WebSocket) {
        let metrics = shared.metrics.api.clone();
        metrics.stream_clients.add(1);
        let (subscriptions, served_last, heard) = (BTreeMap::new(), String::new(), Instant::now());
        let mut client = Client { shared, socket, subscriptions, served_last, heard };
        let Err(Ended { end, close }) = client.run().await;
        metrics.stream_closed(end);
        metrics.stream_clients.add(-1);
        metrics.stream_subscriptions.add(-i64::try_from(client.subscriptions.len()).unwrap_or(0));
        let farewell = async {
            if let Some((code, reason)) = close {
                _ = client.socket.send(Message::close_with(code, reason)).await;
                // The handshake of the end, which what the client still says must not disturb.
                while let Some(Ok(_)) = client.socket.next().await {}
            }
            client.socket.close().await
        };
        // It may be gone, or not be listening; it is cut off then.
        _ = timeout(FAREWELL, farewell).await;
    }

    async fn run(&mut self) -> Result<std::convert::Infallible, Ended> {
        let mut rounds = self.shared.poller.rounds();
        let mut pings = interval(PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stop = self.shared.stop.clone();
        loop {
            let has_due = self.subscriptions.values().any(|subscription| subscription.is_due);
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    return Err(Ended::telling(StreamEnd::Shutdown, GOING_AWAY, "the server is stopping"));
                }
                message = self.socket.next() => match message {
                    Some(Ok(message)) => self.hear(message).await?,
                    _ => return Err(Ended::by_client()),
                },
                _ = pings.tick() => {
                    if self.heard.elapsed() > SILENCE_MAX {
                        return Err(Ended::telling(StreamEnd::Silent, GOING_AWAY, "no sign of life for 60 s"));
                    }
                    self.send(Message::ping(Vec::new())).await?;
                }
                changed = rounds.changed(), if !has_due => {
                    if changed.is_err() {
                        return Err(Ended::telling(StreamEnd::Shutdown, GOING_AWAY, "the server is stopping"));
                    }
                    for subscription in self.subscriptions.values_mut() {
                        subscription.is_due |= subscription.changes.has_changed().unwrap_or(true);
                    }
                }
                () = std::future::ready(()), if has_due => self.serve_next().await?,
            }
        }
    }

    /// Sends, or gives the client up.
    async fn send(&mut self, message: Message) -> Result<(), Ended> {
        let patience = Duration::from_millis(self.shared.limits.stream_stall_ms);
        match timeout(patience, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ended::by_client()),
            Err(_) => {
                let reason = format!("too slow: nothing was taken for {} ms", patience.as_millis());
                Err(Ended::telling(StreamEnd::Slow, TRY_AGAIN_LATER, reason))
            }
        }
    }

    async fn tell(&mut self, event: &Event<'_>) -> Result<(), Ended> {
        self.send(Message::text(event.text())).await
    }

    async fn hear(&mut self, message: Message) -> Result<(), Ended> {
        self.heard = Instant::now();
        if message.is_close() {
            return Err(Ended::by_client());
        }
        if message.is_binary() {
            return Err(Ended::telling(StreamEnd::Client, UNSUPPORTED, "messages are JSON texts"));
        }
        let Ok(text) = message.to_str() else { return Ok(()) };
        match serde_json::from_str(text) {
            Ok(Wish::Subscribe(wish)) => self.subscribe(wish).await,
            Ok(Wish::Unsubscribe { id }) => match self.subscriptions.remove(&id) {
                Some(_) => {
                    self.shared.metrics.api.stream_subscriptions.add(-1);
                    self.tell(&Event::Unsubscribed { id: &id }).await
                }
                None => {
                    let error = "Not found: there is no subscription of that id".to_owned();
                    self.tell(&Event::Error { id: Some(&id), error }).await
                }
            },
            Err(error) => {
                let error = format!("Invalid message: {error}");
                self.tell(&Event::Error { id: None, error }).await
            }
        }
    }

    async fn subscribe(&mut self, wish: Subscribe) -> Result<(), Ended> {
        let name = wish.id.clone();
        match self.subscription(wish).await {
            Ok(subscription) => {
                let columns = subscription.columns.iter().map(|column| column.name).collect();
                let cursor = subscription.cursor.to_string();
                self.shared.metrics.api.stream_subscriptions.add(1);
                self.subscriptions.insert(name.clone(), subscription);
                self.tell(&Event::Subscribed { id: &name, columns, cursor }).await
            }
            Err(error) => {
                let id = (name.len() <= ID_BYTES_MAX).then_some(name.as_str());
                self.tell(&Event::Error { id, error }).await
            }
        }
    }

    /// Checks a wish, and finds where its rows begin.
    async fn subscription(&mut self, wish: Subscribe) -> Result<Subscription, String> {
        let limits = &self.shared.limits;
        if wish.id.is_empty() || wish.id.len() > ID_BYTES_MAX {
            return Err(format!("Invalid id: it has 1 to {ID_BYTES_MAX} bytes"));
        }
        if self.subscriptions.contains_key(&wish.id) {
            return Err("Invalid id: there is a subscription of that id".to_owned());
        }
        if self.subscriptions.len() >= limits.stream_subscriptions {
            self.shared.metrics.refused(Refusal::StreamSubscriptions);
            return Err(format!("Too many subscriptions: at most {} on one connection", limits.stream_subscriptions));
        }
        let text = |error: QueryError| error.to_string();
        let id = series(wish.exchange.as_deref(), &wish.symbol, &wish.table).map_err(text)?;
        let columns = columns(&wish.columns.join(","), id.table, self.shared.columns_max).map_err(text)?;
        let since = match wish.since_ns.as_ref().map(|since| since.ns().ok_or("Invalid since_ns: it is no number")) {
            Some(since) => Some(since?),
            None => None,
        };
        let cursor = wish.cursor.map(|cursor| cursor.parse().map_err(|error| format!("Invalid cursor: {error}")));
        let cursor: Option<Cursor> = cursor.transpose()?;
        if since.is_some() && cursor.is_some() {
            return Err("Invalid cursor: since_ns is given too".to_owned());
        }
        let (root, of_search) = (Arc::clone(&self.shared.root), id.clone());
        let found = self.shared.reads.take(move || {
            if !root.join(of_search.path()).is_dir() {
                let missing = Missing::of_series(&root, &of_search, 0, 0);
                return Err(format!("Not found: {missing}"));
            }
            let cursor = match (cursor, since) {
                (Some(cursor), _) => Ok(cursor),
                (None, Some(since)) => Cursor::since(&root, &of_search, since),
                (None, None) => Cursor::at_end(&root, &of_search),
            };
            cursor.map_err(|error| unreadable(&of_search, &error))
        });
        let cursor = found.await.map_err(|_| "The server is stopping".to_owned())??;
        let changes = self.shared.poller.follow(&self.shared.root, &id, cursor.day);
        Ok(Subscription { id, columns, cursor, is_due: true, was_live: false, changes })
    }

    /// Takes one step of the subscription whose turn it is.
    async fn serve_next(&mut self) -> Result<(), Ended> {
        let due = |(name, subscription): (&String, &Subscription)| subscription.is_due.then(|| name.clone());
        let after = (std::ops::Bound::Excluded(self.served_last.clone()), std::ops::Bound::Unbounded);
        let next = self.subscriptions.range(after).find_map(due);
        let Some(name) = next.or_else(|| self.subscriptions.iter().find_map(due)) else { return Ok(()) };
        self.served_last.clone_from(&name);
        let Some(subscription) = self.subscriptions.get_mut(&name) else { return Ok(()) };
        // What is committed from here on is news again.
        subscription.changes.mark_unchanged();
        let (id, columns, cursor) = (subscription.id.clone(), subscription.columns.clone(), subscription.cursor);
        let rows_max = self.shared.limits.stream_message_rows.min(message::rows_that_fit(&columns));
        let root = Arc::clone(&self.shared.root);
        let stepped = self.shared.reads.take(move || {
            let stepped = cursor.step(&root, &id, &columns, rows_max);
            stepped.map_err(|error| unreadable(&id, &error))
        });
        match stepped.await {
            Ok(Ok(step)) => self.hand_on(&name, step).await,
            Ok(Err(reason)) => Err(Ended::telling(StreamEnd::Failed, INTERNAL, reason)),
            Err(_) => Err(Ended::telling(StreamEnd::Shutdown, GOING_AWAY, "the server is stopping")),
        }
    }

    async fn hand_on(&mut self, name: &str, Step { found, next }: Step) -> Result<(), Ended> {
        let shared = Arc::clone(&self.shared);
        let Some(subscription) = self.subscriptions.get_mut(name) else { return Ok(()) };
        let (before, was_live) = (subscription.cursor, subscription.was_live);
        subscription.cursor = next;
        if next.day != before.day {
            subscription.changes = shared.poller.follow(&shared.root, &subscription.id, next.day);
        }
        match found {
            Found::Rows { behind, .. } if was_live && behind > shared.limits.stream_behind_rows => {
                let reason = format!("too slow: {behind} rows behind; go on from cursor {before}");
                Err(Ended::telling(StreamEnd::Slow, TRY_AGAIN_LATER, reason))
            }
            Found::Rows { columns, rows, .. } => {
                shared.metrics.api.stream_rows.add(rows);
                self.send(Message::text(message::rows(name, &next.to_string(), &columns, rows))).await
            }
            Found::Missing(column) => {
                self.tell(&Event::Missing { id: name, day: before.day.to_string(), column }).await
            }
            Found::Cut => self.tell(&Event::Cut { id: name, cursor: next.to_string() }).await,
            Found::End if next != before => Ok(()),
            Found::End => {
                (subscription.is_due, subscription.was_live) = (false, true);
                if was_live { Ok(()) } else { self.tell(&Event::Live { id: name }).await }
            }
        }
    }
}

/// Logs what happened and makes a text without a path of it.
fn unreadable(id: &SeriesId, error: &std::io::Error) -> String {
    tracing::warn!(series = %id, %error, "a stream's rows cannot be read");
    "The data cannot be read; the server's log says why".to_owned()
}
