//! The market behind the wires.

use std::collections::HashMap;

use exchange_simulator::{Config, Error, MAX_SYMBOLS, MarketState, MessageEntry, Simulator, VenueConfig, VenueKind};

use crate::client::{start, still, until};

/// Prices, sizes, ids and sides of the whole market, without times.
async fn digest(config: Config) -> Vec<String> {
    let simulator = start(Config { max_events: Some(700), keep_ledger_in_memory: true, ..config }).await;
    until("the market ends", || ["coinbase", "binance"].iter().all(|venue| simulator.events(venue) == 700)).await;
    let ledger = simulator.ledger();
    simulator.shutdown().await.unwrap();
    let line = |entry: &MessageEntry| {
        format!(
            "{} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            entry.message,
            entry.symbol,
            entry.id,
            entry.price,
            entry.size,
            entry.bid,
            entry.ask_size,
            entry.side,
            entry.maker_order_id
        )
    };
    let messages = ledger.iter().filter_map(|entry| entry.message()).filter(|entry| entry.message != "heartbeat");
    let mut lines: Vec<String> = messages.map(line).collect();
    // Venues run side by side; within one the order is fixed, which the ids show.
    lines.sort();
    lines
}

#[tokio::test]
async fn same_seed_same_market_at_any_pace() {
    let slow = digest(Config { rate: 2_000.0, seed: 5, ..Config::default() }).await;
    let fast = digest(Config { rate: 50_000.0, seed: 5, ..Config::default() }).await;
    assert_eq!(slow, fast);
    assert_ne!(slow, digest(Config { rate: 50_000.0, seed: 6, ..Config::default() }).await);
}

#[tokio::test]
async fn moves_alone_at_its_rate_pauses_and_resumes() {
    let config = Config { rate: 1_000.0, market: MarketState::Running, ..still(VenueKind::Coinbase) };
    let simulator = start(config).await;
    until("it moves", || simulator.events("coinbase") > 200).await;
    simulator.pause_market();
    let events = simulator.events("coinbase");
    let heard = |name| {
        let ledger = simulator.ledger();
        ledger.iter().filter_map(|entry| entry.message()).filter(|entry| entry.message == name).count()
    };
    // Heartbeats go on: two rounds of them are a second in which a moving market would have moved.
    let heartbeats = heard("heartbeat");
    until("two heartbeats", || heard("heartbeat") >= heartbeats + 2 * 10).await;
    assert_eq!(simulator.events("coinbase"), events);
    assert_eq!(heard("match") as u64, events, "nobody listened, yet every match was written down");
    simulator.resume_market();
    until("it moves again", || simulator.events("coinbase") > events).await;
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn prices_span_the_magnitudes_and_times_follow_the_moved_clock() {
    let offset_ns = 86_400_000_000_000;
    let simulator = start(Config { clock_offset_ns: offset_ns, ..still(VenueKind::Coinbase) }).await;
    let system_ns = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let before = system_ns();
    simulator.emit_events("coinbase", 3_000);
    let after = system_ns();
    let mut times: HashMap<(String, u64), u32> = HashMap::new();
    let (mut tiny, mut big, mut fine) = (0, 0, 0);
    for entry in simulator.ledger().iter().filter_map(|entry| entry.message()).filter(|entry| entry.message == "match")
    {
        let (price, size) = (entry.price.as_ref().unwrap(), entry.size.as_ref().unwrap());
        assert!(!(price.contains('.') && price.ends_with('0')), "{price}");
        tiny += u32::from(price.starts_with("0.0000"));
        big += u32::from(price.parse::<f64>().unwrap() >= 60_000.0);
        fine += u32::from(size.split_once('.').is_some_and(|(_, fraction)| fraction.len() == 8));
        let time = entry.event_ns.unwrap();
        let clock = before + offset_ns as u64 - 2_000_000..=after + offset_ns as u64;
        assert!(clock.contains(&time), "{time} is not in {clock:?}");
        *times.entry((entry.symbol.clone().unwrap(), time)).or_default() += 1;
    }
    assert!(tiny > 50 && big > 50 && fine > 50, "{tiny} {big} {fine}");
    assert!(times.values().any(|&trades| trades > 1), "some trades share their time");
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn as_many_symbols_as_there_are_and_no_more() {
    let config = Config { symbols: MAX_SYMBOLS, ..still(VenueKind::Coinbase) };
    let simulator = start(config).await;
    assert!(simulator.symbols("coinbase").len() >= 60);
    simulator.shutdown().await.unwrap();
    let too_many = Config { symbols: MAX_SYMBOLS + 1, ..still(VenueKind::Coinbase) };
    let error = Simulator::start(too_many).await.unwrap_err();
    assert!(error.is_usage() && error.to_string().starts_with("--symbols: 65"), "{error}");
}

#[tokio::test]
async fn a_taken_port_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ws_port = taken.local_addr().unwrap().port();
    let venues = vec![VenueConfig { ws_port, ..VenueConfig::new(VenueKind::Binance) }];
    let error = Simulator::start(Config { venues, ..Config::default() }).await.unwrap_err();
    assert!(matches!(error, Error::Listen { venue: VenueKind::Binance, .. }), "{error:?}");
}

#[tokio::test]
async fn a_ledger_that_cannot_be_written_stops_the_simulator() {
    let mut simulator = start(Config { ledger: Some("/dev/full".into()), rate: 1_000.0, ..Config::default() }).await;
    let failure = tokio::time::timeout(crate::client::DEADLINE, simulator.failure()).await.unwrap();
    assert!(matches!(failure, Error::Ledger { .. }), "{failure:?}");
    assert!(simulator.shutdown().await.is_err());
}
