//! The accept loop against clients that hold it up, services that panic, and a shutdown.

use crate::client::{closed, eventually, get, read_to_end, read_until, send, within};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use metrics_server::{ConnectionObserver, ConnectionTimeout, Limits, PeerAddress, ServeError, http_bind, http_serve};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Long enough to answer a request on a busy machine, short enough to wait for in a test.
const SHORT: Duration = Duration::from_millis(400);
/// Longer than any test runs.
const NEVER: Duration = Duration::from_secs(3600);

#[derive(Clone, Default)]
struct Counts(Arc<[AtomicUsize; 7]>);

impl Counts {
    fn opened(&self) -> usize {
        self.0[0].load(Ordering::SeqCst)
    }
    fn closed(&self) -> usize {
        self.0[1].load(Ordering::SeqCst)
    }
    fn refused(&self) -> usize {
        self.0[2].load(Ordering::SeqCst)
    }
    fn panicked(&self) -> usize {
        self.0[3].load(Ordering::SeqCst)
    }
    /// Of headers, idle connections and writes.
    fn timeouts(&self) -> [usize; 3] {
        [4, 5, 6].map(|index: usize| self.0[index].load(Ordering::SeqCst))
    }
    fn add(&self, index: usize) {
        self.0[index].fetch_add(1, Ordering::SeqCst);
    }
}

impl ConnectionObserver for Counts {
    fn opened(&self) {
        self.add(0);
    }
    fn closed(&self) {
        self.add(1);
    }
    fn refused(&self) {
        self.add(2);
    }
    fn panicked(&self) {
        self.add(3);
    }
    fn timed_out(&self, timeout: ConnectionTimeout) {
        self.add(4 + timeout as usize);
    }
}

struct Running {
    address: SocketAddr,
    counts: Counts,
    /// A permit for each request to `/wait` that has arrived.
    arrived: Arc<Semaphore>,
    /// A permit here answers one request to `/wait`.
    answer: Arc<Semaphore>,
    stop: CancellationToken,
    served: JoinHandle<Result<(), ServeError>>,
}

async fn start(limits: Limits) -> Running {
    let listener = http_bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (arrived, answer) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (counts, stop) = (Counts::default(), CancellationToken::new());
    let gates = (Arc::clone(&arrived), Arc::clone(&answer));
    let service = tower::service_fn(move |request: Request<Incoming>| {
        let (arrived, answer) = gates.clone();
        async move {
            let body = match request.uri().path() {
                "/panic" => panic!("a handler panics"),
                "/peer" => format!("{:?}", request.extensions().get::<PeerAddress>()).into(),
                "/huge" => Bytes::from(vec![b'x'; 64 << 20]),
                "/wait" => {
                    arrived.add_permits(1);
                    answer.acquire().await.unwrap().forget();
                    Bytes::from_static(b"waited")
                }
                _ => Bytes::from_static(b"hello"),
            };
            Ok::<_, Infallible>(Response::new(Full::new(body)))
        }
    });
    let (observer, shutdown) = (counts.clone(), stop.clone());
    let served = tokio::spawn(async move { http_serve(listener, service, &limits, observer, shutdown).await });
    Running { address, counts, arrived, answer, stop, served }
}

impl Running {
    async fn stopped(self) {
        self.stop.cancel();
        within(self.served).await.unwrap().unwrap();
        assert_eq!(self.counts.opened(), self.counts.closed());
        TcpStream::connect(self.address).await.unwrap_err();
    }
}

#[tokio::test]
async fn requests_carry_the_peer() {
    let running = start(Limits::default()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    send(&mut stream, "GET", "/peer", "Connection: close\r\n").await;
    let peer = PeerAddress::Tcp(stream.local_addr().unwrap());
    let received = read_to_end(&mut stream).await.unwrap();
    assert!(received.ends_with(&format!("{:?}", Some(peer))), "{received}");
    running.stopped().await;
}

#[tokio::test]
async fn slow_headers_are_cut_while_a_scrape_is_answered() {
    let running = start(Limits { header_read: SHORT, idle: NEVER, ..Limits::default() }).await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    let mut second = TcpStream::connect(running.address).await.unwrap();
    send(&mut second, "GET", "/", "").await;
    read_until(&mut second, "hello").await;
    second.write_all(b"GET / HT").await.unwrap();
    let (mut reader, mut writer) = TcpStream::connect(running.address).await.unwrap().into_split();
    let dripping = tokio::spawn(async move {
        writer.write_all(b"GET / HTTP/1.1\r\nX-Slow: ").await.unwrap();
        let mut pause = tokio::time::interval(SHORT / 20);
        // Ends when the connection is gone: a byte that arrives does not buy more time.
        while writer.write_all(b"a").await.is_ok() {
            pause.tick().await;
        }
    });
    assert_eq!(get(running.address, "/").await.status, 200);
    closed(&mut silent).await;
    closed(&mut second).await;
    let _ = within(reader.read(&mut [0; 16])).await;
    within(dripping).await.unwrap();
    eventually(4, || running.counts.closed()).await;
    assert_eq!(running.counts.timeouts(), [3, 0, 0]);
    running.stopped().await;
}

#[tokio::test]
async fn idle_connections_are_closed_and_busy_ones_are_not() {
    let running = start(Limits { header_read: NEVER, idle: SHORT, ..Limits::default() }).await;
    let mut busy = TcpStream::connect(running.address).await.unwrap();
    send(&mut busy, "GET", "/wait", "").await;
    within(running.arrived.acquire()).await.unwrap().forget();
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    send(&mut idle, "GET", "/", "").await;
    read_until(&mut idle, "hello").await;
    let asked = std::time::Instant::now();
    closed(&mut idle).await;
    assert!(asked.elapsed() >= SHORT / 2, "closed before it was idle for long: {:?}", asked.elapsed());
    running.answer.add_permits(1);
    read_until(&mut busy, "waited").await;
    closed(&mut busy).await;
    eventually([0, 2, 0], || running.counts.timeouts()).await;
    running.stopped().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let running = start(Limits { write_stall: SHORT, ..Limits::default() }).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    send(&mut stream, "GET", "/huge", "").await;
    eventually(1, || running.counts.closed()).await;
    assert_eq!(running.counts.timeouts(), [0, 0, 1]);
    running.stopped().await;
}

#[tokio::test]
async fn connections_over_the_cap_are_refused_and_room_is_given_back() {
    let running = start(Limits { connections: 2, header_read: NEVER, idle: NEVER, ..Limits::default() }).await;
    let first = TcpStream::connect(running.address).await.unwrap();
    let _second = TcpStream::connect(running.address).await.unwrap();
    eventually(2, || running.counts.opened()).await;
    let mut third = TcpStream::connect(running.address).await.unwrap();
    closed(&mut third).await;
    assert_eq!((running.counts.refused(), running.counts.opened()), (1, 2));
    drop(first);
    eventually(1, || running.counts.closed()).await;
    assert_eq!(get(running.address, "/").await.status, 200);
    running.stopped().await;
}

/// A connection from another of the addresses that are all this host.
async fn connect_from(last: u8, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
    socket.connect(address).await.unwrap()
}

/// One host with many connections, each asking for something now and then, once kept everybody out.
#[tokio::test]
async fn an_idle_connection_of_who_has_most_makes_room() {
    let running = start(Limits { connections: 3, header_read: NEVER, idle: NEVER, ..Limits::default() }).await;
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut stream = connect_from(2, running.address).await;
        send(&mut stream, "GET", "/", "").await;
        read_until(&mut stream, "hello").await;
        kept.push(stream);
    }
    let mut scraper = TcpStream::connect(running.address).await.unwrap();
    send(&mut scraper, "GET", "/", "").await;
    read_until(&mut scraper, "hello").await;
    let mut first = kept.remove(0);
    closed(&mut first).await;
    // The host takes the place from itself and not from the scraper.
    let mut another = connect_from(2, running.address).await;
    send(&mut another, "GET", "/wait", "").await;
    within(running.arrived.acquire()).await.unwrap().forget();
    closed(&mut kept[0]).await;
    for stream in [&mut scraper, &mut kept[1]] {
        send(stream, "GET", "/", "").await;
        read_until(stream, "hello").await;
    }
    eventually(2, || running.counts.closed()).await;
    assert_eq!((running.counts.refused(), running.counts.opened()), (0, 5));
    running.answer.add_permits(1);
    running.stopped().await;
}

#[tokio::test]
async fn a_panic_ends_its_connection_only() {
    let running = start(Limits::default()).await;
    let mut open = TcpStream::connect(running.address).await.unwrap();
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    send(&mut stream, "GET", "/panic", "").await;
    closed(&mut stream).await;
    eventually(1, || running.counts.panicked()).await;
    send(&mut open, "GET", "/", "").await;
    read_until(&mut open, "hello").await;
    running.stopped().await;
}

#[tokio::test]
async fn a_request_under_way_is_finished_at_shutdown() {
    let running = start(Limits { drain: NEVER, header_read: NEVER, idle: NEVER, ..Limits::default() }).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    send(&mut stream, "GET", "/wait", "").await;
    within(running.arrived.acquire()).await.unwrap().forget();
    running.stop.cancel();
    // Nobody new is let in, and who is in is not cut.
    let deadline = tokio::time::Instant::now() + crate::client::DEADLINE;
    while TcpStream::connect(running.address).await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline, "still accepting");
    }
    // That nothing happens can only be watched for a while.
    let mut pause = tokio::time::interval(SHORT / 20);
    for _ in 0..10 {
        pause.tick().await;
        assert!(!running.served.is_finished());
    }
    running.answer.add_permits(1);
    let received = read_to_end(&mut stream).await.unwrap();
    assert!(received.starts_with("HTTP/1.1 200 OK\r\n") && received.ends_with("waited"), "{received}");
    running.stopped().await;
}

/// The body of an answer is gone from the service long before its bytes are.
#[tokio::test]
async fn an_answer_on_its_way_is_finished_at_shutdown_and_is_not_idle() {
    let limits = Limits { drain: NEVER, header_read: NEVER, idle: SHORT, ..Limits::default() };
    let running = start(limits).await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        send(&mut stream, "GET", "/huge", "").await;
        stream.readable().await.unwrap();
        streams.push(stream);
    }
    let read = |mut stream: TcpStream| async move {
        // Time passes between two reads, beyond that for an idle connection and for a farewell.
        let (mut received, mut pause) = (0, tokio::time::interval(SHORT / 4));
        let mut buffer = vec![0; 1 << 20];
        loop {
            if received < 20 << 20 {
                pause.tick().await;
            }
            match within(stream.read(&mut buffer)).await {
                Ok(0) | Err(_) => return received,
                Ok(length) => received += length,
            }
        }
    };
    let idle = streams.pop().unwrap();
    assert!(read(idle).await > 64 << 20, "cut while it was read");
    running.stop.cancel();
    let ending = streams.pop().unwrap();
    assert!(read(ending).await > 64 << 20, "cut while it was read");
    running.stopped().await;
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_a_shutdown() {
    let running = start(Limits { drain: NEVER, header_read: NEVER, idle: NEVER, ..Limits::default() }).await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    send(&mut idle, "GET", "/", "").await;
    read_until(&mut idle, "hello").await;
    eventually(2, || running.counts.opened()).await;
    running.stopped().await;
    closed(&mut silent).await;
    closed(&mut idle).await;
}

#[tokio::test]
async fn a_drain_has_an_end() {
    let running = start(Limits { drain: SHORT, ..Limits::default() }).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    send(&mut stream, "GET", "/wait", "").await;
    within(running.arrived.acquire()).await.unwrap().forget();
    running.stopped().await;
    closed(&mut stream).await;
}

#[tokio::test]
async fn a_dropped_loop_cuts_its_connections() {
    let running = start(Limits::default()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    send(&mut stream, "GET", "/wait", "").await;
    within(running.arrived.acquire()).await.unwrap().forget();
    running.served.abort();
    closed(&mut stream).await;
    eventually(1, || running.counts.closed()).await;
}
