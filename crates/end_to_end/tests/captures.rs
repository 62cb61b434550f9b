//! Frames that exchanges really sent: simulator → logger → files → server → client, compared with what a JSON parser and the
//! venues' documentation make of them.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use end_to_end::{
    data::{Columns, MD},
    eventually, files, golden,
    metrics::Scrape,
    project,
    services::{DataServer, Logger},
};
use exchange_simulator::{Config, Replay, Simulator};
use logger::Clock;
use serde_json::Value;

const S: u64 = 1_000_000_000;

/// Unix seconds around everything that these tests write.
fn always() -> (u64, u64) {
    let now = Clock::system().now_ns() / S;
    (now - 2 * 86_400, now + 3 * 86_400)
}

fn capture(name: &str) -> Option<PathBuf> {
    let path = project().join("../shared/captures").join(name);
    if !path.exists() {
        println!("skipped: {} is not here", path.display());
    }
    path.exists().then_some(path)
}

/// What must be in the files of one symbol.
#[derive(Debug, Default)]
struct Expected {
    /// Rows of `MD`.
    md: Vec<State>,
    /// Ids of `TRADES`.
    trades: Vec<u64>,
    book: Book,
    /// Bits of the last trade's price; of NaN before the first.
    price: Option<u64>,
}

/// A row of the market's state; floats as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    event_id: u64,
    event_ns: u64,
    /// Bid, its size, ask, its size.
    best: [u64; 4],
    price: u64,
}

/// The plainest book there is: price in bits, which for what is not negative rise as the prices do → size.
#[derive(Debug, Default)]
struct Book {
    bids: BTreeMap<u64, f64>,
    asks: BTreeMap<u64, f64>,
    /// Best bid, its size, ask, its size, as a row told it last.
    told: Option<[u64; 4]>,
}

impl Book {
    fn set(&mut self, is_bid: bool, price: &Value, size: &Value) {
        let side = if is_bid { &mut self.bids } else { &mut self.asks };
        if number(size) == 0.0 {
            side.remove(&number(price).to_bits());
        } else {
            side.insert(number(price).to_bits(), number(size));
        }
    }

    /// The best bid and ask, if they or their sizes are others than before.
    fn news(&mut self) -> Option<[u64; 4]> {
        let ((bid, bid_size), (ask, ask_size)) = self.bids.last_key_value().zip(self.asks.first_key_value())?;
        let best = [*bid, bid_size.to_bits(), *ask, ask_size.to_bits()];
        (bid < ask && self.told.replace(best) != Some(best)).then_some(best)
    }
}

impl Expected {
    fn quote(&mut self, best: [u64; 4], event_id: u64, event_ns: u64) {
        self.book.told = Some(best);
        self.state(event_id, event_ns);
    }

    fn trade(&mut self, id: u64, event_ns: u64, price: &Value) {
        self.trades.push(id);
        self.price = Some(number(price).to_bits());
        self.state(id, event_ns);
    }

    /// Rows start when both sides are known.
    fn state(&mut self, event_id: u64, event_ns: u64) {
        let price = self.price.unwrap_or(f64::NAN.to_bits());
        self.md.extend(self.book.told.map(|best| State { event_id, event_ns, best, price }));
    }
}

fn number(value: &Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}

fn frames(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    let frames = text.lines().filter_map(|line| {
        let (time, frame) = line.split_once(": ")?;
        time.parse::<f64>().ok()?;
        serde_json::from_str::<Value>(frame).ok()
    });
    frames.collect()
}

/// `matches` and `level2_batch`: a quote is what a change of the book did to its top.
fn coinbase(frames: &[Value]) -> BTreeMap<String, Expected> {
    let mut all: BTreeMap<String, Expected> = BTreeMap::new();
    for frame in frames {
        let Some(symbol) = frame["product_id"].as_str() else { continue };
        let expected = all.entry(symbol.to_owned()).or_default();
        let time = frame["time"].as_str().map(|time| time.parse::<jiff::Timestamp>().unwrap());
        let event_ns = time.map_or(0, |time| u64::try_from(time.as_nanosecond()).unwrap());
        match frame["type"].as_str().unwrap() {
            "match" | "last_match" => expected.trade(frame["trade_id"].as_u64().unwrap(), event_ns, &frame["price"]),
            "snapshot" => {
                expected.book = Book::default();
                for (side, is_bid) in [("bids", true), ("asks", false)] {
                    for level in frame[side].as_array().unwrap() {
                        expected.book.set(is_bid, &level[0], &level[1]);
                    }
                }
            }
            "l2update" => {
                for change in frame["changes"].as_array().unwrap() {
                    expected.book.set(change[0] == "buy", &change[1], &change[2]);
                }
            }
            _ => continue,
        }
        if let Some(best) = expected.book.news() {
            expected.quote(best, 0, event_ns);
        }
    }
    all
}

/// `aggTrade` and `bookTicker`.
fn binance(frames: &[Value]) -> BTreeMap<String, Expected> {
    let mut all: BTreeMap<String, Expected> = BTreeMap::new();
    for frame in frames {
        let Some((_, message)) = frame["stream"].as_str().and_then(|stream| stream.split_once('@')) else { continue };
        let data = &frame["data"];
        let Some(symbol) = data["s"].as_str() else { continue };
        let expected = all.entry(symbol.to_owned()).or_default();
        match message {
            "aggTrade" => {
                let event_ns = data["T"].as_u64().unwrap() * 1_000_000;
                expected.trade(data["l"].as_u64().unwrap(), event_ns, &data["p"]);
            }
            "bookTicker" => {
                let best = ["b", "B", "a", "A"].map(|name| number(&data[name]).to_bits());
                expected.quote(best, data["u"].as_u64().unwrap(), 0);
            }
            _ => {}
        }
    }
    all
}

/// Sends the frames of a capture through a real WebSocket, and compares what becomes of them.
async fn replay(file: PathBuf, exchange: &str, all: BTreeMap<String, Expected>, checksums: [&str; 2]) {
    let simulator = Simulator::start(Config {
        replay: Some(Replay { files: vec![file], speed: 0.0 }),
        keep_ledger_in_memory: true,
        ..Config::default()
    })
    .await
    .unwrap();
    let data = tempfile::tempdir().unwrap();
    let server = DataServer::start(data.path()).await;
    let logger = Logger::start(&simulator.logger_config(), data.path(), Clock::system()).await;
    for (table, rows) in [
        ("MD", all.values().map(|expected| expected.md.len()).sum::<usize>()),
        ("TRADES", all.values().map(|expected| expected.trades.len()).sum()),
    ] {
        let label = format!(r#"table="{table}""#);
        eventually(&format!("{rows} rows of {table}"), Duration::from_secs(60), || async {
            let written = Scrape::of(logger.metrics).await?.sum("gpu_charts_rows_written_total", &label);
            (written >= rows as f64).then_some(())
        })
        .await;
    }
    logger.stop().await;
    assert_eq!(simulator.symbols(exchange).len(), all.len());
    let found = ["MD", "TRADES"].map(|table| {
        let series = all.keys().map(|symbol| files::table(data.path(), exchange, symbol, table).columns);
        golden::checksum(&series.collect::<Vec<_>>(), table)
    });
    for (symbol, expected) in all {
        let md = Columns::get(server.data, exchange, &symbol, "MD", &MD, always()).await;
        md.check_rules(&[("price", "price_f64"), ("volume", "volume_f64"), ("best_bid", "best_bid_f64")]);
        let (event_id, event_ns) = (md.u64s("event_id"), md.u64s("event_ns"));
        let best = ["best_bid_f64", "bid_size_f64", "best_ask_f64", "ask_size_f64"].map(|name| md.f64_bits(name));
        let price = md.f64_bits("price_f64");
        assert_eq!(event_id.len(), expected.md.len(), "{exchange} {symbol} MD");
        for (row, expected) in expected.md.iter().enumerate() {
            let best = best.each_ref().map(|column| column[row]);
            let found = State { event_id: event_id[row], event_ns: event_ns[row], best, price: price[row] };
            assert_eq!(found, *expected, "{exchange} {symbol} MD row {row}");
        }
        let trades = Columns::get(server.data, exchange, &symbol, "TRADES", &["id"], always()).await;
        assert_eq!(trades.u64s("id"), expected.trades, "{exchange} {symbol} TRADES");
    }
    assert_eq!(found, checksums, "{exchange}: MD, TRADES");
    server.stop().await;
    simulator.shutdown().await.unwrap();
}

/// The kind of a message.
fn kind(frame: &Value) -> Option<&str> {
    frame["type"].as_str().or_else(|| Some(frame["stream"].as_str()?.split_once('@')?.1))
}

fn check_counts(frames: &[Value], counts: &[(&str, usize)]) {
    for (name, count) in counts {
        assert_eq!(frames.iter().filter(|frame| kind(frame) == Some(name)).count(), *count, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_coinbase_capture_becomes_files() {
    let Some(file) = capture("COINBASE.ws.28.0") else { return };
    let frames = frames(&file);
    check_counts(&frames, &[("snapshot", 10), ("l2update", 9_719), ("match", 97), ("last_match", 10)]);
    replay(file, "coinbase", coinbase(&frames), ["75d9e390da0d9594", "6d445b1be3043ffa"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binance_capture_becomes_files() {
    let Some(file) = capture("BINANCE.ws.1.0") else { return };
    let frames = frames(&file);
    check_counts(&frames, &[("bookTicker", 84), ("aggTrade", 2)]);
    replay(file, "binance", binance(&frames), ["549fdb55c3718839", "852be00f8f9e1913"]).await;
}
