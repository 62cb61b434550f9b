use super::*;

fn okx() -> Box<dyn Session> {
    session("okx", &["BTC-USDT"])
}

const QUOTE: &str = r#"{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"data":[{"asks":[["8476.98","415","0","13"]],"bids":[["8476.97","256","0","12"]],"ts":"1597026383085","seqId":123456}]}"#;

#[test]
fn a_best_bid_and_ask() {
    let mut session = okx();
    let expected = "quote BTC-USDT #123456 8476.97x256 8476.98x415 @1597026383085000000";
    check_lines(session.as_mut(), QUOTE, &[expected]);
    // The same again says that nothing changed.
    check_lines(session.as_mut(), QUOTE, &["Alive { symbol: \"BTC-USDT\", stream: Quotes }"]);
    let empty = QUOTE.replace(r#"[["8476.97","256","0","12"]]"#, "[]").replace("123456", "123457");
    check_lines(session.as_mut(), &empty, &["quote BTC-USDT #123457 none 8476.98x415 @1597026383085000000"]);
    // After maintenance the numbers may begin anew.
    let reset = QUOTE.replace("123456", "5");
    let expected =
        ["Renumbered { symbol: \"BTC-USDT\" }", "quote BTC-USDT #5 8476.97x256 8476.98x415 @1597026383085000000"];
    check_lines(session.as_mut(), &reset, &expected);
}

#[test]
fn quotes_that_say_too_little() {
    for (from, to, expected) in [
        (r#""bids":[["8476.97","256","0","12"]],"#, "", "field `bids` is missing"),
        (r#"["8476.97","256","0","12"]"#, r#"["8476.97"]"#, "field `bids` has the value `8476.97`"),
        (r#""415""#, r#""x""#, "field `asks` has the value `x`"),
        ("bbo-tbt", "bbo", "unknown message type `bbo`"),
    ] {
        check_error(okx().as_mut(), &QUOTE.replace(from, to), expected);
    }
    check_error(okx().as_mut(), "{}", "unknown message type `none`");
}

const TRADE: &str = r#"{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"130639474","px":"42219.9","sz":"0.12060306","side":"buy","ts":"1630048897897","count":"3","source":"0","seqId":1234}]}"#;

#[test]
fn trades_alone_and_summed_up() {
    let mut session = okx();
    let expected = "trade BTC-USDT 130639472..130639474 42219.9x0.12060306 Buy @1630048897897000000";
    check_lines(session.as_mut(), TRADE, &[expected]);
    let each = TRADE.replace("\"trades\"", "\"trades-all\"").replace("\"count\":\"3\",", "").replace("buy", "sell");
    let expected = "trade BTC-USDT 130639474..130639474 42219.9x0.12060306 Sell @1630048897897000000";
    check_lines(session.as_mut(), &each, &[expected]);
    for (from, to, expected) in [
        ("\"count\":\"3\"", "\"count\":\"0\"", "field `count` has the value `0`"),
        ("130639474", "2", "field `count` has the value `3`"),
        ("130639474", "+9", "field `tradeId` has the value `+9`"),
        ("130639474", "", "field `tradeId` has the value ``"),
        ("\"instId\":\"BTC-USDT\",\"tradeId\"", "\"tradeId\"", "field `instId` is missing"),
        ("\"buy\"", "\"BUY\"", "field `side` has the value `BUY`"),
        ("\"px\":\"42219.9\",", "", "field `px` is missing"),
    ] {
        assert!(TRADE.contains(from));
        check_error(session.as_mut(), &TRADE.replace(from, to), expected);
    }
}

#[test]
fn one_bad_trade_does_not_take_the_others_with_it() {
    let (_, row) = TRADE.split_once("\"data\":[").unwrap();
    let row = row.strip_suffix("]}").unwrap();
    for bad in [row.replace("42219.9", "x"), row.replace("\"42219.9\"", "7"), "3".to_owned()] {
        let frame = TRADE.replace(row, &format!("{bad},{row}"));
        let (result, events) = decode(okx().as_mut(), &frame);
        assert!(result.is_err() && events.lines().count() == 1, "{frame}: {result:?} {events}");
    }
}

#[test]
fn subscribes_on_the_path_that_serves_it() {
    let okx = venue("okx").unwrap();
    assert_eq!(okx.path(Stream::Trades), "/ws/v5/business");
    assert_eq!((okx.path(Stream::Quotes), okx.path(Stream::AggregatedTrades)), ("/ws/v5/public", "/ws/v5/public"));
    let mut session = okx.session();
    let wanted = [subscription("BTC-USDT", Stream::Quotes), subscription("BTC-USDT", Stream::AggregatedTrades)];
    let expected = r#"{"args":[{"channel":"bbo-tbt","instId":"BTC-USDT"},{"channel":"trades","instId":"BTC-USDT"}],"id":"1","op":"subscribe"}"#;
    assert_eq!(session.subscribe(&wanted), [expected]);
    let ack = r#"{"id":"1","event":"subscribe","arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"connId":"a4d3ae55"}"#;
    check_lines(session.as_mut(), ack, &["Subscribed { symbol: \"BTC-USDT\", stream: Quotes }"]);
    let all = session.subscribe(&[subscription("BTC-USDT", Stream::Trades)]);
    assert!(all[0].contains(r#"{"channel":"trades-all","instId":"BTC-USDT"}"#), "{all:?}");
    let many: Vec<_> = (0..1_000).map(|i| subscription(&format!("SYMBOL{i}-USDT"), Stream::Quotes)).collect();
    let frames = session.subscribe(&many);
    assert!(frames.len() == 5 && frames.iter().all(|frame| frame.len() < 64 << 10));
    let ended = session.unsubscribe(&wanted[..1]);
    assert_eq!(ended, [r#"{"args":[{"channel":"bbo-tbt","instId":"BTC-USDT"}],"id":"8","op":"unsubscribe"}"#]);
    let ack = ack.replace("\"event\":\"subscribe\"", "\"event\":\"unsubscribe\"");
    check_lines(session.as_mut(), &ack, &["Unsubscribed { symbol: \"BTC-USDT\", stream: Quotes }"]);
}

#[test]
fn a_refusal_is_of_what_it_names() {
    let mut session = venue("okx").unwrap().session();
    let wanted = [
        subscription("BTC-USDT", Stream::Quotes),
        subscription("FOO-USDT", Stream::Quotes),
        subscription("FOO-USDT", Stream::AggregatedTrades),
    ];
    session.subscribe(&wanted);
    let named = r#"{"id":"1","event":"error","code":"60018","msg":"Wrong URL or channel:bbo-tbt,instId:FOO-USDT doesn't exist","connId":"a4d3ae55"}"#;
    let (kind, events) = decode(session.as_mut(), named);
    assert_eq!(kind, Ok(MessageType::Error));
    assert!(events.starts_with("Rejected { symbol: Some(\"FOO-USDT\"), stream: Some(Quotes),"), "{events}");
    assert_eq!(events.lines().count(), 1);
    let unnamed = r#"{"id":"1","event":"error","code":"60012","msg":"Invalid request","connId":"a4d3ae55"}"#;
    let expected = "Rejected { symbol: None, stream: None, reason: \"Invalid request\" }";
    check(session.as_mut(), unnamed, MessageType::Error, expected);
    // Alone it needs no name.
    session.subscribe(&wanted[2..]);
    let alone = unnamed.replace("\"id\":\"1\"", "\"id\":\"2\"");
    let expected =
        "Rejected { symbol: Some(\"FOO-USDT\"), stream: Some(AggregatedTrades), reason: \"Invalid request\" }";
    check(session.as_mut(), &alone, MessageType::Error, expected);
}

#[test]
fn signs_of_life_and_the_announced_end() {
    let mut session = okx();
    assert_eq!(session.keepalive().unwrap(), "ping");
    check(session.as_mut(), "pong", MessageType::Heartbeat, "");
    let notice = r#"{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. Please reconnect.","connId":"a4d3ae55"}"#;
    check(session.as_mut(), notice, MessageType::Notice, "Notice(Reconnect { within: Some(60s) })");
    check(session.as_mut(), &notice.replace("64008", "64999"), MessageType::Notice, "");
    let count = r#"{"event":"channel-conn-count","channel":"orders","connCount":"2","connId":"abcd1234"}"#;
    check(session.as_mut(), count, MessageType::Other, "");
}
