//! The flood that once held a scrape for 22 s, over real connections.

use crate::tried::{DEADLINE, Tried, bcrypt};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Request, Response};
use hyper::body::Incoming;
use metrics_server::{Limits, http_bind, http_serve};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;
use tower::{Layer, service_fn};

/// A connection that is kept.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        Self(BufReader::new(TcpStream::connect(address).await.unwrap()))
    }

    async fn status(&mut self, user: &str, password: &str) -> u16 {
        let credentials = STANDARD.encode(format!("{user}:{password}"));
        let request = format!("GET /metrics HTTP/1.1\r\nHost: test\r\nAuthorization: Basic {credentials}\r\n\r\n");
        self.0.write_all(request.as_bytes()).await.unwrap();
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            assert_ne!(timeout(DEADLINE, self.0.read_line(&mut line)).await.expect("no answer").unwrap(), 0);
            if let Some(text) = line.strip_prefix("HTTP/1.1 ") {
                status = text[..3].parse().unwrap();
            } else if let Some(text) = line.strip_prefix("content-length: ") {
                length = text.trim().parse().unwrap();
            } else if line == "\r\n" {
                break;
            }
        }
        self.0.read_exact(&mut vec![0; length]).await.unwrap();
        status
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scraper_beside_160_guessing_connections_is_served() {
    let tried = Tried::new(&format!("basic_auth_users:\n  alice: {}\n", bcrypt("secret", 10)));
    let service = service_fn(|_: Request<Incoming>| async { Ok::<_, Infallible>(Response::new("a 1\n".repeat(1000))) });
    let listener = http_bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let _stop = stop.clone().drop_guard();
    let guarded = tried.guard.layer(service);
    tokio::spawn(async move { http_serve(listener, guarded, &Limits::default(), (), stop).await });

    let mut scraper = Client::connect(address).await;
    assert_eq!(scraper.status("alice", "secret").await, 200);
    let (mut flood, guesses) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
    for _ in 0..160 {
        let guesses = Arc::clone(&guesses);
        flood.spawn(async move {
            let mut client = Client::connect(address).await;
            loop {
                let guess = guesses.fetch_add(1, Ordering::Relaxed);
                let status = client.status("alice", &format!("guess {guess}")).await;
                assert!([401, 429, 503].contains(&status), "{status}");
            }
        });
    }
    let (mut times, mut pause) = (Vec::new(), interval(Duration::from_millis(10)));
    while times.len() < 200 || tried.failures("throttled") == 0.0 {
        let asked = Instant::now();
        assert_eq!(scraper.status("alice", "secret").await, 200);
        times.push(asked.elapsed());
        pause.tick().await;
    }
    times.sort_unstable();
    let (guesses, p99, worst) =
        (guesses.load(Ordering::Relaxed), times[times.len() * 99 / 100], times[times.len() - 1]);
    // Printed and not judged: how long it takes depends on what else the host does.
    println!("{guesses} guesses beside {} scrapes; p99 {p99:?}, worst {worst:?}", times.len());
    assert_eq!(tried.hashes()[0], 1.0);
}
