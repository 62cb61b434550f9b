//! The backfill against simulated venues and hostile ones.

use std::{collections::BTreeSet, time::Duration};

use exchange_simulator::{Config, MarketState, Simulator, VenueConfig, VenueKind};
use metrics_server::Registry;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;
use crate::{
    config::Exchange,
    metrics::{Outcome, RestMetrics},
    queue::Taken,
    rest::{
        Allowances, Bounds,
        hostile::{Hostile, Reply, exchange},
    },
};

const VENUES: [(&str, VenueKind); 5] = [
    ("binance", VenueKind::Binance),
    ("bitfinex", VenueKind::Bitfinex),
    ("coinbase", VenueKind::Coinbase),
    ("kraken", VenueKind::Kraken),
    ("okx", VenueKind::Okx),
];

/// Short enough for a test, and long enough for a busy machine.
fn hasty() -> Patience {
    let within = Duration::from_millis(600);
    let bounds = Bounds { head: within, body: within, bytes: 1 << 16, ..Bounds::PAGE };
    let minute = Duration::from_secs(60);
    Patience { attempts: 3, pause: Duration::from_millis(20), silence: minute, turn: minute, bounds }
}

/// A backfill of one venue, and its recorder's end.
struct Rig {
    questions: Questions,
    queue: queue::Receiver,
    backfill: JoinHandle<()>,
    shutdown: CancellationToken,
    metrics: Arc<RestMetrics>,
}

impl Rig {
    fn start(exchange: &str, url: &str, symbols: &[&str], patience: Patience, data_path: &TempDir) -> Rig {
        Rig::of(self::exchange(exchange, url, symbols), patience, data_path, true)
    }

    fn of(exchange: Exchange, patience: Patience, data_path: &TempDir, enabled: bool) -> Rig {
        let (clock, mut registry) = (Clock::system(), Registry::default());
        let name = exchange.venue.facts().name;
        let rest_metrics = RestMetrics::register(&mut registry, &[name]).unwrap().remove(0);
        let allowances = Allowances::open(data_path.path(), clock);
        let interface = Interface::new(&exchange, &allowances, Arc::clone(&rest_metrics), clock).unwrap();
        let symbols = Arc::new(Symbols::new(&[exchange], 9, clock));
        let metrics = Arc::new(Metrics::register(&mut registry, &symbols).unwrap());
        let (sender, queue) = queue::channel(100_000);
        let (questions, asked) = Questions::channel();
        let interfaces = if enabled { vec![Arc::new(interface)] } else { Vec::new() };
        let backfill = Backfill::new(asked, &interfaces, &symbols, &metrics, &sender, clock, patience);
        let shutdown = CancellationToken::new();
        let backfill = tokio::spawn(backfill.run(shutdown.clone()));
        Rig { questions, queue, backfill, shutdown, metrics: rest_metrics }
    }

    fn ask(&self, number: u64, symbol: SymbolIndex, ids: Option<(u64, u64)>, times: (u64, u64)) {
        assert!(self.questions.ask(Question { number, symbol, ids, times }));
    }

    /// Asks for ids at any time.
    fn ask_ids(&self, number: u64, symbol: SymbolIndex, ids: (u64, u64)) {
        self.ask(number, symbol, Some(ids), (0, u64::MAX));
    }

    /// Waits until so many questions have ended: in that order their numbers, ends, and ids of trades.
    async fn ended(&mut self, count: usize) -> Vec<(u64, FillEnd, Vec<u64>)> {
        let mut open: Vec<(u64, Vec<u64>)> = Vec::new();
        let mut ended = Vec::new();
        while ended.len() < count {
            let taken = self.queue.take(Duration::from_secs(60), |batch| {
                assert_eq!(batch.connection, ConnectionId::REST);
                for received in batch.facts {
                    let Fact::Fill(fill) = received.fact else { panic!("{received:?}") };
                    assert!(fill.trades.len() <= Answers::PIECE && received.receive_ns > 0);
                    let at = open.iter().position(|(number, _)| *number == fill.question).unwrap_or_else(|| {
                        open.push((fill.question, Vec::new()));
                        open.len() - 1
                    });
                    open[at].1.extend(fill.trades.iter().map(|trade| trade.id));
                    if let Some(end) = fill.end {
                        let (number, ids) = open.swap_remove(at);
                        ended.push((number, end, ids));
                    }
                }
            });
            assert_ne!(taken.await, Taken::None, "only {ended:?} in time");
        }
        ended
    }

    async fn stop(mut self) {
        self.shutdown.cancel();
        self.backfill.await.unwrap();
        while self.queue.take(Duration::ZERO, |_| {}).await == Taken::Some {}
        assert_eq!(self.queue.take(Duration::from_secs(30), |_| {}).await, Taken::Closed, "it keeps the queue open");
    }
}

async fn still(kind: VenueKind, symbols: usize) -> Simulator {
    let venues = vec![VenueConfig::new(kind)];
    let config = Config { venues, symbols, market: MarketState::Paused, rate: 0.0, ..Config::default() };
    Simulator::start(config).await.unwrap()
}

fn sorted(mut ids: Vec<u64>) -> Vec<u64> {
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn every_venue_tells_what_was_missed_page_by_page() {
    let of_venue = |(name, kind): (&'static str, VenueKind)| async move {
        let simulator = still(kind, 1).await;
        simulator.emit_events(name, 9_000);
        let symbol = simulator.symbols(name).remove(0);
        let ids = simulator.rest_ids(name, &symbol);
        assert!(ids.len() > 1_200, "{name}: {} trades are not several pages", ids.len());
        let directory = tempfile::tempdir().unwrap();
        let mut rig = Rig::start(name, &simulator.rest_url(name), &[&symbol], Patience::default(), &directory);
        let hour = 3_600_000_000_000;
        let now = Clock::system().now_ns();
        let times = (now - hour, now + hour);
        let (first, last) = (ids[5], ids[ids.len() - 6]);
        let by_ids = name != "bitfinex";
        rig.ask(7, 0, by_ids.then_some((first, last)), times);
        let (number, end, told) = rig.ended(1).await.remove(0);
        let expected = if by_ids { ids[5..ids.len() - 5].to_vec() } else { ids.clone() };
        assert_eq!((number, end), (7, FillEnd::Answered), "{name}");
        assert_eq!(sorted(told), sorted(expected), "{name}: each once, and no other");
        // Up to the newest.
        rig.ask(8, 0, by_ids.then_some((last, u64::MAX)), times);
        let (_, end, told) = rig.ended(1).await.remove(0);
        let expected = if by_ids { ids[ids.len() - 6..].to_vec() } else { ids.clone() };
        assert_eq!((end, sorted(told)), (FillEnd::Answered, sorted(expected)), "{name}");
        // Nothing can be missing between these.
        rig.ask(9, 0, Some((9, 8)), (8, 7));
        assert_eq!(rig.ended(1).await, [(9, FillEnd::Answered, Vec::new())]);
        rig.stop().await;
        simulator.shutdown().await.unwrap();
    };
    futures_util::future::join_all(VENUES.map(of_venue)).await;
}

#[tokio::test]
async fn what_the_venue_does_not_have_is_answered_without_it() {
    let server = Hostile::start(|target, _| {
        let from: u64 = target.split("fromId=").nth(1).unwrap().split('&').next().unwrap().parse().unwrap();
        let has = |id: &u64| !(1_040..1_043).contains(id) && *id < 1_090;
        let row = |id| format!(r#"{{"id":{id},"price":"1","qty":"2","time":1,"isBuyerMaker":true}}"#);
        let rows: Vec<_> = (from..2_000).filter(has).take(25).map(row).collect();
        Reply::json(&format!("[{}]", rows.join(",")))
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::start("binance", &server.url(), &["BTCUSDT"], hasty(), &directory);
    rig.ask_ids(1, 0, (1_030, 1_100));
    let (_, end, told) = rig.ended(1).await.remove(0);
    let expected: Vec<u64> = (1_030..1_040).chain(1_043..1_090).collect();
    assert_eq!((end, told), (FillEnd::Answered, expected));
    rig.stop().await;
}

#[tokio::test]
async fn a_refusal_is_obeyed_by_this_run_and_the_next() {
    let simulator = still(VenueKind::Coinbase, 2).await;
    simulator.emit_events("coinbase", 200);
    let ids = simulator.rest_ids("coinbase", "BTC-USD");
    let range = (ids[1], ids[5]);
    let directory = tempfile::tempdir().unwrap();
    let url = simulator.rest_url("coinbase");
    let symbols = ["BTC-USD", "ETH-USD"];
    let limited = simulator.inject(&"http:status=429,retry-after=2s,on=rest,times=1".parse().unwrap()).unwrap();
    let mut rig = Rig::start("coinbase", &url, &symbols, Patience::default(), &directory);
    let started = std::time::Instant::now();
    rig.ask_ids(1, 0, range);
    let (_, end, told) = rig.ended(1).await.remove(0);
    assert_eq!((end, told.len()), (FillEnd::Answered, 5));
    assert!(started.elapsed() >= Duration::from_secs(2), "Retry-After was not waited for");
    assert_eq!(simulator.fault_hits(limited), 1);

    let ban = simulator.inject(&"http:status=418,retry-after=10m,on=rest".parse().unwrap()).unwrap();
    rig.ask_ids(2, 0, range);
    assert_eq!(rig.ended(1).await, [(2, FillEnd::Failed, Vec::new())]);
    assert!(rig.metrics.silent_until.get() > Clock::system().now_ns() as f64 / 1e9 + 590.0);
    // Another symbol is the same venue.
    rig.ask_ids(3, 1, range);
    assert_eq!(rig.ended(1).await, [(3, FillEnd::Failed, Vec::new())]);
    rig.stop().await;
    let mut rig = Rig::start("coinbase", &url, &symbols, Patience::default(), &directory);
    rig.ask_ids(4, 0, range);
    assert_eq!(rig.ended(1).await, [(4, FillEnd::Failed, Vec::new())]);
    assert_eq!(simulator.fault_hits(ban), 1, "it was asked while it wanted silence");
    assert!(rig.metrics.silent_until.get() > Clock::system().now_ns() as f64 / 1e9 + 590.0);
    rig.stop().await;
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn slow_rest_fails_for_now_and_is_asked_again() {
    let simulator = still(VenueKind::Okx, 3).await;
    simulator.emit_events("okx", 300);
    let symbols = simulator.symbols("okx");
    let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let ids = simulator.rest_ids("okx", symbols[0]);
    let slow = simulator.inject(&"slow-rest:delay=20s".parse().unwrap()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::start("okx", &simulator.rest_url("okx"), &symbols, hasty(), &directory);
    for number in 0..9 {
        rig.ask_ids(number, number as usize % 3, (ids[0], ids[9]));
    }
    let ended = rig.ended(9).await;
    assert!(ended.iter().all(|(_, end, ids)| *end == FillEnd::Failed && ids.is_empty()), "{ended:?}");
    simulator.lift(slow);
    let mut told = Vec::new();
    for number in 10..20 {
        rig.ask_ids(number, 0, (ids[0], ids[9]));
        let (_, end, ids) = rig.ended(1).await.remove(0);
        told = ids;
        if end == FillEnd::Answered {
            break;
        }
    }
    assert_eq!(sorted(told), ids[..10]);
    rig.stop().await;
    drop(simulator);
}

/// What a hostile venue makes of one question: how it ends, after how many requests, and what became of the last.
async fn ends(
    name: &str,
    symbol: &str,
    answering: impl Fn(&str, usize) -> Reply + Send + Sync + 'static,
) -> (FillEnd, usize, Vec<Outcome>) {
    use Outcome::{Answered, Broken, Garbled, Late, Limited, Oversized, Refused};
    let server = Hostile::start(answering).await;
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(name, &server.url(), &[symbol], hasty(), &directory);
    rig.ask_ids(1, 0, (1_001, 2_000));
    let (_, end, _) = rig.ended(1).await.remove(0);
    let outcomes = [Answered, Broken, Garbled, Late, Limited, Oversized, Refused];
    let outcomes = outcomes.into_iter().filter(|outcome| rig.metrics.requests(*outcome) > 0).collect();
    rig.stop().await;
    (end, server.asked().len(), outcomes)
}

#[tokio::test]
async fn a_venue_that_answers_nonsense_has_failed() {
    let check = async |answering: fn(&str, usize) -> Reply, requests: usize, outcome: Outcome| {
        let ended = ends("coinbase", "BTC-USD", answering).await;
        assert_eq!(ended, (FillEnd::Failed, requests, vec![outcome]));
    };
    check(|_, _| Reply::Endless, 3, Outcome::Oversized).await;
    check(|_, _| Reply::Hang, 3, Outcome::Late).await;
    check(|_, _| Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[".to_vec()), 3, Outcome::Late).await;
    check(|_, _| Reply::json("[{]"), 3, Outcome::Garbled).await;
    check(|_, _| Reply::Raw(b"\x00\xff\r\n\r\n".to_vec()), 3, Outcome::Broken).await;
    check(|_, _| Reply::Close, 3, Outcome::Broken).await;
    check(|_, _| Reply::with("503 Busy", b"later"), 3, Outcome::Refused).await;
    check(|_, _| Reply::with("404 Not Found", b"no"), 1, Outcome::Refused).await;
    check(|_, _| Reply::with("429 Slow\r\nRetry-After: 99", b""), 1, Outcome::Limited).await;
    // Followed, it would be a connection that is refused.
    let elsewhere = |_: &str, _| Reply::with("302 Found\r\nLocation: http://127.0.0.1:1/", b"");
    check(elsewhere, 3, Outcome::Refused).await;
    let packed = |_: &str, _| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut gzip, &vec![b' '; 10 << 20]).unwrap();
        Reply::with("200 OK\r\nContent-Encoding: gzip", &gzip.finish().unwrap())
    };
    check(packed, 3, Outcome::Oversized).await;
    check(|_, _| Reply::with("200 OK\r\nContent-Encoding: gzip", b"[]"), 3, Outcome::Broken).await;
    let other = |_: &str, _| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut gzip, b"[]").unwrap();
        Reply::with("200 OK\r\nContent-Encoding: br", &gzip.finish().unwrap())
    };
    check(other, 3, Outcome::Broken).await;
}

#[tokio::test]
async fn a_compressed_page_is_unpacked() {
    let packed = |_: &str, _| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let page = coinbase_rows((1_001..=2_000).rev());
        std::io::Write::write_all(&mut gzip, &page.as_bytes()[..60_000]).unwrap();
        std::io::Write::write_all(&mut gzip, &page.as_bytes()[60_000..]).unwrap();
        Reply::with("200 OK\r\nContent-Encoding: gzip", &gzip.finish().unwrap())
    };
    let patience = Patience::default();
    let server = Hostile::start(packed).await;
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::start("coinbase", &server.url(), &["BTC-USD"], patience, &directory);
    rig.ask_ids(1, 0, (1_001, 2_000));
    let (_, end, ids) = rig.ended(1).await.remove(0);
    assert_eq!((end, ids), (FillEnd::Answered, (1_001..=2_000).collect()));
    rig.stop().await;
}

#[tokio::test]
async fn each_page_has_its_own_attempts() {
    let flaky = |target: &str, before: usize| {
        if before.is_multiple_of(2) {
            return Reply::Close;
        }
        let after: u64 = target.split("after=").nth(1).unwrap().parse().unwrap();
        Reply::json(&coinbase_rows((after - 200..after).rev()))
    };
    assert_eq!(
        ends("coinbase", "BTC-USD", flaky).await,
        (FillEnd::Answered, 10, vec![Outcome::Answered, Outcome::Broken])
    );
}

/// One venue that hangs costs each question no more than its share.
#[tokio::test]
async fn questions_of_a_dead_venue_fail_together() {
    let server = Hostile::start(|_, _| Reply::Close).await;
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::start("coinbase", &server.url(), &["A-USD", "B-USD"], hasty(), &directory);
    for number in 0..40 {
        rig.ask_ids(number, number as usize % 2, (1, 5));
    }
    let ended = rig.ended(40).await;
    assert!(ended.iter().all(|(_, end, _)| *end == FillEnd::Failed));
    let asked = server.asked().len();
    assert!(asked < 12, "{asked} requests to a venue that is not there");
    rig.stop().await;
}

fn coinbase_rows(ids: impl Iterator<Item = u64>) -> String {
    let row =
        |id| format!(r#"{{"trade_id":{id},"side":"buy","size":"1","price":"2","time":"2026-11-20T10:00:00.000001Z"}}"#);
    format!("[{}]", ids.map(row).collect::<Vec<_>>().join(","))
}

#[tokio::test]
async fn pages_that_lead_nowhere_come_to_an_end() {
    // One trade a page, for ever downwards.
    let (end, asked, _) =
        ends("coinbase", "BTC-USD", |_, before| Reply::json(&coinbase_rows(std::iter::once(2_000 - before as u64))))
            .await;
    assert_eq!((end, asked), (FillEnd::Failed, 18), "two pages are enough for these ids");
    // The same page again and again.
    let (_, asked, _) = ends("coinbase", "BTC-USD", |_, _| Reply::json(&coinbase_rows((1_500..1_600).rev()))).await;
    assert_eq!(asked, 2);
}

#[tokio::test]
async fn small_questions_pass_long_ones_and_a_symbol_is_asked_once_at_a_time() {
    let page = |target: &str| {
        let after: u64 = target.split("after=").nth(1).unwrap().parse().unwrap();
        coinbase_rows((after.saturating_sub(100).max(1)..after).rev())
    };
    let delayed = move |target: &str, _| Reply::After(Duration::from_millis(40), Box::new(Reply::json(&page(target))));
    let server = Hostile::start(delayed).await;
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::start("coinbase", &server.url(), &["A-USD", "B-USD"], hasty(), &directory);
    rig.ask_ids(1, 0, (1, 1_200));
    rig.ask_ids(2, 0, (5_001, 5_100));
    rig.ask_ids(3, 1, (1, 50));
    let ended = rig.ended(3).await;
    let numbers: Vec<u64> = ended.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers.last(), Some(&1), "{numbers:?}");
    assert_eq!(server.most_waiting(), 2, "one of each symbol");
    assert!(server.connections() <= 2, "connections are kept open: {}", server.connections());
    let told: BTreeSet<(u64, usize)> = ended.iter().map(|(number, _, ids)| (*number, ids.len())).collect();
    assert_eq!(told, BTreeSet::from([(1, 1_200), (2, 100), (3, 50)]));
    assert!(ended.iter().all(|(_, end, _)| *end == FillEnd::Answered));
    rig.stop().await;
}

#[tokio::test]
async fn a_question_whose_turn_does_not_come_has_failed() {
    // Two of ten requests a minute are left to others, and each question is one.
    let server = Hostile::start(|_, _| Reply::json("[]")).await;
    let directory = tempfile::tempdir().unwrap();
    let patience = Patience { turn: Duration::from_secs(5), ..Patience::default() };
    let mut rig = Rig::start("bitfinex", &server.url(), &["tBTCUSD"], patience, &directory);
    for number in 0..9 {
        rig.ask(number, 0, None, (0, u64::MAX));
    }
    let failed = (8, FillEnd::Failed, Vec::new());
    assert_eq!(rig.ended(8).await.iter().filter(|(_, end, _)| *end == FillEnd::Answered).count(), 8);
    assert_eq!(rig.ended(1).await, [failed]);
    assert_eq!(rig.metrics.waits.get(), 1);
    rig.stop().await;
}

/// Over TLS, with a certificate that only `ca_file` vouches for.
#[tokio::test]
async fn an_https_venue_is_trusted_by_ca_file() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, made.cert.pem()).unwrap();
    let key = made.signing_key.serialize_der();
    let server = Hostile::start_tls(made.cert.der(), key, |_, _| Reply::json("[]")).await;
    for (ca_file, expected) in [(Some(ca_file), FillEnd::Answered), (None, FillEnd::Failed)] {
        let exchange = Exchange { ca_file, ..exchange("coinbase", &server.url(), &["A-USD"]) };
        let mut rig = Rig::of(exchange, hasty(), &directory, true);
        rig.ask_ids(1, 0, (1, 2));
        assert_eq!(rig.ended(1).await, [(1, expected, Vec::new())]);
        rig.stop().await;
    }
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_hanging_venue_does_not_hold_the_end_up() {
    let server = Hostile::start(|_, _| Reply::Hang).await;
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::start("coinbase", &server.url(), &["A-USD"], Patience::default(), &directory);
    rig.ask_ids(1, 0, (1, 1_200));
    while server.asked().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // What is sent counts, also for a process that is killed now.
    let noted = std::fs::read_to_string(directory.path().join("allowances.json")).unwrap();
    assert!(noted.contains(r#""coinbase/rest":{"used":[["#), "{noted}");
    tokio::time::timeout(Duration::from_secs(10), rig.stop()).await.expect("it waits for the venue");
}

#[tokio::test]
async fn without_backfill_no_question_is_asked() {
    let server = Hostile::start(|_, _| Reply::Hang).await;
    let directory = tempfile::tempdir().unwrap();
    let coinbase = exchange("coinbase", &server.url(), &["A-USD"]);
    let mut rig = Rig::of(coinbase, hasty(), &directory, false);
    rig.ask_ids(1, 0, (1, 1_200));
    rig.ask_ids(2, 77, (1, 1_200));
    let unsupported = |number| (number, FillEnd::Unsupported, Vec::new());
    assert_eq!(rig.ended(2).await, [unsupported(1), unsupported(2)]);
    assert!(server.asked().is_empty());
    // Binance tells trades by ids only.
    let mut by_ids = Rig::start("binance", &server.url(), &["BTCUSDT"], hasty(), &directory);
    by_ids.ask(3, 0, None, (1, 2));
    assert_eq!(by_ids.ended(1).await, [unsupported(3)]);
    by_ids.stop().await;
    rig.stop().await;
}
