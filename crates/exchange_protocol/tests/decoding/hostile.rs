//! No frame panics, and the order of keys means nothing.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;

const FRAMES: [(&str, &str); 6] = [
    (
        "coinbase",
        r#"{"type":"match","trade_id":10,"sequence":50,"time":"2026-11-07T08:19:27.028459Z","product_id":"BTC-USD","size":"5.23512","price":"64400.23","side":"sell"}"#,
    ),
    (
        "coinbase",
        r#"{"type":"ticker","sequence":3,"product_id":"BTC-USD","best_bid":"1285.04","best_bid_size":"0.4","best_ask":"1285.27","best_ask_size":"1.5","time":"2022-10-19T23:28:22.061769Z"}"#,
    ),
    ("coinbase", r#"{"type":"subscriptions","channels":[{"name":"matches","product_ids":["BTC-USD"]}]}"#),
    (
        "binance",
        r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1672515782136,"s":"BTCUSDT","t":12345,"p":"0.001","q":"100","T":1672515782136,"m":true}}"#,
    ),
    (
        "binance",
        r#"{"stream":"btcusdt@bookTicker","data":{"u":400900217,"s":"BTCUSDT","b":"25.3","B":"31.2","a":"25.4","A":"40.6"}}"#,
    ),
    ("binance", r#"{"result":null,"id":1}"#),
];

fn fresh(exchange: &str) -> Box<dyn Session> {
    session(exchange, &["BTC-USD", "BTCUSDT"])
}

/// The same object with its keys in another order, an unknown key and white space.
fn shuffled(value: &Value, turn: usize) -> String {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{} : {}", Value::from(key.as_str()), shuffled(value, turn)))
                .collect();
            let length = fields.len().max(1);
            fields.rotate_left(turn % length);
            if turn % 2 == 1 {
                fields.reverse();
            }
            fields.insert(turn % length, format!("\"unknown_key\": {}", Value::Object(Map::new())));
            format!("{{ {} }}", fields.join(" ,\n"))
        }
        other => other.to_string(),
    }
}

#[test]
fn key_order_extra_keys_and_white_space_mean_nothing() {
    for (exchange, frame) in FRAMES {
        let expected = decode(fresh(exchange).as_mut(), frame);
        assert!(expected.0.is_ok(), "{frame}");
        for turn in 0..12 {
            let other = shuffled(&serde_json::from_str(frame).unwrap(), turn);
            assert_eq!(decode(fresh(exchange).as_mut(), &other), expected, "{other}");
        }
    }
}

#[test]
fn escapes_are_understood() {
    let (exchange, frame) = FRAMES[0];
    let escaped = frame.replace("BTC-USD", "BTC\\u002dUSD").replace("5.23512", "5\\u002e23512");
    assert_eq!(decode(fresh(exchange).as_mut(), &escaped), decode(fresh(exchange).as_mut(), frame));
}

proptest! {
    #[test]
    fn never_panics_on_text(frame in ".{0,200}") {
        for exchange in ["coinbase", "binance"] {
            let _ = decode(fresh(exchange).as_mut(), &frame);
        }
    }

    /// Real frames with bytes changed, cut and doubled.
    #[test]
    fn never_panics_on_damaged_frames(
        which in 0..FRAMES.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 1..8),
    ) {
        let (exchange, frame) = FRAMES[which];
        let mut bytes = frame.as_bytes().to_vec();
        for (at, byte, action) in edits {
            let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            match action {
                0 if !bytes.is_empty() => bytes[at] = byte,
                1 => bytes.truncate(at),
                _ => bytes.insert(at, byte),
            }
        }
        let _ = decode(fresh(exchange).as_mut(), &String::from_utf8_lossy(&bytes));
    }
}
