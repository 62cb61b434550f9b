//! The data port beside nginx, which serves the same bodies as files; prints a table. `scripts/bench-server.sh` runs it.
//!
//! Arguments: names of works, default all; `--rounds N` (default 5) runs of each side, in turn; `--seconds S` (default 2)
//! of a run.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a measurement, no service"
)]

mod client;
mod cold;
mod data;
mod peers;
mod table;
mod tls;

use std::{
    fs::{self, File},
    io::Write as _,
    net::SocketAddr,
    sync::atomic::AtomicBool,
    time::Duration,
};

use client::{Load, Request, ask, load, requests, run};
use peers::Peer;
use table::{Row, Target, table};

/// What is measured, and how long.
struct Plan {
    works: Vec<String>,
    rounds: usize,
    duration: Duration,
}

impl Plan {
    fn of_arguments() -> Plan {
        let mut plan = Plan { works: Vec::new(), rounds: 5, duration: Duration::from_secs(2) };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut number = || arguments.next().and_then(|text| text.parse::<f64>().ok()).expect("a number");
            match argument.as_str() {
                "--bench" => {}
                "--rounds" => plan.rounds = number() as usize,
                "--seconds" => plan.duration = Duration::from_secs_f64(number()),
                work => plan.works.push(work.to_owned()),
            }
        }
        plan
    }

    fn has(&self, work: &str) -> bool {
        self.works.is_empty() || self.works.iter().any(|wanted| wanted == work)
    }
}

/// Both servers, and where their data is.
pub(crate) struct Bench {
    pub(crate) ours: Peer,
    pub(crate) nginx: Peer,
    pub(crate) directory: tempfile::TempDir,
}

impl Bench {
    fn start() -> Bench {
        let directory =
            tempfile::TempDir::new_in(std::env::var("BENCH_DIRECTORY").unwrap_or("/tmp".to_owned())).unwrap();
        let (root, files, state) =
            (directory.path().join("data"), directory.path().join("files"), directory.path().join("nginx"));
        fs::create_dir(&state).unwrap();
        fs::create_dir(&files).unwrap();
        // Its workers are other users, and temporary directories are closed to these.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(directory.path(), open).unwrap();
        eprintln!("writing {} rows …", data::ROWS);
        data::write_day(&root, "BTC-USD", data::DAY, "18.11.26", data::ROWS);
        data::seal_day(&root, "BTC-USD", "18.11.26");
        Bench { ours: Peer::ours(&root), nginx: Peer::nginx(&files, &state), directory }
    }

    pub(crate) fn root(&self) -> std::path::PathBuf {
        self.directory.path().join("data")
    }

    /// Writes our answers as files, and tells under which targets nginx has them.
    pub(crate) fn mirror(&self, name: &str, targets: &[String]) -> Vec<String> {
        let files = self.directory.path().join("files");
        let one = |(number, target): (usize, &String)| {
            let (_, body) = ask(self.ours.address, target);
            let mut file = File::create(files.join(format!("{name}-{number}"))).unwrap();
            file.write_all(&body).unwrap();
            data::read_anew(&file);
            format!("/{name}-{number}")
        };
        targets.iter().enumerate().map(one).collect()
    }
}

/// One side's run of a work.
struct Measured {
    load: Load,
    seconds: f64,
    cpu: f64,
}

fn measure(peer: &Peer, requests: &[Request], connections: usize, plan: &Plan) -> Measured {
    let threads = connections.min(2);
    let before = peer.cpu();
    let (load, took) = run(peer.address, requests, threads, connections / threads, plan.duration, false);
    Measured { load, seconds: took.as_secs_f64(), cpu: (peer.cpu() - before).as_secs_f64() }
}

/// Rounds of both sides in turn; figures of each run by `figure`.
fn both(bench: &Bench, name: &str, targets: &[String], connections: usize, plan: &Plan) -> [Vec<Measured>; 2] {
    let mirrored = bench.mirror(name, targets);
    let ours = requests(bench.ours.address, targets);
    let nginx = requests(bench.nginx.address, &mirrored);
    let mut all = [Vec::new(), Vec::new()];
    // The first round warms up.
    for round in 0..=plan.rounds {
        let pair = [measure(&bench.ours, &ours, connections, plan), measure(&bench.nginx, &nginx, connections, plan)];
        for (side, measured) in all.iter_mut().zip(pair) {
            if round > 0 {
                side.push(measured);
            }
        }
    }
    all
}

fn row(name: &'static str, sides: &[Vec<Measured>; 2], target: Target, figure: impl Fn(&Measured) -> f64) -> Row {
    let [ours, nginx] = sides.each_ref().map(|side| side.iter().map(&figure).collect());
    Row { name, ours, nginx, target }
}

fn throughput(bench: &Bench, plan: &Plan, rows: &mut Vec<Row>) {
    if plan.has("tiny") {
        let sides = both(bench, "tiny", &data::tiny("BTC-USD"), 64, plan);
        rows.push(row("tiny, 64 connections, krps", &sides, Target::AtLeast(1.0), |m| {
            m.load.requests as f64 / m.seconds / 1e3
        }));
        rows.push(row("tiny, CPU µs/request", &sides, Target::AtMost(0.85), |m| m.cpu * 1e6 / m.load.requests as f64));
    }
    if plan.has("mid") {
        let sides = both(bench, "mid", &data::mid("BTC-USD"), 16, plan);
        rows.push(row("mid, 16 connections, GB/s", &sides, Target::AtLeast(1.0), |m| {
            m.load.bytes as f64 / m.seconds / 1e9
        }));
        rows.push(row("mid, CPU s/GB", &sides, Target::None, |m| m.cpu * 1e9 / m.load.bytes as f64));
    }
    if plan.has("large") {
        let sides = both(bench, "large", &data::large("BTC-USD"), 4, plan);
        rows.push(row("large, 4 connections, GB/s", &sides, Target::AtLeast(0.9), |m| {
            m.load.bytes as f64 / m.seconds / 1e9
        }));
        rows.push(row("large, CPU s/GB", &sides, Target::AtMost(1.15), |m| m.cpu * 1e9 / m.load.bytes as f64));
    }
}

/// Tiny requests one after the other, while four connections take large answers as fast as they can.
fn beside_large(bench: &Bench, plan: &Plan, rows: &mut Vec<Row>) {
    let (tiny, large) = (data::tiny("BTC-USD"), data::large("BTC-USD"));
    let sides = [
        (&bench.ours, tiny.clone(), large.clone()),
        (&bench.nginx, bench.mirror("tiny", &tiny), bench.mirror("large", &large)),
    ]
    .map(|(peer, tiny, large)| (peer.address, requests(peer.address, &tiny), requests(peer.address, &large)));
    let mut figures = [Vec::new(), Vec::new()];
    for round in 0..=plan.rounds {
        for (side, (address, tiny, large)) in figures.iter_mut().zip(&sides) {
            let p99 = tail(*address, tiny, large, plan.duration);
            if round > 0 {
                side.push(p99);
            }
        }
    }
    let [ours, nginx] = figures;
    rows.push(Row { name: "tiny p99 next to 4 large streams, ms", ours, nginx, target: Target::AtMost(1.2) });
}

fn tail(address: SocketAddr, tiny: &[Request], large: &[Request], duration: Duration) -> f64 {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let streams = scope.spawn(|| load(address, large, 4, 0, &stop, false));
        let (measured, _) = run(address, tiny, 1, 2, duration, true);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        streams.join().unwrap();
        let mut latencies = measured.latencies;
        latencies.sort_by(f32::total_cmp);
        f64::from(latencies[latencies.len() * 99 / 100]) / 1e3
    })
}

/// How much memory a server that was just started has while 64 clients ask for a large answer and take little of it.
fn slow_readers(bench: &Bench, rows: &mut Vec<Row>) {
    let large = data::large("BTC-USD");
    let mirrored = bench.mirror("large", &large);
    let mut figures = Vec::new();
    let ours = Peer::ours(&bench.root());
    for (peer, target) in [(&ours, &large[0]), (&bench.nginx, &mirrored[0])] {
        let before = peer.memory();
        let held: Vec<_> = (0..64).map(|_| cold::half_read(peer.address, target)).collect();
        std::thread::sleep(Duration::from_secs(1));
        let after = peer.memory();
        drop(held);
        eprintln!(
            "{}: anonymous {} KiB more, {} KiB in all, locked {}",
            peer.name,
            after.0.saturating_sub(before.0) / 1024,
            after.0 / 1024,
            after.1
        );
        figures.push(after.0 as f64 / 1_048_576.0);
    }
    rows.push(Row {
        name: "64 slow readers of large, anonymous MiB",
        ours: vec![figures[0]],
        nginx: vec![figures[1]],
        target: Target::Below(10.0),
    });
}

fn main() {
    let plan = Plan::of_arguments();
    let bench = Bench::start();
    let mut rows = Vec::new();
    throughput(&bench, &plan, &mut rows);
    if plan.has("beside") {
        beside_large(&bench, &plan, &mut rows);
    }
    if plan.has("growing") {
        cold::growing(&bench, &plan.duration, plan.rounds, &mut rows);
    }
    if plan.has("cold") {
        cold::cold(&bench, plan.rounds, &mut rows);
    }
    if plan.has("memory") {
        slow_readers(&bench, &mut rows);
    }
    if plan.has("tls") {
        tls::tls(&bench, plan.rounds, plan.duration, &mut rows);
    }
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{}\nload at the end: {}", table(&rows), load.trim());
}
