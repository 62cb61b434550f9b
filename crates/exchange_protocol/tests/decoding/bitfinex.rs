use super::*;

/// A connection with trades on channel 1 and the book on channel 2.
fn bitfinex() -> Box<dyn Session> {
    let mut session = session("bitfinex", &["tBTCUSD"]);
    for (channel, id) in [("trades", 1), ("book", 2)] {
        let ack = format!(
            r#"{{"event":"subscribed","channel":"{channel}","chanId":{id},"symbol":"tBTCUSD","pair":"BTCUSD"}}"#
        );
        let stream = if id == 1 { "Trades" } else { "Quotes" };
        let expected = format!("Subscribed {{ symbol: \"tBTCUSD\", stream: {stream} }}");
        check_lines(session.as_mut(), &ack, &[&expected]);
    }
    session
}

#[test]
fn opens_with_its_flags_and_subscribes_channel_by_channel() {
    let mut session = venue("bitfinex").unwrap().session();
    assert_eq!(session.open(), [r#"{"event":"conf","flags":229376}"#]);
    let wanted = [subscription("tBTCUSD", Stream::Trades), subscription("tDUSK:USD", Stream::Quotes)];
    let expected = [
        r#"{"channel":"trades","event":"subscribe","symbol":"tBTCUSD"}"#,
        r#"{"channel":"book","event":"subscribe","freq":"F0","len":"25","prec":"P0","symbol":"tDUSK:USD"}"#,
    ];
    assert_eq!(session.subscribe(&wanted), expected);
    check(session.as_mut(), r#"{"event":"conf","status":"OK","flags":229376}"#, MessageType::Subscription, "");
    let refused = "Rejected { symbol: None, stream: None, reason: \"FAILED\" }";
    check(session.as_mut(), r#"{"event":"conf","status":"FAILED"}"#, MessageType::Subscription, refused);
}

#[test]
fn a_trade_is_told_once() {
    let mut session = bitfinex();
    let te = r#"[1,"te",[401597395,1574694478808,-0.005,7245.3],3,1574694478900]"#;
    let trade = "trade tBTCUSD 401597395..401597395 7245.3x0.005 Sell @1574694478808000000";
    check_lines(session.as_mut(), te, &["SocketSequence(3)", trade]);
    check_lines(session.as_mut(), &te.replace("te", "tu").replace(",3,", ",4,"), &["SocketSequence(4)"]);
    // What told of it first was lost.
    let tu = r#"[1,"tu",[401597396,1574694478809,0.5,7245.4],6]"#;
    let repaired = "trade tBTCUSD 401597396..401597396 7245.4x0.5 Buy @1574694478809000000";
    check_lines(session.as_mut(), tu, &["SocketSequence(6)", repaired]);
    check_lines(session.as_mut(), &tu.replace("tu", "te"), &["SocketSequence(6)"]);
}

#[test]
fn the_snapshot_of_trades_is_told_oldest_first() {
    let snapshot = r#"[1,[[12,1574694478808,0.005,7245.3],[11,1574694478008,-1.5e-7,7245.2]],2,1574694479000]"#;
    let expected = [
        "SocketSequence(2)",
        "trade tBTCUSD 11..11 7245.2x0.00000015 Sell @1574694478008000000 snapshot",
        "trade tBTCUSD 12..12 7245.3x0.005 Buy @1574694478808000000 snapshot",
    ];
    let mut session = bitfinex();
    check_lines(session.as_mut(), snapshot, &expected);
    check_lines(session.as_mut(), r#"[1,"tu",[12,1574694478808,0.005,7245.3],3]"#, &["SocketSequence(3)"]);
    check_lines(session.as_mut(), "[1,[],4]", &["SocketSequence(4)"]);
}

#[test]
fn the_best_of_the_book_when_it_changes() {
    let mut session = bitfinex();
    check_lines(session.as_mut(), "[2,[8745.1,1,0.25],1,1574694475039]", &["SocketSequence(1)"]);
    let snapshot = "[2,[[8744.9,2,0.45],[8744.8,1,1.5],[8745.5,3,-2.25],[8746,1,-1]],2,1574694475039]";
    let quote = |best: &str, ms: u64| format!("quote tBTCUSD #0 {best} @{ms}000000");
    let mut step = |frame: &str, expected: Option<String>| {
        let events = lines(session.as_mut(), frame);
        assert_eq!(events[1..], expected.into_iter().collect::<Vec<_>>(), "{frame}");
    };
    step(snapshot, Some(quote("8744.9x0.45 8745.5x2.25", 1574694475039)));
    step("[2,[8744.8,2,1.75],3,1574694475040]", None);
    step("[2,[8745.1,1,0.25],4,1574694475041]", Some(quote("8745.1x0.25 8745.5x2.25", 1574694475041)));
    step("[2,[8745.1,0,1],5,1574694475042]", Some(quote("8744.9x0.45 8745.5x2.25", 1574694475042)));
    step("[2,[8745.5,0,-1],6,1574694475043]", Some(quote("8744.9x0.45 8746x1", 1574694475043)));
    step("[2,[8746,0,-1],7,1574694475044]", Some(quote("8744.9x0.45 none", 1574694475044)));
    step("[2,[[5,1,1]],8,1574694475045]", Some(quote("5x1 none", 1574694475045)));
}

#[test]
fn a_checksum_that_does_not_fit_breaks_the_book() {
    let mut session = bitfinex();
    lines(session.as_mut(), "[2,[[6000,1,1],[5900,1,0.5],[6100,2,-3],[6200,1,-1e-7]],1]");
    // CRC-32 of "6000:1:6100:-3:5900:0.5:6200:-1e-7".
    check_lines(session.as_mut(), "[2,\"cs\",753963807,2,1574694475044]", &["SocketSequence(2)"]);
    let broken = "Broken { symbol: \"tBTCUSD\", stream: Quotes, fault: Checksum }";
    check_lines(session.as_mut(), "[2,\"cs\",753963808,3]", &["SocketSequence(3)", broken]);
    check_lines(session.as_mut(), "[2,[6001,1,1],4]", &["SocketSequence(4)"]);
    check_lines(session.as_mut(), "[2,\"cs\",1,5]", &["SocketSequence(5)"]);
    let again = "quote tBTCUSD #0 6000x1.5 none @0";
    check_lines(session.as_mut(), "[2,[[6000.0,1,1.50]],6]", &["SocketSequence(6)", again]);
    // CRC-32 of "6000.0:1.50": the digits of the frame, and above 2^31.
    check_lines(session.as_mut(), "[2,\"cs\",-426589605,7]", &["SocketSequence(7)"]);
}

#[test]
fn what_is_not_understood_breaks_the_book_it_may_have_changed() {
    for bad in ["[8745.1,1,0]", "[8745.1,-1,5]", "[\"8745.1\",1,5]", "[8745.1,1]", "[-8745.1,1,5]"] {
        let mut session = bitfinex();
        lines(session.as_mut(), "[2,[[6000,1,1]],1]");
        let (result, events) = decode(session.as_mut(), &format!("[2,{bad},2]"));
        assert!(result.is_err(), "{bad}");
        let broken = "Broken { symbol: \"tBTCUSD\", stream: Quotes, fault: Undecodable }";
        assert_eq!(events.lines().last(), Some(broken), "{bad}");
    }
    for bad in [
        "[1,\"te\",[1,2,0,3]]",
        "[1,\"te\",[1,2,3]]",
        "[1,\"te\"]",
        "[1,\"te\",[1.5,2,3,4]]",
        "[1,\"fte\",[1,2,3,4]]",
        "[1]",
        "[]",
        "[\"x\"]",
        "[9,\"hb\"]",
        "[1,7]",
        "[1,\"cs\",5]",
        "[2,\"te\",[1,2,3,4]]",
    ] {
        let (result, events) = decode(bitfinex().as_mut(), bad);
        assert!(result.is_err() && events.is_empty(), "{bad}: {result:?} {events}");
    }
}

#[test]
fn a_frame_without_a_body() {
    check_error(bitfinex().as_mut(), "[1]", "field `body` is missing");
    check_error(bitfinex().as_mut(), "[]", "field `chanId` is missing");
}

#[test]
fn each_channel_has_its_heartbeat() {
    let mut session = bitfinex();
    let alive = "Alive { symbol: \"tBTCUSD\", stream: Trades }";
    for (frame, expected) in [
        ("[1,\"hb\",127]", vec!["SocketSequence(127)", alive]),
        ("[1,\"hb\",128,1574694475044]", vec!["SocketSequence(128)", alive]),
        ("[1,\"hb\"]", vec![alive]),
    ] {
        check_lines(session.as_mut(), frame, &expected);
    }
    assert_eq!(session.keepalive().unwrap(), r#"{"cid":1,"event":"ping"}"#);
    let pong = r#"{"event":"pong","ts":1511545528111,"cid":1}"#;
    check(session.as_mut(), pong, MessageType::Heartbeat, "ServerTime(1511545528111000000)");
}

#[test]
fn words_about_the_connection() {
    let mut session = bitfinex();
    let hello =
        |status: u64| format!(r#"{{"event":"info","version":2,"serverId":"fb58","platform":{{"status":{status}}}}}"#);
    check(session.as_mut(), &hello(1), MessageType::Notice, "");
    check(session.as_mut(), &hello(0), MessageType::Notice, "Notice(Maintenance)");
    let info = |code: u64| format!(r#"{{"event":"info","code":{code},"msg":"a word"}}"#);
    check(session.as_mut(), &info(20_060), MessageType::Notice, "");
    check(session.as_mut(), &info(20_061), MessageType::Notice, "Notice(MaintenanceOver)");
    check(session.as_mut(), &info(20_051), MessageType::Notice, "Notice(Reconnect { within: None })");
    check_error(session.as_mut(), r#"{"event":"party"}"#, "unknown message type `party`");
}

/// Whether the venue kept the channels in maintenance or forgot them.
#[test]
fn after_maintenance_what_is_held_ends_before_it_is_asked_for() {
    let mut session = bitfinex();
    for code in [20_060, 20_061] {
        lines(session.as_mut(), &format!(r#"{{"event":"info","code":{code},"msg":"a word"}}"#));
    }
    let [trades, book] = [Stream::Trades, Stream::Quotes].map(|stream| subscription("tBTCUSD", stream));
    let ask_trades = r#"{"channel":"trades","event":"subscribe","symbol":"tBTCUSD"}"#;
    let ask_book = r#"{"channel":"book","event":"subscribe","freq":"F0","len":"25","prec":"P0","symbol":"tBTCUSD"}"#;
    let end = |id: u64| format!(r#"{{"chanId":{id},"event":"unsubscribe"}}"#);
    assert_eq!(session.subscribe(&[trades.clone(), book]), [&end(1), ask_trades, &end(2), ask_book]);
    assert_eq!(session.subscribe(&[trades]), [ask_trades], "it is ending");
    check_lines(session.as_mut(), "[2,[6001,1,1],4]", &["SocketSequence(4)"]);
    let kept = r#"{"event":"unsubscribed","status":"OK","chanId":1}"#;
    check_lines(session.as_mut(), kept, &["Unsubscribed { symbol: \"tBTCUSD\", stream: Trades }"]);
    let forgotten = r#"{"event":"error","msg":"unsubscribe: invalid","code":10400,"chanId":2}"#;
    check(session.as_mut(), forgotten, MessageType::Error, "Unsubscribed { symbol: \"tBTCUSD\", stream: Quotes }");
    let refused = "Rejected { symbol: None, stream: None, reason: \"unsubscribe: invalid\" }";
    check(session.as_mut(), forgotten, MessageType::Error, refused);
}

#[test]
fn refusals_and_endings() {
    let mut session = bitfinex();
    let refusal =
        r#"{"event":"error","channel":"book","symbol":"tBTCUSD","msg":"symbol: invalid","code":10300,"pair":"NOPE"}"#;
    let expected = "Rejected { symbol: Some(\"tBTCUSD\"), stream: Some(Quotes), reason: \"symbol: invalid\" }";
    check(session.as_mut(), refusal, MessageType::Error, expected);
    check(session.as_mut(), &refusal.replace("10300", "10301"), MessageType::Error, "");
    assert_eq!(
        session.unsubscribe(&[subscription("tBTCUSD", Stream::Quotes)]),
        [r#"{"chanId":2,"event":"unsubscribe"}"#]
    );
    check_lines(session.as_mut(), "[2,[[6000,1,1]],6]", &["SocketSequence(6)"]);
    let ended = r#"{"event":"unsubscribed","status":"OK","chanId":2}"#;
    check_lines(session.as_mut(), ended, &["Unsubscribed { symbol: \"tBTCUSD\", stream: Quotes }"]);
    let (result, events) = decode(session.as_mut(), "[2,\"hb\",7]");
    assert!(result.is_err() && events == "SocketSequence(7)\n", "{events}");
    // An acknowledgement of what nobody asked for.
    let ack = r#"{"event":"subscribed","channel":"book","chanId":5,"symbol":"tETHUSD"}"#;
    check_error(session.as_mut(), ack, "field `symbol` has the value `tETHUSD`");
}
