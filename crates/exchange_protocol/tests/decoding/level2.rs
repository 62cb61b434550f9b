//! Coinbase's true best bid and ask, from the book that `level2_batch` tells.

use exchange_protocol::coinbase::{self, LEVEL2};

use super::*;

fn level2() -> Box<dyn Session> {
    let mut session = LEVEL2.session();
    session.subscribe(&["BTC-USD", "ETH-USD"].map(|symbol| subscription(symbol, Stream::Quotes)));
    session
}

const SNAPSHOT: &str = r#"{"type":"snapshot","product_id":"BTC-USD","bids":[["10101.10","0.45"],["10100.00","1"]],"asks":[["10102.55","0.57"],["10103","2"]]}"#;

fn update(changes: &str) -> String {
    format!(r#"{{"type":"l2update","product_id":"BTC-USD","time":"2019-08-14T20:42:27.265Z","changes":[{changes}]}}"#)
}

#[test]
fn subscribes_to_the_batched_book_instead_of_the_ticker() {
    let mut session = LEVEL2.session();
    let wanted = [Stream::Trades, Stream::Quotes].map(|stream| subscription("BTC-USD", stream));
    let expected = r#"{"channels":[{"name":"matches","product_ids":["BTC-USD"]},{"name":"level2_batch","product_ids":["BTC-USD"]},{"name":"heartbeat","product_ids":["BTC-USD"]}],"type":"subscribe"}"#;
    assert_eq!(session.subscribe(&wanted), [expected]);
    let ack = r#"{"type":"subscriptions","channels":[{"name":"level2_50","product_ids":["BTC-USD"]}]}"#;
    check_lines(session.as_mut(), ack, &["Subscribed { symbol: \"BTC-USD\", stream: Quotes }"]);
    let gone = r#"{"type":"subscriptions","channels":[{"name":"matches","product_ids":["BTC-USD"]}]}"#;
    let expected =
        ["Subscribed { symbol: \"BTC-USD\", stream: Trades }", "Unsubscribed { symbol: \"BTC-USD\", stream: Quotes }"];
    check_lines(session.as_mut(), gone, &expected);
    let expected = r#"{"channels":[{"name":"level2_batch","product_ids":["BTC-USD"]}],"type":"unsubscribe"}"#;
    assert_eq!(session.unsubscribe(&wanted[1..]), [expected]);
    check_lines(session.as_mut(), ack, &["Unsubscribed { symbol: \"BTC-USD\", stream: Trades }"]);
}

#[test]
fn an_end_is_told_and_so_is_the_new_beginning() {
    let mut session = LEVEL2.session();
    let wanted = [subscription("BTC-USD", Stream::Quotes)];
    session.subscribe(&wanted);
    let ack = r#"{"type":"subscriptions","channels":[{"name":"level2_batch","product_ids":["BTC-USD"]}]}"#;
    check_lines(session.as_mut(), ack, &["Subscribed { symbol: \"BTC-USD\", stream: Quotes }"]);
    session.unsubscribe(&wanted);
    // Of before the request arrived there.
    check_lines(session.as_mut(), ack, &[]);
    session.subscribe(&wanted);
    check_lines(session.as_mut(), ack, &[]);
    let none = r#"{"type":"subscriptions","channels":[]}"#;
    check_lines(session.as_mut(), none, &["Unsubscribed { symbol: \"BTC-USD\", stream: Quotes }"]);
    check_lines(session.as_mut(), ack, &["Subscribed { symbol: \"BTC-USD\", stream: Quotes }"]);
}

#[test]
fn the_best_is_told_when_it_or_its_size_changes() {
    let mut session = level2();
    check(session.as_mut(), &update(r#"["buy","10101.80","0.1"]"#), MessageType::Quote, "");
    check_lines(session.as_mut(), SNAPSHOT, &["quote BTC-USD #0 10101.1x0.45 10102.55x0.57 @0"]);
    let mut step = |changes: &str, expected: Option<&str>| {
        let expected = expected.map(|best| format!("quote BTC-USD #0 {best} @1565815347265000000"));
        assert_eq!(lines(session.as_mut(), &update(changes)), expected.into_iter().collect::<Vec<_>>(), "{changes}");
    };
    step(r#"["buy","10100.00","3"]"#, None);
    step(r#"["buy","10101.10","0.5"]"#, Some("10101.1x0.5 10102.55x0.57"));
    step(r#"["buy","10101.10","0.50"]"#, None);
    step(r#"["sell","10102.55","0.00"],["buy","10101.80","0.162567"]"#, Some("10101.8x0.162567 10103x2"));
    // Crossed in between, not at the end of the message.
    step(r#"["buy","10103","1"],["sell","10103","0"],["sell","10104","9"]"#, Some("10103x1 10104x9"));
    step(r#"["sell","10103","1"]"#, None);
    step(r#"["buy","10103","0"]"#, Some("10101.8x0.162567 10103x1"));
    step(r#"["sell","10103","0"],["sell","10104","0"]"#, Some("10101.8x0.162567 none"));
    step("", None);
}

#[test]
fn a_new_snapshot_begins_anew_and_others_books_are_untouched() {
    let mut session = level2();
    lines(session.as_mut(), SNAPSHOT);
    let eth = SNAPSHOT.replace("BTC-USD", "ETH-USD");
    check_lines(session.as_mut(), &eth, &["quote ETH-USD #0 10101.1x0.45 10102.55x0.57 @0"]);
    let empty =
        r#"{"type":"snapshot","product_id":"BTC-USD","bids":[],"asks":[["7","1"]],"time":"2019-08-14T20:42:27.265Z"}"#;
    check_lines(session.as_mut(), empty, &["quote BTC-USD #0 none 7x1 @1565815347265000000"]);
    lines(session.as_mut(), &SNAPSHOT.replace("BTC-USD", "DOGE-USD"));
    let never_asked = update(r#"["buy","10101.80","0.1"]"#).replace("BTC-USD", "DOGE-USD");
    check_lines(session.as_mut(), &never_asked, &[]);
    session.unsubscribe(&[subscription("ETH-USD", Stream::Quotes)]);
    check_lines(session.as_mut(), &update(r#"["buy","10102","1"]"#).replace("BTC-USD", "ETH-USD"), &[]);
}

#[test]
fn what_is_not_understood_breaks_the_book() {
    let broken = "Broken { symbol: \"BTC-USD\", stream: Quotes, fault: Undecodable }\n";
    for bad in [
        update(r#"["buy","10101.80","x"]"#),
        update(r#"["bid","10101.80","1"]"#),
        update(r#"["buy","10101.80"]"#),
        update(r#"["buy","10101.80",1]"#),
        update(r#"["buy","1","1"],["buy","-1","1"]"#),
        update("").replace("\"changes\":[]", "\"change\":[]"),
        SNAPSHOT.replace("0.57", "-0.57"),
        SNAPSHOT.replace("\"bids\"", "\"bid\""),
        SNAPSHOT.replace("10101.10", "10\u{0}"),
    ] {
        let mut session = level2();
        lines(session.as_mut(), SNAPSHOT);
        lines(session.as_mut(), &SNAPSHOT.replace("BTC-USD", "ETH-USD"));
        let (result, events) = decode(session.as_mut(), &bad);
        assert!(result.is_err(), "{bad}");
        assert_eq!(events, broken, "{bad}");
        check_lines(session.as_mut(), &update(r#"["buy","10101.80","1"]"#), &[]);
        check_lines(session.as_mut(), SNAPSHOT, &["quote BTC-USD #0 10101.1x0.45 10102.55x0.57 @0"]);
    }
    // It may have been any of them.
    let mut session = level2();
    lines(session.as_mut(), SNAPSHOT);
    lines(session.as_mut(), &SNAPSHOT.replace("BTC-USD", "ETH-USD"));
    let (_, events) = decode(session.as_mut(), "{\"type\":\"l2upd");
    assert_eq!(events, format!("{broken}{}", broken.replace("BTC", "ETH")));
}

#[test]
fn the_ticker_knows_no_books() {
    let frames = coinbase::TICKER.session().subscribe(&[subscription("BTC-USD", Stream::Quotes)]);
    assert!(frames[0].contains("\"ticker\"") && !frames[0].contains("level2"), "{frames:?}");
    assert!(LEVEL2.keeps_book(Stream::Quotes) && !LEVEL2.keeps_book(Stream::Trades));
    assert!(!coinbase::TICKER.keeps_book(Stream::Quotes));
    let mut session = session("coinbase", &["BTC-USD"]);
    check(session.as_mut(), SNAPSHOT, MessageType::Other, "");
    check(session.as_mut(), &update(r#"["buy","10101.80","0.1"]"#), MessageType::Other, "");
}
