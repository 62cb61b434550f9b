//! Listings of simulated venues and of hostile ones.

use std::{collections::BTreeSet, fs};

use exchange_simulator::{Config, MarketState, Simulator, VenueConfig, VenueKind};
use metrics_server::Registry;
use tempfile::TempDir;

use super::*;
use crate::{
    metrics::RestMetrics,
    rest::{
        Allowances,
        hostile::{Hostile, Reply, exchange},
    },
};

const VENUES: [VenueKind; 5] =
    [VenueKind::Binance, VenueKind::Bitfinex, VenueKind::Coinbase, VenueKind::Kraken, VenueKind::Okx];

fn hasty() -> Pace {
    let (short, shorter) = (Duration::from_millis(300), Duration::from_millis(20));
    Pace { refresh: Duration::from_secs(3_600), at_start: [short, short], pause: [shorter, shorter] }
}

fn interface(exchange: &Exchange, data_path: &TempDir) -> Arc<Interface> {
    let clock = Clock::system();
    let name = exchange.venue.facts().name;
    let metrics = RestMetrics::register(&mut Registry::default(), &[name]).unwrap().remove(0);
    Arc::new(Interface::new(exchange, &Allowances::open(data_path.path(), clock), metrics, clock).unwrap())
}

async fn resolve(exchange: &mut Exchange, data_path: &TempDir, pace: Pace) -> Result<Discovery, LoggerError> {
    let interfaces = [interface(exchange, data_path)];
    let exchanges = std::slice::from_mut(exchange);
    Discovery::resolve(exchanges, &interfaces, data_path.path(), pace, Clock::system()).await
}

/// The answer of Coinbase's `/products`.
fn products(listed: &[(&str, &str)]) -> Reply {
    let product = |(id, status): &(&str, &str)| {
        let (base, quote) = id.split_once('-').unwrap();
        format!(
            r#"{{"id":"{id}","base_currency":"{base}","quote_currency":"{quote}","status":"{status}",
                 "base_increment":"0.00000001","quote_increment":"0.01"}}"#
        )
    };
    Reply::json(&format!("[{}]", listed.iter().map(product).collect::<Vec<_>>().join(",")))
}

fn file_of(directory: &TempDir, exchange: &str) -> serde_json::Value {
    serde_json::from_slice(&fs::read(directory.path().join(exchange).join("instruments.json")).unwrap()).unwrap()
}

#[tokio::test]
async fn patterns_stand_for_what_each_venue_lists() {
    for kind in VENUES {
        let venues = vec![VenueConfig::new(kind)];
        let config = Config { venues, symbols: 6, market: MarketState::Paused, rate: 0.0, ..Config::default() };
        let simulator = Simulator::start(config).await.unwrap();
        let name = kind.name();
        let all = simulator.symbols(name);
        let directory = tempfile::tempdir().unwrap();
        let mut exchange = exchange(name, &simulator.rest_url(name), &[&all[3], "*"]);
        exchange.exclude = vec![all[1].to_lowercase()];
        let discovery = resolve(&mut exchange, &directory, Pace::every(Duration::from_secs(9))).await.unwrap();
        assert_eq!(exchange.symbols[0], all[3], "names come first");
        let symbols: BTreeSet<&String> = exchange.symbols.iter().collect();
        assert_eq!(symbols, all.iter().filter(|symbol| **symbol != all[1]).collect(), "{name}");
        assert_eq!(symbols.len(), exchange.symbols.len());
        let metrics = &discovery.watched[0].interface.metrics;
        assert_eq!((metrics.unlisted.get(), metrics.unrecorded.get()), (0, 0));
        let file = file_of(&directory, name);
        assert_eq!(file["exchange"], name);
        assert_eq!(file["fetched_ns"].as_u64().unwrap() as f64 / 1e9, metrics.listed_at.get());
        assert_eq!(file["instruments"].as_array().unwrap().len(), all.len());
        simulator.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn the_file_says_all_that_the_venue_tells() {
    let venues = vec![VenueConfig::new(VenueKind::Kraken)];
    let config = Config { venues, symbols: 2, market: MarketState::Paused, ..Config::default() };
    let simulator = Simulator::start(config).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut kraken = exchange("kraken", &simulator.rest_url("kraken"), &["BTC/*"]);
    resolve(&mut kraken, &directory, hasty()).await.unwrap();
    let file = file_of(&directory, "kraken");
    let bitcoin = file["instruments"].as_array().unwrap().iter().find(|listed| listed["symbol"] == "BTC/USD").unwrap();
    let expected = serde_json::json!({
        "symbol": "BTC/USD", "stored": "XBT_USD", "base": "BTC", "quote": "USD",
        "tick_size": "0.01", "lot_size": "0.00000001", "status": "trading",
    });
    assert_eq!(*bitcoin, expected);
    let table = list_symbols(&kraken, &SymbolList::default(), Clock::system()).await.unwrap();
    let mut lines = table.lines();
    assert_eq!(
        lines.next().unwrap().split_whitespace().collect::<Vec<_>>().join(" "),
        "SYMBOL STORED AS BASE QUOTE TICK LOT STATUS"
    );
    let bitcoin = lines.find(|line| line.starts_with("BTC/USD ")).unwrap();
    let cells: Vec<_> = bitcoin.split_whitespace().collect();
    assert_eq!(cells, ["BTC/USD", "XBT_USD", "BTC", "USD", "0.01", "0.00000001", "trading"]);
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn symbols_are_listed_by_pattern_and_status() {
    let listed = [("ADA-USD", "online"), ("BTC-EUR", "offline"), ("BTC-USD", "online"), ("OLD-USD", "delisted")];
    let server = Hostile::start(move |_, _| products(&listed)).await;
    let coinbase = exchange("coinbase", &server.url(), &["BTC-USD"]);
    let of = |pattern: Option<&str>, all, json| {
        let wanted = SymbolList { pattern: pattern.map(str::to_owned), all, json };
        let coinbase = coinbase.clone();
        async move { list_symbols(&coinbase, &wanted, Clock::system()).await.unwrap() }
    };
    let first = |table: String| table.lines().skip(1).map(|line| line[..7].to_owned()).collect::<Vec<_>>();
    assert_eq!(first(of(None, false, false).await), ["ADA-USD", "BTC-EUR", "BTC-USD"]);
    assert_eq!(first(of(None, true, false).await), ["ADA-USD", "BTC-EUR", "BTC-USD", "OLD-USD"]);
    assert_eq!(first(of(Some("btc-*"), true, false).await), ["BTC-EUR", "BTC-USD"]);
    let json: serde_json::Value = serde_json::from_str(&of(Some("*-EUR"), false, true).await).unwrap();
    assert_eq!(
        (&json["instruments"][0]["symbol"], &json["instruments"][0]["status"]),
        (&"BTC-EUR".into(), &"limited".into())
    );
    assert_eq!(json["instruments"].as_array().unwrap().len(), 1);
    let nowhere = exchange("coinbase", "http://127.0.0.1:1", &["BTC-USD"]);
    let error = list_symbols(&nowhere, &SymbolList::default(), Clock::system()).await.unwrap_err().to_string();
    assert!(error.contains("coinbase") && error.contains("http://127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn plain_names_need_no_venue() {
    let server = Hostile::start(|_, _| Reply::Hang).await;
    let directory = tempfile::tempdir().unwrap();
    let mut coinbase = exchange("coinbase", &server.url(), &["BTC-USD", "NOT-THERE"]);
    resolve(&mut coinbase, &directory, hasty()).await.unwrap();
    assert_eq!(coinbase.symbols, ["BTC-USD", "NOT-THERE"]);
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn without_the_venue_the_last_listing_resolves_patterns() {
    let up =
        Hostile::start(|_, before| if before < 2 { Reply::Close } else { products(&[("BTC-USD", "online")]) }).await;
    let down = Hostile::start(|_, _| Reply::with("503 Busy", b"")).await;
    let directory = tempfile::tempdir().unwrap();
    let at = |url: &str| exchange("coinbase", url, &["*"]);
    let error = resolve(&mut at(&down.url()), &directory, hasty()).await.unwrap_err().to_string();
    assert!(error.contains("coinbase") && error.contains(&down.url()) && error.contains("503"), "{error}");
    assert!(down.asked().len() > 1, "it was tried once only");

    // A venue that is away for a moment.
    let mut coinbase = at(&up.url());
    resolve(&mut coinbase, &directory, Pace { at_start: [Duration::from_secs(30); 2], ..hasty() }).await.unwrap();
    assert_eq!((coinbase.symbols, up.asked().len()), (vec!["BTC-USD".to_owned()], 3));
    // A listing of a moment ago: a loop of restarts asks no venue.
    let before = down.asked().len();
    resolve(&mut at(&down.url()), &directory, hasty()).await.unwrap();
    assert_eq!(down.asked().len(), before);
    // An old one.
    let mut old = file_of(&directory, "coinbase");
    old["fetched_ns"] = (Clock::system().now_ns() - 90_000_000_000).into();
    let path = directory.path().join("coinbase/instruments.json");
    fs::write(&path, old.to_string()).unwrap();
    let mut coinbase = at(&down.url());
    resolve(&mut coinbase, &directory, hasty()).await.unwrap();
    assert!(down.asked().len() > before);
    assert_eq!(coinbase.symbols, ["BTC-USD"]);
    // What is none of ours is no listing.
    fs::write(&path, "{}").unwrap();
    resolve(&mut at(&down.url()), &directory, hasty()).await.unwrap_err();
    let mut other = old.clone();
    other["exchange"] = "kraken".into();
    fs::write(&path, other.to_string()).unwrap();
    resolve(&mut at(&down.url()), &directory, hasty()).await.unwrap_err();
    // Nothing matches.
    fs::write(&path, old.to_string()).unwrap();
    let mut none = exchange("coinbase", &down.url(), &["X*"]);
    let error = resolve(&mut none, &directory, hasty()).await.unwrap_err().to_string();
    assert!(error.contains("exchanges.coinbase.symbols"), "{error}");
}

#[tokio::test]
async fn a_venue_that_wants_silence_is_not_asked() {
    let server = Hostile::start(|_, _| Reply::with("429 Slow\r\nRetry-After: 600", b"")).await;
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut coinbase = exchange("coinbase", &server.url(), &["*"]);
        let long = Pace { at_start: [Duration::from_secs(60); 2], ..hasty() };
        let error = resolve(&mut coinbase, &directory, long).await.unwrap_err().to_string();
        assert!(error.contains("9m"), "{error}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn listings_are_refreshed_and_what_differs_is_told() {
    let server = Hostile::start(|_, before| match before {
        0 => products(&[("ADA-USD", "online"), ("BTC-USD", "online")]),
        // None of these costs anything.
        1 => products(&[]),
        2 => Reply::json("no"),
        _ => products(&[("ADA-USD", "delisted"), ("BTC-USD", "online"), ("NEW-USD", "online"), ("NEW-EUR", "online")]),
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let mut coinbase = exchange("coinbase", &server.url(), &["*-USD", "NAMED-ONLY"]);
    let often = Pace { refresh: Duration::from_millis(40), ..hasty() };
    let discovery = resolve(&mut coinbase, &directory, often).await.unwrap();
    assert_eq!(coinbase.symbols, ["NAMED-ONLY", "ADA-USD", "BTC-USD"]);
    let metrics = Arc::clone(&discovery.watched[0].interface.metrics);
    assert_eq!((metrics.unlisted.get(), metrics.unrecorded.get()), (1, 0), "NAMED-ONLY");
    let first_ns = file_of(&directory, "coinbase")["fetched_ns"].as_u64();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(discovery.run(shutdown.clone()));
    let deadline = Instant::now() + Duration::from_secs(30);
    while (metrics.unlisted.get(), metrics.unrecorded.get()) != (2, 1) {
        assert!(Instant::now() < deadline, "{} {}", metrics.unlisted.get(), metrics.unrecorded.get());
        tokio::time::sleep(Duration::from_millis(5)).await;
        if server.asked().len() == 2 {
            assert_eq!(file_of(&directory, "coinbase")["fetched_ns"].as_u64(), first_ns);
        }
    }
    let file = file_of(&directory, "coinbase");
    assert_eq!(file["instruments"].as_array().unwrap().len(), 4);
    assert_eq!(file["instruments"][0]["status"], "gone");
    shutdown.cancel();
    running.await.unwrap();
}

/// The store takes the file for nothing of its own.
#[tokio::test]
async fn the_store_is_not_irritated_by_the_file() {
    let server = Hostile::start(|_, _| products(&[("BTC-USD", "online")])).await;
    let directory = tempfile::tempdir().unwrap();
    resolve(&mut exchange("coinbase", &server.url(), &["*"]), &directory, hasty()).await.unwrap();
    let store = column_store::Store::open(directory.path(), column_store::Options::default()).unwrap();
    assert_eq!(store.recovered().len(), 0);
    drop(store);
    let reader = column_store::Reader::open(directory.path()).unwrap();
    assert!(reader.symbols().unwrap().is_empty());
}
