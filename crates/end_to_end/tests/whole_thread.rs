//! Simulator → logger → files → server → client, compared with the simulator's ledger row by row.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use end_to_end::{
    data::{Columns, MD, TRADES},
    eventually,
    ledger::{self, Expected},
    metrics::{Scrape, wait_for},
    project,
    services::{DataServer, Logger},
};
use exchange_simulator::{Config, Disconnect, MarketState, MessageEntry, Replay, Simulator, VenueKind, settle};
use logger::Clock;

const S: u64 = 1_000_000_000;
const VENUES: [(VenueKind, &str); 2] = [(VenueKind::Coinbase, "coinbase"), (VenueKind::Binance, "binance")];

fn now_ns() -> u64 {
    Clock::system().now_ns()
}

/// Unix seconds around everything that these tests write.
fn always() -> (u64, u64) {
    (now_ns() / S - 2 * 86_400, now_ns() / S + 3 * 86_400)
}

async fn rows_written(logger: &Logger, table: &str) -> f64 {
    let scrape = Scrape::of(logger.metrics).await.unwrap();
    scrape.sum("gpu_charts_rows_written_total", &format!(r#"table="{table}""#))
}

/// Waits until both tables have as many rows as expected, and then makes sure that it were no more.
async fn wait_for_rows(logger: &Logger, expected: &BTreeMap<(&str, String), Expected>) {
    for (table, rows) in [
        ("MD", expected.values().map(|expected| expected.md.len()).sum::<usize>()),
        ("TRADES", expected.values().map(|expected| expected.trades.len()).sum()),
    ] {
        eventually(&format!("{rows} rows of {table}"), Duration::from_secs(60), || async {
            (rows_written(logger, table).await >= rows as f64).then_some(())
        })
        .await;
        assert_eq!(rows_written(logger, table).await, rows as f64, "rows of {table}");
    }
}

fn expected(simulator: &Simulator, messages: &[MessageEntry]) -> BTreeMap<(&'static str, String), Expected> {
    let mut all = BTreeMap::new();
    for (kind, exchange) in VENUES {
        for symbol in simulator.symbols(exchange) {
            let expected = ledger::expected(messages, kind, &symbol);
            all.insert((exchange, symbol), expected);
        }
    }
    all
}

async fn compare(server: &DataServer, expected: &BTreeMap<(&str, String), Expected>) {
    for ((exchange, symbol), expected) in expected {
        let md = Columns::get(server.data, exchange, symbol, "MD", &MD, always()).await;
        let rows = ledger::md_rows(&md);
        assert_eq!(rows.len(), expected.md.len(), "{exchange} {symbol} MD");
        for (row, (found, expected)) in rows.iter().zip(&expected.md).enumerate() {
            assert_eq!(found, expected, "{exchange} {symbol} MD row {row}");
        }
        let rounded = [("price", "price_f64"), ("volume", "volume_f64"), ("best_bid", "best_bid_f64")];
        ledger::check_rules(&md, &rounded);

        let trades = Columns::get(server.data, exchange, symbol, "TRADES", &TRADES, always()).await;
        assert_eq!(ledger::trade_rows(&trades), expected.trades, "{exchange} {symbol} TRADES");
        ledger::check_rules(&trades, &[("price", "price_f64"), ("size", "size_f64")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_arrives_once_across_midnight_and_a_disconnect() {
    // Its expectations are those of quotes by ticker; days, faults and frames with the kept book: `day`, `fault_matrix`, `golden`.
    if std::env::var_os("WHOLE_THREAD").is_none() {
        println!("LEFT OUT: expects Coinbase's quotes by ticker");
        return;
    }
    // Eight seconds before the coming midnight, so that it falls into the first half of the run.
    let midnight = (now_ns() / (86_400 * S) + 1) * 86_400 * S;
    let offset = i64::try_from(midnight - 8 * S - now_ns()).unwrap();
    let simulator = Simulator::start(Config {
        seed: 20,
        rate: 2_500.0,
        symbols: 20,
        market: MarketState::Paused,
        clock_offset_ns: offset,
        keep_ledger_in_memory: true,
        ..Config::default()
    })
    .await
    .unwrap();
    let data = tempfile::tempdir().unwrap();
    let server = DataServer::start(data.path()).await;
    let logger = Logger::start(&simulator.logger_config(), data.path(), Clock::shifted(offset)).await;
    let status = |exchange| format!(r#"gpu_charts_exchange_connection_status{{exchange="{exchange}"}}"#);
    for (_, exchange) in VENUES {
        wait_for(logger.metrics, &status(exchange), |value| value == 1.0).await;
    }

    simulator.resume_market();
    let generated = || simulator.events("coinbase").min(simulator.events("binance"));
    let past = |events| async move { (generated() >= events).then_some(()) };
    eventually("the first part of the run", Duration::from_secs(60), || past(10_000)).await;
    for (_, exchange) in VENUES {
        simulator.disconnect(exchange, Disconnect::Clean, Duration::from_millis(700)).await;
    }
    for (_, exchange) in VENUES {
        wait_for(logger.metrics, &status(exchange), |value| value == 1.0).await;
    }
    // Once more while nothing happens: what Coinbase sends as its starting state was recorded before.
    simulator.pause_market();
    simulator.disconnect("coinbase", Disconnect::Clean, Duration::ZERO).await;
    let reconnections = r#"gpu_charts_exchange_reconnections_total{exchange="coinbase"}"#;
    wait_for(logger.metrics, reconnections, |count| count == 2.0).await;
    wait_for(logger.metrics, &status("coinbase"), |value| value == 1.0).await;
    simulator.resume_market();
    eventually("the second part of the run", Duration::from_secs(60), || past(30_000)).await;
    eventually("midnight", Duration::from_secs(60), || async {
        (now_ns().saturating_add_signed(offset) > midnight + S).then_some(())
    })
    .await;
    simulator.pause_market();

    let messages = settle(&simulator.ledger());
    assert!(messages.len() >= 50_000, "{} events", messages.len());
    let expected = expected(&simulator, &messages);
    wait_for_rows(&logger, &expected).await;
    compare(&server, &expected).await;

    let connections_lost = |exchange: &str| if exchange == "coinbase" { 2 } else { 1 };
    let scrape = Scrape::of(logger.metrics).await.unwrap();
    let duplicates = scrape.value(r#"gpu_charts_duplicates_total{exchange="coinbase"}"#);
    let expected_duplicates: u64 = expected.values().map(|expected| expected.duplicates).sum();
    assert!(expected_duplicates >= 20, "each symbol's last trade at Coinbase came twice: {expected_duplicates}");
    assert_eq!(duplicates, Some(expected_duplicates as f64));
    for (_, exchange) in VENUES {
        let missed =
            expected.iter().filter(|((this, _), _)| *this == exchange).map(|(_, expected)| expected.missing_trades);
        assert!(missed.sum::<u64>() > 0, "{exchange} went on while nobody was connected");
    }
    for ((exchange, symbol), expected) in &expected {
        assert_eq!(expected.lost_quotes, connections_lost(exchange), "{exchange} {symbol}");
        let labels = format!(r#"{{exchange="{exchange}",symbol="{symbol}"}}"#);
        let value = |name: &str| scrape.value(&format!("gpu_charts_{name}{labels}"));
        let gaps = (expected.missing_trades + expected.lost_quotes) as f64;
        assert_eq!(value("data_gaps_total"), Some(gaps), "{exchange} {symbol}: what was missed is told");
        assert_eq!(value("data_gaps_detected_total"), Some(gaps));
        assert_eq!(value("trades_processed_total"), Some(expected.trades.len() as f64));
    }
    for (_, exchange) in VENUES {
        let labels = format!(r#"exchange="{exchange}""#);
        let lost = connections_lost(exchange) as f64;
        assert_eq!(scrape.sum("gpu_charts_exchange_reconnections_total", &labels), lost);
        assert_eq!(scrape.sum("gpu_charts_rows_dropped_total", &labels), 0.0);
        assert_eq!(scrape.sum("gpu_charts_parse_errors_total", &labels), 0.0);
        let closed = r#"error_type="closed"}"#;
        assert_eq!(scrape.sum("gpu_charts_exchange_errors_total", &format!("{labels},{closed}")), lost);
    }

    // Each side of midnight is in a day of its own.
    let before = (midnight / S - 3_600, midnight / S - 1);
    let after = (midnight / S, midnight / S + 3_600);
    for ((exchange, symbol), expected) in &expected {
        let mut rows = 0;
        for range in [before, after] {
            let part = Columns::get(server.data, exchange, symbol, "MD", &["time"], range).await.u32s("time");
            assert!(!part.is_empty(), "{exchange} {symbol} has rows in {range:?}");
            rows += part.len();
        }
        assert_eq!(rows, expected.md.len());
    }
    logger.stop().await;
    compare(&server, &expected).await;
    server.stop().await;
    simulator.shutdown().await.unwrap();
}

fn capture(name: &str) -> Option<PathBuf> {
    let path = project().join("../shared/captures").join(name);
    if !path.exists() {
        println!("skipped: {} is not here", path.display());
    }
    path.exists().then_some(path)
}

/// Frames that the exchanges really sent, through a real WebSocket, into files: `counts` is what the capture has of each
/// message.
async fn replay(file: PathBuf, exchange: &str, counts: &[(&str, usize)]) {
    let simulator = Simulator::start(Config {
        replay: Some(Replay { files: vec![file.clone()], speed: 0.0 }),
        keep_ledger_in_memory: true,
        ..Config::default()
    })
    .await
    .unwrap();
    let data = tempfile::tempdir().unwrap();
    let server = DataServer::start(data.path()).await;
    let logger = Logger::start(&simulator.logger_config(), data.path(), Clock::system()).await;

    let from_capture = parse_capture(&file, exchange);
    for (message, count) in counts {
        assert_eq!(from_capture.iter().filter(|parsed| parsed.message == *message).count(), *count, "{message}");
    }
    let rows = from_capture.len();
    eventually("the capture's rows", Duration::from_secs(60), || async {
        (rows_written(&logger, "MD").await >= rows as f64).then_some(())
    })
    .await;
    assert_eq!(rows_written(&logger, "MD").await, rows as f64);
    let mut found_rows = 0;
    for symbol in simulator.symbols(exchange) {
        let md = Columns::get(server.data, exchange, &symbol, "MD", &MD, always()).await;
        let expected: Vec<_> = from_capture.iter().filter(|parsed| parsed.symbol == symbol).collect();
        let found: Vec<(u64, u64)> = md.u64s("event_id").into_iter().zip(md.u64s("event_ns")).collect();
        assert_eq!(found, expected.iter().map(|parsed| (parsed.id, parsed.event_ns)).collect::<Vec<_>>(), "{symbol}");
        let [price, bid, ask] = ["price_f64", "best_bid_f64", "best_ask_f64"].map(|column| md.f64_bits(column));
        for (row, parsed) in expected.iter().enumerate() {
            if let Some([parsed_bid, parsed_ask]) = parsed.quote {
                assert_eq!([bid[row], ask[row]], [parsed_bid.to_bits(), parsed_ask.to_bits()], "{symbol} row {row}");
            }
            if let Some(parsed_price) = parsed.price {
                assert_eq!(price[row], parsed_price.to_bits(), "{symbol} row {row}");
            }
        }
        found_rows += found.len();
        let trades: Vec<u64> =
            expected.iter().filter(|parsed| parsed.price.is_some()).map(|parsed| parsed.id).collect();
        let table = Columns::get(server.data, exchange, &symbol, "TRADES", &["id"], always()).await;
        assert_eq!(table.u64s("id"), trades, "{symbol}");
    }
    assert_eq!(found_rows, rows);
    logger.stop().await;
    server.stop().await;
    simulator.shutdown().await.unwrap();
}

struct Parsed {
    message: String,
    symbol: String,
    id: u64,
    event_ns: u64,
    quote: Option<[f64; 2]>,
    price: Option<f64>,
}

/// The messages of a capture that the logger subscribes to, read with a JSON parser and the venues' documentation only.
fn parse_capture(file: &std::path::Path, exchange: &str) -> Vec<Parsed> {
    let text = std::fs::read_to_string(file).unwrap();
    let frames = text.lines().filter_map(|line| {
        let (time, frame) = line.split_once(": ")?;
        time.parse::<f64>().ok()?;
        serde_json::from_str::<serde_json::Value>(frame).ok()
    });
    let number = |value: &serde_json::Value| value.as_str().unwrap().parse::<f64>().unwrap();
    let parsed = frames.filter_map(|frame| {
        if exchange == "coinbase" {
            let message = frame["type"].as_str()?.to_owned();
            let trade = matches!(message.as_str(), "match" | "last_match");
            if !trade && message != "ticker" {
                return None;
            }
            let time: jiff::Timestamp = frame["time"].as_str()?.parse().ok()?;
            let id = if trade { &frame["trade_id"] } else { &frame["sequence"] };
            Some(Parsed {
                message,
                symbol: frame["product_id"].as_str()?.to_owned(),
                id: id.as_u64()?,
                event_ns: u64::try_from(time.as_nanosecond()).ok()?,
                quote: (!trade).then(|| [number(&frame["best_bid"]), number(&frame["best_ask"])]),
                price: trade.then(|| number(&frame["price"])),
            })
        } else {
            let (_, message) = frame["stream"].as_str()?.split_once('@')?;
            let data = &frame["data"];
            let trade = message == "aggTrade";
            if !trade && message != "bookTicker" {
                return None;
            }
            Some(Parsed {
                message: message.to_owned(),
                symbol: data["s"].as_str()?.to_owned(),
                id: if trade { data["l"].as_u64()? } else { data["u"].as_u64()? },
                event_ns: data["T"].as_u64().map_or(0, |millis| millis * 1_000_000),
                quote: (!trade).then(|| [number(&data["b"]), number(&data["a"])]),
                price: trade.then(|| number(&data["p"])),
            })
        }
    });
    parsed.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_coinbase_capture_becomes_files() {
    // Its expectations are those of quotes by ticker; days, faults and frames with the kept book: `day`, `fault_matrix`, `golden`.
    if std::env::var_os("WHOLE_THREAD").is_none() {
        println!("LEFT OUT: expects Coinbase's quotes by ticker");
        return;
    }
    let Some(file) = capture("COINBASE.ws.28.0") else { return };
    replay(file, "coinbase", &[("ticker", 107), ("match", 97), ("last_match", 10)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binance_capture_becomes_files() {
    let Some(file) = capture("BINANCE.ws.1.0") else { return };
    replay(file, "binance", &[("bookTicker", 84), ("aggTrade", 2)]).await;
}
