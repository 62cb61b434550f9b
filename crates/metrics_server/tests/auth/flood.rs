//! Floods of wrong passwords, with hashes that cost what they cost in use.

use crate::tried::{DEADLINE, Tried, bcrypt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::interval;

const PEER: &str = "192.0.2.1";
/// Connections of the flood that once held a scrape for 22 s.
const CONNECTIONS: usize = 160;
const BETWEEN_SCRAPES: Duration = Duration::from_millis(2);
/// Of a core, and at once, for wrong passwords; see the queue.
const SHARE: f64 = 0.15;
const BURST_SECONDS: f64 = 1.0;

/// Guesses from one address until it is dropped, each once, or again and again until it was looked at.
fn flood(tried: &Tried, guesses: &Arc<AtomicU64>, is_persistent: bool) -> JoinSet<()> {
    let mut flood = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (tried, guesses) = (tried.clone(), Arc::clone(guesses));
        flood.spawn(async move {
            loop {
                let guess = guesses.fetch_add(1, Ordering::Relaxed);
                loop {
                    let status = tried.basic(PEER, "alice", &format!("guess {guess}")).await;
                    assert!([401, 429, 503].contains(&status), "{status}");
                    if status == 401 || !is_persistent {
                        break;
                    }
                }
            }
        });
    }
    flood
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_neither_hides_a_scraper_nor_takes_the_processor() {
    let users = [("alice", "secret"), ("bob", "other")].map(|(user, password)| (user, bcrypt(password, 10)));
    let config = format!("basic_auth_users:\n  {}: {}\n  {}: {}\n", users[0].0, users[0].1, users[1].0, users[1].1);
    let tried = Tried::new(&config);
    assert_eq!(tried.basic(PEER, "alice", "secret").await, 200);
    let before = tried.metric("metrics_server_auth_hash_seconds_total");

    let (start, guesses) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let flood = flood(&tried, &guesses, false);
    // The flood is on when the address has to wait.
    let mut pause = interval(BETWEEN_SCRAPES);
    while tried.failures("throttled") == 0.0 {
        assert!(start.elapsed() < DEADLINE, "never throttled");
        pause.tick().await;
    }
    let is_in = Arc::new(AtomicBool::new(false));
    let newcomer = tokio::spawn({
        let (tried, is_in) = (tried.clone(), Arc::clone(&is_in));
        async move {
            let mut attempts = 1;
            while tried.basic(PEER, "bob", "other").await != 200 {
                attempts += 1;
                assert!(start.elapsed() < DEADLINE, "not in after {attempts} attempts");
            }
            is_in.store(true, Ordering::Relaxed);
            attempts
        }
    });
    let (mut scrapes, mut slowest) = (0, Duration::ZERO);
    while scrapes < 300 || !is_in.load(Ordering::Relaxed) {
        let asked = Instant::now();
        assert_eq!(tried.basic(PEER, "alice", "secret").await, 200);
        slowest = slowest.max(asked.elapsed());
        scrapes += 1;
        pause.tick().await;
        assert!(start.elapsed() < DEADLINE * 2);
    }
    let attempts = newcomer.await.unwrap();
    let seconds = start.elapsed().as_secs_f64();
    drop(flood);

    let hashed = tried.metric("metrics_server_auth_hash_seconds_total") - before;
    let [right, wrong, _] = tried.hashes();
    println!(
        "{seconds:.1} s, {} guesses, {wrong} hashed in {hashed:.2} s, {scrapes} scrapes in {slowest:?} at most, newcomer in at attempt {attempts}",
        guesses.load(Ordering::Relaxed)
    );
    assert_eq!(right, 2.0, "one for each user, and none for a pinned password");
    assert_within_share(hashed, wrong + 1.0, seconds);
    assert!(attempts <= 10, "{attempts} attempts until a right password came in");
}

/// What was being hashed when the budget was gone, and a right password, are not in the share.
fn assert_within_share(hashed: f64, hashes: f64, seconds: f64) {
    let allowed = BURST_SECONDS + SHARE * seconds + 3.0 * hashed / hashes;
    assert!(hashed <= allowed, "{hashed} s of hashing in {seconds} s; allowed are {allowed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_that_come_again_and_again_stay_within_their_share() {
    let tried = Tried::new(&format!("basic_auth_users:\n  alice: {}\n", bcrypt("secret", 10)));
    assert_eq!(tried.basic(PEER, "alice", "secret").await, 200);
    let before = tried.metric("metrics_server_auth_hash_seconds_total");
    let start = Instant::now();
    let flood = flood(&tried, &Arc::new(AtomicU64::new(0)), true);
    // Four times what may be spent at once: unbounded, hashing would take nearly all of it.
    let mut pause = interval(BETWEEN_SCRAPES);
    while start.elapsed().as_secs_f64() < 4.0 * BURST_SECONDS || tried.hashes()[1] <= 6.0 {
        assert_eq!(tried.basic(PEER, "alice", "secret").await, 200);
        assert!(start.elapsed() < DEADLINE, "guesses that come again are not looked at: {:?}", tried.hashes());
        pause.tick().await;
    }
    drop(flood);
    let hashed = tried.metric("metrics_server_auth_hash_seconds_total") - before;
    assert_within_share(hashed, tried.hashes()[1], start.elapsed().as_secs_f64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_addresses_than_can_wait_are_told_to_come_again() {
    let tried = Tried::new(&format!("basic_auth_users:\n  alice: {}\n", bcrypt("secret", 10)));
    let mut flood = JoinSet::new();
    for number in 0..600 {
        let tried = tried.clone();
        flood.spawn(async move {
            let peer = format!("198.51.{}.{}", number / 250, number % 250);
            tried.answer(&peer, "alice", &format!("guess {number}")).await
        });
    }
    let refused = loop {
        let answer = flood.join_next().await.expect("nobody was refused").unwrap();
        if answer.status.as_u16() != 401 {
            break answer;
        }
    };
    assert_eq!((refused.status.as_u16(), refused.retry_after), (503, Some(5)));
    assert!(tried.failures("overloaded") >= 1.0);
    assert!(tried.metric("metrics_server_auth_queue_depth") <= 256.0);
}
