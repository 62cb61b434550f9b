//! The logger as a process, killed at random moments of a five-venue run, now and then as a power loss would have it: at the
//! end its files hold everything that the venues can deliver, once, and tell what is missing. Messages are dropped and REST
//! is slow, so that it is also killed while trades wait for a fill, and while fills come.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use end_to_end::{
    audit::audit,
    metrics::Scrape,
    oracle::{Crash, Oracle},
    power,
    program::{Program, built, free_address},
    run,
    services::{brisk, brisk_limits},
};
use exchange_simulator::{Config, Fault, FaultKind, Simulator, VenueConfig, VenueKind};
use logger::Clock;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// What the flush interval of `brisk` and a very busy machine leave unsafe, ns. It must still be in an interval on record.
const UNFLUSHED_NS: u64 = 3_000_000_000;

/// Messages that are dropped before each crash.
const DROPPED: u64 = 5;
const REST_DELAY: Duration = Duration::from_millis(400);

/// How much is done.
struct Scale {
    crashes: u32,
    /// Symbols of each venue.
    symbols: usize,
    /// Market events per second and venue. REST remembers 10,000 trades of a symbol; the busiest must not have more.
    rate: f64,
    recovers_within: Duration,
}

const SHORT: Scale = Scale { crashes: 6, symbols: 2, rate: 100.0, recovers_within: Duration::from_secs(120) };
const LONG: Scale = Scale { crashes: 200, symbols: 10, rate: 100.0, recovers_within: Duration::from_secs(300) };

fn start(directory: &Path, metrics: SocketAddr) -> Program {
    let (config, data) = (directory.join("logger.yaml"), directory.join("data"));
    // What the venues grant a minute is not the subject: each start may ask as if the one before had been long ago.
    _ = fs::remove_file(data.join("allowances.json"));
    let metrics = metrics.to_string();
    let [config, data] = [&config, &data].map(|path| path.to_str().unwrap());
    let args = ["run", "--config", config, "--data-path", data, "--metrics-listen", &metrics];
    Program::start(&built("logger"), &args, &directory.join("logger.log"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kills_and_power_losses_take_comes_back() {
    let scale = if run::long().is_some() { LONG } else { SHORT };
    let (seed, began) = (run::seed(), Instant::now());
    let mut random = StdRng::seed_from_u64(seed);
    let simulator = Simulator::start(Config {
        venues: VenueKind::ALL.map(VenueConfig::new).to_vec(),
        seed,
        rate: scale.rate,
        symbols: scale.symbols,
        keep_ledger_in_memory: true,
        limits: brisk_limits(),
        ..Config::default()
    })
    .await
    .unwrap();
    simulator.inject(&Fault::new(FaultKind::SlowRest { delay: REST_DELAY })).unwrap();
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("logger.yaml"), brisk(&simulator)).unwrap();
    let data = directory.path().join("data");
    let metrics = free_address();

    let (mut crashes, mut power_losses) = (Vec::new(), 0);
    for number in 0..scale.crashes {
        let mut logger = start(directory.path(), metrics);
        // Also while it starts, recovers and connects; and each time it must come as far as serving its metrics.
        end_to_end::eventually("the logger serves its metrics", Duration::from_secs(60), || async {
            Scrape::of(metrics).await.map(drop)
        })
        .await;
        // Of a venue that counts frames each would be a question about every symbol, and REST grants few of these a minute.
        for venue in VenueKind::ALL.into_iter().filter(|venue| *venue != VenueKind::Bitfinex) {
            simulator.inject(&Fault::new(FaultKind::Gap { rest: true }).at(venue).times(DROPPED)).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..1_500))).await;
        assert!(logger.is_running(), "{}", logger.log());
        let at_ns = Clock::system().now_ns();
        logger.kill();
        let mut safe_ns = at_ns.saturating_sub(UNFLUSHED_NS);
        if number % 5 == 4
            && let Some(noted_ns) = power::lose(&data, &mut random)
        {
            power_losses += 1;
            safe_ns = safe_ns.min(noted_ns.saturating_sub(UNFLUSHED_NS));
        }
        crashes.push(Crash { safe_ns, at_ns });
    }

    let mut logger = start(directory.path(), metrics);
    end_to_end::eventually("all venues are recorded", scale.recovers_within, || async {
        let status = Scrape::of(metrics).await?.sum("gpu_charts_exchange_connection_status", "");
        (status == VenueKind::ALL.len() as f64).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    simulator.pause_market();
    let deadline = Instant::now() + scale.recovers_within;
    let oracle = || Oracle::of(&simulator, &VenueKind::ALL).with_crashes(&crashes);
    loop {
        let (verdicts, mut findings) = oracle().judge_all(&data);
        for ((venue, symbol), verdict) in &verdicts {
            let open = verdict.trade_gaps.iter().filter(|gap| gap.state == "open");
            findings.extend(open.map(|gap| format!("{venue} {symbol}: {} of {:?} is open still", gap.id, gap.ids)));
        }
        if findings.is_empty() {
            break;
        }
        let late = Instant::now() > deadline;
        assert!(!late, "{} findings, such as:\n  {}", findings.len(), findings[..findings.len().min(20)].join("\n  "));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(logger.terminate().success(), "{}", logger.log());

    let (verdicts, findings) = oracle().judge_all(&data);
    assert!(findings.is_empty(), "{findings:#?}");
    let totals = audit(&data, &VenueKind::ALL).unwrap();
    assert_eq!((totals.damage, totals.missing), (0, 0), "{totals}");
    let (trades, quotes) =
        verdicts.values().fold((0, 0), |(trades, quotes), verdict| (trades + verdict.trades, quotes + verdict.quotes));
    run::report(&format!(
        "| kills | 5 × {} | {} kill -9, {power_losses} of them as power losses | {trades} | {quotes} | 0 | {} s | {seed} |",
        scale.symbols,
        crashes.len(),
        began.elapsed().as_secs(),
    ));
    simulator.shutdown().await.unwrap();
}
