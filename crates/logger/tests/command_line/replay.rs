//! `logger replay`: what was captured gives the same columns, byte for byte, through faults, restarts and kill -9.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use exchange_simulator::{Config, Simulator, VenueConfig, VenueKind};

use super::*;

const DEADLINE: Duration = Duration::from_secs(120);

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let give_up = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < give_up, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// All column files of a data directory.
fn columns(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut walk) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(directory) = walk.pop() {
        for path in fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                walk.push(path);
            } else if path.extension().is_some_and(|extension| extension == "bin") {
                found.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// A simulator, and where a logger records it and what it received.
struct Rig {
    runtime: tokio::runtime::Runtime,
    simulator: Simulator,
    root: tempfile::TempDir,
}

impl Rig {
    fn start(venues: &[VenueKind]) -> Rig {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let venues = venues.iter().copied().map(VenueConfig::new).collect();
        let config = Config { venues, symbols: 2, rate: 100.0, ..Config::default() };
        let simulator = runtime.block_on(Simulator::start(config)).unwrap();
        Rig { runtime, simulator, root: tempfile::tempdir().unwrap() }
    }

    fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    fn captures(&self) -> PathBuf {
        self.root.path().join("captures")
    }

    fn record(&self) -> Child {
        let config = self.root.path().join("logger.yaml");
        let text = format!("metrics_listen: ['127.0.0.1:0']\n{}", self.simulator.logger_config());
        fs::write(&config, text).unwrap();
        let (data, captures) = (self.data(), self.captures());
        let args = ["run", "--config", path(&config), "--data-path", path(&data), "--raw-capture", path(&captures)];
        program().args(args).env("RUST_LOG", "warn").stderr(Stdio::inherit()).spawn().unwrap()
    }

    /// Waits for more rows of every venue.
    fn wait_for_rows(&self, venues: &[&str]) {
        let rows = |venue: &str| -> usize { columns(&self.data().join(venue)).values().map(Vec::len).sum() };
        let before: Vec<_> = venues.iter().map(|venue| rows(venue)).collect();
        wait_for("rows of all venues", || {
            venues.iter().zip(&before).all(|(venue, before)| rows(venue) > before + 2_000)
        });
    }

    fn fault(&self, fault: &str) {
        let id = self.simulator.inject(&fault.parse().unwrap()).unwrap();
        wait_for(fault, || self.simulator.fault_hits(id) > 0);
    }

    fn replay(&self, to: &str) -> (Ran, PathBuf) {
        let to = self.root.path().join(to);
        (run(&["replay", path(&self.captures()), "--data-path", path(&to)]), to)
    }

    fn end(self) {
        self.runtime.block_on(self.simulator.shutdown()).unwrap();
    }
}

fn terminate(mut logger: Child) {
    let status = Command::new("kill").args(["-TERM", &logger.id().to_string()]).status().unwrap();
    assert!(status.success());
    assert!(logger.wait().unwrap().success());
}

#[test]
fn faults_and_restarts_give_the_same_columns() {
    let rig = Rig::start(&VenueKind::ALL);
    let venues = ["binance", "bitfinex", "coinbase", "kraken", "okx"];
    let logger = rig.record();
    rig.wait_for_rows(&venues);
    for fault in [
        "gap@coinbase:times=3,stream=trades",
        "duplicate@binance:times=5",
        "gap@bitfinex",
        "close@kraken",
        "corrupt@okx",
    ] {
        rig.fault(fault);
    }
    rig.wait_for_rows(&venues);
    terminate(logger);
    let logger = rig.record();
    rig.wait_for_rows(&venues);
    terminate(logger);

    let (ran, again) = rig.replay("again");
    ran.says(0, &["2 files of 2 runs", " frames, "]);
    let (recorded, replayed) = (columns(&rig.data()), columns(&again));
    assert!(recorded.len() > 100, "{}", recorded.len());
    assert_eq!(replayed.keys().collect::<Vec<_>>(), recorded.keys().collect::<Vec<_>>());
    let differ: Vec<_> =
        recorded.iter().filter(|(file, bytes)| replayed[*file] != **bytes).map(|(file, _)| file).collect();
    assert!(differ.is_empty(), "{differ:?}");
    run(&["replay", path(&rig.captures()), "--data-path", path(&again)]).says(64, &["is not empty"]);
    rig.end();
}

/// A kill takes up to a second of the capture and half a second of rows: what both have is the same.
#[test]
fn what_a_kill_leaves_is_the_same_as_far_as_it_goes() {
    let rig = Rig::start(&[VenueKind::Coinbase, VenueKind::Kraken]);
    let mut logger = rig.record();
    rig.wait_for_rows(&["coinbase", "kraken"]);
    logger.kill().unwrap();
    logger.wait().unwrap();
    let (ran, again) = rig.replay("again");
    ran.says(0, &["1 files of 1 runs"]);
    let (recorded, replayed) = (columns(&rig.data()), columns(&again));
    assert!(!replayed.is_empty());
    for (file, bytes) in &replayed {
        let Some(recorded) = recorded.get(file) else { continue };
        let both = recorded.len().min(bytes.len());
        assert_eq!(recorded[..both], bytes[..both], "{}", file.display());
    }
    rig.end();
}

const TEXT: &str = r#"wss://ws-feed.pro.coinbase.com <-> 1618677816.8434298
wss://ws-feed.pro.coinbase.com <- 1618677817.020616: {"type":"subscribe","product_ids":["BTC-USD"],"channels":["ticker","matches"]}
1618677817.5: {"type":"ticker","sequence":1,"product_id":"BTC-USD","price":"61000.5","best_bid":"61000","best_ask":"61001","side":"buy","time":"2021-04-17T16:43:37.400000Z","trade_id":7,"last_size":"0.1"}
1618677817.6: {"type":"match","trade_id":7,"time":"2021-04-17T16:43:37.400000Z","product_id":"BTC-USD","size":"0.1","price":"61000.5","side":"sell"}
1618677817.7: {"type":"match","trade_id":8,"time":"2021-04-17T16:43:37.600000Z","product_id":"BTC-USD","size":"0.2","price":"61001.5","side":"buy"}
1618677817.8: {"type":"match","trade_id":8,"time":"2021-04-17T16:43:37.600000Z","product_id":"BTC-USD","size":"0.2","price":"61001.5","side":"buy"}
1618677817.9: not json
"#;

#[test]
fn text_captures_are_recorded() {
    let root = tempfile::tempdir().unwrap();
    let (file, data) = (root.path().join("COINBASE.ws.0"), root.path().join("data"));
    fs::write(&file, TEXT).unwrap();
    let ran = run(&["replay", path(&file), "--data-path", path(&data)]);
    ran.says(0, &["1 files of 1 runs: 5 frames", "1 frames of other programs' captures were not understood"]);
    let trades = data.join("coinbase/BTC-USD/TRADES");
    let ids = fs::read(trades.join("id.17.04.21.bin")).unwrap();
    assert_eq!(ids, [7_u64.to_le_bytes(), 8_u64.to_le_bytes()].concat());
    let prices = fs::read(trades.join("price_f64.17.04.21.bin")).unwrap();
    assert_eq!(prices, [61_000.5_f64.to_le_bytes(), 61_001.5_f64.to_le_bytes()].concat());
    let bids = fs::read(data.join("coinbase/BTC-USD/MD/best_bid_f64.17.04.21.bin")).unwrap();
    assert_eq!(bids, 61_000_f64.to_le_bytes().repeat(3), "a quote and two trades");
    run(&["verify", path(&data)]).says(0, &["coinbase TRADES: 0 missing; 2 rows"]);
}

#[test]
fn real_captures_are_recorded() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures");
    if !shared.is_dir() {
        println!("skipped: {} is absent", shared.display());
        return;
    }
    for (file, exchange) in [("COINBASE.ws.28.0", "coinbase"), ("BINANCE.ws.1.0", "binance")] {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        run(&["replay", path(&shared.join(file)), "--data-path", path(&data)]).says(0, &["1 files of 1 runs"]);
        assert!(columns(&data.join(exchange)).values().map(Vec::len).sum::<usize>() > 1_000);
    }
}

#[test]
fn what_is_no_capture_is_named() {
    let root = tempfile::tempdir().unwrap();
    let (file, data) = (root.path().join("x"), root.path().join("data"));
    let replay = |text: &str| {
        fs::write(&file, text).unwrap();
        run(&["replay", path(&file), "--data-path", path(&data)])
    };
    replay("hello\n").says(1, &["x is no capture of this logger"]);
    replay("{\"capture\":9}\n").says(1, &["capture of version 9", "newer version"]);
    replay("wss://example.org <-> 1.0\n1.0: {}\n")
        .says(1, &["wss://example.org is no exchange that this program knows"]);
    replay("wss://ws-feed.pro.coinbase.com <-> 1.0\nx: {}\n").says(1, &["x, line 2: `x` is no time"]);
    replay("wss://ws-feed.pro.coinbase.com <-> 1.0\n1.0: {}\n").says(1, &["no trade and no quote in 1 frames"]);
    let header = |file: u32| format!("{{\"capture\":1,\"logger\":\"0\",\"run\":5,\"file\":{file},\"rules\":{{}}}}\n");
    replay(&header(1)).says(1, &["no file 0 of the run that began at 5 ns"]);
    run(&["replay", "/nowhere", "--data-path", path(&data)]).says(64, &["/nowhere is neither a file nor a directory"]);
    run(&["replay", path(root.path()), "--data-path", path(&data)]).says(64, &["holds no files *.capture.zst"]);
    run(&["replay", path(&file)]).says(64, &["--data-path"]);
}
