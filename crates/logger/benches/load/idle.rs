//! What 2,000 quiet symbols cost: a venue that sends nothing but its heartbeats, and scrapes of the metrics meanwhile.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket, accept};

use crate::{program::Program, scenario::data_directory, table};

const SYMBOLS: usize = 2_000;
/// Scrapes whose cost is averaged.
const SCRAPES: u32 = 20;

/// Coinbase's products: each has a heartbeat every second, more than any other venue sends of what is quiet.
pub(crate) fn run(length: Duration) -> TempDir {
    let directory = data_directory();
    let symbols: Vec<String> = (0..SYMBOLS).map(|index| format!("S{index:04}-USD")).collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let subscribed = Arc::new(AtomicUsize::new(0));
    std::thread::spawn({
        let subscribed = Arc::clone(&subscribed);
        move || {
            for stream in listener.incoming() {
                let subscribed = Arc::clone(&subscribed);
                std::thread::spawn(move || serve(stream.unwrap(), &subscribed));
            }
        }
    });
    let before = Program::start(directory.path(), "coinbase", &symbols[..1], address);
    wait_until(&subscribed, 1);
    let of_one = before.resident_mb();
    before.finish();
    subscribed.store(0, Ordering::Relaxed);

    let logger = Program::start(directory.path(), "coinbase", &symbols, address);
    wait_until(&subscribed, SYMBOLS);
    // The first flush and sync are no part of it.
    sleep(Duration::from_secs(6));
    let (started, cpu) = (Instant::now(), logger.cpu_seconds());
    sleep(length);
    let share = (logger.cpu_seconds() - cpu) / started.elapsed().as_secs_f64() * 100.0;
    let of_all = logger.resident_mb();

    let socket = directory.path().join("metrics.sock");
    let cpu = logger.cpu_seconds();
    let scrapes: Vec<(usize, f64)> = (0..SCRAPES).map(|_| scrape(&socket)).collect();
    let per_scrape = (logger.cpu_seconds() - cpu) / f64::from(SCRAPES) * 1e3;
    let mut seconds: Vec<f64> = scrapes.iter().map(|(_, seconds)| *seconds).collect();
    seconds.sort_by(f64::total_cmp);
    logger.finish();

    table::note(&format!(
        "coinbase idle: {SYMBOLS} symbols, a heartbeat each every second, over {} s",
        length.as_secs()
    ));
    table::at_most("coinbase idle: share of a core, %", share, 2.0);
    table::plain("coinbase idle: RSS, MB", of_all);
    table::plain("coinbase idle: RSS for each symbol, KB", (of_all - of_one) * 1e3 / SYMBOLS as f64);
    table::plain("coinbase idle: /metrics, KB", scrapes[0].0 as f64 / 1e3);
    table::plain("coinbase idle: scrape, median, ms", seconds[seconds.len() / 2] * 1e3);
    table::plain("coinbase idle: CPU for each scrape, ms", per_scrape);
    directory
}

fn wait_until(subscribed: &AtomicUsize, wanted: usize) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while subscribed.load(Ordering::Relaxed) < wanted {
        assert!(
            Instant::now() < deadline,
            "{} of {wanted} symbols were subscribed",
            subscribed.load(Ordering::Relaxed)
        );
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

fn serve(stream: TcpStream, subscribed: &AtomicUsize) {
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
                products = acknowledge(&mut socket, &asked);
                subscribed.fetch_add(products.len(), Ordering::Relaxed);
                began = Instant::now();
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

/// Answers a subscription with what a venue sends at the beginning, and returns the products.
fn acknowledge(socket: &mut WebSocket<TcpStream>, asked: &Value) -> Vec<String> {
    let channels = &asked["channels"];
    let products = channels[0]["product_ids"].as_array().unwrap();
    let mut frames = vec![json!({"type": "subscriptions", "channels": channels})];
    for product in products {
        let (time, order) = (Timestamp::now().to_string(), "ac928c66-ca53-498f-9c13-a110027a60e8");
        frames.push(
            json!({"type": "last_match", "trade_id": 1, "sequence": 1, "maker_order_id": order, "taker_order_id": order,
            "time": time, "product_id": product, "size": "5.23512", "price": "400.23", "side": "sell"}),
        );
        frames.push(
            json!({"type": "snapshot", "product_id": product, "bids": [["400.1", "1"]], "asks": [["400.3", "2"]]}),
        );
    }
    for frame in frames {
        socket.send(Message::text(frame.to_string())).unwrap();
    }
    products.iter().map(|product| product.as_str().unwrap().to_owned()).collect()
}
