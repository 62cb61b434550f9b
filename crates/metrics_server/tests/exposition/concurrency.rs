//! Updates from many threads, while series come and go and scrapes run: nothing is lost.

use metrics_server::{Exposition, Format, NativeBuckets, Registry};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

const THREADS: u64 = 4;
const ROUNDS: u64 = 20_000;

#[test]
fn increments_during_creation_growth_removal_and_scrapes_lose_nothing() {
    let mut registry = Registry::new();
    let family = registry.counter("a", "A").labels(["who", "symbol"]).cap(100_000).register().unwrap();
    let exposition = Exposition::new(registry);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|worker| {
                let family = family.clone();
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        // Most threads meet on the same new series at about the same time.
                        family.with(["all", &format!("{}", round % 3000)]).inc();
                        let passing = format!("{worker}-{round}");
                        family.with(["passing", &passing]).inc();
                        assert!(family.remove(["passing", &passing]));
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                exposition.encode_as(Format::Text).unwrap();
            }
        });
        // The other thread must end even if a worker panicked.
        let joined: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        done.store(true, Ordering::Relaxed);
        joined.into_iter().for_each(|result| result.unwrap());
    });
    assert_eq!(family.len(), 3000);
    let sum: u64 = (0..3000).map(|symbol| family.with(["all", &symbol.to_string()]).get()).sum();
    assert_eq!(sum, THREADS * ROUNDS);
    let text = exposition.encode().unwrap();
    assert_eq!(text.matches("a_total{who=\"all\"").count(), 3000);
    assert!(!text.contains("passing"));
}

/// Two threads that start together on each label: both find nothing, and only one may create.
#[test]
fn a_series_that_two_threads_create_at_once_is_one() {
    const LABELS: u64 = 3000;
    let mut registry = Registry::new();
    let family = registry.counter("a", "A").labels(["x"]).cap(usize::MAX).register().unwrap();
    let arrived = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for label in 0..LABELS {
                    let text = label.to_string();
                    arrived.fetch_add(1, Ordering::SeqCst);
                    while arrived.load(Ordering::SeqCst) < 2 * (label + 1) {
                        thread::yield_now();
                    }
                    family.with([&text]).inc();
                }
            });
        }
    });
    assert_eq!(family.len() as u64, LABELS);
    assert!((0..LABELS).all(|label| family.with([&label.to_string()]).get() == 2));
}

#[test]
fn sharded_counters_are_exact_while_threads_come_and_go() {
    let mut registry = Registry::new();
    let counter = registry.sharded_counter("a", "A").register().unwrap();
    // More at once than there are places, and several generations of them.
    for _ in 0..5 {
        thread::scope(|scope| {
            for _ in 0..100 {
                let counter = counter.clone();
                scope.spawn(move || (0..1000).for_each(|_| counter.inc()));
            }
        });
    }
    assert_eq!(counter.get(), 500_000);
}

/// A destructor of a thread-local may run after the thread gave its place back.
#[test]
fn a_sharded_counter_counts_in_a_thread_that_ends() {
    struct AtEnd(metrics_server::Handle<metrics_server::ShardedCounter>);
    impl Drop for AtEnd {
        fn drop(&mut self) {
            self.0.inc();
        }
    }
    thread_local! {
        static EARLY: std::cell::RefCell<Option<AtEnd>> = const { std::cell::RefCell::new(None) };
    }
    let mut registry = Registry::new();
    let counter = registry.sharded_counter("a", "A").register().unwrap();
    for count_before in [true, false] {
        let counter = counter.clone();
        let thread = thread::spawn(move || {
            EARLY.with(|early| *early.borrow_mut() = Some(AtEnd(counter.clone())));
            if count_before {
                counter.inc();
            }
        });
        thread.join().unwrap();
    }
    assert_eq!(counter.get(), 3);
}

#[test]
fn histograms_lose_nothing_while_native_buckets_are_joined() {
    let mut registry = Registry::new();
    let native = NativeBuckets { schema: 8, max_buckets: 10, ..NativeBuckets::default() };
    let histogram = registry.histogram("h", "H").buckets([1.0, 100.0]).native(native).register().unwrap();
    let exposition = Exposition::new(registry);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|worker| {
                let histogram = histogram.clone();
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let magnitude = 1.0 + (round as f64) * (worker + 1) as f64;
                        histogram.observe(if round % 2 == 0 { magnitude } else { -magnitude });
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                check_consistency(&exposition);
            }
        });
        // The other thread must end even if a worker panicked.
        let joined: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        done.store(true, Ordering::Relaxed);
        joined.into_iter().for_each(|result| result.unwrap());
    });
    assert_eq!(check_consistency(&exposition), THREADS * ROUNDS);
}

/// The count is that of the native buckets and not below a classic one, at any moment.
fn check_consistency(exposition: &Exposition) -> u64 {
    use crate::proto::{Histogram, decode};
    let families = decode(&exposition.encode_as(Format::Protobuf).unwrap());
    let family = families.iter().find(|family| family.name == "h").unwrap();
    let histogram = family.metric[0].histogram.as_ref().unwrap();
    let positive = Histogram::native(&histogram.positive_span, &histogram.positive_delta);
    let negative = Histogram::native(&histogram.negative_span, &histogram.negative_delta);
    let in_buckets: u64 = positive.iter().chain(&negative).map(|(_, count)| count).sum();
    assert_eq!(in_buckets + histogram.zero_count, histogram.sample_count);
    assert!(histogram.bucket.iter().all(|bucket| bucket.cumulative_count <= histogram.sample_count));
    histogram.sample_count
}
