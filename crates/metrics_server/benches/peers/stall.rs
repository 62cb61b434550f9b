//! How long a thread that increments is held up while another scrapes and a third makes new series.

use crate::contender::{Contender, contenders, fill, labels};
use crate::table::{heading, line};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

const SERIES: usize = 100_000;
const NEW_PER_SECOND: u32 = 200;
const RUN: Duration = Duration::from_secs(8);

/// The worst of a run, in milliseconds, and how often the thread gave up the processor of itself.
struct Stalls {
    wall_ms: f64,
    cpu_ms: f64,
    waits: u64,
    scrapes: usize,
}

/// CPU time of this thread, in milliseconds.
fn cpu_ms() -> f64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ThreadCPUTime);
    tv_sec as f64 * 1e3 + tv_nsec as f64 / 1e6
}

/// `ru_nvcsw` of this thread.
fn voluntary_waits() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").expect("Linux");
    let field = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    field.and_then(|number| number.trim().parse().ok()).expect("a number")
}

fn run(contender: &dyn Contender, scrape: bool) -> Stalls {
    let (stop, scrapes) = (AtomicBool::new(false), AtomicUsize::new(0));
    let known: Vec<[String; 3]> = (0..SERIES).step_by(97).map(labels).collect();
    std::thread::scope(|scope| {
        if scrape {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    contender.encode();
                    scrapes.fetch_add(1, Relaxed);
                }
            });
            scope.spawn(|| {
                for index in SERIES.. {
                    if stop.load(Relaxed) {
                        return;
                    }
                    let [exchange, symbol, side] = labels(index);
                    contender.increment([&exchange, &symbol, &side]);
                    std::thread::sleep(Duration::from_secs(1) / NEW_PER_SECOND);
                }
            });
        }
        let incrementing = scope.spawn(|| {
            let (mut stalls, start) = (Stalls { wall_ms: 0.0, cpu_ms: 0.0, waits: 0, scrapes: 0 }, Instant::now());
            let (waits, mut index) = (voluntary_waits(), 0);
            while start.elapsed() < RUN {
                let (wall, cpu) = (Instant::now(), cpu_ms());
                let [exchange, symbol, side] = &known[index % known.len()];
                contender.increment([exchange, symbol, side]);
                stalls.cpu_ms = stalls.cpu_ms.max(cpu_ms() - cpu);
                stalls.wall_ms = stalls.wall_ms.max(wall.elapsed().as_secs_f64() * 1e3);
                index += 1;
            }
            stalls.waits = voluntary_waits() - waits;
            stalls
        });
        let stalls = incrementing.join().expect("no panic");
        stop.store(true, Relaxed);
        Stalls { scrapes: scrapes.load(Relaxed), ..stalls }
    })
}

pub(crate) fn longest() {
    heading(
        "longest stall of a thread that increments, while 100,000 series are scraped and 200 new ones made a second\n\
         (target: no voluntary wait; CPU at most 0.1 ms over a run without scrapes)",
    );
    let mut ours = 0.0;
    for contender in contenders() {
        fill(contender.as_ref(), SERIES);
        let quiet = run(contender.as_ref(), false);
        let busy = run(contender.as_ref(), true);
        if ours == 0.0 {
            ours = busy.wall_ms;
        }
        let figures = [
            (busy.wall_ms, "ms wall"),
            (busy.cpu_ms - quiet.cpu_ms, "ms CPU over quiet"),
            (busy.waits as f64, "waits"),
            (busy.scrapes as f64, "scrapes"),
        ];
        line(contender.name(), &figures, ours);
        line("    the same without scrapes", &[(quiet.wall_ms, "ms wall"), (quiet.cpu_ms, "ms CPU")], 0.0);
    }
}
