//! A small HTTP/1.1 client that does not hide what came over the wire, and waits with a deadline.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, timeout};

/// How long any one wait may take before its test fails; generous, since nothing here is about speed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A response as it was received.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Response {
    request(address, "GET", path).await
}

pub(crate) async fn request(address: SocketAddr, method: &str, path: &str) -> Response {
    let mut stream = TcpStream::connect(address).await.unwrap();
    send(&mut stream, method, path, "Connection: close\r\n").await;
    let received = read_to_end(&mut stream).await.unwrap();
    parse(&received)
}

pub(crate) async fn send(stream: &mut TcpStream, method: &str, path: &str, headers: &str) {
    let text = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// All that comes until the other side closes.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> io::Result<String> {
    let mut received = Vec::new();
    within(stream.read_to_end(&mut received)).await?;
    Ok(String::from_utf8(received).unwrap())
}

/// Reads until `text` has come, and leaves the connection open.
pub(crate) async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut received = String::new();
    while !received.contains(text) {
        let mut buffer = [0; 1024];
        let length = within(stream.read(&mut buffer)).await.unwrap();
        assert_ne!(length, 0, "closed after {received:?}");
        received.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    received
}

/// Waits until the other side closed the connection, without expecting an answer.
pub(crate) async fn closed(stream: &mut TcpStream) {
    match read_to_end(stream).await {
        Ok(received) => assert_eq!(received, ""),
        // A connection that is closed with unread bytes in it is reset.
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
    }
}

fn parse(received: &str) -> Response {
    let (head, body) = received.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {received:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Response { status, head: head.to_owned(), body: body.to_owned() }
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.expect("not done before the deadline")
}

/// Asks again and again until `value` is `expected`.
pub(crate) async fn eventually<T: PartialEq + Debug>(expected: T, mut value: impl FnMut() -> T) {
    let deadline = Instant::now() + DEADLINE;
    let mut pause = interval(Duration::from_millis(5));
    loop {
        let actual = value();
        if actual == expected {
            return;
        }
        assert!(Instant::now() < deadline, "still {actual:?} instead of {expected:?}");
        pause.tick().await;
    }
}

/// The value of a series in an exposition; `None` if it is not there.
pub(crate) fn series(exposition: &str, name: &str) -> Option<f64> {
    exposition.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// A response whose body may be anything, without its chunk framing.
#[derive(Debug)]
pub(crate) struct Bytes {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether the body came to its end, by its length or its last chunk.
    pub(crate) is_whole: bool,
}

impl Bytes {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn parse(received: &[u8]) -> Self {
        let end = received.windows(4).position(|window| window == b"\r\n\r\n").expect("has a head");
        let head = std::str::from_utf8(&received[..end]).unwrap().to_owned();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut response = Self { status, head, body: received[end + 4..].to_vec(), is_whole: true };
        if response.header("transfer-encoding") == Some("chunked") {
            (response.body, response.is_whole) = dechunked(&response.body);
        } else if let Some(length) = response.header("content-length") {
            response.is_whole = length.parse() == Ok(response.body.len());
        }
        response
    }
}

fn dechunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|window| window == b"\r\n") else { return (body, false) };
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        rest = &rest[end + 2..];
        if length == 0 {
            return (body, rest == b"\r\n");
        }
        body.extend_from_slice(&rest[..length.min(rest.len())]);
        if rest.len() < length + 2 {
            return (body, false);
        }
        rest = &rest[length + 2..];
    }
}

/// GET on a connection of its own, with further header lines.
pub(crate) async fn get_bytes(address: SocketAddr, path: &str, headers: &str) -> Bytes {
    let mut stream = TcpStream::connect(address).await.unwrap();
    send(&mut stream, "GET", path, &format!("Connection: close\r\n{headers}")).await;
    read_bytes(&mut stream).await
}

/// All that comes until the other side closes.
pub(crate) async fn read_bytes(stream: &mut TcpStream) -> Bytes {
    let mut received = Vec::new();
    // A body that is broken off may end in a reset; what came before counts.
    let _ = within(stream.read_to_end(&mut received)).await;
    Bytes::parse(&received)
}
