//! Faults of connections, handshakes, subscriptions, clocks and REST.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use exchange_simulator::{
    Config, ControlMessage, Error, Fault, FaultKind, HttpTarget, Limits, MessageEntry, MessageKind, Simulator,
    VenueKind, settle,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error as WsError;

use crate::client::{Client, DEADLINE, End, get, start, until};
use crate::message_faults::ready;
use crate::venue_client::{Fact, VenueClient, requests, url};
use crate::venues::{five, told};

fn at(kind: VenueKind, fault: FaultKind) -> Fault {
    Fault::new(fault).at(kind)
}

fn controls(simulator: &Simulator, message: ControlMessage, connection: u64) -> Vec<String> {
    let ledger = simulator.ledger();
    let controls = ledger.iter().filter_map(|entry| entry.control());
    let found = controls.filter(|entry| entry.message == message && entry.connection == connection);
    found.map(|entry| entry.reason.clone().unwrap_or_default()).collect()
}

fn withheld(simulator: &Simulator, connection: u64, fault: &str) -> Vec<MessageEntry> {
    let mut messages = settle(&simulator.ledger());
    messages.retain(|entry| entry.withheld.contains(&connection) && entry.fault.as_deref() == Some(fault));
    messages
}

#[tokio::test]
async fn a_stalled_connection_is_open_and_silent() {
    let limits = Limits {
        heartbeat_interval: Some(Duration::from_millis(30)),
        ping_interval: Duration::from_millis(30),
        ..Limits::default()
    };
    let simulator = start(Config { symbols: 2, limits, ..five() }).await;
    for (index, kind) in VenueKind::ALL.into_iter().enumerate() {
        let (venue, connection) = (kind.name(), index as u64 * 2 + 1);
        let mut client = VenueClient::subscribed(&simulator, kind, &simulator.symbols(venue)).await;
        until("it hears the market", || {
            simulator.emit_events(venue, 10);
            told(&simulator, connection).len() > 100
        })
        .await;
        let stall = simulator.inject(&at(kind, FaultKind::Stall)).unwrap();
        let heard = told(&simulator, connection).len();
        assert_eq!(client.facts(heard).await, told(&simulator, connection));
        simulator.emit_events(venue, 50);
        let request = requests(kind, &simulator.symbols(venue)).remove(0);
        client.client.send(request).await;
        client.client.take_pings();
        let silence = tokio::time::timeout(Duration::from_millis(200), client.client.take()).await;
        let pings = client.client.take_pings();
        assert!(silence.is_err() && pings <= 1, "{venue}: no market, no ack, no heartbeat: {silence:?} {pings}");
        assert_eq!(told(&simulator, connection).len(), heard, "{venue}");
        let lost = withheld(&simulator, connection, "stall");
        assert!(lost.iter().filter(|entry| entry.kind != MessageKind::Heartbeat).count() >= 50, "{venue}");
        assert!(lost.iter().all(|entry| entry.rest == (entry.kind == MessageKind::Trade)), "{venue}");

        let _fresh = ready(&simulator, kind, connection + 1).await;
        simulator.emit_events(venue, 10);
        assert!(!told(&simulator, connection + 1).is_empty(), "{venue}: a new connection is not stalled");
        simulator.lift(stall);
        simulator.emit_events(venue, 50);
        let more = told(&simulator, connection);
        assert!(more.len() > heard + 20, "{venue}");
        // Book levels that came meanwhile are lost to this client.
        if !matches!(kind, VenueKind::Coinbase | VenueKind::Bitfinex) {
            assert_eq!(client.facts(more.len() - heard).await, more[heard..], "{venue}");
        }
    }
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_single_symbol_can_fall_silent_until_it_is_subscribed_anew() {
    let simulator = start(Config { symbols: 2, ..five() }).await;
    for (kind, connection) in VenueKind::ALL.into_iter().zip(1..) {
        let mut client = ready(&simulator, kind, connection).await;
        let before = told(&simulator, connection).len();
        let symbols = simulator.symbols(kind.name());
        simulator.inject(&at(kind, FaultKind::Stall).symbol(&symbols[0])).unwrap();
        simulator.emit_events(kind.name(), 100);
        let facts = client.facts(told(&simulator, connection).len() - before).await;
        assert!(!facts.is_empty() && facts.iter().all(|fact| fact.symbol() == symbols[1]), "{kind}");
        assert!(
            withheld(&simulator, connection, "stall").iter().all(|entry| entry.symbol.as_ref() == Some(&symbols[0]))
        );
    }
    // As a client revives it, by the example of Kraken.
    let mut kraken = ready(&simulator, VenueKind::Kraken, 6).await;
    let before = told(&simulator, 6).len();
    simulator.inject(&at(VenueKind::Kraken, FaultKind::Stall).symbol("BTC/USD").connection(6)).unwrap();
    for method in ["unsubscribe", "subscribe"] {
        let params = json!({"channel": "trade", "symbol": ["BTC/USD"]});
        kraken.client.send(json!({"method": method, "params": params})).await;
        assert_eq!(kraken.other(&format!(r#""{method}""#)).await["success"], true);
    }
    simulator.emit_events("kraken", 100);
    let told = &told(&simulator, 6)[before..];
    let of_symbol: Vec<_> = told.iter().filter(|fact| fact.symbol() == "BTC/USD").collect();
    assert!(!of_symbol.is_empty() && of_symbol.iter().all(|fact| fact.id().is_some()), "trades do, quotes do not");
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_acknowledged_subscription_can_stay_silent() {
    let simulator = start(Config { symbols: 2, ..five() }).await;
    for (kind, connection) in VenueKind::ALL.into_iter().zip(1..) {
        let venue = kind.name();
        let symbols = simulator.symbols(venue);
        let fault = at(kind, FaultKind::AckThenSilence).symbol(&symbols[0]);
        let id = simulator.inject(&fault).unwrap();
        let mut client = VenueClient::subscribed(&simulator, kind, &symbols).await;
        until("both topics of the symbol are struck", || simulator.fault_hits(id) == 2).await;
        until("all is subscribed", || {
            let ledger = simulator.ledger();
            let controls = ledger.iter().filter_map(|entry| entry.control());
            controls.filter(|entry| entry.connection == connection).map(|entry| entry.topics.len()).sum::<usize>() == 4
        })
        .await;
        simulator.lift(id);
        simulator.emit_events(venue, 100);
        let told = told(&simulator, connection);
        assert!(!told.is_empty() && told.iter().all(|fact| fact.symbol() == symbols[1]), "{venue}");
        assert_eq!(client.facts(told.len()).await, told, "{venue}");
        let text = Value::from(client.others).to_string();
        if kind != VenueKind::Binance {
            assert!(text.contains(&symbols[0]), "{venue}: it was acknowledged: {text}");
        }
        assert!(withheld(&simulator, connection, "ack-silence").len() >= 30, "{venue}");
    }
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn connections_close_or_are_reset_and_may_be_refused_for_a_while() {
    let simulator = start(Config { symbols: 1, ..five() }).await;
    for (index, kind) in VenueKind::ALL.into_iter().enumerate() {
        let connection = index as u64 * 2 + 1;
        let reading = tokio::spawn(ready(&simulator, kind, connection).await.rest());
        let refuse = Duration::from_millis(200);
        simulator.emit_events(kind.name(), 50);
        simulator.inject(&at(kind, FaultKind::Close { refuse })).unwrap();
        match Client::try_connect(&url(&simulator, kind)).await {
            Err(WsError::Http(response)) => assert_eq!(response.status(), 503),
            _ => panic!("{kind} accepted while refused"),
        }
        let (facts, _, end) = reading.await.unwrap();
        assert!(matches!(end, End::Closed(Some(frame)) if u16::from(frame.code) == 1001), "{kind}");
        assert!(told(&simulator, connection).ends_with(&facts) && facts.len() >= 30, "{kind}: drained");

        tokio::time::sleep(refuse).await;
        let address = simulator.ws_url(kind.name()).replace("ws://", "");
        let stream = TcpStream::connect(&address).await.unwrap();
        let (mut socket, _) = tokio_tungstenite::client_async(url(&simulator, kind), stream).await.unwrap();
        until("it is there", || simulator.connections(kind.name()) == 1).await;
        simulator.inject(&at(kind, FaultKind::Reset { refuse: Duration::ZERO })).unwrap();
        let mut end = Ok(1);
        while matches!(end, Ok(1..)) {
            end = tokio::time::timeout(DEADLINE, socket.get_mut().read(&mut [0; 1_000])).await.unwrap();
        }
        assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset, "{kind}");
        until("its end is told", || !controls(&simulator, ControlMessage::Disconnect, connection + 1).is_empty()).await;
        assert_eq!(controls(&simulator, ControlMessage::Disconnect, connection + 1), ["reset"], "{kind}");
    }
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn pings_come_in_floods() {
    let simulator = start(Config { symbols: 1, ..five() }).await;
    for (kind, connection) in VenueKind::ALL.into_iter().zip(1..) {
        let mut client = ready(&simulator, kind, connection).await;
        simulator.inject(&at(kind, FaultKind::PingFlood { pings: 500 })).unwrap();
        simulator.emit_events(kind.name(), 100);
        client.facts(1).await;
        assert_eq!(client.client.take_pings(), 500, "{kind}: before what happened after");
        assert_eq!(simulator.connections(kind.name()), 1, "{kind}");
    }
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn ends_are_announced_as_each_venue_does() {
    let simulator = start(Config { symbols: 1, ..five() }).await;
    let lead = Duration::from_millis(100);
    for (kind, connection, words) in [
        (VenueKind::Binance, 1, r#"{"e":"serverShutdown","E":"#),
        (VenueKind::Okx, 2, r#""code":"64008""#),
        (VenueKind::Bitfinex, 3, r#"{"event":"info","code":20051"#),
    ] {
        let reading = tokio::spawn(ready(&simulator, kind, connection).await.rest());
        simulator.inject(&at(kind, FaultKind::Notice { lead })).unwrap();
        let began = Instant::now();
        simulator.emit_events(kind.name(), 50);
        let (facts, client, end) = reading.await.unwrap();
        assert!(began.elapsed() >= lead && facts.len() > 20, "{kind}: the market went on until the end");
        assert!(matches!(end, End::Closed(Some(frame)) if frame.reason.as_str() == "announced end"), "{kind}");
        let notices = controls(&simulator, ControlMessage::Notice, connection);
        assert!(notices.len() == 1 && notices[0].contains(words), "{kind}: {notices:?}");
        assert_eq!(client.others.last().unwrap(), &serde_json::from_str::<Value>(&notices[0]).unwrap(), "{kind}");
    }
    let error = simulator.inject(&at(VenueKind::Coinbase, FaultKind::Notice { lead })).unwrap_err();
    assert!(matches!(error, Error::Setting { setting: "fault", .. }), "{error}");
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn maintenance_begins_pauses_and_ends() {
    let simulator = start(Config { symbols: 1, ..five() }).await;
    let (online, over) = (["maintenance", "online"], ["20060", "20061"]);
    for (kind, connection, keeps, words) in [
        (VenueKind::Kraken, 1, false, online),
        (VenueKind::Bitfinex, 2, false, over),
        (VenueKind::Bitfinex, 3, true, over),
    ] {
        let mut client = ready(&simulator, kind, connection).await;
        let before = told(&simulator, connection).len();
        let id = simulator.inject(&at(kind, FaultKind::Maintenance { keeps }).connection(connection)).unwrap();
        client.other(words[0]).await;
        simulator.emit_events(kind.name(), 50);
        assert_eq!(told(&simulator, connection).len(), before, "{kind}");
        assert!(withheld(&simulator, connection, "maintenance").len() >= 30, "{kind}");
        simulator.lift(id);
        client.other(words[1]).await;
        simulator.emit_events(kind.name(), 50);
        if kind == VenueKind::Bitfinex && !keeps {
            assert_eq!(told(&simulator, connection).len(), before, "it has forgotten the subscriptions");
            client.subscribe(&simulator.symbols("bitfinex")).await;
            assert!(client.facts(40).await.len() >= 40, "and takes them again");
        } else {
            let facts = told(&simulator, connection);
            assert!(facts.len() > before);
            // A book that was kept lacks what happened meanwhile.
            if !keeps {
                assert_eq!(client.facts(facts.len() - before).await, facts[before..]);
            }
        }
    }
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn handshakes_and_requests_are_refused_with_a_status() {
    let simulator = start(Config { symbols: 1, ..five() }).await;
    let retry_after = Some(Duration::from_secs(7));
    for kind in VenueKind::ALL {
        let fault = at(kind, FaultKind::Http { status: 429, retry_after, on: HttpTarget::Handshake }).times(2);
        let id = simulator.inject(&fault).unwrap();
        for _ in 0..2 {
            match Client::try_connect(&url(&simulator, kind)).await {
                Err(WsError::Http(response)) => {
                    assert_eq!(
                        (response.status().as_u16(), &response.headers()["retry-after"]),
                        (429, &"7".parse().unwrap())
                    );
                }
                _ => panic!("{kind} accepted"),
            }
        }
        assert_eq!(simulator.fault_hits(id), 2);
        drop(Client::connect(&url(&simulator, kind)).await);

        let fault = at(kind, FaultKind::Http { status: 418, retry_after, on: HttpTarget::Rest }).times(1);
        simulator.inject(&fault).unwrap();
        let base = simulator.rest_url(kind.name());
        let answer = get(&base, "/anything", "").await;
        assert_eq!((answer.status, answer.headers["retry-after"].as_str()), (418, "7"), "{kind}");
        assert_ne!(get(&base, "/anything", "").await.status, 418, "{kind}: used up");
    }
    let refused = controls(&simulator, ControlMessage::Refused, 0);
    assert_eq!(refused[..3], ["handshake 429", "handshake 429", "REST 418"]);
    assert_eq!(refused.len(), 5 * 3);
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_first_frame_can_be_glued_to_the_handshake() {
    let simulator = start(Config { symbols: 1, ..five() }).await;
    simulator.inject(&Fault::new(FaultKind::Glued)).unwrap();
    for kind in VenueKind::ALL {
        for _ in 0..10 {
            let host = simulator.ws_url(kind.name()).replace("ws://", "");
            let path = url(&simulator, kind).replace(&format!("ws://{host}"), "");
            let mut stream = TcpStream::connect(&host).await.unwrap();
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut buffer = vec![0; 10_000];
            let length = tokio::time::timeout(DEADLINE, stream.read(&mut buffer)).await.unwrap().unwrap();
            let head = buffer[..length].windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
            let frame = &buffer[head..length];
            // A text frame at venues that greet, else a ping, each unmasked and whole.
            let greets = matches!(kind, VenueKind::Kraken | VenueKind::Bitfinex);
            assert!(frame.len() > 2 && frame[0] == if greets { 0x81 } else { 0x89 }, "{kind}: {frame:?}");
        }
    }
    let mut client = ready(&simulator, VenueKind::Okx, 51).await;
    assert_eq!(client.client.take_pings(), 1, "an ordinary client gets along with it");
    simulator.emit_events("okx", 10);
    client.facts(5).await;
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_bad_symbol_is_refused_and_spares_or_spoils_its_batch() {
    let simulator = start(Config { symbols: 3, ..five() }).await;
    let mut connection = 0;
    for kind in VenueKind::ALL {
        let symbols = simulator.symbols(kind.name());
        for whole_batch in [false, true] {
            connection += 1;
            let fault = at(kind, FaultKind::BadSymbol { whole_batch }).symbol(&symbols[1]);
            let id = simulator.inject(&fault).unwrap();
            let mut client = VenueClient::connect(&simulator, kind).await;
            client.subscribe(&symbols).await;
            until("it is refused", || simulator.fault_hits(id) >= 1).await;
            let requests = requests(kind, &symbols).len();
            let answered = |client: &VenueClient| {
                let text = Value::from(client.others.clone()).to_string();
                text.contains(&symbols[1]) || kind == VenueKind::Binance
            };
            while !answered(&client) {
                let frame = client.client.take().await.unwrap();
                client.read(&frame);
            }
            // One symbol a request: nothing to spoil. Binance acknowledges everything.
            let alone = matches!(kind, VenueKind::Bitfinex | VenueKind::Binance);
            let spared: &[&String] = if whole_batch && !alone { &[] } else { &[&symbols[0], &symbols[2]] };
            let topics = || {
                let ledger = simulator.ledger();
                let controls = ledger.iter().filter_map(|entry| entry.control());
                let of_this = controls.filter(|entry| entry.connection == connection);
                of_this.flat_map(|entry| entry.topics.clone()).count()
            };
            let expected = if kind == VenueKind::Binance { 6 } else { spared.len() * 2 };
            until("the others are subscribed", || topics() == expected).await;
            simulator.emit_events(kind.name(), 100);
            let heard: BTreeSet<String> =
                told(&simulator, connection).iter().map(|fact: &Fact| fact.symbol().to_owned()).collect();
            assert_eq!(
                heard.iter().collect::<Vec<_>>(),
                {
                    let mut spared = spared.to_vec();
                    spared.sort();
                    spared
                },
                "{kind} {whole_batch} {requests}"
            );
            simulator.lift(id);
            drop(client);
            until("it is gone", || simulator.connections(kind.name()) == 0).await;
        }
    }
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn subscriptions_named_in_the_url_are_struck_too() {
    let simulator = start(Config { symbols: 2, ..five() }).await;
    for (fault, connection, name) in
        [(FaultKind::AckThenSilence, 1, "ack-silence"), (FaultKind::BadSymbol { whole_batch: false }, 2, "bad-symbol")]
    {
        let id = simulator.inject(&at(VenueKind::Binance, fault).symbol("BTCUSDT")).unwrap();
        let streams = "/stream?streams=btcusdt@trade/ethusdt@trade";
        let _client = Client::connect(&format!("{}{streams}", simulator.ws_url("binance"))).await;
        until("it is there", || simulator.fault_hits(id) == 1).await;
        simulator.lift(id);
        simulator.emit_events("binance", 100);
        let told = told(&simulator, connection);
        assert!(!told.is_empty() && told.iter().all(|fact| fact.symbol() == "ETHUSDT"), "{name}");
        assert!(!withheld(&simulator, connection, name).is_empty());
    }
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn event_times_follow_a_skewed_clock_and_come_back() {
    let simulator = start(Config { symbols: 1, ..five() }).await;
    for kind in VenueKind::ALL {
        for (ns, range) in [(-5_000_000_000, -5_100..=-4_900), (60_000_000_000, 59_900..=60_100), (0, -100..=100)] {
            let after = settle(&simulator.ledger()).last().map_or(0, |entry| entry.seq);
            // The last round shows that the clock is right again once the fault is lifted.
            let skew = (ns != 0).then(|| simulator.inject(&at(kind, FaultKind::ClockSkew { ns })).unwrap());
            simulator.emit_events(kind.name(), 50);
            skew.into_iter().for_each(|skew| simulator.lift(skew));
            let mut seen = 0;
            for entry in settle(&simulator.ledger()).iter().filter(|entry| entry.seq > after && entry.venue == kind) {
                let Some(event_ns) = entry.event_ns else { continue };
                let ahead_ms = (event_ns as i64 - entry.sent_ns as i64) / 1_000_000;
                assert!(range.contains(&ahead_ms), "{kind} {ahead_ms} ms");
                seen += 1;
            }
            assert!(seen > 20, "{kind}");
        }
    }
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn rest_can_be_slow() {
    let simulator = start(Config { symbols: 1, ..five() }).await;
    let delay = Duration::from_millis(150);
    let id = simulator.inject(&Fault::new(FaultKind::SlowRest { delay })).unwrap();
    for kind in VenueKind::ALL {
        let base = simulator.rest_url(kind.name());
        let began = Instant::now();
        get(&base, "/anything", "").await;
        assert!(began.elapsed() >= delay, "{kind}");
    }
    assert_eq!(simulator.fault_hits(id), 5);
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn faults_begin_when_they_should_and_only_where_they_can() {
    let simulator = start(Config { symbols: 1, ..five() }).await;
    let at_event = at(VenueKind::Okx, FaultKind::ClockSkew { ns: 1_000_000_000 }).at_event(100);
    simulator.inject(&at_event).unwrap();
    let later = at(VenueKind::Kraken, FaultKind::SlowRest { delay: Duration::ZERO }).after(Duration::from_millis(100));
    let began = Instant::now();
    simulator.inject(&later).unwrap();
    let begun = |text: &str| controls(&simulator, ControlMessage::Fault, 0).contains(&text.to_owned());
    simulator.emit_events("okx", 90);
    assert!(!begun(&at_event.to_string()));
    simulator.emit_events("okx", 20);
    assert!(begun(&at_event.to_string()));
    until("it begins", || begun(&later.to_string())).await;
    assert!(began.elapsed() >= Duration::from_millis(100));
    for (fault, possible) in [
        (Fault::new(FaultKind::Stall).symbol("BTC-USD"), true),
        (Fault::new(FaultKind::Stall).symbol("NOPE"), false),
        (Fault::new(FaultKind::Maintenance { keeps: false }).at(VenueKind::Okx), false),
    ] {
        assert_eq!(simulator.inject(&fault).is_ok(), possible, "{fault}");
    }
    simulator.shutdown().await.unwrap();
}
