//! Kraken's best bid and ask from the book of ten levels.

use exchange_protocol::{Venue as _, kraken::BOOK};

use super::*;

fn kraken_book() -> Box<dyn Session> {
    let mut session = BOOK.session();
    session.subscribe(&["BTC/USD", "ETH/USD"].map(|symbol| subscription(symbol, Stream::Quotes)));
    session
}

/// Its checksum is that of `635002` `84000000` `635010` `100000000` `635001` `125000000`: asks, then the bid.
const SNAPSHOT: &str = r#"{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":63500.1,"qty":1.25000000}],"asks":[{"price":63500.2,"qty":0.84000000},{"price":63501.0,"qty":1.00000000}],"checksum":1443650161}]}"#;

fn update(bids: &str, asks: &str, checksum: u32) -> String {
    format!(
        r#"{{"channel":"book","type":"update","data":[{{"symbol":"BTC/USD","bids":[{bids}],"asks":[{asks}],"checksum":{checksum},"timestamp":"2026-07-26T12:00:00.5Z"}}]}}"#
    )
}

const FIRST: &str = "quote BTC/USD #0 63500.1x1.25 63500.2x0.84 @0";

#[test]
fn the_best_is_told_when_it_or_its_size_changes_and_the_checksum_holds() {
    let mut session = kraken_book();
    let deleted = r#"{"price":63500.2,"qty":0.00000000}"#;
    let grown = update(r#"{"price":63500.1,"qty":2.00000000}"#, deleted, 3_094_688_133);
    check(session.as_mut(), &grown, MessageType::Quote, "");
    check_lines(session.as_mut(), SNAPSHOT, &[FIRST]);
    check_lines(session.as_mut(), &grown, &["quote BTC/USD #0 63500.1x2 63501x1 @1785067200500000000"]);
    let broken = "Broken { symbol: \"BTC/USD\", stream: Quotes, fault: Checksum }";
    let wrong = update("", r#"{"price":63501.0,"qty":3.00000000}"#, 1_632_566_667);
    check_lines(session.as_mut(), &wrong, &[broken]);
    check_lines(session.as_mut(), &grown, &[]);
    // A snapshot without a checksum is taken as it is.
    check_lines(session.as_mut(), &SNAPSHOT.replace(",\"checksum\":1443650161", ""), &[FIRST]);
    let eth = SNAPSHOT.replace("BTC/USD", "ETH/USD").replace("1443650161", "1");
    check_lines(session.as_mut(), &eth, &[&broken.replace("BTC", "ETH")]);
    check_lines(session.as_mut(), &SNAPSHOT.replace("BTC/USD", "SOL/USD"), &[]);
}

#[test]
fn levels_beyond_ten_are_out_of_the_window() {
    let level = |price: usize, qty: &str| format!(r#"{{"price":{price}.0,"qty":{qty}}}"#);
    let bids: Vec<_> = (0..11).map(|i| level(100 - i, "1.0")).collect();
    let snapshot = update(&bids.join(","), "", 3_824_179_880).replace("update", "snapshot");
    let mut session = kraken_book();
    check_lines(session.as_mut(), &snapshot, &["quote BTC/USD #0 100x1 none @1785067200500000000"]);
    // The best goes, and the venue tells the one that comes into the window: what was the eleventh is gone meanwhile, of
    // which it tells nothing.
    let moved = update(&[level(100, "0.0"), level(89, "5.0")].join(","), "", 66_164_065);
    check_lines(session.as_mut(), &moved, &["quote BTC/USD #0 99x1 none @1785067200500000000"]);
}

#[test]
fn what_is_not_understood_breaks_the_book() {
    for bad in [
        update(r#"{"price":"1","qty":1}"#, "", 1),
        update(r#"{"price":1,"qty":-1}"#, "", 1),
        update(r#"{"price":1}"#, "", 1),
        update("", "", 1).replace("\"asks\":[],", ""),
        update("", "", 1).replace("\"checksum\":1,", ""),
    ] {
        let mut session = kraken_book();
        lines(session.as_mut(), SNAPSHOT);
        let (result, events) = decode(session.as_mut(), &bad);
        assert!(result.is_err(), "{bad}");
        assert_eq!(events, "Broken { symbol: \"BTC/USD\", stream: Quotes, fault: Undecodable }\n", "{bad}");
        check_lines(session.as_mut(), SNAPSHOT, &[FIRST]);
    }
}

#[test]
fn subscribes_to_the_book_instead_of_the_ticker() {
    let mut session = BOOK.session();
    let wanted = [subscription("BTC/USD", Stream::Quotes)];
    let expected = r#"{"method":"subscribe","params":{"channel":"book","depth":10,"snapshot":true,"symbol":["BTC/USD"]},"req_id":1}"#;
    assert_eq!(session.subscribe(&wanted), [expected]);
    let ack = r#"{"method":"subscribe","result":{"channel":"book","depth":10,"snapshot":true,"symbol":"BTC/USD"},"success":true,"req_id":1}"#;
    check_lines(session.as_mut(), ack, &["Subscribed { symbol: \"BTC/USD\", stream: Quotes }"]);
    lines(session.as_mut(), SNAPSHOT);
    session.unsubscribe(&wanted);
    check_lines(session.as_mut(), &update("", "", 1), &[]);
    check_lines(session.as_mut(), SNAPSHOT, &[]);
    assert_eq!(venue("kraken").unwrap().facts(), BOOK.facts());
    check(session_of_ticker().as_mut(), SNAPSHOT, MessageType::Other, "");
}

fn session_of_ticker() -> Box<dyn Session> {
    session("kraken", &["BTC/USD"])
}
