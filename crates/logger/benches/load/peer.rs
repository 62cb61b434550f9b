//! What others do with the same frames: a plain recorder of quotes and trades as it is usually written, in Rust and in Python.
//! Neither notices a missing trade, survives a torn write, or counts anything.

use std::{
    collections::HashMap,
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures_util::{SinkExt as _, StreamExt as _};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;

use crate::{program::Program, venue::Venue};

/// How often rows are written.
const FLUSH: Duration = Duration::from_millis(500);
/// Columns of a row: those that chart clients asked for at first.
const COLUMNS: [&str; 7] = ["time", "nanos", "price", "volume", "side", "best_bid", "best_ask"];
/// Streams in one request.
const STREAMS: usize = 200;
/// Symbols on one connection.
const SYMBOLS: usize = 500;

/// A recorder that is not ours.
#[derive(Clone, Copy)]
pub(crate) enum Peer {
    /// tokio-tungstenite, `serde_json::Value`, a buffer and a file for each column.
    Rust,
    /// `websockets` and `json` of Python, in the environment that `$BENCH_PYTHON` names.
    Python,
}

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Rust => "serde_json::Value, a write per column",
            Peer::Python => "Python websockets and json",
        }
    }

    /// Starts it with the symbols of Binance; none if it is not installed.
    pub(crate) fn start(self, directory: &Path, symbols: usize, address: std::net::SocketAddr) -> Option<Program> {
        let mut command = match self {
            Peer::Rust => Command::new(std::env::current_exe().unwrap()),
            Peer::Python => {
                let mut python = Command::new(std::env::var_os("BENCH_PYTHON")?);
                python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/load/peer.py"));
                python
            }
        };
        command.args(["record", &address.to_string(), &symbols.to_string()]).arg(directory);
        Some(Program::spawn(&command, directory))
    }
}

/// Records until killed: what [`Peer::Rust`] is.
pub(crate) fn record(address: &str, symbols: usize, directory: &Path) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let all: Vec<String> = (0..symbols).map(|index| Venue::Binance.symbol(index)).collect();
    let connections = all.chunks(SYMBOLS).map(|symbols| carry(address, symbols, directory));
    runtime.block_on(async { futures_util::future::join_all(connections).await });
}

struct Series {
    directory: PathBuf,
    buffers: [Vec<u8>; COLUMNS.len()],
    files: Vec<File>,
    price: f32,
    volume: f32,
    side: u32,
    best_bid: f32,
    best_ask: f32,
}

async fn carry(address: &str, symbols: &[String], directory: &Path) {
    let (mut socket, _) = connect_async(format!("ws://{address}/stream")).await.unwrap();
    let streams: Vec<String> = symbols
        .iter()
        .flat_map(|symbol| ["trade", "bookTicker"].map(|stream| format!("{}@{stream}", symbol.to_lowercase())))
        .collect();
    for (id, streams) in streams.chunks(STREAMS).enumerate() {
        let request = json!({"method": "SUBSCRIBE", "params": streams, "id": id});
        socket.send(request.to_string().into()).await.unwrap();
    }
    let mut series: HashMap<String, Series> = symbols
        .iter()
        .map(|symbol| (symbol.clone(), Series::new(directory.join("data/binance").join(symbol).join("MD"))))
        .collect();
    let mut flush = Instant::now() + FLUSH;
    while let Some(Ok(message)) = socket.next().await {
        let value: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        let data = &value["data"];
        if let Some(series) = data["s"].as_str().and_then(|symbol| series.get_mut(symbol)) {
            series.take(data);
        }
        if Instant::now() >= flush {
            series.values_mut().for_each(Series::flush);
            flush = Instant::now() + FLUSH;
        }
    }
}

impl Series {
    fn new(directory: PathBuf) -> Series {
        let (price, volume, side, best_bid, best_ask) = (f32::NAN, f32::NAN, 2, f32::NAN, f32::NAN);
        Series { directory, buffers: Default::default(), files: Vec::new(), price, volume, side, best_bid, best_ask }
    }

    fn take(&mut self, data: &Value) {
        let number = |key: &str| data[key].as_str().map_or(f32::NAN, |text| text.parse().unwrap_or(f32::NAN));
        if data["e"] == "trade" {
            (self.price, self.volume) = (number("p"), number("q"));
            self.side = u32::from(data["m"] == true);
        } else {
            (self.best_bid, self.best_ask) = (number("b"), number("a"));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let cells = [
            u32::try_from(now.as_secs()).unwrap().to_le_bytes(),
            now.subsec_nanos().to_le_bytes(),
            self.price.to_le_bytes(),
            self.volume.to_le_bytes(),
            self.side.to_le_bytes(),
            self.best_bid.to_le_bytes(),
            self.best_ask.to_le_bytes(),
        ];
        for (buffer, cell) in self.buffers.iter_mut().zip(cells) {
            buffer.extend(cell);
        }
    }

    fn flush(&mut self) {
        if self.files.is_empty() {
            std::fs::create_dir_all(&self.directory).unwrap();
            let open = |column: &&str| File::create(self.directory.join(format!("{column}.bin"))).unwrap();
            self.files = COLUMNS.iter().map(open).collect();
        }
        for (file, buffer) in self.files.iter_mut().zip(&mut self.buffers) {
            file.write_all(buffer).unwrap();
            buffer.clear();
        }
    }
}
