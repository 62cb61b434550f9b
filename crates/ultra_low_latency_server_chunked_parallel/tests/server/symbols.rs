//! `/api/symbols`, `/api/symbol-search`, `/api/status`: what there is.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use tempfile::TempDir;
use ultra_low_latency_server_chunked_parallel::{ApiLimits, Limits};

use crate::{
    DAY,
    running::Running,
    wait_until,
    written::{quotes, write},
};

#[test]
fn lists_what_is_there_sorted_and_without_repetition() {
    let root = TempDir::new().unwrap();
    for (exchange, symbol) in [
        ("kraken", "XBT/USD"),
        ("coinbase", "SOL-USD"),
        ("coinbase", "BTC-USD"),
        ("okx", "BTC-USD"),
        ("okx", "BRK.B-USD"),
    ] {
        write(root.path(), exchange, symbol, &quotes(&[DAY]));
    }
    fs::create_dir_all(root.path().join("empty-exchange")).unwrap();
    fs::create_dir_all(root.path().join("coinbase/no-table")).unwrap();
    let server = Running::start(root.path());
    let check = |query: &str, expected: &str| {
        let answer = server.get(&format!("/api/symbols{query}")).expect(200);
        assert_eq!(answer.text(), expected, "{query}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("x-cache-status"), Some("MEMORY"));
        assert_eq!(answer.header("x-fetch-time-ms"), Some("0"));
    };
    let all = r#"{"exchanges":{"coinbase":["BTC-USD","SOL-USD"],"kraken":["XBT_USD"],"okx":["BRK.B-USD","BTC-USD"]},"symbols":["BRK.B-USD","BTC-USD","SOL-USD","XBT_USD"]}"#;
    check("", all);
    check("?", all);
    check("?other=1", all);
    let kraken = r#"{"exchanges":{"kraken":["XBT_USD"]},"symbols":["XBT_USD"]}"#;
    check("?exchange=kraken", kraken);
    check("?exchange=kraken&exchange=okx", kraken);
    for unknown in ["nowhere", "..", "/etc", "", "%2e%2e", "Kraken"] {
        check(&format!("?exchange={unknown}"), r#"{"exchanges":{},"symbols":[]}"#);
    }
}

#[test]
fn new_symbols_appear() {
    let directory = TempDir::new().unwrap();
    let root = directory.path().join("later");
    let server = Running::start(&root);
    assert_eq!(server.get("/api/symbols").expect(200).text(), r#"{"exchanges":{},"symbols":[]}"#);
    for symbol in ["A-USD", "B-USD"] {
        write(&root, "coinbase", symbol, &quotes(&[DAY]));
        wait_until(symbol, || server.get("/api/symbols").text().contains(symbol));
    }
    assert_eq!(server.get("/api/symbols?exchange=coinbase").text().matches("B-USD").count(), 2);
}

#[test]
fn a_listing_is_bounded() {
    let root = TempDir::new().unwrap();
    for symbol in ["C-USD", "A-USD", "B-USD"] {
        write(root.path(), "coinbase", symbol, &quotes(&[DAY]));
    }
    write(root.path(), "okx", "D-USD", &quotes(&[DAY]));
    let api = ApiLimits { listed_symbols: 2, ..ApiLimits::default() };
    let server = Running::with_limits(root.path(), Limits { api, ..Limits::default() });
    let expected = r#"{"exchanges":{"coinbase":["A-USD","B-USD"]},"symbols":["A-USD","B-USD"]}"#;
    assert_eq!(server.get("/api/symbols").expect(200).text(), expected);
    assert_eq!(server.sample("gpu_charts_server_symbols_listed"), 2.0);
}

#[test]
fn pairs_are_found_as_the_venues_tell_them() {
    let root = TempDir::new().unwrap();
    for (exchange, symbol) in [("coinbase", "BTC-USD"), ("kraken", "XBT/USD"), ("binance", "1000CATUSDT")] {
        write(root.path(), exchange, symbol, &quotes(&[DAY]));
    }
    let server = Running::start(root.path());
    let search = |query: &str| server.get(&format!("/api/symbol-search{query}")).expect(200).text().to_owned();
    for empty in ["", "?", "?q=", "?q=%20", "?Q=btc"] {
        assert_eq!(search(empty), r#"{"message":"Please provide a search query","results":[]}"#, "{empty}");
    }
    // A plus is no space, and the first of two counts.
    let nothing = r#"{"message":"No matching symbols found","query":"btc+usd","results":[]}"#;
    assert_eq!(search("?q=btc+usd&q=btc"), nothing);
    let bitcoin = search("?q=btc%20usd");
    let venues = r#""exchanges":[{"exchange":"coinbase","symbol":"BTC-USD"},{"exchange":"kraken","symbol":"XBT_USD"}]"#;
    assert!(bitcoin.contains(venues) && bitcoin.contains(r#""relevance_score":150.0"#), "{bitcoin}");
    assert!(search("?q=cat").contains(r#""base":"1000CAT""#));
    // What the venue itself says counts more than the name, from when it says so.
    let told = |symbol: &str| {
        format!(
            r#"{{"exchange":"binance","fetched_ns":1,"instruments":[{{"symbol":"{symbol}","stored":"1000CATUSDT",
            "base":"CAT","quote":"USDT","tick_size":null,"lot_size":"1","status":"trading"}}]}}"#
        )
    };
    let file = root.path().join("binance/instruments.json");
    fs::write(&file, told("1000CATUSDT")).unwrap();
    wait_until("the instruments are read", || search("?q=cat").contains(r#""base":"CAT""#));
    // A damaged file changes nothing, and a later good one does.
    fs::write(&file, "{").unwrap();
    write(root.path(), "coinbase", "NEW-USD", &quotes(&[DAY]));
    wait_until("another walk", || search("?q=new").contains("NEW-USD"));
    assert!(search("?q=cat").contains(r#""base":"CAT""#));
    fs::write(&file, told("kitten")).unwrap();
    wait_until("the new instruments are read", || search("?q=kitten").contains(r#""relevance_score":80.0"#));
}

#[test]
fn the_status_tells_when_an_exchange_was_written() {
    let root = TempDir::new().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    write(root.path(), "newcomer", "B-USD", &quotes(&[now as u32 - 1]));
    write(root.path(), "newcomer", "A-USD", &quotes(&[DAY - 30 * 86_400]));
    write(root.path(), "kraken", "ADA/USD", &quotes(&[DAY]));
    write(root.path(), "kraken", "XBT/USD", &quotes(&[now as u32 - 1]));
    let server = Running::start(root.path());
    let first = server.get("/api/status").expect(200);
    assert_eq!(
        (first.header("x-cache-status"), first.header("content-type")),
        (Some("MISS"), Some("application/json"))
    );
    assert!(first.header("x-fetch-time-ms").is_some());
    let keys = r#"{"exchange":"newcomer","last_update":0,"last_update_date":"Never","md":{"last_update":0,"last_update_date":"Never"},"symbol_checked":"A-USD","trades":{"last_update":0,"last_update_date":"Never"}}]"#;
    assert!(first.text().starts_with(r#"{"cached":false,"exchanges":[{"exchange":"kraken","last_update":"#));
    assert!(first.text().contains(keys), "{}", first.text());
    let status: serde_json::Value = serde_json::from_slice(&first.body).unwrap();
    let kraken = &status["exchanges"][0];
    assert_eq!(kraken["symbol_checked"], "XBT_USD", "the symbol that trades most");
    let written = kraken["last_update"].as_u64().unwrap();
    assert!((now - 60..now + 60).contains(&written), "{written}");
    assert_eq!(kraken["md"]["last_update"].as_u64(), Some(written));
    assert!(kraken["last_update_date"].as_str().unwrap().ends_with(" UTC"));
    let second = server.get("/api/status").expect(200);
    assert_eq!((second.header("x-cache-status"), second.header("x-fetch-time-ms")), (Some("HIT"), None));
    assert_eq!(second.text(), first.text().replace("\"cached\":false", "\"cached\":true"));
}
