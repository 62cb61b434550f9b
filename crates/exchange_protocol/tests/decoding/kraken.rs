use super::*;

fn kraken() -> Box<dyn Session> {
    session("kraken", &["BTC/USD", "ETH/USD"])
}

#[test]
fn a_ticker_is_a_quote_with_the_digits_of_the_frame() {
    let frame = r#"{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":63500.1,"bid_qty":1.25000000,"ask":63500.2,"ask_qty":0.84,"last":63500.2,"volume":4210.42,"vwap":62980.7,"low":1,"high":2,"change":-1.5,"change_pct":-0.1,"timestamp":"2026-07-26T12:00:00.123456789Z"}]}"#;
    let expected = "quote BTC/USD #0 63500.1x1.25 63500.2x0.84 @1785067200123456789";
    check_lines(kraken().as_mut(), frame, &[expected]);
    check_lines(kraken().as_mut(), &frame.replace("update", "snapshot"), &[expected]);
    let without_time = frame.replace(r#","timestamp":"2026-07-26T12:00:00.123456789Z""#, "");
    check_lines(kraken().as_mut(), &without_time, &["quote BTC/USD #0 63500.1x1.25 63500.2x0.84 @0"]);
    let many_digits = frame.replace("63500.1,", "0.12345678901234567891,");
    let expected = "quote BTC/USD #0 0.12345678901234568~x1.25 63500.2x0.84 @1785067200123456789";
    check_lines(kraken().as_mut(), &many_digits, &[expected]);
    let one_sided = frame.replace("63500.1,", "0,");
    check_lines(kraken().as_mut(), &one_sided, &["quote BTC/USD #0 none 63500.2x0.84 @1785067200123456789"]);
}

const TRADES: &str = r#"{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":63500.2,"qty":0.02,"ord_type":"market","trade_id":4665906,"timestamp":"2023-09-25T07:49:37.708706Z"},{"symbol":"ETH/USD","side":"sell","price":1e3,"qty":0.5,"ord_type":"limit","trade_id":17,"timestamp":"2023-09-25T07:49:36Z"}]}"#;

#[test]
fn all_trades_of_a_frame_with_the_takers_side() {
    let expected = [
        "trade BTC/USD 4665906..4665906 63500.2x0.02 Buy @1695628177708706000",
        "trade ETH/USD 17..17 1000x0.5 Sell @1695628176000000000",
    ];
    check_lines(kraken().as_mut(), TRADES, &expected);
    // A snapshot is told by rising id, and marked.
    let expected = [
        "trade ETH/USD 17..17 1000x0.5 Sell @1695628176000000000 snapshot",
        "trade BTC/USD 4665906..4665906 63500.2x0.02 Buy @1695628177708706000 snapshot",
    ];
    check_lines(kraken().as_mut(), &TRADES.replace("update", "snapshot"), &expected);
}

#[test]
fn one_bad_trade_does_not_take_the_others_with_it() {
    for (from, to, expected) in [
        ("63500.2", "\"63500.2\"", "field `price` has the value `\"63500.2\"`"),
        ("63500.2", "-1", "field `price` has the value `-1`"),
        ("\"buy\"", "\"b\"", "field `side` has the value `b`"),
        ("\"trade_id\":4665906,", "", "field `trade_id` is missing"),
        ("\"qty\":0.02,", "", "field `qty` is missing"),
        ("\"qty\":0.02,", "\"qty\":null,", "field `qty` is missing"),
        ("\"symbol\":\"BTC/USD\",", "", "field `symbol` is missing"),
    ] {
        assert!(TRADES.contains(from));
        let (result, events) = decode(kraken().as_mut(), &TRADES.replacen(from, to, 1));
        assert_eq!(result.unwrap_err().to_string(), expected);
        assert!(events.contains("id: 17") && events.lines().count() == 1, "{events}");
    }
    let (result, events) = decode(kraken().as_mut(), &TRADES.replace("4665906", "\"4665906\""));
    assert_eq!(result.unwrap_err().reason(), "json");
    assert!(events.contains("id: 17"), "{events}");
    check_error(kraken().as_mut(), r#"{"channel":"trade","type":"update"}"#, "field `data` is missing");
}

#[test]
fn subscribes_and_hears_one_answer_for_each_symbol() {
    let mut session = venue("kraken").unwrap().session();
    let wanted = ["BTC/USD", "xxx/USD"];
    let wanted: Vec<_> = wanted
        .iter()
        .flat_map(|symbol| [Stream::Trades, Stream::Quotes].map(|stream| subscription(symbol, stream)))
        .collect();
    let expected = [
        r#"{"method":"subscribe","params":{"channel":"trade","snapshot":true,"symbol":["BTC/USD","xxx/USD"]},"req_id":1}"#,
        r#"{"method":"subscribe","params":{"channel":"ticker","event_trigger":"bbo","snapshot":true,"symbol":["BTC/USD","xxx/USD"]},"req_id":2}"#,
    ];
    assert_eq!(session.subscribe(&wanted), expected);
    let ack = r#"{"method":"subscribe","result":{"channel":"ticker","event_trigger":"bbo","snapshot":true,"symbol":"BTC/USD"},"success":true,"time_in":"2025-04-27T15:38:26.540456Z","time_out":"2025-04-27T15:38:26.540486Z","req_id":2}"#;
    check_lines(session.as_mut(), ack, &["Subscribed { symbol: \"BTC/USD\", stream: Quotes }"]);
    let trades = ack.replace("\"ticker\"", "\"trade\"").replace("\"req_id\":2", "\"req_id\":1");
    check_lines(session.as_mut(), &trades, &["Subscribed { symbol: \"BTC/USD\", stream: Trades }"]);
    let refusal = r#"{"error":"Currency pair not supported xxx/USD","method":"subscribe","req_id":1,"success":false,"symbol":"xxx/USD","time_in":"2025-04-27T15:38:26.540456Z","time_out":"2025-04-27T15:38:26.540486Z"}"#;
    let expected =
        "Rejected { symbol: Some(\"xxx/USD\"), stream: Some(Trades), reason: \"Currency pair not supported xxx/USD\" }";
    check(session.as_mut(), refusal, MessageType::Error, expected);
    let twice = refusal.replace("Currency pair not supported xxx/USD", "Already subscribed");
    check(
        session.as_mut(),
        &twice.replace("\"req_id\":1", "\"req_id\":2").replace("xxx", "BTC"),
        MessageType::Error,
        "Subscribed { symbol: \"BTC/USD\", stream: Quotes }",
    );
    // Without a symbol it is for what the request still waits for.
    let rest = r#"{"error":"Event(s) not found","method":"subscribe","req_id":2,"success":false}"#;
    let expected = "Rejected { symbol: Some(\"xxx/USD\"), stream: Some(Quotes), reason: \"Event(s) not found\" }";
    check(session.as_mut(), rest, MessageType::Error, expected);
    let expected = "Rejected { symbol: None, stream: None, reason: \"Event(s) not found\" }";
    check(session.as_mut(), rest, MessageType::Error, expected);

    let [frame] = session.unsubscribe(&wanted[1..2]).try_into().unwrap();
    assert_eq!(frame, r#"{"method":"unsubscribe","params":{"channel":"ticker","symbol":["BTC/USD"]},"req_id":3}"#);
    let ack = r#"{"method":"unsubscribe","result":{"channel":"ticker","symbol":"BTC/USD"},"success":true,"req_id":3}"#;
    check_lines(session.as_mut(), ack, &["Unsubscribed { symbol: \"BTC/USD\", stream: Quotes }"]);
}

#[test]
fn many_symbols_are_split() {
    let symbols: Vec<String> = (0..120).map(|i| format!("S{i}/USD")).collect();
    let wanted: Vec<_> = symbols.iter().map(|symbol| subscription(symbol, Stream::Quotes)).collect();
    assert_eq!(venue("kraken").unwrap().session().subscribe(&wanted).len(), 3);
}

#[test]
fn maintenance_begins_and_ends_once() {
    let status = |system: &str| {
        format!(
            r#"{{"channel":"status","type":"update","data":[{{"version":"2.0.9","system":"{system}","api_version":"v2","connection_id":13834774380200032777}}]}}"#
        )
    };
    let mut session = kraken();
    check(session.as_mut(), &status("online"), MessageType::Notice, "");
    check(session.as_mut(), &status("maintenance"), MessageType::Notice, "Notice(Maintenance)");
    check(session.as_mut(), &status("maintenance"), MessageType::Notice, "");
    check(session.as_mut(), &status("post_only"), MessageType::Notice, "Notice(MaintenanceOver)");
}

#[test]
fn signs_of_life_and_complaints() {
    let mut session = kraken();
    assert_eq!(session.keepalive().unwrap(), r#"{"method":"ping","req_id":3}"#);
    check(session.as_mut(), r#"{"channel":"heartbeat"}"#, MessageType::Heartbeat, "");
    let pong = r#"{"method":"pong","req_id":101,"time_in":"2025-04-27T15:38:26.5Z","time_out":"2025-04-27T15:38:26.6Z","success":true}"#;
    check(session.as_mut(), pong, MessageType::Heartbeat, "ServerTime(1745768306600000000)");
    for complaint in [r#"{"Error":"Exceeded msg rate"}"#, r#"{"error":"Exceeded msg rate"}"#] {
        let expected = "Rejected { symbol: None, stream: None, reason: \"Exceeded msg rate\" }";
        check(session.as_mut(), complaint, MessageType::Error, expected);
    }
    check_error(session.as_mut(), r#"{"channel":"news"}"#, "unknown message type `news`");
    check_error(session.as_mut(), "{}", "unknown message type `none`");
}
