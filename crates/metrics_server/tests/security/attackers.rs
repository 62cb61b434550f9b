//! Clients that stall, dribble and guess, all at once, beside one that scrapes.

use crate::client::DEADLINE;
use crate::fixture::Fixture;
use crate::running::{Running, bcrypt, start_with, written};
use crate::scraper::Target;
use metrics_server::{Limits, Registry};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::interval;

const SHORT: Duration = Duration::from_secs(1);
const GUESSERS: usize = 160;
const DRIBBLERS: usize = 20;
const STALLERS: usize = 4;
const SCRAPES: usize = 60;
/// Of a core, and at once, for wrong passwords.
const SHARE: f64 = 0.15;
const BURST_SECONDS: f64 = 1.0;
/// With their names beyond all buffers between two programs.
const SERIES: usize = 80_000;
const NAME_BYTES: usize = 120;

fn attack(target: &Target, guesses: &Arc<AtomicU64>) -> JoinSet<()> {
    let mut attackers = JoinSet::new();
    for _ in 0..GUESSERS {
        let (target, guesses) = (target.clone(), Arc::clone(guesses));
        attackers.spawn(async move {
            let mut client = target.connect().await;
            loop {
                let guess = guesses.fetch_add(1, Ordering::Relaxed);
                let (status, _) = client.status("/metrics", "alice", &format!("guess {guess}")).await;
                assert!([401, 429, 503].contains(&status), "{status}");
            }
        });
    }
    for _ in 0..DRIBBLERS {
        let target = target.clone();
        attackers.spawn(async move {
            let mut pause = interval(SHORT / 8);
            loop {
                let mut client = target.connect().await;
                // A byte now and then until it is cut off, and again.
                while client.stream.write_all(b"G").await.is_ok() && client.stream.flush().await.is_ok() {
                    pause.tick().await;
                }
            }
        });
    }
    for _ in 0..STALLERS {
        let target = target.clone();
        attackers.spawn(async move {
            let mut client = target.connect().await;
            client.ask("/metrics", "alice", "secret").await.unwrap();
            let mut some = [0; 1000];
            client.stream.read_exact(&mut some).await.unwrap();
            assert!(some.starts_with(b"HTTP/1.1 200"));
            std::future::pending::<()>().await;
        });
    }
    attackers
}

async fn a_scrape_succeeds_beside_all_of_them(running: &Running, target: &Target) {
    let mut scraper = target.connect().await;
    // As at the start of a program; from here on the password is known.
    assert_eq!(scraper.status("/metrics", "alice", "secret").await.0, 200);
    let hashed = || running.metric("metrics_server_auth_hash_seconds_total");
    let hashes = |verdict: &str| running.metric(&format!("metrics_server_auth_hashes_total{{verdict=\"{verdict}\"}}"));
    let throttled = || running.metric("metrics_server_auth_failures_total{reason=\"throttled\"}");
    let timeouts = |kind: &str| running.metric(&format!("metrics_server_connection_timeouts_total{{kind=\"{kind}\"}}"));
    let cut = || {
        timeouts("write_stall")
            + ["behind", "deadline"]
                .map(|reason| running.metric(&format!("metrics_server_scrapes_cut_total{{reason=\"{reason}\"}}")))
                .iter()
                .sum::<f64>()
    };
    let (before, start, guesses) = (hashed(), Instant::now(), Arc::new(AtomicU64::new(0)));
    let mut attackers = attack(target, &guesses);
    let (mut times, mut pause) = (Vec::new(), interval(Duration::from_millis(5)));
    loop {
        let asked = Instant::now();
        let (status, length) = scraper.status("/metrics", "alice", "secret").await;
        assert!(status == 200 && length > SERIES * NAME_BYTES, "{status}, {length} bytes");
        times.push(asked.elapsed());
        if let Some(ended) = attackers.try_join_next() {
            ended.unwrap();
        }
        let is_on = throttled() > 0.0 && timeouts("header") > 0.0 && cut() > 0.0;
        if times.len() >= SCRAPES && is_on {
            break;
        }
        assert!(
            start.elapsed() < DEADLINE * 2,
            "throttled {}, header {}, cut {}",
            throttled(),
            timeouts("header"),
            cut()
        );
        pause.tick().await;
    }
    let (spent, wrong, seconds) = (hashed() - before, hashes("wrong"), start.elapsed().as_secs_f64());
    drop(attackers);
    times.sort_unstable();
    // Printed and not judged: how long it takes depends on what else the host does.
    println!(
        "{} scrapes of {SERIES} series beside {} guesses in {seconds:.1} s: p50 {:?}, p99 {:?}; {wrong} hashed in {spent:.2} s",
        times.len(),
        guesses.load(Ordering::Relaxed),
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    );
    assert_eq!(hashes("right"), 1.0, "a known password is not hashed again");
    let allowed = BURST_SECONDS + SHARE * seconds + 3.0 * spent / wrong.max(1.0);
    assert!(spent <= allowed, "{spent} s of hashing in {seconds} s; allowed are {allowed}");
}

async fn started(fixture: &Fixture, tls: &str) -> Running {
    let mut registry = Registry::new();
    let series = registry.counter("test_series", "Many").labels(["number"]).cap(SERIES).register().unwrap();
    for number in 0..SERIES {
        series.with([format!("{number:0>NAME_BYTES$}").as_str()]).inc();
    }
    let config = format!("{tls}basic_auth_users:\n  alice: {}\n", bcrypt("secret", 10));
    let limits = Limits { header_read: SHORT, write_stall: SHORT, ..Limits::default() };
    start_with(written(fixture.directory.path(), &config), registry, limits, &[]).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_tls_a_scrape_succeeds() {
    let fixture = Fixture::new();
    let running = started(&fixture, "").await;
    a_scrape_succeeds_beside_all_of_them(&running, &Target::plain(running.address)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_a_scrape_succeeds() {
    let fixture = Fixture::new();
    let running = started(&fixture, "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n").await;
    let target = Target::tls(running.address, &[fixture.authority.pem()]);
    a_scrape_succeeds_beside_all_of_them(&running, &target).await;
}
