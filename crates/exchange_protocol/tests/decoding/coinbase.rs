use super::*;

const MATCH: &str = r#"{"type":"match","trade_id":10,"sequence":50,"maker_order_id":"ac928c66-ca53-498f-9c13-a110027a60e8",
    "taker_order_id":"132fb6ae-456b-4654-b4e0-d681ac05cea1","time":"2026-11-07T08:19:27.028459Z",
    "product_id":"BTC-USD","size":"5.23512","price":"64400.23","side":"sell"}"#;

#[test]
fn a_match_tells_the_makers_side_and_we_the_takers() {
    let expected = "Trade(Trade { symbol: \"BTC-USD\", id: 10, first_id: 10, event_ns: 1794039567028459000, \
        price: Decimal { value: 64400.23, exact: true }, size: Decimal { value: 5.23512, exact: true }, taker: Buy, \
        maker_order_id: [172, 146, 140, 102, 202, 83, 73, 143, 156, 19, 161, 16, 2, 122, 96, 232], \
        taker_order_id: [19, 47, 182, 174, 69, 107, 70, 84, 180, 224, 214, 129, 172, 5, 206, 161], snapshot: false })";
    check(session("coinbase", &["BTC-USD"]).as_mut(), MATCH, MessageType::Trade, expected);
    let last = MATCH.replace("\"match\"", "\"last_match\"").replace("\"sell\"", "\"buy\"");
    let expected = expected.replace("snapshot: false", "snapshot: true").replace("taker: Buy", "taker: Sell");
    check(session("coinbase", &["BTC-USD"]).as_mut(), &last, MessageType::Trade, &expected);
}

#[test]
fn a_ticker_is_a_quote() {
    let ticker = r#"{"type":"ticker","sequence":37475248783,"product_id":"ETH-USD","price":"1285.22","open_24h":"1310.79",
        "best_bid":"1285.04","best_bid_size":"0.46688654","best_ask":"1285.27","best_ask_size":"1.56637040","side":"buy",
        "time":"2022-10-19T23:28:22.061769Z","trade_id":370843401,"last_size":"11.4396987"}"#;
    let expected = "Quote(Quote { symbol: \"ETH-USD\", update_id: 37475248783, event_ns: 1666222102061769000, \
        bid: Some(Level { price: Decimal { value: 1285.04, exact: true }, size: Some(Decimal { value: 0.46688654, exact: true }) }), \
        ask: Some(Level { price: Decimal { value: 1285.27, exact: true }, size: Some(Decimal { value: 1.5663704, exact: true }) }) })";
    check(session("coinbase", &["ETH-USD"]).as_mut(), ticker, MessageType::Quote, expected);
    let without_sizes = ticker.replace(r#""best_bid_size":"0.46688654","#, "").replace("\"1285.27\"", "\"\"");
    let (_, events) = decode(session("coinbase", &["ETH-USD"]).as_mut(), &without_sizes);
    assert!(events.contains("size: None }), ask: None"), "{events}");
}

#[test]
fn subscribes_within_the_documented_form_and_hears_each_acknowledgement_once() {
    let venue = venue("coinbase").unwrap();
    let mut session = venue.session();
    let wanted = [
        subscription("BTC-USD", Stream::Trades),
        subscription("ETH-USD", Stream::Trades),
        subscription("BTC-USD", Stream::Quotes),
    ];
    let expected = r#"{"channels":[{"name":"matches","product_ids":["BTC-USD","ETH-USD"]},{"name":"ticker","product_ids":["BTC-USD"]},{"name":"heartbeat","product_ids":["BTC-USD","ETH-USD"]}],"type":"subscribe"}"#;
    assert_eq!(session.subscribe(&wanted), [expected]);
    let ack = r#"{"type":"subscriptions","channels":[{"name":"matches","product_ids":["BTC-USD"]},{"name":"ticker","product_ids":["BTC-USD","DOGE-USD"]}]}"#;
    let both = "Subscribed { symbol: \"BTC-USD\", stream: Trades }\nSubscribed { symbol: \"BTC-USD\", stream: Quotes }";
    check(session.as_mut(), ack, MessageType::Subscription, both);
    check(session.as_mut(), ack, MessageType::Subscription, "");
    // What is missing is asked for again, alone.
    let [frame] = session.subscribe(&wanted[1..2]).try_into().unwrap();
    assert!(frame.contains("ETH-USD") && !frame.contains("BTC-USD"), "{frame}");
    let ack = ack.replace("[\"BTC-USD\"]", "[\"BTC-USD\",\"ETH-USD\"]");
    let expected = "Subscribed { symbol: \"ETH-USD\", stream: Trades }";
    check(session.as_mut(), &ack, MessageType::Subscription, expected);
}

#[test]
fn errors_name_the_symbol() {
    let mut session = session("coinbase", &["FOO-USD"]);
    check(
        session.as_mut(),
        r#"{"type":"error","message":"Failed to subscribe","reason":"FOO-USD is not a valid product"}"#,
        MessageType::Error,
        "Rejected { symbol: Some(\"FOO-USD\"), stream: None, reason: \"FOO-USD is not a valid product\" }",
    );
    check(
        session.as_mut(),
        r#"{"type":"error","message":"Malformed JSON"}"#,
        MessageType::Error,
        "Rejected { symbol: None, stream: None, reason: \"Malformed JSON\" }",
    );
}

#[test]
fn a_heartbeat_tells_the_last_trade() {
    check(
        session("coinbase", &["BTC-USD"]).as_mut(),
        r#"{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD","time":"2026-11-07T08:19:28.464459Z"}"#,
        MessageType::Heartbeat,
        "LastTrade { symbol: \"BTC-USD\", id: 20 }",
    );
}

#[test]
fn the_year_one_is_no_time() {
    let (_, events) = decode(
        session("coinbase", &["BTC-USD"]).as_mut(),
        &MATCH.replace("2026-11-07T08:19:27.028459Z", "0001-01-01T00:00:00Z"),
    );
    assert!(events.contains("event_ns: 0,"), "{events}");
}

#[test]
fn bad_frames_name_the_field() {
    let mut session = session("coinbase", &["BTC-USD"]);
    let mut bad = |from: &str, to: &str, expected: &str| {
        assert!(MATCH.contains(from));
        check_error(session.as_mut(), &MATCH.replace(from, to), expected);
    };
    bad("\"64400.23\"", "\"NaN\"", "field `price` has the value `NaN`");
    bad("\"price\":\"64400.23\",", "", "field `price` is missing");
    bad("\"trade_id\":10,", "", "field `trade_id` is missing");
    bad("\"5.23512\"", "\"-5\"", "field `size` has the value `-5`");
    bad("\"sell\"", "\"both\"", "field `side` has the value `both`");
    bad("ac928c66", "zzzzzzzz", "field `maker_order_id` has the value `zzzzzzzz-ca53-498f-9c13-a110027a60e8`");
    bad("\"match\"", "\"mystery\"", "unknown message type `mystery`");
    assert!(matches!(decode(session.as_mut(), &MATCH[..60]).0, Err(DecodeError::Json(_))));
}
