//! Clients that hold up a handshake, an HTTP/2 connection, or an answer over it.

use crate::certificates::{Authority, config};
use crate::client::{closed, eventually, within};
use crate::peers::{Running, start_with};
use metrics_server::Limits;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const SHORT: Duration = Duration::from_millis(400);
const NEVER: Duration = Duration::from_secs(3600);

/// The preface of HTTP/2, and settings that change nothing.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
/// GET / https on stream 1, from the static table of HPACK, with `a` as authority.
const GET: &[u8] = b"\x00\x00\x06\x01\x05\x00\x00\x00\x01\x82\x84\x87\x41\x01a";

/// The same preface, and settings that leave no room for an answer: an initial window of 0.
const HELLO_WITHOUT_WINDOW: &[u8] =
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00";

async fn http2(authority: &Authority, running: &Running) -> TlsStream<TcpStream> {
    let mut stream = http2_silent(authority, running).await;
    stream.write_all(HELLO).await.unwrap();
    stream
}

async fn http2_silent(authority: &Authority, running: &Running) -> TlsStream<TcpStream> {
    connect(authority, running, b"h2").await
}

async fn http1(authority: &Authority, running: &Running) -> TlsStream<TcpStream> {
    connect(authority, running, b"http/1.1").await
}

async fn connect(authority: &Authority, running: &Running, protocol: &[u8]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let mut client = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(running.address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(client));
    within(connector.connect("localhost".try_into().unwrap(), stream)).await.unwrap()
}

/// All that comes until the other side closes; the kinds of the frames.
async fn frames(stream: &mut TlsStream<TcpStream>) -> Vec<u8> {
    let mut received = Vec::new();
    // Cut without a farewell of TLS is closed too.
    let _ = within(stream.read_to_end(&mut received)).await;
    let (mut kinds, mut rest) = (Vec::new(), received.as_slice());
    while let [a, b, c, kind, ..] = rest {
        kinds.push(*kind);
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    kinds
}

fn timeouts(running: &Running, kind: &str) -> f64 {
    running.metric(&format!("metrics_server_connection_timeouts_total{{kind=\"{kind}\"}}"))
}

#[tokio::test]
async fn a_client_that_never_shakes_hands_is_cut_while_others_are_served() {
    let limits = Limits { tls_handshake: SHORT, header_read: NEVER, ..Limits::default() };
    let running = start_with(&config(&Authority::new().server()), true, limits).await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    assert_eq!(running.curl(&["-k"]).await.unwrap(), "2 200");
    closed(&mut silent).await;
    eventually(1.0, || running.metric("metrics_server_tls_handshake_errors_total{reason=\"timeout\"}")).await;
    eventually(0.0, || running.metric("metrics_server_connections")).await;
}

#[tokio::test]
async fn plain_http_on_a_tls_listener_is_counted() {
    let running = start_with(&config(&Authority::new().server()), true, Limits::default()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    let mut received = Vec::new();
    let _ = within(stream.read_to_end(&mut received)).await;
    assert!(!received.starts_with(b"HTTP"), "{received:?}");
    eventually(1.0, || running.metric("metrics_server_tls_handshake_errors_total{reason=\"protocol\"}")).await;
}

#[tokio::test]
async fn an_http2_connection_without_a_request_is_cut() {
    let authority = Authority::new();
    let limits = Limits { header_read: SHORT, idle: NEVER, ..Limits::default() };
    let running = start_with(&config(&authority.server()), true, limits).await;
    let mut stream = http2(&authority, &running).await;
    frames(&mut stream).await;
    eventually(1.0, || timeouts(&running, "header")).await;
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed_with_a_farewell() {
    const GOAWAY: u8 = 7;
    let authority = Authority::new();
    let limits = Limits { header_read: NEVER, idle: SHORT, ..Limits::default() };
    let running = start_with(&config(&authority.server()), true, limits).await;
    let mut stream = http2(&authority, &running).await;
    stream.write_all(GET).await.unwrap();
    let kinds = frames(&mut stream).await;
    assert!(kinds.contains(&1) && kinds.contains(&GOAWAY), "no answer and farewell in {kinds:?}");
    eventually(1.0, || timeouts(&running, "idle")).await;
}

#[tokio::test]
async fn a_client_that_makes_no_room_for_its_answer_over_http2_is_cut() {
    let authority = Authority::new();
    let limits = Limits { header_read: NEVER, idle: NEVER, write_stall: SHORT, ..Limits::default() };
    let running = start_with(&config(&authority.server()), true, limits).await;
    let mut stream = http2_silent(&authority, &running).await;
    stream.write_all(HELLO_WITHOUT_WINDOW).await.unwrap();
    stream.write_all(GET).await.unwrap();
    let kinds = frames(&mut stream).await;
    assert!(kinds.contains(&1) && !kinds.contains(&0), "headers and no data in {kinds:?}");
    eventually(1.0, || timeouts(&running, "write_stall")).await;
    eventually(0.0, || running.metric("metrics_server_connections")).await;
}

#[tokio::test]
async fn streams_are_limited_to_what_is_announced() {
    const RST_STREAM: u8 = 3;
    let authority = Authority::new();
    let limits = Limits { http2_streams: 1, write_stall: SHORT, ..Limits::default() };
    let running = start_with(&config(&authority.server()), true, limits).await;
    let mut stream = http2_silent(&authority, &running).await;
    stream.write_all(HELLO_WITHOUT_WINDOW).await.unwrap();
    stream.write_all(GET).await.unwrap();
    // The first answer has no room, and stays; the second request is one too many.
    let second = [&GET[..8], b"\x03", &GET[9..]].concat();
    stream.write_all(&second).await.unwrap();
    assert!(frames(&mut stream).await.contains(&RST_STREAM));
}

#[tokio::test]
async fn slow_headers_are_cut_over_tls_too() {
    let authority = Authority::new();
    let limits = Limits { header_read: SHORT, idle: NEVER, ..Limits::default() };
    let running = start_with(&config(&authority.server()), false, limits).await;
    let mut stream = http1(&authority, &running).await;
    stream.write_all(b"GET / HTTP/1.1\r\nX-Slow: ").await.unwrap();
    let mut pause = tokio::time::interval(SHORT / 20);
    let mut buffer = [0; 64];
    let cut = async {
        loop {
            tokio::select! {
                read = stream.read(&mut buffer) => if !matches!(read, Ok(1..)) { return },
                _ = pause.tick() => if stream.write_all(b"a").await.is_err() { return },
            }
        }
    };
    within(cut).await;
    eventually(1.0, || timeouts(&running, "header")).await;
}
