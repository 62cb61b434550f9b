//! Replays of captures: one written here, and the real ones where they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use exchange_simulator::{Config, Error, MessageKind, Replay, Side, Simulator};
use serde_json::{Value, json};

use crate::client::{Client, delivered, get, start, until};

const MATCH: &str = r#"{"type":"match","trade_id":7,"maker_order_id":"a","taker_order_id":"b","side":"sell","size":"0.50", "price":"1.10","product_id":"A-USD","sequence":9,"time":"2021-04-17T16:43:30.244075Z"}"#;
const TICKER: &str = r#"{"type":"ticker","sequence":9,"product_id":"A-USD","price":"1.10","best_bid":"1.0900","side":"buy","trade_id":7}"#;
const DEPTH: &str = r#"{"type":"l2update","product_id":"B-USD","changes":[["buy","1.0","2"]]}"#;

fn config(files: Vec<PathBuf>) -> Config {
    Config { replay: Some(Replay { files, speed: 0.0 }), keep_ledger_in_memory: true, ..Config::default() }
}

#[tokio::test]
async fn coinbase_frames_come_as_they_were_captured() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("capture");
    let ack = r#"{"type":"subscriptions","channels":[]}"#;
    let head = "wss://ws-feed.pro.coinbase.com <-> 1.5\nwss://ws-feed.pro.coinbase.com <- 1.6: {}\n";
    std::fs::write(&path, format!("{head}2.0: {ack}\n2.1: {TICKER}\n2.2: {MATCH}\n3600.0: {DEPTH}\n2.3: {MATCH}\n"))
        .unwrap();
    let simulator = start(config(vec![path])).await;
    assert_eq!(simulator.symbols("coinbase"), ["A-USD", "B-USD"]);
    assert!(simulator.logger_config().contains(r#"symbols: ["A-USD", "B-USD"]"#));
    assert_eq!(get(&simulator.rest_url("coinbase"), "/products/A-USD/trades", "").await.body, json!([]));

    let mut matches = Client::connect(&simulator.ws_url("coinbase")).await;
    let mut all = Client::connect(&simulator.ws_url("coinbase")).await;
    matches.send(json!({"type": "subscribe", "channels": ["matches"], "product_ids": ["A-USD", "B-USD"]})).await;
    matches.next().await;
    all.send(json!({"type": "subscribe", "channels": ["level2", "matches"], "product_ids": ["B-USD"]})).await;
    all.next().await;
    all.send(json!({"type": "subscribe", "channels": ["ticker", "matches"], "product_ids": ["A-USD"]})).await;
    all.next().await;
    for expected in [MATCH, MATCH] {
        assert_eq!(matches.take().await.unwrap(), expected);
    }
    for expected in [TICKER, MATCH, DEPTH, MATCH] {
        assert_eq!(all.take().await.unwrap(), expected);
    }
    assert_eq!(simulator.connections("coinbase"), 2, "connections stay open after the last frame");
    let told = delivered(&simulator.ledger(), 2);
    assert_eq!(told.len(), 4);
    assert!(told[0].snapshot);
    assert_eq!((told[0].bid.as_deref(), told[0].bid_size.as_deref()), (Some("1.0900"), None));
    assert_eq!(
        (told[1].id, told[1].side, told[1].event_ns),
        (Some(7), Some(Side::Buy), Some(1_618_677_810_244_075_000))
    );
    assert_eq!((told[1].size.as_deref(), told[1].maker_order_id.as_deref()), (Some("0.50"), Some("a")));
    assert_eq!(told[2].kind, MessageKind::Book);
    drop((matches, all));
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn binance_frames_lose_their_wrapping_where_nobody_asked_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("capture");
    let data = r#"{"e":"aggTrade", "E":1633998511160,"s":"AUSDT","a":5,"p":"1.10","q":"2.0","f":100,"l":105,"T":1633998511159,"m":true,"M":true}"#;
    let wrapped = format!(r#"{{"stream":"ausdt@aggTrade","data":{data}}}"#);
    let head = "wss://stream.binance.com:9443/stream?streams=ausdt@aggTrade <-> 1.5\n";
    std::fs::write(&path, format!("{head}1.6: {{\"result\":null,\"id\":1}}\n2.0: {wrapped}\n\n")).unwrap();
    let simulator = start(config(vec![path])).await;
    assert!(simulator.logger_config().contains("symbols: [\"AUSDT\"]\n    trades: aggTrade\n"));
    let url = simulator.ws_url("binance");
    let mut plain = Client::connect(&format!("{url}/ws/ausdt@aggTrade")).await;
    let mut combined = Client::connect(&format!("{url}/stream?streams=ausdt@aggTrade")).await;
    assert_eq!(plain.take().await.unwrap(), data);
    assert_eq!(combined.take().await.unwrap(), wrapped);
    let told = delivered(&simulator.ledger(), 1).remove(0);
    assert_eq!((told.id, told.first_id, told.agg_id), (Some(105), Some(100), Some(5)));
    assert_eq!((told.side, told.event_ns), (Some(Side::Sell), Some(1_633_998_511_159_000_000)));
    drop((plain, combined));
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_bad_capture_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("capture");
    std::fs::write(&path, "wss://ws-feed.pro.coinbase.com <-> 1.5\nnonsense\n").unwrap();
    let error = Simulator::start(config(vec![path.clone()])).await.unwrap_err();
    assert!(matches!(&error, Error::Capture { line: 2, .. }) && error.is_usage(), "{error}");
    let error = Simulator::start(config(vec![directory.path().join("absent")])).await.unwrap_err();
    assert!(matches!(&error, Error::Read { .. }), "{error:?}");
}

/// A real capture; None, said aloud, where there are none.
fn real(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("SKIPPED: no {}", path.display());
    None
}

async fn count(client: &mut Client, total: usize, name: fn(&Value) -> String) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for frame in client.next_many(total).await {
        *counts.entry(name(&frame)).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn the_real_coinbase_capture_is_complete() {
    let Some(path) = real("COINBASE.ws.28.0") else { return };
    let simulator = start(config(vec![path])).await;
    let mut client = Client::connect(&simulator.ws_url("coinbase")).await;
    let products = simulator.symbols("coinbase");
    assert_eq!(products.len(), 10);
    client.send(json!({"type": "subscribe", "channels": ["ticker", "matches"], "product_ids": products})).await;
    client.next().await;
    let counts = count(&mut client, 214, |frame| frame["type"].as_str().unwrap().to_owned()).await;
    let expected = [("last_match", 10), ("match", 97), ("ticker", 107)].map(|(name, count)| (name.to_owned(), count));
    assert_eq!(counts, expected.into());
    until("nothing more is on its way", || delivered(&simulator.ledger(), 1).len() == 214).await;
    assert_eq!(delivered(&simulator.ledger(), 1).iter().filter(|entry| entry.snapshot).count(), 20);
    drop(client);
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_real_binance_capture_is_complete() {
    let Some(path) = real("BINANCE.ws.1.0") else { return };
    let simulator = start(config(vec![path])).await;
    assert!(simulator.logger_config().contains("trades: aggTrade"));
    let mut client = Client::connect(&format!("{}/stream", simulator.ws_url("binance"))).await;
    let symbols = simulator.symbols("binance");
    let channels = ["bookTicker", "aggTrade"];
    let streams: Vec<_> = symbols
        .iter()
        .flat_map(|symbol| channels.map(|channel| format!("{}@{channel}", symbol.to_lowercase())))
        .collect();
    client.send(json!({"method": "SUBSCRIBE", "params": streams, "id": 1})).await;
    client.next().await;
    let name = |frame: &Value| frame["stream"].as_str().unwrap().split_once('@').unwrap().1.to_owned();
    let counts = count(&mut client, 86, name).await;
    assert_eq!(counts, [("aggTrade".to_owned(), 2), ("bookTicker".to_owned(), 84)].into());
    drop(client);
    simulator.shutdown().await.unwrap();
}
