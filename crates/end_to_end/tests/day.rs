//! A day of five venues in a minute, with two midnights: clocks run fast, everything else is as ever. Connections end across
//! the first midnight. At the end the files hold what the ledger says, and the days that are over are sealed.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::{Duration, Instant};

use end_to_end::{
    audit::audit,
    eventually, files,
    metrics::Scrape,
    oracle::Oracle,
    run,
    services::{Logger, brisk_and_fast},
};
use exchange_simulator::{ClockPace, Config, MarketState, Simulator, VenueConfig, VenueKind};
use logger::Clock;

const S: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * S;

/// How much is done.
struct Scale {
    /// Symbols of each venue.
    symbols: usize,
    /// Market events per second of the system's clock, and venue.
    rate: f64,
    /// Seconds of the clocks in one of the system's.
    speed: u32,
    /// From the start of the fast clocks to the first midnight, in seconds of the system's: time to connect.
    before_midnight: u64,
}

const SHORT: Scale = Scale { symbols: 3, rate: 150.0, speed: 7_200, before_midnight: 10 };
const LONG: Scale = Scale { symbols: 40, rate: 400.0, speed: 1_440, before_midnight: 25 };

/// `DD.MM.YY` of a time.
fn day(at_ns: u64) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(at_ns)).unwrap();
    time.strftime("%d.%m.%y").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_with_two_midnights_is_whole() {
    let scale = if run::long().is_some() { LONG } else { SHORT };
    let (seed, began) = (run::seed(), Instant::now());
    let since_ns = Clock::system().now_ns();
    let midnight = (since_ns / DAY + 1) * DAY;
    let ahead = u64::from(scale.speed) * scale.before_midnight * S;
    let offset = i64::try_from(i128::from(midnight) - i128::from(ahead) - i128::from(since_ns)).unwrap();
    let clock = Clock::shifted(offset).sped_up(since_ns, scale.speed);
    let simulator = Simulator::start(Config {
        venues: VenueKind::ALL.map(VenueConfig::new).to_vec(),
        seed,
        rate: scale.rate,
        symbols: scale.symbols,
        market: MarketState::Paused,
        clock_offset_ns: offset,
        clock_pace: ClockPace { since_ns, speed: scale.speed },
        keep_ledger_in_memory: true,
        ..Config::default()
    })
    .await
    .unwrap();
    let data = tempfile::tempdir().unwrap();
    let logger = Logger::start(&brisk_and_fast(&simulator), data.path(), clock).await;
    let connected = || async {
        let status = Scrape::of(logger.metrics).await?.sum("gpu_charts_exchange_connection_status", "");
        (status == VenueKind::ALL.len() as f64).then_some(())
    };
    eventually("all venues are recorded", Duration::from_secs(60), connected).await;
    simulator.resume_market();
    let until = |what: &'static str, at_ns: u64| {
        eventually(what, Duration::from_secs(120), move || async move { (clock.now_ns() >= at_ns).then_some(()) })
    };
    // Half a second of the system's clock on either side of midnight nobody is connected.
    let half_second = u64::from(scale.speed) * S / 2;
    until("the evening", midnight - half_second).await;
    simulator.inject(&"close:refuse=1s".parse().unwrap()).unwrap();
    until("the second midnight and the seals after it", midnight + DAY + 2_000 * S + 2 * half_second).await;
    simulator.pause_market();

    // Bitfinex grants few questions a minute, and each of its symbols has one.
    let patience = Duration::from_secs(120 + 15 * scale.symbols as u64);
    let verdicts = eventually("the files are whole", patience, || async {
        let (verdicts, findings) = Oracle::of(&simulator, &VenueKind::ALL).at_speed(scale.speed).judge_all(data.path());
        if let Some(finding) = findings.first() {
            println!("{} findings still, such as {finding}", findings.len());
            tokio::time::sleep(Duration::from_secs(2)).await;
            return None;
        }
        Some(verdicts)
    })
    .await;
    let over = [day(midnight - DAY), day(midnight)];
    eventually("the days that are over are sealed", Duration::from_secs(60), || async {
        let sealed = |(venue, symbol): &(VenueKind, String), table| {
            let sealed = files::sealed(data.path(), venue.name(), symbol, table);
            let days = files::table(data.path(), venue.name(), symbol, table).days;
            over.iter().all(|day| sealed.contains(day) || days.iter().all(|(there, _)| there != day))
        };
        verdicts.keys().all(|symbol| sealed(symbol, "MD") && sealed(symbol, "TRADES")).then_some(())
    })
    .await;
    logger.stop().await;

    let (_, findings) = Oracle::of(&simulator, &VenueKind::ALL).at_speed(scale.speed).judge_all(data.path());
    assert!(findings.is_empty(), "{findings:#?}");
    for (venue, symbol) in verdicts.keys() {
        let days = files::table(data.path(), venue.name(), symbol, "MD").days;
        let days: Vec<&str> = days.iter().map(|(day, _)| day.as_str()).collect();
        // The least busy of many symbols may have a day without a quote.
        assert!(days.len() == 3 || scale.symbols > 10, "{venue} {symbol} has {days:?}");
    }
    let totals = audit(data.path(), &VenueKind::ALL).unwrap();
    let undeliverable: u64 = verdicts.values().map(|verdict| verdict.undeliverable).sum();
    assert_eq!((totals.damage, totals.missing), (0, undeliverable), "{totals}");
    assert!(totals.sealed_days >= verdicts.len() as u64, "{totals}");
    let (trades, quotes) =
        verdicts.values().fold((0, 0), |(trades, quotes), verdict| (trades + verdict.trades, quotes + verdict.quotes));
    run::report(&format!(
        "| day | 5 × {} | {} seconds of the clocks in one, {} sealed days | {trades} | {quotes} | {} | {} s | {seed} |",
        scale.symbols,
        scale.speed,
        totals.sealed_days,
        totals.missing,
        began.elapsed().as_secs(),
    ));
    simulator.shutdown().await.unwrap();
}
