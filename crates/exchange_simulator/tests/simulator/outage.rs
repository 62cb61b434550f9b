//! Connections that end: what the ledger says of them.

use std::time::Duration;

use exchange_simulator::{Config, ControlMessage, Disconnect, Limits, MarketState, VenueKind, settle};
use serde_json::json;
use tokio_tungstenite::tungstenite::Error as WsError;

use crate::client::{Client, coinbase_essence, delivered, start, still, until, without_statistics};

#[tokio::test]
async fn a_clean_disconnect_drains_and_refuses_while_the_market_goes_on() {
    let config = Config { rate: 3_000.0, market: MarketState::Running, ..still(VenueKind::Coinbase) };
    let simulator = start(config).await;
    let url = simulator.ws_url("coinbase");
    let mut client = Client::connect(&url).await;
    let products = simulator.symbols("coinbase");
    let subscribe = json!({"type": "subscribe", "channels": ["ticker", "matches"], "product_ids": products});
    client.send(subscribe.clone()).await;
    assert_eq!(client.next().await["type"], "subscriptions");
    let reading = tokio::spawn(client.rest());
    until("some messages", || delivered(&simulator.ledger(), 1).len() > 500).await;
    simulator.disconnect("coinbase", Disconnect::Clean, Duration::from_millis(300)).await;
    assert_eq!(simulator.connections("coinbase"), 0);
    match Client::try_connect(&url).await {
        Err(WsError::Http(response)) => assert_eq!(response.status(), 503),
        _ => panic!("accepted while refused"),
    }
    let (frames, _) = reading.await.unwrap();
    let told = delivered(&simulator.ledger(), 1);
    assert_eq!(told.len(), frames.len());
    assert!(told.iter().zip(&frames).all(|(entry, frame)| coinbase_essence(entry) == without_statistics(frame)));
    let ledger = simulator.ledger();
    assert!(
        !ledger.iter().filter_map(|entry| entry.control()).any(|entry| entry.message == ControlMessage::Undelivered)
    );

    let events = simulator.events("coinbase");
    until("the market goes on", || simulator.events("coinbase") > events + 100).await;
    let last = told.last().unwrap().seq;
    let unheard =
        settle(&simulator.ledger()).into_iter().filter(|entry| entry.seq > last && entry.connections.is_empty());
    assert!(unheard.count() > 100, "written down though nobody heard it");
    let deadline = tokio::time::Instant::now() + crate::client::DEADLINE;
    let mut again = loop {
        match Client::try_connect(&url).await {
            Ok(client) => break client,
            Err(_) => assert!(tokio::time::Instant::now() < deadline, "still refused"),
        }
    };
    again.send(subscribe).await;
    assert_eq!(again.next().await["type"], "subscriptions");
    drop(again);
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_slow_consumer_is_cut_off_and_its_loss_is_told() {
    let limits = Limits { queue_frames: 200, ..Limits::default() };
    let simulator = start(Config { limits, ..still(VenueKind::Coinbase) }).await;
    let mut client = Client::connect(&simulator.ws_url("coinbase")).await;
    let products = simulator.symbols("coinbase");
    client.send(json!({"type": "subscribe", "channels": ["ticker", "matches"], "product_ids": products})).await;
    assert_eq!(client.next().await["type"], "subscriptions");
    // It reads no more: first the kernel's buffers fill, then the queue.
    until("the connection is given up", || {
        simulator.emit_events("coinbase", 20);
        simulator.connections("coinbase") == 0
    })
    .await;
    let controls = |message| {
        let ledger = simulator.ledger();
        ledger
            .iter()
            .filter_map(|entry| entry.control())
            .filter(|entry| entry.message == message)
            .cloned()
            .collect::<Vec<_>>()
    };
    until("its end is told", || !controls(ControlMessage::Disconnect).is_empty()).await;
    assert_eq!(controls(ControlMessage::SlowConsumer).len(), 1);
    assert_eq!(controls(ControlMessage::Disconnect)[0].reason.as_deref(), Some("ErrSlowConsume"));
    let undelivered = controls(ControlMessage::Undelivered);
    assert_eq!(undelivered.len(), 1);
    assert_eq!(undelivered[0].count, Some(undelivered[0].seqs.len() as u64));
    // The queue was full, and one batch may have been on its way.
    assert!((200..=264).contains(&undelivered[0].seqs.len()), "{}", undelivered[0].seqs.len());

    let told = delivered(&simulator.ledger(), 1);
    let (frames, _) = client.rest().await;
    assert!(frames.len() >= told.len() && frames.len() <= told.len() + 64, "{} of {}", frames.len(), told.len());
    assert!(told.iter().zip(&frames).all(|(entry, frame)| coinbase_essence(entry) == without_statistics(frame)));
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_client_that_vanishes_leaves_a_line_and_nothing_else() {
    let simulator = start(still(VenueKind::Binance)).await;
    let client = Client::connect(&format!("{}/ws/btcusdt@trade", simulator.ws_url("binance"))).await;
    until("it is there", || simulator.connections("binance") == 1).await;
    drop(client);
    until("it is gone", || simulator.connections("binance") == 0).await;
    let ended = || {
        let ledger = simulator.ledger();
        ledger.iter().filter_map(|entry| entry.control()).any(|entry| entry.message == ControlMessage::Disconnect)
    };
    until("its end is told", ended).await;
    simulator.emit_events("binance", 100);
    assert!(delivered(&simulator.ledger(), 1).is_empty());
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_client_that_closes_gets_what_was_sent_before() {
    let simulator = start(still(VenueKind::Coinbase)).await;
    let mut client = Client::connect(&simulator.ws_url("coinbase")).await;
    client.send(json!({"type": "subscribe", "channels": ["matches"], "product_ids": ["BTC-USD"]})).await;
    client.next_many(2).await;
    simulator.emit_events("coinbase", 500);
    let frames = client.close().await;
    until("it is gone", || simulator.connections("coinbase") == 0).await;
    let ended = || {
        let ledger = simulator.ledger();
        ledger.iter().filter_map(|entry| entry.control()).any(|entry| entry.message == ControlMessage::Disconnect)
    };
    until("its end is told", ended).await;
    let told = delivered(&simulator.ledger(), 1);
    assert_eq!(told.len() - 1, frames.len(), "all but the last_match read before");
    simulator.shutdown().await.unwrap();
}
