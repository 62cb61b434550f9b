//! A client of any venue that reads trades and the best bid and ask by itself, for comparison with the ledger.

use std::collections::{BTreeMap, HashMap};

use exchange_simulator::{MessageEntry, MessageKind, Simulator, VenueKind};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::client::{Client, End};

/// One fact of a frame, and what the ledger must say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    Trade {
        message: String,
        symbol: String,
        first_id: u64,
        id: u64,
        price: String,
        size: String,
        /// The taker's.
        side: String,
        time_ns: u64,
    },
    /// The best on both sides after the frame.
    Quote { symbol: String, bid: [String; 2], ask: [String; 2], time_ns: Option<u64> },
}

impl Fact {
    pub(crate) fn id(&self) -> Option<u64> {
        match self {
            Self::Trade { id, .. } => Some(*id),
            Self::Quote { .. } => None,
        }
    }

    pub(crate) fn symbol(&self) -> &str {
        match self {
            Self::Trade { symbol, .. } | Self::Quote { symbol, .. } => symbol,
        }
    }

    /// What the ledger says; None of messages that are no facts.
    pub(crate) fn told(entry: &MessageEntry) -> Option<Self> {
        let symbol = entry.symbol.clone()?;
        match entry.kind {
            MessageKind::Trade => Some(Self::Trade {
                message: entry.message.to_string(),
                symbol,
                first_id: entry.first_id.or(entry.id)?,
                id: entry.id?,
                price: entry.price.clone()?,
                size: entry.size.clone()?,
                side: entry.side?.name().to_owned(),
                time_ns: entry.event_ns?,
            }),
            MessageKind::Quote | MessageKind::Book => Some(Self::Quote {
                symbol,
                bid: [entry.bid.clone()?, entry.bid_size.clone()?],
                ask: [entry.ask.clone()?, entry.ask_size.clone()?],
                time_ns: entry.event_ns,
            }),
            _ => None,
        }
    }
}

/// Levels by the bits of their price, which for numbers above 0 are in its order: price and size as text.
type Levels = BTreeMap<u64, [String; 2]>;

pub(crate) struct VenueClient {
    pub(crate) client: Client,
    kind: VenueKind,
    /// Bitfinex: channel and symbol of a number.
    channels: HashMap<u64, (String, String)>,
    /// Bitfinex: the frames' own numbers.
    pub(crate) seqs: Vec<u64>,
    books: HashMap<String, [Levels; 2]>,
    /// Frames that were no facts.
    pub(crate) others: Vec<Value>,
}

fn path(kind: VenueKind) -> &'static str {
    match kind {
        VenueKind::Coinbase => "/",
        VenueKind::Binance => "/ws?timeUnit=MICROSECOND",
        VenueKind::Kraken => "/v2",
        VenueKind::Okx => "/ws/v5/public",
        VenueKind::Bitfinex => "/ws/2",
    }
}

/// Requests for trades and quotes.
pub(crate) fn requests(kind: VenueKind, symbols: &[String]) -> Vec<Value> {
    match kind {
        VenueKind::Coinbase => {
            vec![json!({"type": "subscribe", "channels": ["matches", "level2_batch"], "product_ids": symbols})]
        }
        VenueKind::Binance => {
            let streams = symbols.iter().map(|symbol| symbol.to_lowercase());
            let streams: Vec<_> =
                streams.flat_map(|symbol| [format!("{symbol}@trade"), format!("{symbol}@bookTicker")]).collect();
            vec![json!({"method": "SUBSCRIBE", "params": streams, "id": 1})]
        }
        VenueKind::Kraken => vec![
            json!({"method": "subscribe", "params": {"channel": "trade", "symbol": symbols, "snapshot": true}}),
            json!({"method": "subscribe", "params":
                {"channel": "ticker", "symbol": symbols, "event_trigger": "bbo", "snapshot": true}}),
        ],
        VenueKind::Okx => {
            let arg = |channel: &str, symbol: &String| json!({"channel": channel, "instId": symbol});
            let args: Vec<_> =
                symbols.iter().flat_map(|symbol| [arg("trades", symbol), arg("bbo-tbt", symbol)]).collect();
            vec![json!({"op": "subscribe", "args": args})]
        }
        VenueKind::Bitfinex => {
            let mut requests = vec![json!({"event": "conf", "flags": 98_304})];
            for symbol in symbols {
                requests.push(json!({"event": "subscribe", "channel": "trades", "symbol": symbol}));
                requests.push(
                    json!({"event": "subscribe", "channel": "book", "symbol": symbol, "prec": "P0", "len": "25"}),
                );
            }
            requests
        }
    }
}

pub(crate) fn url(simulator: &Simulator, kind: VenueKind) -> String {
    format!("{}{}", simulator.ws_url(kind.name()), path(kind))
}

fn time_ns(text: &str) -> u64 {
    text.parse::<jiff::Timestamp>().unwrap().as_nanosecond().try_into().unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

impl VenueClient {
    pub(crate) async fn connect(simulator: &Simulator, kind: VenueKind) -> Self {
        let client = Client::connect(&url(simulator, kind)).await;
        Self { client, kind, channels: HashMap::new(), seqs: Vec::new(), books: HashMap::new(), others: Vec::new() }
    }

    /// Connects and asks for everything of the symbols.
    pub(crate) async fn subscribed(simulator: &Simulator, kind: VenueKind, symbols: &[String]) -> Self {
        let mut this = Self::connect(simulator, kind).await;
        this.subscribe(symbols).await;
        this
    }

    pub(crate) async fn subscribe(&mut self, symbols: &[String]) {
        for request in requests(self.kind, symbols) {
            self.client.send(request).await;
        }
    }

    /// Facts until there are `count`.
    pub(crate) async fn facts(&mut self, count: usize) -> Vec<Fact> {
        let mut facts = Vec::new();
        while facts.len() < count {
            let frame = self.client.take().await.unwrap();
            facts.extend(self.read(&frame));
        }
        facts
    }

    /// The next frame that is no fact and has these words in it; heartbeats may come before it.
    pub(crate) async fn other(&mut self, words: &str) -> Value {
        loop {
            let frame = self.client.take().await.unwrap();
            assert!(self.read(&frame).is_empty(), "{frame} before {words}");
            if frame.contains(words) {
                return serde_json::from_str(&frame).unwrap();
            }
        }
    }

    /// Facts until the connection ends, and how it does.
    pub(crate) async fn rest(mut self) -> (Vec<Fact>, Self, End) {
        let mut facts = Vec::new();
        loop {
            match self.client.take().await {
                Ok(frame) => facts.extend(self.read(&frame)),
                Err(end) => {
                    self.client.drain().await;
                    return (facts, self, end);
                }
            }
        }
    }

    /// The facts of a frame; what is no JSON counts as something else.
    pub(crate) fn read(&mut self, frame: &str) -> Vec<Fact> {
        let Ok(value) = serde_json::from_str::<Value>(frame) else {
            self.others.push(Value::from(frame));
            return Vec::new();
        };
        let facts = match self.kind {
            VenueKind::Coinbase => self.coinbase(&value),
            VenueKind::Binance => binance(&value),
            VenueKind::Kraken => kraken(frame, &value),
            VenueKind::Okx => okx(&value),
            VenueKind::Bitfinex => self.bitfinex(frame, &value),
        };
        if facts.is_empty() {
            self.others.push(value);
        }
        facts
    }

    fn best(&self, symbol: &str, time_ns: Option<u64>) -> Vec<Fact> {
        let [bids, asks] = &self.books[symbol];
        let (Some(bid), Some(ask)) = (bids.last_key_value(), asks.first_key_value()) else { return Vec::new() };
        assert!(bid.0 < ask.0, "{symbol} is crossed: {bid:?} {ask:?}");
        vec![Fact::Quote { symbol: symbol.to_owned(), bid: bid.1.clone(), ask: ask.1.clone(), time_ns }]
    }

    fn set(&mut self, symbol: &str, ask: bool, price: &str, size: Option<&str>) {
        let bits = price.parse::<f64>().unwrap().to_bits();
        let side = &mut self.books.entry(symbol.to_owned()).or_default()[usize::from(ask)];
        match size {
            None => assert!(side.remove(&bits).is_some(), "{symbol} has no {price} to delete"),
            Some(size) => {
                side.insert(bits, [price.to_owned(), size.to_owned()]);
            }
        }
    }

    fn coinbase(&mut self, value: &Value) -> Vec<Fact> {
        let symbol = || text(&value["product_id"]);
        match value["type"].as_str().unwrap() {
            message @ ("match" | "last_match") => vec![Fact::Trade {
                message: message.to_owned(),
                symbol: symbol(),
                first_id: value["trade_id"].as_u64().unwrap(),
                id: value["trade_id"].as_u64().unwrap(),
                price: text(&value["price"]),
                size: text(&value["size"]),
                side: if value["side"] == "sell" { "buy" } else { "sell" }.to_owned(),
                time_ns: time_ns(value["time"].as_str().unwrap()),
            }],
            "snapshot" => {
                self.books.remove(&symbol());
                for (name, ask) in [("bids", false), ("asks", true)] {
                    for level in value[name].as_array().unwrap() {
                        self.set(&symbol(), ask, level[0].as_str().unwrap(), level[1].as_str());
                    }
                }
                self.best(&symbol(), None)
            }
            "l2update" => {
                for change in value["changes"].as_array().unwrap() {
                    let size = change[2].as_str().filter(|size| *size != "0");
                    self.set(&symbol(), change[0] == "sell", change[1].as_str().unwrap(), size);
                }
                self.best(&symbol(), Some(time_ns(value["time"].as_str().unwrap())))
            }
            _ => Vec::new(),
        }
    }

    fn bitfinex(&mut self, frame: &str, value: &Value) -> Vec<Fact> {
        if value["event"] == "subscribed" {
            let id = value["chanId"].as_u64().unwrap();
            if value["channel"] == "book" {
                self.books.remove(value["symbol"].as_str().unwrap());
            }
            assert!(self.channels.insert(id, (text(&value["channel"]), text(&value["symbol"]))).is_none());
        }
        if !value.is_array() {
            return Vec::new();
        }
        let parts: Vec<&RawValue> = serde_json::from_str(frame).unwrap();
        let (channel, symbol) = self.channels[&parts[0].get().parse().unwrap()].clone();
        self.seqs.push(parts[parts.len() - 2].get().parse().unwrap());
        let time: u64 = parts[parts.len() - 1].get().parse().unwrap();
        assert!(time > 1_600_000_000_000, "ms");
        let rows = |part: &RawValue| -> Vec<Vec<String>> {
            let rows: Vec<Vec<&RawValue>> = serde_json::from_str(part.get())
                .or_else(|_| serde_json::from_str::<Vec<&RawValue>>(part.get()).map(|row| vec![row]))
                .unwrap();
            rows.into_iter().map(|row| row.into_iter().map(|cell| cell.get().to_owned()).collect()).collect()
        };
        match (channel.as_str(), parts[1].get()) {
            (_, "\"hb\"") => Vec::new(),
            ("trades", message) => {
                let message = message.trim_matches('"');
                let (name, part) =
                    if matches!(message, "te" | "tu") { (message, parts[2]) } else { ("snapshot", parts[1]) };
                let trade = |row: Vec<String>| Fact::Trade {
                    message: name.to_owned(),
                    symbol: symbol.clone(),
                    first_id: row[0].parse().unwrap(),
                    id: row[0].parse().unwrap(),
                    price: row[3].clone(),
                    size: row[2].trim_start_matches('-').to_owned(),
                    side: if row[2].starts_with('-') { "sell" } else { "buy" }.to_owned(),
                    time_ns: row[1].parse::<u64>().unwrap() * 1_000_000,
                };
                rows(part).into_iter().map(trade).collect()
            }
            _ => {
                for row in rows(parts[1]) {
                    let (ask, size) = (row[2].starts_with('-'), row[2].trim_start_matches('-'));
                    let digits = row[0].bytes().filter(u8::is_ascii_digit).count();
                    assert!(row[0].starts_with("0.") || digits <= 5, "{} has more than 5 significant digits", row[0]);
                    self.set(&symbol, ask, &row[0], (row[1] != "0").then_some(size));
                }
                self.best(&symbol, None)
            }
        }
    }
}

fn binance(value: &Value) -> Vec<Fact> {
    if value["e"] == "trade" {
        return vec![Fact::Trade {
            message: "trade".to_owned(),
            symbol: text(&value["s"]),
            first_id: value["t"].as_u64().unwrap(),
            id: value["t"].as_u64().unwrap(),
            price: text(&value["p"]),
            size: text(&value["q"]),
            side: if value["m"] == true { "sell" } else { "buy" }.to_owned(),
            time_ns: value["T"].as_u64().unwrap() * 1_000,
        }];
    }
    if value["u"].is_null() {
        return Vec::new();
    }
    let [bid, ask] = [["b", "B"], ["a", "A"]].map(|names| names.map(|name| text(&value[name])));
    vec![Fact::Quote { symbol: text(&value["s"]), bid, ask, time_ns: None }]
}

/// Numbers as they stand in the frame.
#[derive(Deserialize)]
struct KrakenRow<'a> {
    symbol: String,
    side: Option<String>,
    #[serde(borrow)]
    price: Option<&'a RawValue>,
    qty: Option<&'a RawValue>,
    trade_id: Option<u64>,
    bid: Option<&'a RawValue>,
    bid_qty: Option<&'a RawValue>,
    ask: Option<&'a RawValue>,
    ask_qty: Option<&'a RawValue>,
    timestamp: String,
}

#[derive(Deserialize)]
struct KrakenFrame<'a> {
    #[serde(borrow)]
    data: Vec<KrakenRow<'a>>,
}

fn kraken(frame: &str, value: &Value) -> Vec<Fact> {
    if !matches!(value["channel"].as_str(), Some("trade" | "ticker")) {
        return Vec::new();
    }
    let frame: KrakenFrame<'_> = serde_json::from_str(frame).unwrap();
    let digits = |raw: Option<&RawValue>| raw.unwrap().get().to_owned();
    let fact = |row: KrakenRow<'_>| match row.trade_id {
        Some(id) => Fact::Trade {
            message: "trade".to_owned(),
            symbol: row.symbol,
            first_id: id,
            id,
            price: digits(row.price),
            size: digits(row.qty),
            side: row.side.unwrap(),
            time_ns: time_ns(&row.timestamp),
        },
        None => Fact::Quote {
            symbol: row.symbol,
            bid: [digits(row.bid), digits(row.bid_qty)],
            ask: [digits(row.ask), digits(row.ask_qty)],
            time_ns: Some(time_ns(&row.timestamp)),
        },
    };
    frame.data.into_iter().map(fact).collect()
}

fn okx(value: &Value) -> Vec<Fact> {
    let Some(rows) = value["data"].as_array() else { return Vec::new() };
    let number = |value: &Value| value.as_str().unwrap().parse::<u64>().unwrap();
    let message = text(&value["arg"]["channel"]);
    let symbol = text(&value["arg"]["instId"]);
    let fact = |row: &Value| {
        if message == "bbo-tbt" {
            let side = |name: &str| [text(&row[name][0][0]), text(&row[name][0][1])];
            let time_ns = Some(number(&row["ts"]) * 1_000_000);
            return Fact::Quote { symbol: symbol.clone(), bid: side("bids"), ask: side("asks"), time_ns };
        }
        let id = number(&row["tradeId"]);
        let count = if row["count"].is_null() { 1 } else { number(&row["count"]) };
        Fact::Trade {
            message: message.clone(),
            symbol: text(&row["instId"]),
            first_id: id + 1 - count,
            id,
            price: text(&row["px"]),
            size: text(&row["sz"]),
            side: text(&row["side"]),
            time_ns: number(&row["ts"]) * 1_000_000,
        }
    };
    rows.iter().map(fact).collect()
}
