//! All venues alike: what a client reads is what the ledger says, and REST has the same trades.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use exchange_simulator::{
    Config, Disconnect, Limits, MarketState, MessageEntry, MessageKind, Simulator, VenueConfig, VenueKind, settle,
};
use serde_json::{Value, json};

use crate::client::{Client, End, delivered, get, start, still, until};
use crate::venue_client::{Fact, VenueClient};

/// All five venues with still markets.
pub(crate) fn five() -> Config {
    Config { venues: VenueKind::ALL.map(VenueConfig::new).to_vec(), ..still(VenueKind::Coinbase) }
}

/// The facts that the ledger says reached a connection.
pub(crate) fn told(simulator: &Simulator, connection: u64) -> Vec<Fact> {
    delivered(&simulator.ledger(), connection).iter().filter_map(Fact::told).collect()
}

#[tokio::test]
async fn the_ledger_is_what_each_venues_client_received() {
    let limits = Limits { confirm_after: Duration::from_millis(20), ..Limits::default() };
    let simulator = start(Config { symbols: 6, limits, ..five() }).await;
    for (kind, connection) in VenueKind::ALL.into_iter().zip(1..) {
        let venue = kind.name();
        simulator.emit_events(venue, 200);
        let client = VenueClient::subscribed(&simulator, kind, &simulator.symbols(venue)).await;
        let reading = tokio::spawn(client.rest());
        let topics = simulator.symbols(venue).len() * 2;
        until("subscribed", || {
            let ledger = simulator.ledger();
            let controls = ledger.iter().filter_map(|entry| entry.control());
            controls.filter(|entry| entry.connection == connection).map(|entry| entry.topics.len()).sum::<usize>()
                == topics
        })
        .await;
        simulator.emit_events(venue, 1_500);
        if kind == VenueKind::Bitfinex {
            let all_confirmed = || {
                let messages = delivered(&simulator.ledger(), connection);
                let ids = |name: &str| -> BTreeSet<_> {
                    messages.iter().filter(|entry| entry.message == name).map(|entry| entry.id).collect()
                };
                ids("te").len() > 300 && ids("te").is_subset(&ids("tu"))
            };
            until("every te has its tu", all_confirmed).await;
        }
        simulator.disconnect(venue, Disconnect::Clean, Duration::ZERO).await;
        let (facts, client, end) = reading.await.unwrap();
        assert!(matches!(end, End::Closed(Some(frame)) if u16::from(frame.code) == 1001), "{venue}");
        let told = told(&simulator, connection);
        assert!(told.len() > 1_000, "{venue}: {}", told.len());
        assert_eq!(facts.len(), told.len(), "{venue}");
        for (index, (fact, told)) in facts.iter().zip(&told).enumerate() {
            assert_eq!(fact, told, "{venue} {index}");
        }
        if kind == VenueKind::Bitfinex {
            assert!(client.seqs.iter().copied().eq(1..=client.seqs.len() as u64), "one count over all channels");
            let ledger = delivered(&simulator.ledger(), connection);
            let mut seqs: Vec<u64> = ledger.iter().map(|entry| entry.socket_seqs[0]).collect();
            seqs.dedup();
            assert_eq!(seqs, client.seqs, "as the ledger says");
        }
    }
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn venues_number_their_trades_as_documented() {
    let simulator = start(Config { symbols: 3, ..five() }).await;
    for kind in VenueKind::ALL {
        simulator.emit_events(kind.name(), 1_000);
    }
    let mut last: HashMap<(VenueKind, Option<String>), u64> = HashMap::new();
    let (mut skips, mut several) = (0, 0);
    for entry in settle(&simulator.ledger()).iter().filter(|entry| entry.kind == MessageKind::Trade) {
        if entry.venue == VenueKind::Bitfinex {
            // One count over all symbols, with skips.
            let earlier = last.insert((entry.venue, None), entry.id.unwrap());
            assert!(earlier.is_none_or(|earlier| earlier < entry.id.unwrap()));
            skips += u32::from(earlier.is_some_and(|earlier| earlier + 1 < entry.id.unwrap()));
        } else if ["match", "trade", "trades"].contains(&entry.message.as_ref()) {
            let first = entry.first_id.or(entry.id).unwrap();
            let earlier = last.insert((entry.venue, entry.symbol.clone()), entry.id.unwrap());
            assert!(earlier.is_none_or(|earlier| earlier + 1 == first), "{entry:?} after {earlier:?}");
            several += u32::from(entry.message == "trades" && first < entry.id.unwrap());
        }
    }
    assert!(skips > 100 && several > 10, "{skips} {several}");
    assert_eq!(last.len(), 4 * 3 + 1);
    simulator.shutdown().await.unwrap();
}

/// A trade as REST tells it: price, size, taker's side, time; numbers without trailing zeros.
type Row = (String, String, String, u64);

fn plain(digits: &str) -> String {
    let digits = digits.trim_matches('"').trim_start_matches('-');
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.').to_owned() } else { digits.to_owned() }
}

fn told_row(entry: &MessageEntry) -> Row {
    let [price, size] = [&entry.price, &entry.size].map(|digits| plain(digits.as_ref().unwrap()));
    (price, size, entry.side.unwrap().name().to_owned(), entry.event_ns.unwrap())
}

/// All trades of a symbol whose ids lie between, by the venue's way of paging, `page` at a time.
pub(crate) async fn backfill(
    simulator: &Simulator,
    kind: VenueKind,
    symbol: &str,
    ids: std::ops::RangeInclusive<u64>,
    start_ms: u64,
    page: usize,
) -> BTreeMap<u64, Row> {
    let base = simulator.rest_url(kind.name());
    let mut found = BTreeMap::new();
    let (mut id, mut since) = (ids.end() + 1, format!("{}", start_ms * 1_000_000));
    let mut from = *ids.start();
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap();
    loop {
        let mut rows: Vec<(u64, Row)> = Vec::new();
        match kind {
            VenueKind::Coinbase => {
                let answer = get(&base, &format!("/products/{symbol}/trades?limit={page}&after={id}"), "").await;
                for row in answer.body.as_array().unwrap() {
                    let side = if row["side"] == "buy" { "sell" } else { "buy" }.to_owned();
                    let time = row["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
                    let [price, size] = ["price", "size"].map(|name| plain(row[name].as_str().unwrap()));
                    rows.push((number(&row["trade_id"]), (price, size, side, time.as_nanosecond() as u64)));
                }
            }
            VenueKind::Binance => {
                let path = format!("/api/v3/historicalTrades?symbol={symbol}&fromId={from}&limit={page}");
                let answer = get(&base, &path, "X-MBX-TIME-UNIT: MICROSECOND\r\n").await;
                for row in answer.body.as_array().unwrap() {
                    let side = if row["isBuyerMaker"] == true { "sell" } else { "buy" }.to_owned();
                    let [price, size] = ["price", "qty"].map(|name| plain(row[name].as_str().unwrap()));
                    rows.push((number(&row["id"]), (price, size, side, number(&row["time"]) * 1_000)));
                }
            }
            VenueKind::Kraken => {
                let pair = symbol.replace("BTC", "XBT").replace('/', "");
                let answer = get(&base, &format!("/0/public/Trades?pair={pair}&since={since}&count={page}"), "").await;
                assert_eq!(answer.body["error"], json!([]));
                let (_, list) =
                    answer.body["result"].as_object().unwrap().iter().find(|(key, _)| *key != "last").unwrap();
                for row in list.as_array().unwrap() {
                    let side = if row[3] == "b" { "buy" } else { "sell" }.to_owned();
                    let time_us = (row[2].as_f64().unwrap() * 1e6).round() as u64;
                    let [price, size] = [0, 1].map(|cell: usize| plain(row[cell].as_str().unwrap()));
                    rows.push((number(&row[6]), (price, size, side, time_us * 1_000)));
                }
                since = answer.body["result"]["last"].as_str().unwrap().to_owned();
            }
            VenueKind::Okx => {
                let path = format!("/api/v5/market/history-trades?instId={symbol}&type=1&after={id}&limit={page}");
                let answer = get(&base, &path, "").await;
                for row in answer.body["data"].as_array().unwrap() {
                    let [price, size] = ["px", "sz"].map(|name| plain(row[name].as_str().unwrap()));
                    let side = row["side"].as_str().unwrap().to_owned();
                    rows.push((number(&row["tradeId"]), (price, size, side, number(&row["ts"]) * 1_000_000)));
                }
            }
            VenueKind::Bitfinex => {
                let path = format!("/v2/trades/{symbol}/hist?limit=10000&start={start_ms}&sort=1");
                for row in get(&base, &path, "").await.body.as_array().unwrap() {
                    let side = if row[2].as_f64().unwrap() < 0.0 { "sell" } else { "buy" }.to_owned();
                    let [price, size] = [3, 2].map(|cell: usize| plain(&row[cell].to_string()));
                    rows.push((number(&row[0]), (price, size, side, number(&row[1]) * 1_000_000)));
                }
            }
        }
        let (lowest, highest) = (rows.iter().map(|row| row.0).min(), rows.iter().map(|row| row.0).max());
        found.extend(rows.into_iter().filter(|(id, _)| ids.contains(id)));
        let (Some(lowest), Some(highest)) = (lowest, highest) else { return found };
        let done = match kind {
            VenueKind::Coinbase | VenueKind::Okx => lowest <= *ids.start(),
            VenueKind::Binance | VenueKind::Kraken => highest >= *ids.end(),
            VenueKind::Bitfinex => true,
        };
        if done {
            return found;
        }
        (id, from) = (lowest, highest + 1);
    }
}

#[tokio::test]
async fn rest_pages_through_exactly_the_trades_of_the_market() {
    let simulator = start(Config { symbols: 3, ..five() }).await;
    for kind in VenueKind::ALL {
        let venue = kind.name();
        simulator.emit_events(venue, 2_000);
        let symbol = &simulator.symbols(venue)[0];
        let trades: Vec<_> = settle(&simulator.ledger())
            .into_iter()
            .filter(|entry| entry.venue == kind && entry.symbol.as_ref() == Some(symbol))
            .filter(|entry| ["match", "trade", "trades-all", "te"].contains(&entry.message.as_ref()))
            .collect();
        assert!(trades.len() > 250, "{venue} {}", trades.len());
        let middle = &trades[20..trades.len() - 20];
        let [first, last] = [&middle[0], &middle[middle.len() - 1]].map(|entry| entry.id.unwrap());
        let start_ms = middle[0].event_ns.unwrap() / 1_000_000 - 1;
        let page = if kind == VenueKind::Kraken { 150 } else { 37 };
        let found = backfill(&simulator, kind, symbol, first..=last, start_ms, page).await;
        let expected: BTreeMap<u64, Row> = middle.iter().map(|entry| (entry.id.unwrap(), told_row(entry))).collect();
        assert_eq!(found, expected, "{venue}");
        let ids = simulator.rest_ids(venue, symbol);
        assert!(trades.iter().all(|entry| ids.binary_search(&entry.id.unwrap()).is_ok()), "{venue}");
        assert_eq!(ids.len(), trades.len() + 1, "{venue}: and the one from before the market opened");
    }
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn rest_lists_the_instruments() {
    let simulator = start(Config { symbols: 6, ..five() }).await;
    let url = |venue: &str| simulator.rest_url(venue);
    let kraken = get(&url("kraken"), "/0/public/AssetPairs", "").await.body;
    let pairs = kraken["result"].as_object().unwrap();
    assert_eq!(pairs.len(), 6);
    assert_eq!((&pairs["XXBTZUSD"]["wsname"], &pairs["XXBTZUSD"]["altname"]), (&json!("XBT/USD"), &json!("XBTUSD")));
    assert_eq!((&pairs["XDGUSD"]["tick_size"], &pairs["XDGUSD"]["status"]), (&json!("0.00001"), &json!("online")));
    let okx = get(&url("okx"), "/api/v5/public/instruments?instType=SPOT", "").await.body;
    let names: Vec<_> = okx["data"].as_array().unwrap().iter().map(|row| row["instId"].as_str().unwrap()).collect();
    assert_eq!(names, simulator.symbols("okx"));
    assert_eq!((&okx["data"][0]["tickSz"], &okx["data"][0]["state"]), (&json!("0.01"), &json!("live")));
    let bitfinex = get(&url("bitfinex"), "/v2/conf/pub:list:pair:exchange", "").await.body;
    assert_eq!(bitfinex, json!([["BTCUSD", "ETHUSD", "SOLUSD", "SHIB:USD", "XRPUSD", "DOGE:USD"]]));
    assert_eq!(simulator.symbols("kraken")[0], "BTC/USD");
    for (venue, path, status, words) in [
        ("kraken", "/0/public/Trades?pair=NOPE", 200, "EQuery:Unknown asset pair"),
        ("kraken", "/0/public/Trades?pair=XBTUSD&count=1001", 200, "EGeneral:Invalid arguments"),
        ("okx", "/api/v5/market/history-trades?instId=NOPE", 400, "51001"),
        ("okx", "/api/v5/market/history-trades?instId=BTC-USDT&limit=101", 400, "51000"),
        ("okx", "/api/v5/public/instruments", 400, "51000"),
        ("bitfinex", "/v2/trades/tNOPE/hist", 500, "symbol: invalid"),
        ("bitfinex", "/v2/trades/tBTCUSD/hist?limit=10001", 500, "limit: invalid"),
    ] {
        let answer = get(&url(venue), path, "").await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.body.to_string().contains(words), "{path}: {}", answer.body);
    }
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn signs_of_life_are_each_venues_own() {
    let limits = Limits { heartbeat_interval: Some(Duration::from_millis(100)), ..Limits::default() };
    let simulator = start(Config { symbols: 1, limits, ..five() }).await;
    let url = |venue: &str, path: &str| format!("{}{path}", simulator.ws_url(venue));

    let mut kraken = Client::connect(&url("kraken", "/v2")).await;
    let status = kraken.next().await;
    assert_eq!((&status["channel"], &status["data"][0]["system"]), (&json!("status"), &json!("online")));
    assert!(status["data"][0]["connection_id"].as_u64().unwrap() > i64::MAX as u64);
    kraken.send(json!({"method": "ping", "req_id": 4})).await;
    assert_eq!(kraken.next().await["method"], "pong", "and no heartbeat before it: nothing is subscribed");
    kraken.send(json!({"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USD"]}})).await;
    assert_eq!(kraken.next().await["success"], true);
    assert_eq!(kraken.next_many(2).await, [json!({"channel": "heartbeat"}), json!({"channel": "heartbeat"})]);

    let mut okx = Client::connect(&url("okx", "/ws/v5/business")).await;
    okx.send_text("ping").await;
    assert_eq!(okx.take().await.unwrap(), "pong");
    okx.send(json!({"op": "subscribe", "args": [{"channel": "trades-all", "instId": "BTC-USDT"}]})).await;
    assert_eq!(okx.next().await["event"], "subscribe");
    simulator.emit_events("okx", 30);
    let trade = okx.next().await;
    assert_eq!(trade["arg"]["channel"], "trades-all");
    assert!(trade["data"][0]["count"].is_null() && trade["data"][0]["seqId"].is_null());

    let mut bitfinex = Client::connect(&url("bitfinex", "/ws/2")).await;
    assert_eq!(bitfinex.next().await["platform"]["status"], 1);
    bitfinex.send(json!({"event": "ping", "cid": 1234})).await;
    assert_eq!(bitfinex.next().await["cid"], 1234);
    bitfinex.send(json!({"event": "subscribe", "channel": "trades", "symbol": "tBTCUSD"})).await;
    let channel = bitfinex.next().await["chanId"].clone();
    let snapshot = bitfinex.next().await;
    assert_eq!((&snapshot[0], snapshot.as_array().unwrap().len()), (&channel, 2), "no count before conf asks for it");
    assert_eq!(bitfinex.next().await, json!([channel, "hb"]));
    bitfinex.send(json!({"event": "conf", "flags": 65_536})).await;
    loop {
        let frame = bitfinex.next().await;
        if frame["event"] == "conf" {
            break;
        }
    }
    let [one, two] = [bitfinex.next().await, bitfinex.next().await];
    assert_eq!((&one[1], one[2].as_u64().unwrap() + 1), (&json!("hb"), two[2].as_u64().unwrap()));
    drop((kraken, okx, bitfinex));
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn silent_connections_are_closed_as_each_venue_does() {
    let limits = Limits { idle_timeout: Some(Duration::from_millis(200)), ..Limits::default() };
    let simulator = start(Config { symbols: 1, limits, ..five() }).await;
    for (kind, code) in [(VenueKind::Kraken, Some(1000)), (VenueKind::Okx, Some(4004)), (VenueKind::Bitfinex, None)] {
        let (_, _, end) = VenueClient::connect(&simulator, kind).await.rest().await;
        match (end, code) {
            (End::Closed(Some(frame)), Some(code)) => assert_eq!(u16::from(frame.code), code, "{kind}"),
            (End::Lost, None) => (),
            (end, _) => panic!("{kind} {end:?}"),
        }
    }
    let mut chatty = VenueClient::connect(&simulator, VenueKind::Okx).await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        chatty.client.send_text("ping").await;
        assert_eq!(chatty.client.take().await.unwrap(), "pong", "kept open by its pings");
    }
    drop(chatty);
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_connection_of_binance_ends_with_its_lifetime() {
    let limits = Limits { connection_lifetime: Duration::from_millis(100), ..Limits::default() };
    let simulator = start(Config { limits, ..still(VenueKind::Binance) }).await;
    let (_, _, end) = VenueClient::connect(&simulator, VenueKind::Binance).await.rest().await;
    assert!(matches!(end, End::Closed(Some(frame)) if frame.reason.as_str().contains("lifetime")));
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn limits_of_an_address_hold_when_asked_for() {
    let limits = Limits { per_address: true, ..Limits::default() };
    let simulator = start(Config { symbols: 1, limits, ..five() }).await;
    let url = crate::venue_client::url(&simulator, VenueKind::Okx);
    let mut clients = Vec::new();
    let refused = loop {
        match Client::try_connect(&url).await {
            Ok(client) => clients.push(client),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => break response.status(),
            Err(error) => panic!("{error}"),
        }
        assert!(clients.len() < 100);
    };
    assert_eq!(refused, 429);
    let base = simulator.rest_url("kraken");
    let mut errors = Vec::new();
    for _ in 0..3 {
        errors.push(get(&base, "/0/public/AssetPairs", "").await.body["error"].to_string());
    }
    assert!(errors.contains(&r#"["EGeneral:Too many requests"]"#.to_owned()), "{errors:?}");
    assert_eq!(errors[0], "[]");
    drop(clients);
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn two_venues_unless_asked_for_more() {
    let simulator = start(Config { market: MarketState::Paused, ..Config::default() }).await;
    assert_eq!(simulator.logger_config().matches("ws_url").count(), 2);
    simulator.shutdown().await.unwrap();
}
