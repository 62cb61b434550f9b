//! What an increment costs: alone through three labels, and from two threads at once on one series.

use crate::contender::{LABELS, contenders, fill, labels};
use crate::table::{heading, line, median};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::time::Instant;

const SERIES: usize = 1_000;
const INCREMENTS: usize = 2_000_000;
const ROUNDS: usize = 7;

/// Nanoseconds per call of `increment`, the median of the rounds.
fn nanoseconds(mut increment: impl FnMut()) -> f64 {
    let round = |increment: &mut dyn FnMut()| {
        let start = Instant::now();
        for _ in 0..INCREMENTS {
            increment();
        }
        start.elapsed().as_nanos() as f64 / INCREMENTS as f64
    };
    median((0..ROUNDS).map(|_| round(&mut increment)).collect())
}

pub(crate) fn labelled() {
    heading("increment through 3 borrowed labels, 1,000 series (target: at most 20 ns)");
    let [exchange, symbol, side] = labels(7);
    let mut ours = 0.0;
    for contender in contenders() {
        fill(contender.as_ref(), SERIES);
        let cost = nanoseconds(|| contender.increment(black_box([&exchange, &symbol, &side])));
        if ours == 0.0 {
            ours = cost;
        }
        line(contender.name(), &[(cost, "ns")], ours);
    }
    let bare = AtomicU64::new(0);
    line("floor: a bare atomic", &[(nanoseconds(|| _ = black_box(&bare).fetch_add(1, Relaxed)), "ns")], ours);
}

/// Nanoseconds per increment of each of two threads that increment the same.
fn contended(increment: impl Fn() + Sync) -> f64 {
    let round = || {
        let start = Barrier::new(2);
        let times = std::thread::scope(|scope| {
            let threads = [(); 2].map(|()| {
                scope.spawn(|| {
                    start.wait();
                    let start = Instant::now();
                    for _ in 0..INCREMENTS {
                        increment();
                    }
                    start.elapsed().as_nanos() as f64 / INCREMENTS as f64
                })
            });
            threads.map(|thread| thread.join().expect("no panic"))
        });
        times[0].max(times[1])
    };
    median((0..ROUNDS).map(|_| round()).collect())
}

pub(crate) fn by_two_threads() {
    heading("increment of one series by 2 threads, through a handle (target: at most 5 ns)");
    let mut registry = metrics_server::Registry::new();
    let per_thread = registry.sharded_counter("busy", "Per thread").labels(LABELS).register().expect("valid");
    let shared = registry.counter("shared", "One cell").labels(LABELS).register().expect("valid");
    let (per_thread, shared) = (per_thread.handle(["a", "b", "c"]), shared.handle(["a", "b", "c"]));
    let ours = contended(|| per_thread.inc());
    line("metrics_server, per thread", &[(ours, "ns")], ours);
    line("metrics_server, one cell", &[(contended(|| shared.inc()), "ns")], ours);
    let client = prometheus_client::metrics::counter::Counter::<u64>::default();
    line("prometheus-client", &[(contended(|| _ = client.inc()), "ns")], ours);
    let other = prometheus::IntCounter::new("busy", "One cell").expect("valid");
    line("prometheus", &[(contended(|| other.inc()), "ns")], ours);
    let bare = Arc::new(AtomicU64::new(0));
    line("a bare atomic", &[(contended(|| _ = black_box(&bare).fetch_add(1, Relaxed)), "ns")], ours);
}
