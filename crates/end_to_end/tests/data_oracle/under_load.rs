//! A server that is asked without pause while two loggers record across a midnight: what it says is a beginning of what the
//! files hold in the end, whenever it was asked.

#[path = "under_load/asking.rs"]
mod asking;
#[path = "under_load/following.rs"]
mod following;
#[path = "under_load/remembered.rs"]
mod remembered;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use end_to_end::{
    data::Columns,
    eventually, files as independent, http,
    metrics::Scrape,
    run,
    services::{DataServer, Logger, brisk_and_fast},
};
use exchange_simulator::{ClockPace, Config, MarketState, Simulator, VenueConfig, VenueKind};
use logger::Clock;
use serde_json::Value;

use crate::files::Table;
use asking::{Asking, Form};
use remembered::Remembered;

const S: u64 = 1_000_000_000;
const DAY_NS: u64 = 86_400 * S;
/// Seconds of the clocks in one of the system's.
const SPEED: u32 = 7_200;
/// From the start of the fast clocks to midnight, in seconds of the system's.
const BEFORE_MIDNIGHT: u64 = 12;
/// What symbols that were not there may take to be listed.
const LISTED_WITHIN: Duration = Duration::from_secs(5);
/// Clients that ask for rows, by the form that they ask for.
const CLIENTS: [Form; 4] = [Form::Binary, Form::Binary, Form::Arrow, Form::MinMax];

/// A table of one symbol.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    exchange: String,
    symbol: String,
    is_quotes: bool,
}

impl Place {
    fn table(&self) -> Table {
        if self.is_quotes { Table::Md } else { Table::Trades }
    }
}

/// What all clients know.
#[derive(Clone)]
struct Shared {
    server: std::net::SocketAddr,
    clock: Clock,
    /// Unix seconds: the first that any row can have.
    first: u64,
    places: Arc<Mutex<Vec<Place>>>,
    is_done: Arc<AtomicBool>,
}

impl Shared {
    fn is_done(&self) -> bool {
        self.is_done.load(Ordering::Relaxed)
    }

    fn places(&self) -> Vec<Place> {
        self.places.lock().unwrap().clone()
    }

    fn now(&self) -> u64 {
        self.clock.now_ns() / S
    }
}

/// Venues whose clocks stand before a midnight and run fast, with a logger of each.
struct Recording {
    simulator: Simulator,
    logger: Logger,
}

impl Recording {
    async fn start(venues: &[VenueKind], seed: u64, data: &Path, offset_ns: i64, since_ns: u64) -> Recording {
        let simulator = Simulator::start(Config {
            venues: venues.iter().copied().map(VenueConfig::new).collect(),
            seed,
            rate: 150.0,
            symbols: 3,
            market: MarketState::Paused,
            clock_offset_ns: offset_ns,
            clock_pace: ClockPace { since_ns, speed: SPEED },
            ..Config::default()
        });
        let simulator = simulator.await.unwrap();
        let clock = Clock::shifted(offset_ns).sped_up(since_ns, SPEED);
        let logger = Logger::start(&brisk_and_fast(&simulator), data, clock).await;
        let connected = || async {
            let status = Scrape::of(logger.metrics).await?.sum("gpu_charts_exchange_connection_status", "");
            (status == venues.len() as f64).then_some(())
        };
        eventually("all venues are recorded", Duration::from_secs(60), connected).await;
        simulator.resume_market();
        Recording { simulator, logger }
    }

    async fn end(self) {
        self.simulator.pause_market();
        self.logger.stop().await;
        self.simulator.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_every_answer_is_a_beginning_of_what_is_written() {
    let (seed, began) = (run::seed(), Instant::now());
    let since_ns = Clock::system().now_ns();
    let midnight = (since_ns / DAY_NS + 1) * DAY_NS;
    let offset = i128::from(midnight) - i128::from(u64::from(SPEED) * BEFORE_MIDNIGHT * S) - i128::from(since_ns);
    let offset_ns = i64::try_from(offset).unwrap();
    let (data, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = DataServer::start(data.path()).await;
    let shared = Shared {
        server: server.data,
        clock: Clock::shifted(offset_ns).sped_up(since_ns, SPEED),
        first: midnight / S - 2 * 86_400,
        places: Arc::default(),
        is_done: Arc::default(),
    };
    let listing = tokio::spawn(list(shared.clone()));
    let status = tokio::spawn(look_at_status(shared.clone()));
    let following = tokio::spawn(following::follow(shared.clone()));
    let asking = CLIENTS.into_iter().zip(seed..).map(|(form, seed)| Asking::new(shared.clone(), form, seed).run());
    let asking: Vec<_> = asking.map(tokio::spawn).collect();

    let recorded = Recording::start(&[VenueKind::Coinbase, VenueKind::Binance], seed, data.path(), offset_ns, since_ns);
    let second = Recording::start(&[VenueKind::Okx], seed, elsewhere.path(), offset_ns, since_ns);
    let (recorded, second) = tokio::join!(recorded, second);
    until(&shared, midnight - 3 * u64::from(SPEED) * S).await;
    second.end().await;
    // What another logger recorded comes in as a whole.
    std::fs::rename(elsewhere.path().join("okx"), data.path().join("okx")).unwrap();
    let came = Instant::now();
    eventually("the new symbols are listed", LISTED_WITHIN, || async {
        shared.places().iter().any(|place| place.exchange == "okx").then_some(())
    })
    .await;
    println!("new symbols were listed after {} ms", came.elapsed().as_millis());
    until(&shared, midnight + 8 * u64::from(SPEED) * S).await;
    recorded.end().await;

    shared.is_done.store(true, Ordering::Relaxed);
    let mut answers = Vec::new();
    for client in asking {
        answers.extend(client.await.unwrap());
    }
    let (listings, statuses) = (listing.await.unwrap(), status.await.unwrap());
    let followed = following.await.unwrap();
    all_is_answered(&shared, data.path()).await;
    let errors = Scrape::of(server.metrics).await.unwrap().sum("gpu_charts_server_http_requests_total", "status=\"5");
    assert_eq!(errors, 0.0, "answers of class 5xx");
    server.stop().await;

    let rows = judge(&answers, data.path());
    let streamed = following::judge(&followed, data.path());
    println!(
        "{} answers with {rows} rows, {listings} listings, {statuses} looks at the status and {streamed} rows of a stream in {} s",
        answers.len(),
        began.elapsed().as_secs(),
    );
    let of_new = answers.iter().filter(|answer| answer.place.exchange == "okx" && answer.rows > 0).count();
    assert!(answers.len() > 200 && rows > 20_000 && listings > 50 && statuses > 50 && streamed > 500 && of_new > 0);
}

async fn until(shared: &Shared, at_ns: u64) {
    let clock = shared.clock;
    eventually("a time of the fast clock", Duration::from_secs(60), || async move {
        (clock.now_ns() >= at_ns).then_some(())
    })
    .await;
}

/// When nobody writes, every row is answered.
async fn all_is_answered(shared: &Shared, data: &Path) {
    for place in shared.places() {
        let (exchange, symbol, table) = (&place.exchange, &place.symbol, place.table().name());
        let rows: u64 = independent::table(data, exchange, symbol, table).days.iter().map(|(_, rows)| rows).sum();
        eventually("all rows", Duration::from_secs(5), || async {
            let range = (shared.first, shared.first + 4 * 86_400);
            let answer = Columns::get(shared.server, exchange, symbol, table, &["time"], range).await;
            (answer.u32s("time").len() as u64 == rows).then_some(())
        })
        .await;
    }
}

/// Compares all answers with the files at the end; how many rows they had.
fn judge(answers: &[Remembered], data: &Path) -> usize {
    let mut tables: BTreeMap<&Place, independent::Series> = BTreeMap::new();
    let mut nights = 0;
    for answer in answers {
        let Place { exchange, symbol, .. } = &answer.place;
        let table = tables
            .entry(&answer.place)
            .or_insert_with(|| independent::table(data, exchange, symbol, answer.place.table().name()));
        nights += usize::from(table.days.len() > 1);
        answer.judge(&table.columns);
    }
    assert!(nights > 0, "no midnight passed");
    answers.iter().map(|answer| answer.rows).sum()
}

/// Keeps the listing up to date; no symbol may go.
async fn list(shared: Shared) -> u64 {
    let mut asked = 0;
    let mut known: Vec<Place> = Vec::new();
    while !shared.is_done() {
        let answer = http::get(shared.server, "/api/symbols").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let listing: Value = serde_json::from_slice(&answer.body).unwrap();
        let mut places = Vec::new();
        for (exchange, symbols) in listing["exchanges"].as_object().unwrap() {
            let symbols: Vec<&str> = symbols.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
            assert!(symbols.is_sorted(), "{symbols:?}");
            for (symbol, is_quotes) in symbols.into_iter().flat_map(|symbol| [(symbol, true), (symbol, false)]) {
                places.push(Place { exchange: exchange.clone(), symbol: symbol.to_owned(), is_quotes });
            }
        }
        assert!(known.iter().all(|place| places.contains(place)), "{known:?} became {places:?}");
        known.clone_from(&places);
        *shared.places.lock().unwrap() = places;
        asked += 1;
        // The others are what is to be hurried.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    asked
}

/// Asks for the status; what was written may not become older.
async fn look_at_status(shared: Shared) -> u64 {
    let mut asked = 0;
    let mut latest: BTreeMap<String, u64> = BTreeMap::new();
    while !shared.is_done() {
        let answer = http::get(shared.server, "/api/status").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let status: Value = serde_json::from_slice(&answer.body).unwrap();
        for of_exchange in status["exchanges"].as_array().unwrap() {
            let exchange = of_exchange["exchange"].as_str().unwrap().to_owned();
            let written = of_exchange["last_update"].as_u64().unwrap();
            let before = latest.insert(exchange, written).unwrap_or(0);
            assert!(written >= before, "{of_exchange} after {before}");
        }
        asked += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    asked
}
