//! Coinbase over the wire.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use exchange_simulator::{Config, ControlMessage, Disconnect, Limits, VenueKind};
use serde_json::{Value, json};

use crate::client::{Client, End, coinbase_essence, delivered, start, still, until, without_statistics};

fn subscribe(channels: &[&str], products: &[String]) -> Value {
    json!({"type": "subscribe", "channels": channels, "product_ids": products})
}

#[tokio::test]
async fn snapshots_come_first_and_matches_follow_without_a_hole() {
    let simulator = start(Config { symbols: 4, ..still(VenueKind::Coinbase) }).await;
    let products = simulator.symbols("coinbase");
    simulator.emit_events("coinbase", 100);
    let mut client = Client::connect(&simulator.ws_url("coinbase")).await;
    client.send(subscribe(&["ticker", "matches"], &products)).await;
    let ack = client.next().await;
    assert_eq!(ack["type"], "subscriptions");
    assert_eq!(ack["channels"][0]["name"], "ticker");
    assert_eq!(ack["channels"][1]["product_ids"].as_array().unwrap().len(), 4);

    let mut last_ids = HashMap::new();
    for frame in client.next_many(8).await {
        let product = frame["product_id"].as_str().unwrap().to_owned();
        match frame["type"].as_str().unwrap() {
            "last_match" => assert!(last_ids.insert(product, frame["trade_id"].as_u64().unwrap()).is_none()),
            "ticker" => assert!(frame["best_bid"].is_string()),
            other => panic!("{other} before the snapshots"),
        }
    }
    assert_eq!(last_ids.len(), 4);

    let count = simulator.emit_events("coinbase", 300) as usize;
    let frames = client.next_many(2 * count).await;
    let mut maker_sides = HashMap::new();
    let mut sequences: HashMap<String, u64> = HashMap::new();
    let mut jumps = 0;
    for frame in &frames {
        let product = frame["product_id"].as_str().unwrap().to_owned();
        let id = frame["trade_id"].as_u64().unwrap();
        let side = frame["side"].as_str().unwrap().to_owned();
        match frame["type"].as_str().unwrap() {
            "match" => {
                let last = last_ids.get_mut(&product).unwrap();
                assert_eq!(id, *last + 1, "{product}");
                *last = id;
                let sequence = frame["sequence"].as_u64().unwrap();
                if let Some(earlier) = sequences.insert(product.clone(), sequence) {
                    assert!(sequence > earlier);
                    jumps += usize::from(sequence > earlier + 1);
                }
                let order_id = frame["maker_order_id"].as_str().unwrap();
                assert!(order_id.len() == 36 && order_id.as_bytes()[14] == b'4', "{order_id}");
                assert_ne!(order_id, frame["taker_order_id"].as_str().unwrap());
                maker_sides.insert((product, id), side);
            }
            "ticker" => assert_ne!(maker_sides[&(product, id)], side, "maker and taker are on opposite sides"),
            other => panic!("{other}"),
        }
    }
    assert!(jumps > count / 2, "the sequence jumps");
    drop(client);
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_ledger_is_what_the_client_received() {
    let simulator = start(Config { symbols: 60, ..still(VenueKind::Coinbase) }).await;
    let mut products = simulator.symbols("coinbase");
    let silent = products.pop().unwrap();
    let mut client = Client::connect(&simulator.ws_url("coinbase")).await;
    client.send(subscribe(&["ticker", "matches", "heartbeat"], &products)).await;
    let ack = client.next().await;
    assert_eq!(ack["type"], "subscriptions");
    simulator.emit_events("coinbase", 2_000);
    // Snapshots, 2 frames per event, and at least one round of heartbeats.
    let mut frames = Vec::new();
    while frames.iter().filter(|frame: &&String| frame.contains("heartbeat")).count() < products.len() {
        frames.push(client.take().await.unwrap());
    }
    let reading = tokio::spawn(client.rest());
    simulator.disconnect("coinbase", Disconnect::Clean, Duration::ZERO).await;
    let (rest, end) = reading.await.unwrap();
    assert!(matches!(end, End::Closed(Some(frame)) if u16::from(frame.code) == 1001));
    frames.extend(rest);

    let ledger = simulator.ledger();
    let told = delivered(&ledger, 1);
    assert!(told.len() > 4_000 + 2 * 59);
    assert_eq!(told.len(), frames.len());
    let now_ns = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    for (entry, frame) in told.iter().zip(&frames) {
        assert_eq!(coinbase_essence(entry), without_statistics(frame));
        assert!(u128::from(entry.sent_ns) <= now_ns && entry.event_ns.unwrap() <= entry.sent_ns, "{entry:?}");
    }
    assert_eq!(told.iter().filter(|entry| entry.snapshot).count(), 2 * 59);
    let unheard: Vec<_> = ledger
        .iter()
        .filter_map(|entry| entry.message())
        .filter(|entry| entry.symbol.as_ref() == Some(&silent))
        .collect();
    assert!(!unheard.is_empty() && unheard.iter().all(|entry| entry.connections.is_empty()));
    let seqs: Vec<_> = ledger.iter().filter_map(|entry| entry.message()).map(|entry| entry.seq).collect();
    assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "numbered without holes");
    let controls: Vec<_> = ledger.iter().filter_map(|entry| entry.control()).map(|entry| entry.message).collect();
    assert_eq!(controls, [ControlMessage::Connect, ControlMessage::Subscribe, ControlMessage::Disconnect]);
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn one_line_names_all_connections_and_unsubscribed_symbols_stay_away() {
    let simulator = start(Config { symbols: 2, ..still(VenueKind::Coinbase) }).await;
    let url = simulator.ws_url("coinbase");
    let products = simulator.symbols("coinbase");
    let mut both = Client::connect(&url).await;
    both.send(json!({"type": "subscribe", "channels": [{"name": "matches", "product_ids": products}]})).await;
    both.next_many(3).await;
    let mut one = Client::connect(&url).await;
    one.send(subscribe(&["matches"], &products)).await;
    one.next_many(3).await;
    one.send(json!({"type": "unsubscribe", "channels": ["matches"], "product_ids": [products[1]]})).await;
    let ack = one.next().await;
    assert_eq!(ack["channels"], json!([{"name": "matches", "product_ids": [products[0]]}]));

    let count = simulator.emit_events("coinbase", 200) as usize;
    let all = both.next_many(count).await;
    let of_first = all.iter().filter(|frame| frame["product_id"] == products[0].as_str()).count();
    assert!(0 < of_first && of_first < count);
    assert!(one.next_many(of_first).await.iter().all(|frame| frame["product_id"] == products[0].as_str()));
    let ledger = simulator.ledger();
    let matches = ledger.iter().filter_map(|entry| entry.message()).filter(|entry| entry.message == "match");
    let mut lines = 0;
    for entry in matches {
        let expected: &[u64] = if entry.symbol.as_ref() == Some(&products[0]) { &[1, 2] } else { &[1] };
        assert_eq!(entry.connections, expected);
        lines += 1;
    }
    assert_eq!(lines, count);
    drop((both, one));
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn bad_requests_are_answered_and_the_good_part_holds() {
    let simulator = start(Config { symbols: 1, ..still(VenueKind::Coinbase) }).await;
    let mut client = Client::connect(&simulator.ws_url("coinbase")).await;
    client.send(subscribe(&["matches"], &["FOO-USD".into(), "BTC-USD".into()])).await;
    let error = client.next().await;
    assert_eq!(
        error,
        json!({"type": "error", "message": "Failed to subscribe", "reason": "FOO-USD is not a valid product"})
    );
    let ack = client.next().await;
    assert_eq!(ack["channels"], json!([{"name": "matches", "product_ids": ["BTC-USD"]}]));
    assert_eq!(client.next().await["type"], "last_match");
    client.send_text("{nonsense").await;
    assert_eq!(client.next().await["type"], "error");
    let count = simulator.emit_events("coinbase", 1) as usize;
    let matches = client.next_many(count).await;
    assert!(matches.iter().all(|frame| frame["type"] == "match"), "the connection lives on");
    assert!(client.close().await.is_empty());
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_connection_without_subscription_is_closed() {
    let limits = Limits { subscribe_timeout: Duration::from_millis(50), ..Limits::default() };
    let simulator = start(Config { limits, ..still(VenueKind::Coinbase) }).await;
    let url = simulator.ws_url("coinbase");
    let mut subscribed = Client::connect(&url).await;
    subscribed.send(subscribe(&["matches"], &["BTC-USD".into()])).await;
    subscribed.next_many(2).await;
    let (frames, end) = Client::connect(&url).await.rest().await;
    assert!(frames.is_empty());
    assert!(matches!(end, End::Closed(Some(frame)) if u16::from(frame.code) == 1008));
    until("only the silent one is closed", || simulator.connections("coinbase") == 1).await;
    drop(subscribed);
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn heartbeats_tell_the_last_trade_of_a_still_market() {
    let simulator = start(Config { symbols: 1, ..still(VenueKind::Coinbase) }).await;
    let mut client = Client::connect(&simulator.ws_url("coinbase")).await;
    client.send(subscribe(&["matches", "heartbeat"], &["BTC-USD".into()])).await;
    let frames = client.next_many(4).await;
    assert_eq!(frames[1]["type"], "last_match");
    for heartbeat in &frames[2..] {
        assert_eq!(heartbeat["type"], "heartbeat");
        assert_eq!(heartbeat["last_trade_id"], frames[1]["trade_id"]);
        assert_eq!(heartbeat["sequence"], frames[1]["sequence"]);
    }
    drop(client);
    simulator.shutdown().await.unwrap();
}
