//! Frames that the exchanges really sent, against a plain look at the same JSON.

use std::{collections::BTreeMap, fs, path::PathBuf};

use exchange_protocol::Venue as _;
use serde_json::Value;

use super::*;

/// The captures lie beside the project, not in it.
fn capture(name: &str) -> Option<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures").join(name);
    let text = fs::read_to_string(&path).ok();
    if text.is_none() {
        println!("skipped: {} is not here", path.display());
    }
    text
}

/// The frames received in a capture: lines `T: FRAME`.
fn frames(capture: &str) -> impl Iterator<Item = &str> {
    capture.lines().filter_map(|line| {
        let (time, frame) = line.split_once(": ")?;
        time.parse::<f64>().ok().map(|_| frame)
    })
}

/// Decodes every frame; returns how many events each kind of message had.
fn count(exchange: &str, capture: &str, check: impl Fn(&Value, &Event<'_>)) -> BTreeMap<String, usize> {
    let mut session = session(exchange, &[]);
    let mut counts = BTreeMap::new();
    for frame in frames(capture) {
        let value: Value = serde_json::from_str(frame).unwrap();
        let kind = ["type", "stream"].iter().find_map(|key| value[*key].as_str()).unwrap();
        let kind = kind.rsplit('@').next().unwrap().to_owned();
        session
            .decode(frame, &mut |event| {
                *counts.entry(kind.clone()).or_default() += 1;
                check(&value, &event);
            })
            .unwrap_or_else(|error| panic!("{error}: {frame}"));
    }
    counts
}

fn number(value: &Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn coinbase() {
    let Some(capture) = capture("COINBASE.ws.28.0") else { return };
    let counts = count("coinbase", &capture, |frame, event| match event {
        Event::Trade(trade) => {
            assert_eq!(trade.symbol, frame["product_id"]);
            assert_eq!(trade.id, frame["trade_id"].as_u64().unwrap());
            assert_eq!((trade.price.value, trade.size.value), (number(&frame["price"]), number(&frame["size"])));
            assert!(trade.price.exact && trade.size.exact);
            let maker = if frame["side"] == "buy" { "Sell" } else { "Buy" };
            assert_eq!(format!("{:?}", trade.taker), maker, "the taker is the other side");
            assert_ne!(trade.maker_order_id, [0; 16]);
        }
        Event::Quote(quote) => {
            assert_eq!(quote.bid.unwrap().price.value, number(&frame["best_bid"]));
            assert_eq!(quote.ask.unwrap().price.value, number(&frame["best_ask"]));
            assert!(quote.bid.unwrap().size.is_none(), "frames of 2021 have no sizes");
        }
        other => panic!("{other:?}"),
    });
    let expected = [("last_match", 10), ("match", 97), ("ticker", 107)];
    assert_eq!(counts, expected.map(|(kind, count)| (kind.to_owned(), count)).into());
}

#[test]
fn binance() {
    let Some(capture) = capture("BINANCE.ws.1.0") else { return };
    let counts = count("binance", &capture, |frame, event| match event {
        Event::Trade(trade) => {
            let data = &frame["data"];
            assert_eq!((trade.first_id, trade.id), (data["f"].as_u64().unwrap(), data["l"].as_u64().unwrap()));
            assert_eq!(trade.price.value, number(&data["p"]));
            assert_eq!(trade.event_ns, data["T"].as_u64().unwrap() * 1_000_000);
        }
        Event::Quote(quote) => {
            let data = &frame["data"];
            assert_eq!(quote.update_id, data["u"].as_u64().unwrap());
            let (bid, ask) = (quote.bid.unwrap(), quote.ask.unwrap());
            assert_eq!((bid.price.value, bid.size.unwrap().value), (number(&data["b"]), number(&data["B"])));
            assert_eq!((ask.price.value, ask.size.unwrap().value), (number(&data["a"]), number(&data["A"])));
        }
        other => panic!("{other:?}"),
    });
    let expected = [("aggTrade", 2), ("bookTicker", 84)];
    assert_eq!(counts, expected.map(|(kind, count)| (kind.to_owned(), count)).into());
}

/// The book that `level2_batch` tells, against maps of whatever the frames hold.
#[test]
fn coinbase_level2() {
    let Some(capture) = capture("COINBASE.ws.28.0") else { return };
    let snapshots = frames(&capture).filter(|frame| frame.contains("\"snapshot\""));
    let product = |frame: &Value| frame["product_id"].as_str().unwrap().to_owned();
    let symbols: Vec<String> = snapshots.map(|frame| product(&serde_json::from_str(frame).unwrap())).collect();
    let mut session = exchange_protocol::coinbase::LEVEL2.session();
    session.subscribe(&symbols.iter().map(|symbol| subscription(symbol, Stream::Quotes)).collect::<Vec<_>>());
    // Prices and sizes in their order of bits, which for what is positive is their own.
    let mut books: BTreeMap<String, [BTreeMap<u64, f64>; 2]> = BTreeMap::new();
    let mut told: BTreeMap<String, [Option<(f64, f64)>; 2]> = BTreeMap::new();
    let mut quotes = 0;
    for frame in frames(&capture) {
        let value: Value = serde_json::from_str(frame).unwrap();
        let mut set = |side: usize, row: &Value| {
            let (price, size) =
                (number(&row[row.as_array().unwrap().len() - 2]), number(row.as_array().unwrap().last().unwrap()));
            let book = books.entry(product(&value)).or_default();
            if size == 0.0 {
                book[side].remove(&price.to_bits())
            } else {
                book[side].insert(price.to_bits(), size)
            };
        };
        for (side, key) in ["bids", "asks"].into_iter().enumerate() {
            value[key].as_array().into_iter().flatten().for_each(|row| set(side, row));
        }
        for row in value["changes"].as_array().into_iter().flatten() {
            set(usize::from(row[0] == "sell"), row);
        }
        session
            .decode(frame, &mut |event| {
                if let Event::Quote(quote) = event
                    && value["type"] != "ticker"
                {
                    quotes += 1;
                    let side = |level: Option<exchange_protocol::Level>| {
                        level.map(|level| (level.price.value, level.size.unwrap().value))
                    };
                    told.insert(quote.symbol.to_owned(), [side(quote.bid), side(quote.ask)]);
                }
            })
            .unwrap();
        if value["type"] == "snapshot" || value["type"] == "l2update" {
            let symbol = product(&value);
            let bid = books[&symbol][0].last_key_value().map(|(price, size)| (f64::from_bits(*price), *size));
            let ask = books[&symbol][1].first_key_value().map(|(price, size)| (f64::from_bits(*price), *size));
            assert_eq!(told[&symbol], [bid, ask], "{frame}");
        }
    }
    assert!(quotes > 1_000, "{quotes}");
}
