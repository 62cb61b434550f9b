//! `/api/symbols`.

use std::fs;

use tempfile::TempDir;

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
        assert!(matches!(answer.header("x-cache-status"), Some("MISS" | "MEMORY")));
        assert!(answer.header("x-fetch-time-ms").unwrap().parse::<u64>().is_ok());
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
fn a_listing_is_used_again_for_a_while() {
    let root = TempDir::new().unwrap();
    let server = Running::start(root.path());
    // Two walks are at least a second apart, so of many requests some follow a walk within it.
    wait_until("a listing from memory", || {
        let statuses: Vec<_> =
            (0..2).map(|_| server.get("/api/symbols").header("x-cache-status").unwrap().to_owned()).collect();
        statuses.contains(&"MEMORY".to_owned())
    });
}
