//! A client that checks nothing by itself: it connects, sends, and takes frames with a deadline.

use std::collections::BTreeMap;
use std::time::Duration;

use exchange_simulator::{Config, Entry, MarketState, MessageEntry, Simulator, VenueConfig, VenueKind, settle};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Nothing on loopback takes so long unless it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// One venue whose market only moves when told to, with the ledger in memory.
pub(crate) fn still(kind: VenueKind) -> Config {
    Config {
        venues: vec![VenueConfig::new(kind)],
        market: MarketState::Paused,
        keep_ledger_in_memory: true,
        ..Config::default()
    }
}

/// How a connection ended, as the client saw it.
#[derive(Debug)]
pub(crate) enum End {
    Closed(Option<CloseFrame>),
    Lost,
}

pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Payloads of the pings so far; each was answered by the library.
    pub(crate) pings: Vec<Vec<u8>>,
}

impl Client {
    pub(crate) async fn connect(url: &str) -> Self {
        Self::try_connect(url).await.unwrap()
    }

    pub(crate) async fn try_connect(url: &str) -> Result<Self, WsError> {
        let (socket, _) = timeout(DEADLINE, Box::pin(connect_async(url))).await.unwrap()?;
        Ok(Self { socket, pings: Vec::new() })
    }

    pub(crate) async fn send(&mut self, message: Value) {
        self.send_text(&message.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Leaves in order; what was on its way is returned.
    pub(crate) async fn close(mut self) -> Vec<String> {
        self.socket.close(None).await.unwrap();
        self.rest().await.0
    }

    /// The next text frame, or how the connection ended.
    pub(crate) async fn take(&mut self) -> Result<String, End> {
        loop {
            let message = timeout(DEADLINE, self.socket.next()).await.expect("a frame in time");
            match message {
                Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
                Some(Ok(Message::Ping(payload))) => self.pings.push(payload.to_vec()),
                Some(Ok(Message::Close(frame))) => return Err(End::Closed(frame)),
                Some(Ok(other)) => panic!("{other:?}"),
                Some(Err(_)) | None => return Err(End::Lost),
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Value {
        serde_json::from_str(&self.take().await.unwrap()).unwrap()
    }

    pub(crate) async fn next_many(&mut self, count: usize) -> Vec<Value> {
        let mut frames = Vec::new();
        while frames.len() < count {
            frames.push(self.next().await);
        }
        frames
    }

    /// How many pings came since this was last asked.
    pub(crate) fn take_pings(&mut self) -> usize {
        std::mem::take(&mut self.pings).len()
    }

    /// Lets a connection that has ended do its part: the library writes the answer to a Close frame while it is read on.
    pub(crate) async fn drain(&mut self) {
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    /// Everything until the connection ends, and how it did.
    pub(crate) async fn rest(mut self) -> (Vec<String>, End) {
        let mut frames = Vec::new();
        loop {
            match self.take().await {
                Ok(frame) => frames.push(frame),
                Err(end) => {
                    self.drain().await;
                    return (frames, end);
                }
            }
        }
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The messages that reached a connection, in order.
pub(crate) fn delivered(entries: &[Entry], connection: u64) -> Vec<MessageEntry> {
    settle(entries).into_iter().filter(|message| message.connections.contains(&connection)).collect()
}

/// A ledger entry as the Coinbase frame that it is of, without what the ledger does not keep.
pub(crate) fn coinbase_essence(entry: &MessageEntry) -> Value {
    let time = entry.event_ns.map(|ns| jiff::Timestamp::from_nanosecond(ns.into()).unwrap());
    let time = time.map(|time| time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string());
    let symbol = &entry.symbol;
    let side = entry.side.map(|side| side.name());
    let maker_side = entry.side.map(|side| side.opposite().name());
    match entry.message.as_ref() {
        "ticker" => json!({"type": "ticker", "product_id": symbol, "sequence": entry.id, "trade_id": entry.trade_id,
            "price": entry.price, "last_size": entry.size, "best_bid": entry.bid, "best_bid_size": entry.bid_size,
            "best_ask": entry.ask, "best_ask_size": entry.ask_size, "side": side, "time": time}),
        "heartbeat" => json!({"type": "heartbeat", "product_id": symbol, "sequence": entry.sequence,
            "last_trade_id": entry.id, "time": time}),
        message => json!({"type": message, "product_id": symbol, "sequence": entry.sequence, "trade_id": entry.id,
            "price": entry.price, "size": entry.size, "maker_order_id": entry.maker_order_id,
            "taker_order_id": entry.taker_order_id, "side": maker_side, "time": time}),
    }
}

/// A frame of Coinbase without what the ledger does not keep.
pub(crate) fn without_statistics(text: &str) -> Value {
    let mut frame: Value = serde_json::from_str(text).unwrap();
    for statistic in ["open_24h", "low_24h", "high_24h", "volume_24h", "volume_30d"] {
        frame.as_object_mut().unwrap().remove(statistic);
    }
    frame
}

/// A ledger entry as the raw Binance frame that it is of; `unit_ns` is what one digit of a time means.
pub(crate) fn binance_frame(entry: &MessageEntry, unit_ns: u64) -> Value {
    let time = |ns: Option<u64>| ns.map(|ns| ns / unit_ns);
    let maker = entry.side.map(|side| side.name() == "sell");
    match entry.message.as_ref() {
        "bookTicker" => json!({"u": entry.id, "s": entry.symbol, "b": entry.bid, "B": entry.bid_size,
            "a": entry.ask, "A": entry.ask_size}),
        "trade" => json!({"e": "trade", "E": time(entry.publish_ns), "s": entry.symbol, "t": entry.id,
            "p": entry.price, "q": entry.size, "T": time(entry.event_ns), "m": maker, "M": true}),
        "aggTrade" => json!({"e": "aggTrade", "E": time(entry.publish_ns), "s": entry.symbol, "a": entry.agg_id,
            "p": entry.price, "q": entry.size, "f": entry.first_id, "l": entry.id, "T": time(entry.event_ns),
            "m": maker, "M": true}),
        other => panic!("{other}"),
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
}

/// A GET of `base` + `path`, with extra header lines each ending in `\r\n`.
pub(crate) async fn get(base: &str, path: &str, header_lines: &str) -> Answer {
    let host = base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{header_lines}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut text)).await.unwrap().unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header =
        |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())).unwrap();
    Answer { status, headers: lines.map(header).collect(), body: serde_json::from_str(body).unwrap() }
}

/// Starts a simulator.
pub(crate) async fn start(config: Config) -> Simulator {
    Simulator::start(config).await.unwrap()
}
