//! Binance over the wire.

use std::collections::HashMap;
use std::time::Duration;

use exchange_simulator::{Config, ControlMessage, Limits, VenueKind};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error as WsError;

use crate::client::{Client, End, binance_frame, delivered, start, still, until};

const MILLI: u64 = 1_000_000;
const MICRO: u64 = 1_000;

fn streams(symbols: &[String], channels: &[&str]) -> Vec<String> {
    let mut names = Vec::new();
    for symbol in symbols {
        names.extend(channels.iter().map(|channel| format!("{}@{channel}", symbol.to_lowercase())));
    }
    names
}

#[tokio::test]
async fn raw_and_wrapped_milli_and_micro_are_the_same_market() {
    let simulator = start(Config { symbols: 2, ..still(VenueKind::Binance) }).await;
    let url = simulator.ws_url("binance");
    let all = streams(&simulator.symbols("binance"), &["bookTicker", "trade", "aggTrade"]);
    let mut raw = Client::connect(&format!("{url}/ws/{}", all.join("/"))).await;
    let mut wrapped = Client::connect(&format!("{url}/stream?streams={}&timeUnit=MICROSECOND", all.join("/"))).await;
    let mut commanded = Client::connect(&format!("{url}/ws")).await;
    commanded.send(json!({"method": "SUBSCRIBE", "params": all, "id": "subscribe"})).await;
    assert_eq!(commanded.next().await, json!({"result": null, "id": "subscribe"}));
    until("all have joined", || simulator.connections("binance") == 3).await;

    simulator.emit_events("binance", 500);
    let ledger = simulator.ledger();
    let connections: HashMap<u64, usize> = (1..=3).map(|id| (id, delivered(&ledger, id).len())).collect();
    assert!(connections[&1] > 500, "{connections:?}");
    for entry in delivered(&ledger, 1) {
        let expected = binance_frame(&entry, MILLI);
        assert_eq!(raw.next().await, expected);
        assert_eq!(commanded.next().await, expected);
        let both_units = entry.message == "bookTicker";
        assert_eq!(entry.connections, if both_units { vec![1, 2, 3] } else { vec![1, 3] });
    }
    for entry in delivered(&ledger, 2) {
        let stream = format!("{}@{}", entry.symbol.as_ref().unwrap().to_lowercase(), entry.message);
        assert_eq!(wrapped.next().await, json!({"stream": stream, "data": binance_frame(&entry, MICRO)}));
    }
    drop((raw, wrapped, commanded));
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn ids_are_contiguous_and_agg_trades_cover_the_trades() {
    let simulator = start(Config { symbols: 3, ..still(VenueKind::Binance) }).await;
    let all = streams(&simulator.symbols("binance"), &["bookTicker", "trade", "aggTrade"]).join("/");
    let mut client = Client::connect(&format!("{}/ws/{all}", simulator.ws_url("binance"))).await;
    until("joined", || simulator.connections("binance") == 1).await;
    simulator.emit_events("binance", 1_000);
    let mut updates: HashMap<String, u64> = HashMap::new();
    let mut trades: HashMap<String, Vec<Value>> = HashMap::new();
    let mut aggs: HashMap<String, Vec<Value>> = HashMap::new();
    let mut skips = 0;
    for _ in delivered(&simulator.ledger(), 1) {
        let frame = client.next().await;
        let symbol = frame["s"].as_str().unwrap().to_owned();
        match frame["e"].as_str() {
            None => {
                let update = frame["u"].as_u64().unwrap();
                if let Some(earlier) = updates.insert(symbol, update) {
                    assert!(update > earlier);
                    skips += usize::from(update > earlier + 1);
                }
                let price = |name: &str| frame[name].as_str().unwrap().parse::<f64>().unwrap();
                assert!(price("b") < price("a"));
                assert_eq!(frame["b"].as_str().unwrap().split_once('.').unwrap().1.len(), 8);
            }
            Some("trade") => trades.entry(symbol).or_default().push(frame),
            Some("aggTrade") => aggs.entry(symbol).or_default().push(frame),
            Some(other) => panic!("{other}"),
        }
    }
    assert!(skips > 50);
    for (symbol, trades) in &trades {
        for pair in trades.windows(2) {
            assert_eq!(pair[1]["t"].as_u64().unwrap(), pair[0]["t"].as_u64().unwrap() + 1);
            assert!(pair[1]["T"].as_u64() >= pair[0]["T"].as_u64() && pair[0]["E"].as_u64() >= pair[0]["T"].as_u64());
        }
        let mut fills = trades.iter();
        let mut several = 0;
        for (index, agg) in aggs[symbol].iter().enumerate() {
            assert_eq!(agg["a"].as_u64().unwrap(), aggs[symbol][0]["a"].as_u64().unwrap() + index as u64);
            let (first, last) = (agg["f"].as_u64().unwrap(), agg["l"].as_u64().unwrap());
            several += usize::from(last > first);
            let mut size = 0.0;
            for id in first..=last {
                let fill = fills.next().unwrap();
                assert_eq!((&fill["p"], &fill["m"], fill["t"].as_u64()), (&agg["p"], &agg["m"], Some(id)));
                size += fill["q"].as_str().unwrap().parse::<f64>().unwrap();
            }
            let told: f64 = agg["q"].as_str().unwrap().parse().unwrap();
            assert!((size - told).abs() <= told * 1e-9);
        }
        assert!(fills.next().is_none() && several > 0);
    }
    drop(client);
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn commands_work_and_unknown_symbols_are_silent() {
    let simulator = start(Config { symbols: 1, ..still(VenueKind::Binance) }).await;
    let mut client = Client::connect(&format!("{}/stream", simulator.ws_url("binance"))).await;
    client.send(json!({"method": "SUBSCRIBE", "params": ["nopeusdt@trade", "btcusdt@bookTicker"], "id": 1})).await;
    assert_eq!(client.next().await, json!({"result": null, "id": 1}));
    client.send(json!({"method": "LIST_SUBSCRIPTIONS", "id": 2})).await;
    assert_eq!(client.next().await, json!({"result": ["btcusdt@bookTicker", "nopeusdt@trade"], "id": 2}));
    client.send(json!({"method": "SHOUT", "id": 3})).await;
    let error = client.next().await;
    assert_eq!((&error["code"], &error["id"]), (&json!(2), &json!(3)));
    simulator.emit_events("binance", 50);
    let count = delivered(&simulator.ledger(), 1).len();
    for frame in client.next_many(count).await {
        assert_eq!(frame["stream"], "btcusdt@bookTicker");
    }
    client.send(json!({"method": "SET_PROPERTY", "params": ["combined", false], "id": 4})).await;
    assert_eq!(client.next().await, json!({"result": null, "id": 4}));
    client.send(json!({"method": "UNSUBSCRIBE", "params": ["nopeusdt@trade"], "id": 5})).await;
    client.next().await;
    simulator.emit_events("binance", 50);
    assert!(client.next().await["u"].is_u64(), "no longer wrapped");
    drop(client);
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn pings_come_and_answers_keep_the_connection() {
    let limits = Limits {
        ping_interval: Duration::from_millis(20),
        pong_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let simulator = start(Config { symbols: 1, limits, ..still(VenueKind::Binance) }).await;
    let url = format!("{}/ws/btcusdt@bookTicker", simulator.ws_url("binance"));
    let mut polite = Client::connect(&url).await;
    // This one never reads, so it never answers.
    let rude = Client::connect(&url).await;
    let polite_pings = tokio::spawn(async move {
        let frame = polite.next().await;
        (frame, polite.pings)
    });
    let reason = || {
        let ledger = simulator.ledger();
        let ends = ledger.iter().filter_map(|entry| entry.control());
        ends.filter(|end| end.message == ControlMessage::Disconnect).find_map(|end| end.reason.clone())
    };
    until("the rude one is closed", || reason().as_deref() == Some("Pong timeout")).await;
    assert_eq!(simulator.connections("binance"), 1, "the polite one is not");
    simulator.emit_events("binance", 10);
    let (frame, pings) = polite_pings.await.unwrap();
    assert!(frame["u"].is_u64());
    assert!(pings.len() >= 6, "more answers in a second than a client may send messages: {}", pings.len());
    assert!(pings.windows(2).all(|pair| pair[0] <= pair[1]), "payloads are the time");
    drop(rude);
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_sixth_message_in_a_second_ends_the_connection() {
    let simulator = start(still(VenueKind::Binance)).await;
    let mut client = Client::connect(&format!("{}/ws", simulator.ws_url("binance"))).await;
    for id in 1..=6 {
        client.send(json!({"method": "LIST_SUBSCRIPTIONS", "id": id})).await;
    }
    let (answers, end) = client.rest().await;
    assert_eq!(answers.len(), 5);
    assert!(matches!(end, End::Closed(Some(frame)) if frame.reason.as_str() == "Too many requests"));
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn unknown_paths_are_no_websocket() {
    let simulator = start(still(VenueKind::Binance)).await;
    match Client::try_connect(&format!("{}/other", simulator.ws_url("binance"))).await {
        Err(WsError::Http(response)) => assert_eq!(response.status(), 404),
        _ => panic!("accepted"),
    }
    simulator.shutdown().await.unwrap();
}
