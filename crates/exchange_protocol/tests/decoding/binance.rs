use super::*;

const TRADE: &str = r#"{"stream":"bnbbtc@trade","data":{"e":"trade","E":1672515782136123,"s":"BNBBTC","t":12345,"p":"0.001","q":"100","T":1672515782136120,"m":true,"M":true}}"#;

#[test]
fn a_trade_in_both_wrappings_and_time_units() {
    let expected = "Trade(Trade { symbol: \"BNBBTC\", id: 12345, first_id: 12345, event_ns: 1672515782136120000, \
        price: Decimal { value: 0.001, exact: true }, size: Decimal { value: 100.0, exact: true }, taker: Sell, \
        maker_order_id: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], \
        taker_order_id: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], snapshot: false })";
    let mut session = session("binance", &["BNBBTC"]);
    check(session.as_mut(), TRADE, MessageType::Trade, expected);
    let raw = &TRADE[r#"{"stream":"bnbbtc@trade","data":"#.len()..TRADE.len() - 1];
    check(session.as_mut(), raw, MessageType::Trade, expected);
    let millis = TRADE.replace("1672515782136120", "1672515782136").replace("\"m\":true", "\"m\":false");
    let expected = expected.replace("136120000", "136000000").replace("Sell", "Buy");
    check(session.as_mut(), &millis, MessageType::Trade, &expected);
    let with_order_ids = TRADE.replace("\"t\":12345", "\"t\":12345,\"b\":88,\"a\":50");
    assert_eq!(decode(session.as_mut(), &with_order_ids), decode(session.as_mut(), TRADE), "the form before 2023");
}

#[test]
fn an_aggregate_tells_its_range() {
    let frame = r#"{"stream":"bnbbtc@aggTrade","data":{"e":"aggTrade","E":1672515782136,"s":"BNBBTC","a":77,"p":"0.001","q":"100","f":100,"l":105,"T":1672515782136,"m":false,"M":true}}"#;
    let (_, events) = decode(session("binance", &["BNBBTC"]).as_mut(), frame);
    assert!(events.contains("id: 105, first_id: 100,"), "{events}");
    let reversed = frame.replace("\"l\":105", "\"l\":99");
    check_error(session("binance", &["BNBBTC"]).as_mut(), &reversed, "field `l` has the value `99`");
}

#[test]
fn a_book_ticker_is_a_quote_without_a_time() {
    let frame = r#"{"stream":"bnbusdt@bookTicker","data":{"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}}"#;
    let expected = "Quote(Quote { symbol: \"BNBUSDT\", update_id: 400900217, event_ns: 0, \
        bid: Some(Level { price: Decimal { value: 25.3519, exact: true }, size: Some(Decimal { value: 31.21, exact: true }) }), \
        ask: Some(Level { price: Decimal { value: 25.3652, exact: true }, size: Some(Decimal { value: 40.66, exact: true }) }) })";
    check(session("binance", &["BNBUSDT"]).as_mut(), frame, MessageType::Quote, expected);
    let (_, events) = decode(session("binance", &["BNBUSDT"]).as_mut(), &frame.replace("25.35190000", "0.00000000"));
    assert!(events.contains("bid: None"), "{events}");
}

#[test]
fn requests_are_answered_by_their_id() {
    let venue = venue("binance").unwrap();
    let mut session = venue.session();
    let wanted = [
        subscription("BTCUSDT", Stream::Trades),
        subscription("BTCUSDT", Stream::Quotes),
        subscription("ETHUSDT", Stream::AggregatedTrades),
    ];
    let expected =
        r#"{"id":1,"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@bookTicker","ethusdt@aggTrade"]}"#;
    assert_eq!(session.subscribe(&wanted), [expected]);
    let acks = "Subscribed { symbol: \"BTCUSDT\", stream: Trades }\nSubscribed { symbol: \"BTCUSDT\", stream: Quotes }\n\
        Subscribed { symbol: \"ETHUSDT\", stream: AggregatedTrades }";
    check(session.as_mut(), r#"{"result":null,"id":1}"#, MessageType::Subscription, acks);
    check(session.as_mut(), r#"{"result":null,"id":1}"#, MessageType::Subscription, "");

    session.subscribe(&wanted);
    let refusal = r#"{"code":2,"msg":"Invalid request: too many","id":2}"#;
    let (kind, events) = decode(session.as_mut(), refusal);
    assert_eq!((kind, events.lines().count()), (Ok(MessageType::Error), 3));
    let wrapped = r#"{"error":{"code":2,"msg":"Invalid request"},"id":9}"#;
    let expected = "Rejected { symbol: None, stream: None, reason: \"Invalid request\" }";
    check(session.as_mut(), wrapped, MessageType::Error, expected);
}

#[test]
fn what_is_ended_is_answered_too() {
    let mut session = session("binance", &["BTCUSDT"]);
    let ended = [subscription("BTCUSDT", Stream::Quotes)];
    assert_eq!(session.unsubscribe(&ended), [r#"{"id":2,"method":"UNSUBSCRIBE","params":["btcusdt@bookTicker"]}"#]);
    let expected = "Unsubscribed { symbol: \"BTCUSDT\", stream: Quotes }";
    check(session.as_mut(), r#"{"result":null,"id":2}"#, MessageType::Subscription, expected);
    session.unsubscribe(&ended);
    // A refusal to end it is none of the subscription.
    let expected = "Rejected { symbol: None, stream: None, reason: \"no\" }";
    check(session.as_mut(), r#"{"code":2,"msg":"no","id":3}"#, MessageType::Error, expected);
}

#[test]
fn large_subscriptions_are_split() {
    let symbols: Vec<String> = (0..150).map(|i| format!("S{i}USDT")).collect();
    let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let wanted: Vec<_> = symbols
        .iter()
        .flat_map(|symbol| [Stream::Trades, Stream::Quotes].map(|stream| subscription(symbol, stream)))
        .collect();
    let mut session = venue("binance").unwrap().session();
    assert_eq!(session.subscribe(&wanted).len(), 2);
    let (_, events) = decode(session.as_mut(), r#"{"result":null,"id":2}"#);
    assert_eq!(events.lines().count(), 100);
}

#[test]
fn a_shutdown_is_announced() {
    let raw = r#"{"e":"serverShutdown","E":1770123456789}"#;
    let wrapped = format!(r#"{{"stream":"!serverShutdown","data":{raw}}}"#);
    for frame in [raw, &wrapped] {
        check(session("binance", &[]).as_mut(), frame, MessageType::Notice, "Notice(Reconnect { within: None })");
    }
}

#[test]
fn bad_frames_name_the_field() {
    let mut session = session("binance", &["BNBBTC"]);
    check_error(session.as_mut(), &TRADE.replace("\"0.001\"", "\"\""), "field `p` has the value ``");
    check_error(session.as_mut(), &TRADE.replace("\"t\":12345,", ""), "field `t` is missing");
    check_error(session.as_mut(), &TRADE.replace("\"m\":true,", ""), "field `m` is missing");
    check_error(session.as_mut(), &TRADE.replace("\"e\":\"trade\"", "\"e\":\"what\""), "unknown message type `what`");
    check_error(session.as_mut(), "{}", "unknown message type `none`");
}

#[test]
fn quote_currencies() {
    let binance = venue("binance").unwrap();
    for (symbol, quote) in [
        ("BTCUSDT", Some("USDT")),
        ("ETHBTC", Some("BTC")),
        ("BTCFDUSD", Some("FDUSD")),
        ("USDTTRY", Some("TRY")),
        ("USDT", None),
        ("XYZ", None),
    ] {
        assert_eq!(binance.quote_currency(symbol), quote, "{symbol}");
    }
    assert_eq!(venue("coinbase").unwrap().quote_currency("ETH-BTC"), Some("BTC"));
}
