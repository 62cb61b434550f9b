//! What 2,000 quiet symbols cost: venues that send nothing but what they send of quiet symbols, a reader that only receives
//! the same, and scrapes of the metrics meanwhile.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use futures_util::{SinkExt as _, StreamExt as _, future::join_all};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{self, Message, WebSocket, accept},
};

use crate::{program::Program, scenario::data_directory, table};

const SYMBOLS: usize = 2_000;
/// Products on one connection of [`read`], as on one of the logger.
const PER_CONNECTION: usize = 100;
/// Scrapes whose cost is averaged.
const SCRAPES: u32 = 20;

/// A venue where nothing happens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quiet {
    /// It sends a first quote of each symbol, and nothing more.
    Binance,
    /// Each product has a heartbeat every second, more than any other venue sends of what is quiet. They are spread evenly
    /// over the second, so that each is read alone.
    Coinbase,
}

pub(crate) fn run(length: Duration) -> Vec<TempDir> {
    [Quiet::Binance, Quiet::Coinbase].into_iter().map(|quiet| measure(quiet, length)).collect()
}

fn measure(quiet: Quiet, length: Duration) -> TempDir {
    let directory = data_directory();
    let symbols: Vec<String> = (0..SYMBOLS).map(|index| quiet.symbol(index)).collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let subscribed = Arc::new(AtomicUsize::new(0));
    std::thread::spawn({
        let subscribed = Arc::clone(&subscribed);
        move || {
            for stream in listener.incoming() {
                let subscribed = Arc::clone(&subscribed);
                std::thread::spawn(move || serve(quiet, stream.unwrap(), &subscribed));
            }
        }
    });
    let name = quiet.name();
    let before = Program::start(directory.path(), name, &symbols[..1], address);
    wait_until(&subscribed, quiet.subscriptions(1));
    let of_one = before.resident_mb();
    before.finish();
    subscribed.store(0, Ordering::Relaxed);

    let logger = Program::start(directory.path(), name, &symbols, address);
    wait_until(&subscribed, quiet.subscriptions(SYMBOLS));
    let share = share_of_a_core(&logger, length);
    let of_all = logger.resident_mb();
    let socket = directory.path().join("metrics.sock");
    let cpu = logger.cpu_seconds();
    let scrapes: Vec<(usize, f64)> = (0..SCRAPES).map(|_| scrape(&socket)).collect();
    let per_scrape = (logger.cpu_seconds() - cpu) / f64::from(SCRAPES) * 1e3;
    let mut seconds: Vec<f64> = scrapes.iter().map(|(_, seconds)| *seconds).collect();
    seconds.sort_by(f64::total_cmp);
    logger.finish();

    let sends = match quiet {
        Quiet::Binance => "nothing is sent",
        Quiet::Coinbase => "a heartbeat of each every second",
    };
    table::note(&format!("{name} idle: {SYMBOLS} symbols, {sends}, over {} s", length.as_secs()));
    table::at_most(&format!("{name} idle: share of a core, %"), share, 2.0);
    if quiet == Quiet::Coinbase {
        subscribed.store(0, Ordering::Relaxed);
        let mut reader = Command::new(std::env::current_exe().unwrap());
        reader.args(["read", &address.to_string()]);
        let reader = Program::spawn(&reader, directory.path());
        wait_until(&subscribed, quiet.subscriptions(SYMBOLS));
        let floor = share_of_a_core(&reader, length);
        table::peer("the same, tokio-tungstenite that only receives", floor, Some(share / floor));
    }
    table::plain(&format!("{name} idle: RSS, MB"), of_all);
    table::plain(&format!("{name} idle: RSS for each symbol, KB"), (of_all - of_one) * 1e3 / SYMBOLS as f64);
    table::plain(&format!("{name} idle: /metrics, KB"), scrapes[0].0 as f64 / 1e3);
    table::plain(&format!("{name} idle: scrape, median, ms"), seconds[seconds.len() / 2] * 1e3);
    table::plain(&format!("{name} idle: CPU for each scrape, ms"), per_scrape);
    directory
}

/// Percent, once what follows a start is over.
fn share_of_a_core(program: &Program, length: Duration) -> f64 {
    sleep(Duration::from_secs(6));
    let (started, cpu) = (Instant::now(), program.cpu_seconds());
    sleep(length);
    (program.cpu_seconds() - cpu) / started.elapsed().as_secs_f64() * 100.0
}

/// Subscribes to the products of [`Quiet::Coinbase`], receives until killed, and does nothing else.
pub(crate) fn read(address: SocketAddr) {
    let products: Vec<String> = (0..SYMBOLS).map(|index| Quiet::Coinbase.symbol(index)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connections = products.chunks(PER_CONNECTION).map(|products| async move {
        let (mut socket, _) = connect_async(format!("ws://{address}")).await.unwrap();
        let request = json!({"type": "subscribe", "channels": [{"name": "heartbeat", "product_ids": products}]});
        socket.send(request.to_string().into()).await.unwrap();
        while let Some(Ok(_)) = socket.next().await {}
    });
    runtime.block_on(async { join_all(connections).await });
}

impl Quiet {
    fn name(self) -> &'static str {
        match self {
            Quiet::Binance => "binance",
            Quiet::Coinbase => "coinbase",
        }
    }

    fn symbol(self, index: usize) -> String {
        match self {
            Quiet::Binance => format!("S{index:04}USDT"),
            Quiet::Coinbase => format!("S{index:04}-USD"),
        }
    }

    /// What is counted when so many symbols are subscribed to.
    fn subscriptions(self, symbols: usize) -> usize {
        match self {
            // Trades and quotes are streams of their own.
            Quiet::Binance => 2 * symbols,
            Quiet::Coinbase => symbols,
        }
    }

    /// Answers a subscription with what a venue sends at the beginning. Returns how much was subscribed to, and the products
    /// that have heartbeats.
    fn acknowledge(self, socket: &mut WebSocket<TcpStream>, asked: &Value) -> (usize, Vec<String>) {
        let (frames, count, beating) = match self {
            Quiet::Binance => {
                let streams: Vec<&str> = asked["params"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
                let mut frames = vec![json!({"result": null, "id": asked["id"]})];
                for symbol in streams.iter().filter_map(|stream| stream.strip_suffix("@bookTicker")) {
                    let quote = json!({"u": 1, "s": symbol.to_uppercase(), "b": "400.10", "B": "1.0", "a": "400.30", "A": "2.0"});
                    frames.push(json!({"stream": format!("{symbol}@bookTicker"), "data": quote}));
                }
                (frames, streams.len(), Vec::new())
            }
            Quiet::Coinbase => {
                let channels = &asked["channels"];
                let products = channels[0]["product_ids"].as_array().unwrap();
                let mut frames = vec![json!({"type": "subscriptions", "channels": channels})];
                for product in products {
                    let (time, order) = (Timestamp::now().to_string(), "ac928c66-ca53-498f-9c13-a110027a60e8");
                    frames.push(json!({"type": "last_match", "trade_id": 1, "sequence": 1, "maker_order_id": order,
                        "taker_order_id": order, "time": time, "product_id": product, "size": "5.23512",
                        "price": "400.23", "side": "sell"}));
                    frames.push(json!({"type": "snapshot", "product_id": product, "bids": [["400.1", "1"]],
                        "asks": [["400.3", "2"]]}));
                }
                let products: Vec<String> =
                    products.iter().map(|product| product.as_str().unwrap().to_owned()).collect();
                (frames, products.len(), products)
            }
        };
        // A logger that ends hangs up; the next read tells.
        let _ = frames.iter().try_for_each(|frame| socket.send(Message::text(frame.to_string())));
        (count, beating)
    }
}

fn wait_until(subscribed: &AtomicUsize, wanted: usize) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while subscribed.load(Ordering::Relaxed) < wanted {
        let count = subscribed.load(Ordering::Relaxed);
        assert!(Instant::now() < deadline, "{count} of {wanted} streams were subscribed");
        sleep(Duration::from_millis(10));
    }
}

/// Bytes and seconds of a scrape.
fn scrape(socket: &Path) -> (usize, f64) {
    let started = Instant::now();
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..100.min(answer.len())]));
    (answer.len(), started.elapsed().as_secs_f64())
}

fn serve(quiet: Quiet, stream: TcpStream, subscribed: &AtomicUsize) {
    stream.set_nodelay(true).unwrap();
    // Questions over HTTP find nobody here.
    let Ok(mut socket) = accept(stream) else { return };
    socket.get_mut().set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let mut products: Vec<String> = Vec::new();
    let mut sent = 0_u32;
    let mut began = Instant::now();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => {
                let asked: Value = serde_json::from_str(&text).unwrap();
                if asked["type"] == "subscribe" || asked["method"] == "SUBSCRIBE" {
                    let (count, beating) = quiet.acknowledge(&mut socket, &asked);
                    products = beating;
                    subscribed.fetch_add(count, Ordering::Relaxed);
                    began = Instant::now();
                }
            }
            Ok(_) => {}
            Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
        if products.is_empty() {
            continue;
        }
        let due = began + Duration::from_secs(1) * sent / u32::try_from(products.len()).unwrap();
        if Instant::now() < due {
            sleep(due - Instant::now());
            continue;
        }
        let product = &products[usize::try_from(sent).unwrap() % products.len()];
        let time = Timestamp::now().to_string();
        let heartbeat =
            json!({"type": "heartbeat", "last_trade_id": 1, "product_id": product, "sequence": sent, "time": time});
        if socket.send(Message::text(heartbeat.to_string())).is_err() {
            return;
        }
        sent += 1;
    }
}
