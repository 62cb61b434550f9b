//! The REST services.

use exchange_simulator::{Config, VenueKind, settle};
use serde_json::json;

use crate::client::{get, start, still};

#[tokio::test]
async fn coinbase_pages_down_to_any_trade_by_id() {
    let simulator = start(Config { symbols: 2, ..still(VenueKind::Coinbase) }).await;
    simulator.emit_events("coinbase", 600);
    let base = simulator.rest_url("coinbase");
    let told: Vec<_> = settle(&simulator.ledger())
        .into_iter()
        .filter(|entry| entry.message == "match" && entry.symbol.as_deref() == Some("BTC-USD"))
        .collect();
    let (lowest, highest) = (told[0].id.unwrap(), told[told.len() - 1].id.unwrap());

    let mut after = highest + 1;
    let mut rows = Vec::new();
    while after > lowest {
        let page = get(&base, &format!("/products/BTC-USD/trades?limit=50&after={after}"), "").await;
        assert_eq!(page.status, 200);
        let page_rows = page.body.as_array().unwrap().clone();
        assert_eq!(page.headers["cb-before"], page_rows[0]["trade_id"].to_string());
        after = page.headers["cb-after"].parse().unwrap();
        assert_eq!(after, page_rows[page_rows.len() - 1]["trade_id"].as_u64().unwrap());
        rows.extend(page_rows);
    }
    // The last one is the trade from before the market opened, which is in no message.
    assert_eq!(rows.pop().unwrap()["trade_id"], lowest - 1);
    assert_eq!(rows.len(), told.len());
    for (row, entry) in rows.iter().rev().zip(&told) {
        assert_eq!(row["trade_id"], entry.id.unwrap());
        let number = |text: &str| text.parse::<f64>().unwrap();
        assert_eq!(number(row["price"].as_str().unwrap()), number(entry.price.as_ref().unwrap()));
        assert_eq!(number(row["size"].as_str().unwrap()), number(entry.size.as_ref().unwrap()));
        assert_eq!(row["side"], entry.side.unwrap().opposite().name());
    }
    let newer = get(&base, &format!("/products/BTC-USD/trades?before={}", highest - 3), "").await;
    assert_eq!(newer.body.as_array().unwrap().len(), 3);
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn coinbase_lists_products_and_names_errors() {
    let simulator = start(Config { symbols: 4, ..still(VenueKind::Coinbase) }).await;
    let base = simulator.rest_url("coinbase");
    let products = get(&base, "/products", "").await;
    let ids: Vec<_> = products.body.as_array().unwrap().iter().map(|product| product["id"].as_str().unwrap()).collect();
    assert_eq!(ids, simulator.symbols("coinbase"));
    let shib = get(&base, "/products/SHIB-USD", "").await.body;
    assert_eq!((&shib["quote_increment"], &shib["base_increment"]), (&json!("0.00000001"), &json!("1")));
    assert_eq!((&shib["base_currency"], &shib["status"]), (&json!("SHIB"), &json!("online")));
    for (path, status, message) in [
        ("/products/FOO-USD/trades", 404, "NotFound"),
        ("/products/BTC-USD/trades?limit=x", 400, "Invalid limit"),
        ("/products/BTC-USD/trades?limit=1001", 400, "Invalid limit"),
        ("/products/BTC-USD/trades?after=-1", 400, "Invalid after"),
        ("/elsewhere", 404, "Route not found"),
    ] {
        let answer = get(&base, path, "").await;
        assert_eq!((answer.status, &answer.body["message"]), (status, &json!(message)), "{path}");
    }
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn binance_gives_trades_from_any_id() {
    let simulator = start(Config { symbols: 2, ..still(VenueKind::Binance) }).await;
    simulator.emit_events("binance", 3_000);
    let base = simulator.rest_url("binance");
    let told: Vec<_> = settle(&simulator.ledger())
        .into_iter()
        .filter(|entry| entry.message == "trade" && entry.symbol.as_deref() == Some("BTCUSDT"))
        .collect();
    let from = told[10].id.unwrap();
    let path = format!("/api/v3/historicalTrades?symbol=BTCUSDT&fromId={from}&limit=20");
    let millis = get(&base, &path, "").await.body;
    let micros = get(&base, &path, "X-MBX-TIME-UNIT: MICROSECOND\r\n").await.body;
    assert_eq!(millis.as_array().unwrap().len(), 20);
    for (index, entry) in told[10..30].iter().enumerate() {
        let row = &micros[index];
        assert_eq!(row["id"], entry.id.unwrap());
        assert_eq!((&row["price"], &row["qty"]), (&json!(entry.price), &json!(entry.size)));
        assert_eq!(row["time"].as_u64().unwrap() * 1_000, entry.event_ns.unwrap(), "unheard trades tell µs");
        assert_eq!(row["isBuyerMaker"], entry.side.unwrap().name() == "sell");
        assert_eq!(millis[index]["time"].as_u64().unwrap(), entry.event_ns.unwrap() / 1_000_000);
    }
    let latest = get(&base, "/api/v3/trades?symbol=BTCUSDT&limit=2", "").await.body;
    assert_eq!(latest[1]["id"], told[told.len() - 1].id.unwrap());
    assert_eq!(latest.as_array().unwrap().len(), 2);
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn binance_lists_symbols_and_names_errors() {
    let simulator = start(Config { symbols: 4, ..still(VenueKind::Binance) }).await;
    let base = simulator.rest_url("binance");
    let info = get(&base, "/api/v3/exchangeInfo", "").await.body;
    let names: Vec<_> = info["symbols"].as_array().unwrap().iter().map(|row| row["symbol"].as_str().unwrap()).collect();
    assert_eq!(names, simulator.symbols("binance"));
    assert_eq!(info["symbols"][0]["filters"][0]["tickSize"], "0.01000000");
    assert_eq!((&info["symbols"][0]["baseAsset"], &info["symbols"][0]["status"]), (&json!("BTC"), &json!("TRADING")));
    for (path, status, code) in [
        ("/api/v3/trades?symbol=NOPE", 400, -1121),
        ("/api/v3/trades", 400, -1102),
        ("/api/v3/trades?symbol=BTCUSDT&limit=x", 400, -1100),
        ("/api/v3/trades?symbol=BTCUSDT&limit=1001", 400, -1130),
        ("/api/v3/historicalTrades?symbol=BTCUSDT&fromId=x", 400, -1100),
        ("/api/v3/nothing", 404, -1000),
    ] {
        let answer = get(&base, path, "").await;
        assert_eq!((answer.status, answer.body["code"].as_i64()), (status, Some(code)), "{path}");
    }
    simulator.shutdown().await.unwrap();
}
