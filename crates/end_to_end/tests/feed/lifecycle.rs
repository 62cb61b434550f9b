//! Connections that are replaced, limited, doubled; subscriptions that fail one by one.

use std::time::SystemTime;

use end_to_end::{
    oracle::Oracle,
    program::{Program, built, free_address},
    services::brisk,
};
use exchange_simulator::{Config, ControlMessage, Entry, Limits, MarketState, Simulator, VenueConfig, VenueKind};

use super::*;

fn status(exchange: &str) -> String {
    format!(r#"gpu_charts_exchange_connection_status{{exchange="{exchange}"}}"#)
}

fn of(name: &str, exchange: &str) -> String {
    format!(r#"gpu_charts_{name}{{exchange="{exchange}"}}"#)
}

async fn start(yaml: &str, data: &Path) -> Logger {
    Logger::start(yaml, data, Clock::system()).await
}

#[tokio::test]
async fn before_an_announced_end_another_connection_takes_over() {
    let data = tempfile::tempdir().unwrap();
    let venue = Venue::start().await;
    let logger = start(&venue.config("binance", "BTCUSDT"), data.path()).await;
    let mut old = venue.accept().await;
    old.send(r#"{"result":null,"id":1}"#).await;
    expect(&logger, &status("binance"), 1.0).await;
    old.send(r#"{"e":"serverShutdown","E":1770123456789}"#).await;
    let mut new = venue.accept().await;
    // The old one goes on until the new one carries all.
    old.send(r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1672515782136,"s":"BTCUSDT","t":5,"p":"1","q":"1","T":1672515782136,"m":true,"M":true}}"#).await;
    let trades = r#"gpu_charts_trades_processed_total{exchange="binance",symbol="BTCUSDT"}"#;
    expect(&logger, trades, 1.0).await;
    assert_eq!(value(&logger, &of("connections_replaced_total", "binance")).await, 0.0);
    new.send(r#"{"result":null,"id":1}"#).await;
    old.wait_for_close().await;
    expect(&logger, &of("connections_replaced_total", "binance"), 1.0).await;
    expect(&logger, &of("connections", "binance"), 1.0).await;
    assert_eq!(value(&logger, &status("binance")).await, 1.0);
    assert_eq!(value(&logger, &of("exchange_reconnections_total", "binance")).await, 1.0);
    for error_type in ["closed", "broken", "protocol", "connect"] {
        expect_error(&logger, "binance", error_type, 0.0).await;
    }
    logger.stop().await;
}

/// Binance ends each connection after a day, here after seconds: its clients hear of nothing, and miss nothing.
#[tokio::test(flavor = "multi_thread")]
async fn before_a_connection_is_too_old_another_takes_over() {
    let data = tempfile::tempdir().unwrap();
    let simulator = Simulator::start(Config {
        venues: vec![VenueConfig::new(VenueKind::Binance)],
        limits: Limits { connection_lifetime: Duration::from_secs(6), ..Limits::default() },
        rate: 500.0,
        symbols: 3,
        keep_ledger_in_memory: true,
        ..Config::default()
    })
    .await
    .unwrap();
    let yaml = brisk(&simulator).replace("    timeouts: {", "    timeouts: {lifetime: 3s, ");
    let logger = start(&yaml, data.path()).await;
    wait_for(logger.metrics, &of("connections_replaced_total", "binance"), |replaced| replaced >= 2.0).await;
    simulator.pause_market();
    let deadline = Instant::now() + DEADLINE;
    let verdicts = loop {
        let (verdicts, findings) = Oracle::of(&simulator, &[VenueKind::Binance]).judge_all(data.path());
        if findings.is_empty() {
            break verdicts;
        }
        assert!(Instant::now() < deadline, "{findings:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    for ((_, symbol), verdict) in verdicts {
        assert!(verdict.trades > 100 && verdict.quotes > 100, "{symbol}: {verdict:?}");
        assert_eq!(verdict.gaps_total(), 0, "{symbol}: {verdict:?}");
    }
    for error_type in ["closed", "broken", "protocol", "connect"] {
        expect_error(&logger, "binance", error_type, 0.0).await;
    }
    logger.stop().await;
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_venue_that_asks_for_silence_is_left_alone() {
    let data = tempfile::tempdir().unwrap();
    let venue = Venue::start().await;
    let logger = start(&venue.config("coinbase", "BTC-USD"), data.path()).await;
    let (mut stream, _) = timeout(DEADLINE, venue.0.accept()).await.unwrap().unwrap();
    let refusal = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n";
    let refused = Instant::now();
    stream.write_all(refusal.as_bytes()).await.unwrap();
    let _client = venue.accept_and_acknowledge().await;
    assert!(refused.elapsed() >= Duration::from_millis(2_900), "after {:?}", refused.elapsed());
    expect(&logger, CONNECTED, 1.0).await;
    assert!(value(&logger, &of("venue_wait_seconds_total", "coinbase")).await > 1.0);
    logger.stop().await;
}

#[tokio::test]
async fn a_wrong_book_costs_no_other_subscription() {
    let data = tempfile::tempdir().unwrap();
    let (_venue, logger, mut client) = coinbase(data.path()).await;
    client.send("{\"type\":\"l2upd").await;
    let frame = client.receive().await;
    let expected = r#"{"channels":[{"name":"level2_batch","product_ids":["BTC-USD"]}],"type":"unsubscribe"}"#;
    assert_eq!(frame, expected);
    expect(&logger, CONNECTED, 0.0).await;
    expect_error(&logger, "coinbase", "book", 1.0).await;
    client.acknowledge_channels(&["matches", "heartbeat"], &["BTC-USD"]).await;
    let frame = client.receive().await;
    assert!(frame.contains("subscribe") && frame.contains("level2_batch") && !frame.contains("matches"), "{frame}");
    client.trade(1).await;
    expect(&logger, TRADES, 1.0).await;
    assert_eq!(value(&logger, CONNECTED).await, 0.0, "the book is not there");
    client.acknowledge(&["BTC-USD"]).await;
    expect(&logger, CONNECTED, 1.0).await;
    assert_eq!(value(&logger, &of("resubscriptions_total", "coinbase")).await, 1.0);
    assert_eq!(value(&logger, RECONNECTIONS).await, 0.0);
    logger.stop().await;
}

/// Bitfinex with both channels of tBTCUSD, and the number of the newest frame.
async fn bitfinex(data: &Path, keys: &str) -> (Venue, Logger, Client, u64) {
    let venue = Venue::start().await;
    let yaml = format!("{}{keys}", venue.config("bitfinex", "tBTCUSD"));
    let logger = start(&yaml, data).await;
    let mut client = venue.open().await;
    assert!(client.receive().await.contains("conf"));
    for _ in 0..2 {
        assert!(client.receive().await.contains(r#""event":"subscribe""#));
    }
    client.send(r#"{"event":"subscribed","channel":"trades","chanId":1,"symbol":"tBTCUSD","pair":"BTCUSD"}"#).await;
    client.send(r#"{"event":"subscribed","channel":"book","chanId":2,"symbol":"tBTCUSD","pair":"BTCUSD"}"#).await;
    client.send("[1,[[401,1574694475039,0.005,7245.3]],1,1574694475039]").await;
    client.send("[2,[[7254.7,3,3.3],[7255,1,-2]],2,1574694475039]").await;
    expect(&logger, &status("bitfinex"), 1.0).await;
    (venue, logger, client, 2)
}

#[tokio::test]
async fn a_dead_channel_is_subscribed_anew_and_a_live_one_left_alone() {
    let data = tempfile::tempdir().unwrap();
    let (_venue, logger, mut client, mut number) = bitfinex(data.path(), "    timeouts: {repeats: 3s}\n").await;
    let mut heartbeat = || {
        number += 1;
        format!("[1,\"hb\",{number},1574694475039]")
    };
    let mut frames = Vec::new();
    let deadline = Instant::now() + DEADLINE;
    while frames.len() < 2 {
        assert!(Instant::now() < deadline, "{frames:?}");
        client.send(heartbeat()).await;
        if let Some(frame) = client.receive_within(Duration::from_millis(200)).await {
            if frame.contains("unsubscribe") {
                client.send(r#"{"event":"unsubscribed","status":"OK","chanId":2}"#).await;
            }
            frames.push(frame);
        }
    }
    assert_eq!(frames[0], r#"{"chanId":2,"event":"unsubscribe"}"#);
    assert!(frames[1].contains("subscribe") && frames[1].contains("book"), "{frames:?}");
    expect_error(&logger, "bitfinex", "dead_subscription", 1.0).await;
    assert_eq!(value(&logger, &status("bitfinex")).await, 0.0);
    client.send(r#"{"event":"subscribed","channel":"book","chanId":3,"symbol":"tBTCUSD","pair":"BTCUSD"}"#).await;
    client.send(format!("[3,[[7254.7,3,3.3],[7255,1,-2]],{},1574694475039]", number + 1)).await;
    expect(&logger, &status("bitfinex"), 1.0).await;
    assert_eq!(value(&logger, &of("exchange_reconnections_total", "bitfinex")).await, 0.0);
    logger.stop().await;
}

#[tokio::test]
async fn a_frame_that_is_missing_costs_the_book_its_beginning() {
    let data = tempfile::tempdir().unwrap();
    let (_venue, logger, mut client, number) = bitfinex(data.path(), "").await;
    client.send(format!("[1,\"hb\",{},1574694475039]", number + 1)).await;
    client.send(format!("[1,\"hb\",{},1574694475039]", number + 5)).await;
    assert_eq!(client.receive().await, r#"{"chanId":2,"event":"unsubscribe"}"#);
    expect(&logger, &status("bitfinex"), 0.0).await;
    client.send(r#"{"event":"unsubscribed","status":"OK","chanId":2}"#).await;
    assert!(client.receive().await.contains("book"));
    client.send(r#"{"event":"subscribed","channel":"book","chanId":3,"symbol":"tBTCUSD","pair":"BTCUSD"}"#).await;
    client.send(format!("[3,[[7254.7,3,3.3],[7255,1,-2]],{},1574694475039]", number + 6)).await;
    expect(&logger, &status("bitfinex"), 1.0).await;
    logger.stop().await;
}

async fn acknowledge_okx(client: &mut Client, channel: &str) {
    client
        .send(format!(
            r#"{{"id":"1","event":"subscribe","arg":{{"channel":"{channel}","instId":"BTC-USDT"}},"connId":"a"}}"#
        ))
        .await;
}

#[tokio::test]
async fn streams_of_different_paths_live_and_die_apart() {
    let data = tempfile::tempdir().unwrap();
    let venue = Venue::start().await;
    let logger = start(&venue.config("okx", "BTC-USDT"), data.path()).await;
    let mut clients = [venue.accept().await, venue.accept().await];
    clients.sort_by_key(|client| client.path.clone());
    let [mut business, mut public] = clients;
    assert_eq!([business.path.as_str(), public.path.as_str()], ["/ws/v5/business", "/ws/v5/public"]);
    acknowledge_okx(&mut business, "trades-all").await;
    acknowledge_okx(&mut public, "bbo-tbt").await;
    expect(&logger, &status("okx"), 1.0).await;
    drop(business);
    expect(&logger, &status("okx"), 0.0).await;
    let mut business = venue.accept().await;
    assert_eq!(business.path, "/ws/v5/business");
    let quote = |number: u64| {
        format!(
            r#"{{"arg":{{"channel":"bbo-tbt","instId":"BTC-USDT"}},"data":[{{"asks":[["8476.98","415","0","13"]],"bids":[["8476.97","256","0","12"]],"ts":"1597026383085","seqId":{number}}}]}}"#
        )
    };
    public.send(quote(1)).await;
    public.send(quote(2)).await;
    expect(&logger, r#"gpu_charts_rows_written_total{exchange="okx",table="MD"}"#, 2.0).await;
    acknowledge_okx(&mut business, "trades-all").await;
    expect(&logger, &status("okx"), 1.0).await;
    assert_eq!(value(&logger, &of("exchange_reconnections_total", "okx")).await, 1.0);
    logger.stop().await;
}

#[tokio::test]
async fn a_spare_connection_bridges_the_loss_of_another() {
    let data = tempfile::tempdir().unwrap();
    let venue = Venue::start().await;
    let logger =
        start(&format!("{}    spare_connections: 1\n", venue.config("coinbase", "BTC-USD")), data.path()).await;
    let first = venue.accept_and_acknowledge().await;
    expect(&logger, CONNECTED, 1.0).await;
    let mut second = venue.accept_and_acknowledge().await;
    expect(&logger, r#"gpu_charts_exchange_messages_total{exchange="coinbase",message_type="quote"}"#, 2.0).await;
    drop(first);
    expect_error(&logger, "coinbase", "broken", 1.0).await;
    assert_eq!(value(&logger, CONNECTED).await, 1.0, "the other one carries all");
    second.trade(1).await;
    expect(&logger, TRADES, 1.0).await;
    let mut third = venue.accept_and_acknowledge().await;
    expect(&logger, &of("connections", "coinbase"), 2.0).await;
    third.trade(2).await;
    second.trade(2).await;
    expect(&logger, r#"gpu_charts_exchange_messages_total{exchange="coinbase",message_type="trade"}"#, 3.0).await;
    expect(&logger, TRADES, 2.0).await;
    logger.stop().await;
}

#[tokio::test]
async fn a_bad_symbol_does_not_take_its_batch_with_it() {
    let data = tempfile::tempdir().unwrap();
    let venue = Venue::start().await;
    let logger = start(&venue.config("binance", "BADUSDT, BTCUSDT"), data.path()).await;
    let mut client = venue.accept().await;
    client.send(r#"{"code":2,"msg":"Invalid request","id":1}"#).await;
    let mut asked = Vec::new();
    for id in 2..=5 {
        let frame = client.receive().await;
        assert!(frame.contains(&format!(r#""id":{id}"#)), "{frame}");
        let answer = if frame.contains("bad") { r#""code":2,"msg":"Invalid request""# } else { r#""result":null"# };
        client.send(format!(r#"{{{answer},"id":{id}}}"#)).await;
        asked.push(frame);
    }
    assert!(asked.iter().all(|frame| frame.matches('@').count() == 1), "each alone: {asked:?}");
    expect(&logger, &status("binance"), 1.0).await;
    expect(&logger, &of("subscriptions_refused", "binance"), 2.0).await;
    logger.stop().await;
}

#[tokio::test]
async fn a_clock_that_is_ahead_shows() {
    let data = tempfile::tempdir().unwrap();
    let venue = Venue::start().await;
    let logger = start(&venue.config("binance", "BTCUSDT"), data.path()).await;
    let mut client = venue.accept().await;
    client.send(r#"{"result":null,"id":1}"#).await;
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let later = now + 100_000;
    client.send(format!(r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{later},"s":"BTCUSDT","t":5,"p":"1","q":"1","T":{later},"m":true,"M":true}}}}"#)).await;
    wait_for(logger.metrics, &of("clock_offset_seconds", "binance"), |offset| offset > 50.0 && offset <= 100.0).await;
    logger.stop().await;
}

/// Started and killed again and again, faster than the venue grants connections: none is refused.
#[tokio::test]
async fn a_crash_loop_earns_no_ban() {
    let directory = tempfile::tempdir().unwrap();
    let venue = VenueConfig::new(VenueKind::Bitfinex);
    let simulator = Simulator::start(Config {
        venues: vec![venue],
        limits: Limits { per_address: true, ..Limits::default() },
        market: MarketState::Paused,
        keep_ledger_in_memory: true,
        ..Config::default()
    })
    .await
    .unwrap();
    let config = directory.path().join("logger.yaml");
    fs::write(&config, format!("backfill: false\n{}", simulator.logger_config())).unwrap();
    let data = directory.path().join("data");
    let arguments = ["run", "--config", config.to_str().unwrap(), "--data-path", data.to_str().unwrap()];
    let count = |message: ControlMessage| {
        let is_it = |entry: &&Entry| matches!(entry, Entry::Control(control) if control.message == message);
        simulator.ledger().iter().filter(is_it).count()
    };
    for _ in 0..24 {
        let listen = free_address().to_string();
        let arguments = [&arguments[..], &["--metrics-listen", &listen]].concat();
        let before = count(ControlMessage::Connect);
        let mut program = Program::start(&built("logger"), &arguments, &directory.path().join("log"));
        // Long enough for an attempt that is granted; those that are not last as long as they want.
        let patience = Instant::now() + Duration::from_secs(2);
        while count(ControlMessage::Connect) == before && Instant::now() < patience {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        program.kill();
    }
    assert_eq!(count(ControlMessage::Refused), 0);
    let connects = count(ControlMessage::Connect);
    assert!((6..=20).contains(&connects), "{connects} connections");
    simulator.shutdown().await.unwrap();
}
