//! A client that costs less than the servers it measures: one thread, one `epoll`, answers counted by their bytes.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::AsFd as _,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::epoll,
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};

/// What one thread measured.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    /// Of each request, from its sending to the last byte of its answer, µs.
    pub(crate) latencies: Vec<f32>,
}

/// A request and the length of its answer, head included.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
    pub(crate) answer: u64,
}

/// One request on a connection of its own; the answer's head and body.
pub(crate) fn ask(address: SocketAddr, target: &str) -> (Vec<u8>, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&request(target)).unwrap();
    answer(&mut stream)
}

pub(crate) fn request(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: bench\r\nAccept: */*\r\n\r\n").into_bytes()
}

pub(crate) fn answer(stream: &mut TcpStream) -> (Vec<u8>, Vec<u8>) {
    let mut all = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    let head = loop {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "the server hung up");
        all.extend_from_slice(&buffer[..read]);
        if let Some(at) = all.windows(4).position(|end| end == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let text = String::from_utf8_lossy(&all[..head]).to_ascii_lowercase();
    assert!(text.starts_with("http/1.1 200"), "{text}");
    let length: usize = text.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
    while all.len() < head + length {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "the server hung up");
        all.extend_from_slice(&buffer[..read]);
    }
    let body = all.split_off(head);
    (all, body)
}

/// Learns how long the answers are.
pub(crate) fn requests(address: SocketAddr, targets: &[String]) -> Vec<Request> {
    let mut stream = TcpStream::connect(address).unwrap();
    let learn = |target: &String| {
        let bytes = request(target);
        stream.write_all(&bytes).unwrap();
        let (head, body) = answer(&mut stream);
        Request { bytes, answer: (head.len() + body.len()) as u64 }
    };
    targets.iter().map(learn).collect()
}

struct Connection {
    stream: TcpStream,
    request: usize,
    left: u64,
    since: Instant,
}

/// Keeps `connections` busy with the requests in turn until `stop`, each with one at a time.
pub(crate) fn load(
    address: SocketAddr,
    requests: &[Request],
    connections: usize,
    first: usize,
    stop: &AtomicBool,
    times: bool,
) -> Load {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let mut next = first;
    let mut open: Vec<Connection> = (0..connections)
        .map(|number| {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_nonblocking(true).unwrap();
            stream.set_nodelay(true).unwrap();
            epoll::add(&poll, &stream, epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN).unwrap();
            Connection { stream, request: 0, left: 0, since: Instant::now() }
        })
        .collect();
    for connection in &mut open {
        begin(connection, requests, &mut next);
    }
    let mut load = Load::default();
    let mut events = Vec::with_capacity(connections.max(1));
    let mut buffer = vec![0_u8; 256 * 1024];
    let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    while !stop.load(Ordering::Relaxed) {
        events.clear();
        match epoll::wait(&poll, spare_capacity(&mut events), Some(&timeout)) {
            Err(Errno::INTR) => continue,
            waited => waited.unwrap(),
        };
        for event in &events {
            let connection = &mut open[event.data.u64() as usize];
            let wanted = usize::try_from(connection.left).unwrap().min(buffer.len());
            let read = match recv(connection.stream.as_fd(), &mut buffer[..wanted], RecvFlags::empty()) {
                Err(Errno::AGAIN) => continue,
                read => read.unwrap().0,
            };
            assert!(read > 0, "the server hung up");
            load.bytes += read as u64;
            connection.left -= read as u64;
            if connection.left == 0 {
                load.requests += 1;
                if times {
                    load.latencies.push(connection.since.elapsed().as_secs_f32() * 1e6);
                }
                begin(connection, requests, &mut next);
            }
        }
    }
    load
}

fn begin(connection: &mut Connection, requests: &[Request], next: &mut usize) {
    connection.request = *next % requests.len();
    *next += 1;
    let request = &requests[connection.request];
    connection.since = Instant::now();
    connection.left = request.answer;
    let sent = send(connection.stream.as_fd(), &request.bytes, SendFlags::NOSIGNAL).unwrap();
    assert_eq!(sent, request.bytes.len());
}

/// Lets `threads` threads with `connections` each work for `duration`; together, and how long it really took.
pub(crate) fn run(
    address: SocketAddr,
    requests: &[Request],
    threads: usize,
    connections: usize,
    duration: Duration,
    times: bool,
) -> (Load, Duration) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let start = Instant::now();
        let stop = &stop;
        let works: Vec<_> = (0..threads)
            .map(|thread| {
                let first = thread * requests.len() / threads;
                scope.spawn(move || load(address, requests, connections, first, stop, times))
            })
            .collect();
        std::thread::sleep(duration);
        stop.store(true, Ordering::Relaxed);
        let mut all = Load::default();
        for work in works {
            let one = work.join().unwrap();
            all.requests += one.requests;
            all.bytes += one.bytes;
            all.latencies.extend(one.latencies);
        }
        (all, start.elapsed())
    })
}
