//! Files that are not in memory, files that grow, and readers that do not read.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use crate::{
    Bench, client, data,
    table::{Row, Target},
};

/// A connection that asked and read 64 KiB of the answer.
pub(crate) fn half_read(address: SocketAddr, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&client::request(target)).unwrap();
    stream.read_exact(&mut vec![0; 64 * 1024]).unwrap();
    stream
}

/// Lets go of the pages of all files below a directory.
fn drop_pages(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        if entry.path().is_dir() {
            drop_pages(&entry.path());
        } else {
            let file = File::open(entry.path()).unwrap();
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        }
    }
}

/// Milliseconds to the first byte and to the last.
fn times(address: SocketAddr, target: &str) -> (f64, f64) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    // The connection is the server's before the clock starts.
    std::thread::sleep(Duration::from_millis(5));
    let start = Instant::now();
    stream.write_all(&client::request(target)).unwrap();
    stream.peek(&mut [0]).unwrap();
    let first = start.elapsed();
    client::answer(&mut stream);
    (first.as_secs_f64() * 1e3, start.elapsed().as_secs_f64() * 1e3)
}

/// The first requests for what was dropped from the page cache.
pub(crate) fn cold(bench: &Bench, rounds: usize, rows: &mut Vec<Row>) {
    let (tiny, large) = (data::tiny("BTC-USD"), data::large("BTC-USD"));
    let mirrored_tiny = bench.mirror("tiny", &tiny);
    let mirrored = bench.mirror("large", &large);
    let mut figures = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for round in 0..rounds.max(10) {
        let targets = [&tiny[round], &mirrored_tiny[round], &large[0], &mirrored[0]];
        for (number, target) in targets.into_iter().enumerate() {
            drop_pages(bench.directory.path());
            let peer = if number % 2 == 0 { &bench.ours } else { &bench.nginx };
            let (first, last) = times(peer.address, target);
            figures[number].push(if number < 2 { last } else { first });
        }
    }
    let [tiny, nginx_tiny, large, nginx_large] = figures;
    rows.push(Row { name: "cold tiny, ms", ours: tiny, nginx: nginx_tiny, target: Target::Below(27.8 / 20.0) });
    rows.push(Row {
        name: "cold large, first byte, ms",
        ours: large,
        nginx: nginx_large,
        target: Target::Below(70.0 / 30.0),
    });
}

/// Tiny requests for a file that grows by 1,000 rows a second.
pub(crate) fn growing(bench: &Bench, duration: &Duration, rounds: usize, rows: &mut Vec<Row>) {
    data::write_day(&bench.root(), "LIVE-USD", data::DAY, "18.11.26", data::ROWS / 2);
    let directory = bench.root().join("coinbase/LIVE-USD/MD");
    let names = ["time", "nanos", "best_bid", "best_ask", "price"];
    let mut files: Vec<File> = names
        .iter()
        .map(|name| File::options().append(true).open(directory.join(format!("{name}.18.11.26.bin"))).unwrap())
        .collect();
    let requests = client::requests(bench.ours.address, &data::tiny("LIVE-USD"));
    let stop = AtomicBool::new(false);
    let figures = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for file in &mut files {
                    file.write_all(&(data::DAY + 86_399).to_le_bytes().repeat(500)).unwrap();
                }
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        let one = |_| {
            let (load, took) = client::run(bench.ours.address, &requests, 2, 32, *duration, false);
            load.requests as f64 / took.as_secs_f64() / 1e3
        };
        let figures: Vec<f64> = (0..rounds).map(one).collect();
        stop.store(true, Ordering::Relaxed);
        figures
    });
    rows.push(Row { name: "tiny on a growing file, krps", ours: figures, nginx: Vec::new(), target: Target::None });
}
