//! The life of a connection, against a venue that does what each test tells it to: every kind of failure is counted under
//! its own name, is survived, and costs no other message.
#![allow(clippy::unwrap_used)]

mod lifecycle;
mod scripted;

use std::{fs, path::Path, time::Duration};

use end_to_end::{
    http::get,
    metrics::{Scrape, wait_for},
    services::Logger,
};
use futures_util::{SinkExt as _, StreamExt as _};
use logger::{Clock, LoggerError};
use scripted::{Client, Venue};
use tokio::{
    io::AsyncWriteExt as _,
    time::{Instant, timeout},
};
use tokio_tungstenite::tungstenite::Message;

const DEADLINE: Duration = Duration::from_secs(30);

fn trade(symbol: &str, id: u64) -> String {
    format!(
        r#"{{"type":"match","trade_id":{id},"time":"2026-11-07T08:19:27.028459Z","product_id":"{symbol}","size":"0.5","price":"100.25","side":"sell"}}"#
    )
}

/// The whole book of a symbol at Coinbase.
fn book(symbol: &str, bid: &str) -> String {
    format!(r#"{{"type":"snapshot","product_id":"{symbol}","bids":[["{bid}","1"]],"asks":[["101.5","1"]]}}"#)
}

/// The value of a series that must be there.
async fn value(logger: &Logger, series: &str) -> f64 {
    Scrape::of(logger.metrics).await.unwrap().value(series).unwrap_or_else(|| panic!("no series {series}"))
}

async fn expect(logger: &Logger, series: &str, expected: f64) {
    wait_for(logger.metrics, series, |value| value == expected).await;
}

async fn expect_error(logger: &Logger, exchange: &str, error_type: &str, expected: f64) {
    let series = format!(r#"gpu_charts_exchange_errors_total{{exchange="{exchange}",error_type="{error_type}"}}"#);
    expect(logger, &series, expected).await;
}

const CONNECTED: &str = r#"gpu_charts_exchange_connection_status{exchange="coinbase"}"#;
const RECONNECTIONS: &str = r#"gpu_charts_exchange_reconnections_total{exchange="coinbase"}"#;
const TRADES: &str = r#"gpu_charts_trades_processed_total{exchange="coinbase",symbol="BTC-USD"}"#;

/// A logger of one Coinbase symbol and the venue it is connected to.
async fn coinbase(data: &Path) -> (Venue, Logger, Client) {
    let venue = Venue::start().await;
    let logger = Logger::start(&venue.config("coinbase", "BTC-USD"), data, Clock::system()).await;
    let client = venue.accept_and_acknowledge().await;
    expect(&logger, CONNECTED, 1.0).await;
    (venue, logger, client)
}

#[tokio::test]
async fn a_connection_counts_once_everything_is_acknowledged() {
    let data = tempfile::tempdir().unwrap();
    let venue = Venue::start().await;
    let logger = Logger::start(&venue.config("coinbase", "BTC-USD, ETH-USD"), data.path(), Clock::system()).await;
    assert_eq!(value(&logger, CONNECTED).await, 0.0);
    assert_eq!(get(logger.metrics, "/ready").await.status, 503, "no venue is subscribed yet");
    let mut client = venue.accept().await;
    client.acknowledge(&["BTC-USD"]).await;
    client.trade(1).await;
    expect(&logger, TRADES, 1.0).await;
    assert_eq!(value(&logger, CONNECTED).await, 0.0, "half of the symbols are not subscribed");
    client.acknowledge(&["BTC-USD", "ETH-USD"]).await;
    expect(&logger, CONNECTED, 1.0).await;
    assert_eq!(get(logger.metrics, "/ready").await.status, 200);
    assert!(get(logger.metrics, "/health").await.text().contains(r#""status":"ok""#));
    logger.stop().await;
}

#[tokio::test]
async fn a_refused_symbol_does_not_keep_the_others_from_counting() {
    let data = tempfile::tempdir().unwrap();
    let venue = Venue::start().await;
    let logger = Logger::start(&venue.config("coinbase", "BTC-USD, FOO-USD"), data.path(), Clock::system()).await;
    let mut client = venue.accept().await;
    client.send(r#"{"type":"error","message":"Failed to subscribe","reason":"FOO-USD is not a valid product"}"#).await;
    client.acknowledge(&["BTC-USD"]).await;
    // What was refused with others is asked for alone before it counts as refused.
    for _ in 0..2 {
        assert!(client.receive().await.contains("FOO-USD"));
        client
            .send(r#"{"type":"error","message":"Failed to subscribe","reason":"FOO-USD is not a valid product"}"#)
            .await;
    }
    expect(&logger, CONNECTED, 1.0).await;
    let refused = r#"gpu_charts_exchange_errors_total{exchange="coinbase",error_type="subscribe"}"#;
    assert!(value(&logger, refused).await >= 2.0);
    logger.stop().await;
}

#[tokio::test]
async fn an_unanswered_subscription_is_an_error_after_ten_seconds() {
    let data = tempfile::tempdir().unwrap();
    let venue = Venue::start().await;
    let logger = Logger::start(&venue.config("coinbase", "BTC-USD"), data.path(), Clock::system()).await;
    let mut client = venue.accept().await;
    let deadline = Instant::now() + DEADLINE;
    let timeouts = r#"gpu_charts_exchange_errors_total{exchange="coinbase",error_type="subscribe_timeout"}"#;
    while value(&logger, timeouts).await == 0.0 {
        assert!(Instant::now() < deadline);
        client.send(r#"{"type":"heartbeat","sequence":90,"last_trade_id":6,"product_id":"BTC-USD"}"#).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(value(&logger, CONNECTED).await, 0.0);
    // What is missing is asked for again, each alone.
    let again = [client.receive().await, client.receive().await];
    assert!(again.iter().any(|frame| frame.contains("matches") && !frame.contains("level2")), "{again:?}");
    assert!(again.iter().any(|frame| frame.contains("level2") && !frame.contains("matches")), "{again:?}");
    client.acknowledge(&["BTC-USD"]).await;
    expect(&logger, CONNECTED, 1.0).await;
    logger.stop().await;
}

#[tokio::test]
async fn a_clean_close_is_followed_by_another_connection_at_once() {
    let data = tempfile::tempdir().unwrap();
    let (venue, logger, mut client) = coinbase(data.path()).await;
    client.trade(1).await;
    client.socket.close(None).await.unwrap();
    client.wait_for_close().await;
    expect(&logger, CONNECTED, 0.0).await;
    let mut client = venue.accept_and_acknowledge().await;
    expect(&logger, CONNECTED, 1.0).await;
    client.trade(2).await;
    expect(&logger, TRADES, 2.0).await;
    assert_eq!(value(&logger, RECONNECTIONS).await, 1.0);
    expect_error(&logger, "coinbase", "closed", 1.0).await;
    logger.stop().await;
}

#[tokio::test]
async fn a_broken_connection_is_survived() {
    let data = tempfile::tempdir().unwrap();
    let (venue, logger, client) = coinbase(data.path()).await;
    // Without a close frame.
    drop(client);
    expect_error(&logger, "coinbase", "broken", 1.0).await;
    let _client = venue.accept_and_acknowledge().await;
    expect(&logger, CONNECTED, 1.0).await;
    logger.stop().await;
}

#[tokio::test]
async fn a_silent_connection_is_given_up() {
    let data = tempfile::tempdir().unwrap();
    let (venue, logger, client) = coinbase(data.path()).await;
    // The socket lives, and answers pings; but the venue's own heartbeats have stopped.
    let zombie = tokio::spawn(client.wait_for_close());
    expect_error(&logger, "coinbase", "silence", 1.0).await;
    assert_eq!(value(&logger, CONNECTED).await, 0.0);
    let _client = venue.accept_and_acknowledge().await;
    expect(&logger, CONNECTED, 1.0).await;
    zombie.await.unwrap();
    logger.stop().await;
}

#[tokio::test]
async fn pings_are_answered() {
    let data = tempfile::tempdir().unwrap();
    let (_venue, logger, mut client) = coinbase(data.path()).await;
    client.socket.send(Message::Ping("payload".into())).await.unwrap();
    let pong = timeout(DEADLINE, client.socket.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(pong, Message::Pong("payload".into()));
    logger.stop().await;
}

#[tokio::test]
async fn a_venue_that_is_away_is_tried_again() {
    let data = tempfile::tempdir().unwrap();
    let venue = Venue::start().await;
    let logger = Logger::start(&venue.config("coinbase", "BTC-USD"), data.path(), Clock::system()).await;
    for _ in 0..2 {
        // Not a WebSocket server: the handshake fails.
        let (mut stream, _) = timeout(DEADLINE, venue.0.accept()).await.unwrap().unwrap();
        stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    }
    expect_error(&logger, "coinbase", "connect", 2.0).await;
    let _client = venue.accept_and_acknowledge().await;
    expect(&logger, CONNECTED, 1.0).await;
    assert_eq!(value(&logger, RECONNECTIONS).await, 0.0, "it had not been connected before");
    logger.stop().await;
}

#[tokio::test]
async fn frames_that_are_not_understood_are_counted_and_cost_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let (_venue, logger, mut client) = coinbase(data.path()).await;
    client.send("{\"type\":\"nonsense\"}").await;
    client.send(trade("BTC-USD", 1).replace("100.25", "NaN")).await;
    client.send(trade("ETH-USD", 1)).await;
    client.send(trade("BTC-USD", 1).replace("2026-11-07T08:19:27.028459Z", "0001-01-01T00:00:00Z")).await;
    client.send(trade("BTC-USD", 2).replace("100.25", "0.30000000000000001")).await;
    client.trade(2).await;
    client.trade(6).await;
    client.trade(4).await;
    client.send(r#"{"type":"heartbeat","sequence":90,"last_trade_id":6,"product_id":"BTC-USD"}"#).await;
    expect(&logger, r#"gpu_charts_exchange_messages_total{exchange="coinbase",message_type="heartbeat"}"#, 1.0).await;
    expect(&logger, TRADES, 4.0).await;
    expect(&logger, r#"gpu_charts_parse_errors_total{exchange="coinbase"}"#, 2.0).await;
    for (error_type, count) in [("decode", 2.0), ("unknown_symbol", 1.0), ("event_time", 1.0)] {
        expect_error(&logger, "coinbase", error_type, count).await;
    }
    expect(&logger, r#"gpu_charts_inexact_values_total{exchange="coinbase"}"#, 1.0).await;
    expect(&logger, r#"gpu_charts_duplicates_total{exchange="coinbase"}"#, 1.0).await;
    expect(&logger, r#"gpu_charts_data_gaps_total{exchange="coinbase",symbol="BTC-USD"}"#, 3.0).await;
    expect(&logger, r#"gpu_charts_data_gaps_filled_total{exchange="coinbase",symbol="BTC-USD"}"#, 1.0).await;
    expect(&logger, r#"gpu_charts_exchange_messages_total{exchange="coinbase",message_type="trade"}"#, 6.0).await;
    expect(&logger, r#"gpu_charts_exchange_messages_total{exchange="coinbase",message_type="quote"}"#, 1.0).await;
    expect(&logger, r#"gpu_charts_rows_written_total{exchange="coinbase",table="TRADES"}"#, 4.0).await;
    // A quote, and the trades after it.
    expect(&logger, r#"gpu_charts_rows_written_total{exchange="coinbase",table="MD"}"#, 5.0).await;
    expect(&logger, r#"gpu_charts_data_bytes_written_total{exchange="coinbase",table="MD"}"#, 5.0 * 104.0).await;
    expect(&logger, "gpu_charts_open_files", 29.0).await;
    expect(&logger, "gpu_charts_pending_bytes", 0.0).await;
    assert!(value(&logger, "gpu_charts_flush_duration_seconds_count").await > 0.0);
    assert!(value(&logger, "gpu_charts_write_queue_capacity").await > 0.0);
    assert_eq!(value(&logger, "gpu_charts_write_queue_depth").await, 0.0);
    assert!(value(&logger, "gpu_charts_disk_free_bytes").await > 0.0);
    wait_for(logger.metrics, "gpu_charts_disk_days_left", |days| days > 0.0 && days.is_finite()).await;
    assert_eq!(value(&logger, CONNECTED).await, 1.0);
    logger.stop().await;
}

#[tokio::test]
async fn a_binary_frame_ends_the_connection() {
    let data = tempfile::tempdir().unwrap();
    let (venue, logger, mut client) = coinbase(data.path()).await;
    client.socket.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    client.wait_for_close().await;
    expect_error(&logger, "coinbase", "protocol", 1.0).await;
    let _client = venue.accept_and_acknowledge().await;
    logger.stop().await;
}

#[tokio::test]
async fn freshness_rises_while_nothing_comes() {
    let data = tempfile::tempdir().unwrap();
    let (_venue, logger, mut client) = coinbase(data.path()).await;
    let freshness = r#"gpu_charts_data_freshness_seconds{exchange="coinbase",symbol="BTC-USD"}"#;
    let updated = r#"gpu_charts_last_update_timestamp{exchange="coinbase",symbol="BTC-USD"}"#;
    let before = value(&logger, freshness).await;
    client.trade(1).await;
    expect(&logger, TRADES, 1.0).await;
    let first = value(&logger, freshness).await;
    assert!(value(&logger, updated).await > 1.7e9);
    let second = value(&logger, freshness).await;
    assert!(second > first, "{second} after {first}");
    assert!(first < before + DEADLINE.as_secs_f64());
    logger.stop().await;
}

/// The disk refuses: rows wait in memory, the health page says so, and recording goes on when the disk is back.
#[tokio::test]
async fn a_failing_disk_degrades_and_recovers_without_loss() {
    let data = tempfile::tempdir().unwrap();
    let (_venue, logger, mut client) = coinbase(data.path()).await;
    // A file where the exchange's directory should be.
    let obstacle = data.path().join("coinbase");
    fs::write(&obstacle, "").unwrap();
    for id in 1..=10 {
        client.trade(id).await;
    }
    let deadline = Instant::now() + DEADLINE;
    loop {
        let answer = get(logger.metrics, "/health").await;
        assert_eq!(answer.status, 200, "a restart would lose what is in memory");
        let body = answer.text();
        if body.contains("degraded") {
            assert!(body.contains("coinbase/BTC-USD"), "the reason names the file: {body}");
            break;
        }
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(get(logger.metrics, "/ready").await.status, 503);
    assert!(value(&logger, "gpu_charts_write_errors_total").await > 0.0);
    // Trades, and the market's state after the book and after each.
    assert_eq!(value(&logger, "gpu_charts_pending_bytes").await, 10.0 * 92.0 + 11.0 * 104.0);
    fs::remove_file(&obstacle).unwrap();
    expect(&logger, r#"gpu_charts_rows_written_total{exchange="coinbase",table="TRADES"}"#, 10.0).await;
    assert!(get(logger.metrics, "/health").await.text().contains(r#""status":"ok""#));
    assert_eq!(get(logger.metrics, "/ready").await.status, 200);
    assert_eq!(value(&logger, r#"gpu_charts_rows_dropped_total{exchange="coinbase",reason="shutdown"}"#).await, 0.0);
    logger.stop().await;
}

/// The end comes while the disk still refuses: the rows are counted as lost, and the exit says so.
#[tokio::test]
async fn rows_that_cannot_be_written_at_the_end_are_an_error() {
    let data = tempfile::tempdir().unwrap();
    let (_venue, logger, mut client) = coinbase(data.path()).await;
    fs::write(data.path().join("coinbase"), "").unwrap();
    client.trade(1).await;
    expect(&logger, TRADES, 1.0).await;
    let error = timeout(DEADLINE, logger.end()).await.unwrap().unwrap_err();
    assert!(matches!(error, LoggerError::Unwritten { rows: 3, .. }), "{error}");
}

/// The disk refuses for so long that memory is full: the feed waits, the end still comes, and every row is accounted for.
#[tokio::test]
async fn memory_is_bounded_while_the_disk_refuses_and_the_end_still_comes() {
    let data = tempfile::tempdir().unwrap();
    let venue = Venue::start().await;
    let limits = "memory_limit_bytes: 1048576\nqueue_capacity: 16\nshutdown_grace: 2s\n";
    let logger =
        Logger::start(&format!("{limits}{}", venue.config("coinbase", "BTC-USD")), data.path(), Clock::system()).await;
    let mut client = venue.accept_and_acknowledge().await;
    expect(&logger, CONNECTED, 1.0).await;
    fs::write(data.path().join("coinbase"), "").unwrap();
    let sending = tokio::spawn(async move {
        for id in 1..=40_000 {
            // Ends when the logger closes the connection.
            if client.socket.send(Message::text(trade("BTC-USD", id))).await.is_err() {
                break;
            }
        }
    });
    let full = 1_048_576 / (92 + 104);
    // It comes to stand still: what follows waits in the queue and in the socket.
    let deadline = Instant::now() + DEADLINE;
    let mut taken = 0.0;
    loop {
        assert!(Instant::now() < deadline, "{taken} rows");
        let before = taken;
        tokio::time::sleep(Duration::from_secs(1)).await;
        taken = value(&logger, TRADES).await;
        // Buffers grow by doubling, so that they are full before all of them is used.
        if taken == before && taken >= f64::from(full / 4) {
            break;
        }
    }
    assert_eq!(value(&logger, "gpu_charts_write_queue_depth").await, 16.0);
    assert_eq!(value(&logger, "gpu_charts_write_queue_capacity").await, 16.0);
    assert!(taken <= f64::from(full + 4_096), "{taken} rows are in memory");
    let error = timeout(DEADLINE, logger.end()).await.unwrap().unwrap_err();
    let LoggerError::Unwritten { rows, .. } = error else { panic!("{error}") };
    assert!(rows as f64 >= taken, "{rows} of {taken}");
    sending.abort();
}
