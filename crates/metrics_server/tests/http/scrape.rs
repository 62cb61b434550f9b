//! Scrapes that take long, fail or come all at once.

use crate::client::{Bytes, eventually, get, get_bytes, read_bytes, read_until, request, send, series, within};
use metrics_server::{Endpoint, Exposition, Health, Limits};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::MetricFamily;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use prost::Message;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What a scrape does that reaches the collector.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Behaviour {
    Wait,
    Fail,
    Panic,
    Answer,
}

#[derive(Debug)]
struct Controlled {
    behaviour: Mutex<Behaviour>,
    changed: Condvar,
    /// How many encodings are at it, and how many have been.
    encodings: Mutex<(usize, usize)>,
    /// Moved by the tests, to see how old an exposition's values are.
    events: Counter,
    /// Series of a family that makes the exposition as long as a test needs it.
    bulk: usize,
}

impl Controlled {
    fn new(behaviour: Behaviour) -> Arc<Self> {
        Self::with_bulk(behaviour, 0)
    }

    fn with_bulk(behaviour: Behaviour, bulk: usize) -> Arc<Self> {
        Arc::new(Self {
            behaviour: Mutex::new(behaviour),
            changed: Condvar::new(),
            encodings: Mutex::default(),
            events: Counter::default(),
            bulk,
        })
    }

    fn set(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
        self.changed.notify_all();
    }

    fn encoding(&self) -> usize {
        self.encodings.lock().unwrap().0
    }

    fn encoded(&self) -> usize {
        self.encodings.lock().unwrap().1
    }
}

impl Collector for Controlled {
    fn encode(&self, mut encoder: DescriptorEncoder) -> std::fmt::Result {
        // Read first: what happens while the test holds the encoding back is too late for it.
        let events = self.events.get();
        {
            let mut encodings = self.encodings.lock().unwrap();
            encodings.0 += 1;
            assert_eq!(encodings.0, 1, "two encodings at a time");
        }
        let waiting = |behaviour: &mut Behaviour| *behaviour == Behaviour::Wait;
        let behaviour = self.behaviour.lock().unwrap();
        let waited = self.changed.wait_timeout_while(behaviour, crate::client::DEADLINE, waiting).unwrap();
        let behaviour = *waited.0;
        // A panic below must not poison what the test goes on to use.
        drop(waited);
        {
            let mut encodings = self.encodings.lock().unwrap();
            encodings.0 -= 1;
            encodings.1 += 1;
        }
        match behaviour {
            Behaviour::Fail => return Err(std::fmt::Error),
            Behaviour::Panic => panic!("a collector panics"),
            Behaviour::Wait | Behaviour::Answer => {}
        }
        let metric = ConstGauge::new(i64::try_from(events).unwrap());
        metric.encode(encoder.encode_descriptor("events", "Moved by the test.", None, MetricType::Gauge)?)?;
        let mut bulk = encoder.encode_descriptor("bulk", "Makes it long.", None, MetricType::Gauge)?;
        for series in 0..self.bulk {
            // Digits that do not compress away, so that sizes are sizes.
            let noise = (series as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let labels = [("series", format!("{noise:016x}{:016x}", noise.rotate_left(29).wrapping_mul(noise)))];
            ConstGauge::new(1).encode(bulk.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

const GZIP: &str = "Accept-Encoding: gzip\r\n";

/// Room for all that a test sends at once.
fn limits() -> Limits {
    Limits { scrapes_in_flight: 64, ..Limits::default() }
}

async fn start(collector: &Arc<Controlled>, limits: Limits) -> SocketAddr {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Arc::clone(collector)));
    let builder = Endpoint::builder(Exposition::new(registry), Health::new("test"));
    let endpoint = builder.listen("127.0.0.1:0".parse().unwrap()).limits(limits).bind().await.unwrap();
    let address = endpoint.local_addrs()[0];
    tokio::spawn(endpoint.serve(CancellationToken::new()));
    address
}

/// Starts with one scrape that is being encoded and waits, so that all that come next find it begun.
async fn start_held(
    collector: &Arc<Controlled>,
    limits: Limits,
    headers: &'static str,
) -> (SocketAddr, JoinSet<Bytes>) {
    let address = start(collector, limits).await;
    let mut scrapes = JoinSet::new();
    scrapes.spawn(get_bytes(address, "/metrics", headers));
    eventually(1, || collector.encoding()).await;
    (address, scrapes)
}

/// On one thread: were the encoding done there, `/health` could not be answered meanwhile.
#[tokio::test(flavor = "current_thread")]
async fn scrapes_over_the_cap_are_refused_while_the_rest_waits() {
    let collector = Controlled::new(Behaviour::Wait);
    let address = start(&collector, Limits { scrapes_in_flight: 2, ..Limits::default() }).await;
    let mut scrapes = JoinSet::new();
    for _ in 0..3 {
        scrapes.spawn(get(address, "/metrics"));
    }
    let refused = within(scrapes.join_next()).await.unwrap().unwrap();
    assert_eq!((refused.status, refused.body.as_str()), (503, "too many scrapes in flight\n"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(get(address, "/health").await.status, 200);

    collector.set(Behaviour::Answer);
    while let Some(served) = within(scrapes.join_next()).await {
        assert_eq!(served.unwrap().status, 200);
    }
    let text = get(address, "/metrics").await.body;
    assert_eq!(series(&text, "metrics_server_scrapes_refused_total{reason=\"in_flight\"}"), Some(1.0));
    assert_eq!(series(&text, "metrics_server_scrapes_in_flight"), Some(1.0));
    assert!(series(&text, "metrics_server_scrape_duration_seconds_count") >= Some(1.0), "{text}");
    assert!(series(&text, "metrics_server_scrape_size_bytes") > Some(1000.0), "{text}");
}

#[tokio::test]
async fn a_scrape_that_fails_or_panics_is_answered_and_the_next_one_works() {
    let collector = Controlled::new(Behaviour::Fail);
    let address = start(&collector, Limits::default()).await;
    for behaviour in [Behaviour::Fail, Behaviour::Panic] {
        collector.set(behaviour);
        let response = get(address, "/metrics").await;
        assert_eq!((response.status, response.body.as_str()), (500, "the exposition could not be encoded\n"));
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    }
    collector.set(Behaviour::Answer);
    let response = get(address, "/metrics").await;
    assert_eq!(response.status, 200);
    assert_eq!(series(&response.body, "metrics_server_scrape_errors_total"), Some(2.0));
    assert_eq!(series(&response.body, "metrics_server_scrapes_in_flight"), Some(1.0));
}

#[tokio::test]
async fn clients_that_hang_up_do_not_keep_their_places() {
    let collector = Controlled::new(Behaviour::Wait);
    let address = start(&collector, Limits { scrapes_in_flight: 1, ..Limits::default() }).await;
    let mut scrapes = JoinSet::new();
    scrapes.spawn(get(address, "/metrics"));
    scrapes.spawn(get(address, "/metrics"));
    assert_eq!(within(scrapes.join_next()).await.unwrap().unwrap().status, 503);
    scrapes.shutdown().await;
    collector.set(Behaviour::Answer);
    let deadline = tokio::time::Instant::now() + crate::client::DEADLINE;
    while get(address, "/metrics").await.status != 200 {
        assert!(tokio::time::Instant::now() < deadline);
    }
    assert_eq!(collector.encoding(), 0);
}

/// Sends one scrape more than fit in; when it is refused, all the others have arrived and wait.
async fn fill(address: SocketAddr, places: usize, headers: &'static str) -> JoinSet<Bytes> {
    let mut scrapes = JoinSet::new();
    for _ in 0..=places {
        scrapes.spawn(get_bytes(address, "/metrics", headers));
    }
    assert_eq!(within(scrapes.join_next()).await.unwrap().unwrap().status, 503);
    scrapes
}

fn unzipped(body: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(body).read_to_string(&mut text).unwrap();
    text
}

/// The heart of it: one encoding for all that wait, and never values from before a request.
#[tokio::test]
async fn scrapes_that_wait_share_one_encoding_that_is_not_older_than_they_are() {
    let collector = Controlled::new(Behaviour::Wait);
    let (address, mut first) =
        start_held(&collector, Limits { scrapes_in_flight: 33, ..Limits::default() }, GZIP).await;
    // The encoding under way has begun before this.
    collector.events.inc();
    let mut scrapes = fill(address, 32, GZIP).await;
    collector.set(Behaviour::Answer);
    let held = within(first.join_next()).await.unwrap().unwrap();
    assert_eq!(series(&unzipped(&held.body), "events"), Some(0.0));
    let mut documents = Vec::new();
    while let Some(response) = within(scrapes.join_next()).await {
        let response = response.unwrap();
        assert_eq!((response.status, response.header("content-encoding")), (200, Some("gzip")));
        assert!(response.is_whole && response.header("content-length").is_some());
        documents.push(unzipped(&response.body));
    }
    assert_eq!(documents.len(), 32);
    assert_eq!(series(&documents[0], "events"), Some(1.0), "older than the request: {}", documents[0]);
    documents.dedup();
    assert_eq!((documents.len(), collector.encoded()), (1, 2), "one encoding for 32");
    let after = get(address, "/metrics").await.body;
    assert_eq!(series(&after, "metrics_server_scrapes_shared_total"), Some(31.0));
    let gzipped = "metrics_server_scrapes_total{format=\"text\",encoding=\"gzip\"}";
    assert_eq!(series(&after, gzipped), Some(33.0), "{after}");
}

#[tokio::test]
async fn what_differs_is_not_shared() {
    let collector = Controlled::with_bulk(Behaviour::Wait, 3);
    let (address, mut first) = start_held(&collector, limits(), "").await;
    let mut scrapes = JoinSet::new();
    let openmetrics = "Accept: application/openmetrics-text\r\n";
    for (path, headers) in [
        ("/metrics", ""),
        ("/metrics", GZIP),
        ("/metrics", openmetrics),
        ("/metrics?name[]=events", ""),
        ("/metrics?name[]=events&name[]=bulk", ""),
    ] {
        scrapes.spawn(get_bytes(address, path, headers));
    }
    collector.set(Behaviour::Answer);
    within(first.join_next()).await.unwrap().unwrap();
    let mut bodies = Vec::new();
    while let Some(response) = within(scrapes.join_next()).await {
        bodies.push(response.unwrap().body);
    }
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 5);
}

/// The names in delimited protobuf messages.
fn families(mut messages: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    while !messages.is_empty() {
        names.push(MetricFamily::decode_length_delimited(&mut messages).unwrap().name);
    }
    names
}

#[tokio::test]
async fn the_format_is_negotiated_and_always_named() {
    let address = start(&Controlled::new(Behaviour::Answer), limits()).await;
    let text = "text/plain; version=0.0.4; charset=utf-8";
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let openmetrics_0_0_1 = "application/openmetrics-text; version=0.0.1; charset=utf-8";
    let protobuf = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
    for (accept, expected) in [
        ("", text),
        ("Accept: image/png\r\n", text),
        ("Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n", openmetrics),
        ("Accept: application/openmetrics-text;version=0.0.1\r\n", openmetrics_0_0_1),
        (
            "Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited\r\n",
            protobuf,
        ),
    ] {
        let response = get_bytes(address, "/metrics", accept).await;
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-type"), Some(expected), "{accept}");
        assert_eq!(response.header("vary"), Some("Accept, Accept-Encoding"));
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let is_text = expected != protobuf;
        assert_eq!(is_text && response.text().ends_with("# EOF\n"), expected.contains("openmetrics"), "{accept}");
        assert!(!is_text || series(response.text(), "events").is_some());
        assert!(is_text || families(&response.body).contains(&"events".to_owned()));
    }
    let refused = get_bytes(address, "/metrics", "Accept-Encoding: br, identity;q=0\r\n").await;
    assert_eq!(refused.status, 406);
}

/// The decoders of others: what curl, gzip and zstd take for whole is whole.
#[tokio::test]
async fn independent_programs_decode_it() {
    let address = start(&Controlled::with_bulk(Behaviour::Answer, 20_000), limits()).await;
    for (accepted, decode) in [("gzip", "gzip -dc"), ("zstd", "zstd -dcq"), ("identity", "cat")] {
        let script = format!("curl -fsS -H 'Accept-Encoding: {accepted}' http://{address}/metrics | {decode}");
        let output =
            within(tokio::process::Command::new("bash").args(["-o", "pipefail", "-c", &script]).output()).await;
        let output = output.unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().filter(|line| line.starts_with("bulk{")).count(), 20_000, "{accepted}");
    }
    let curl = ["-fsS", "--compressed", &format!("http://{address}/metrics")].map(str::to_owned);
    let output = within(tokio::process::Command::new("curl").args(curl).output()).await.unwrap();
    assert!(output.status.success() && output.stdout.starts_with(b"# "), "{output:?}");
}

#[tokio::test]
async fn head_is_the_answer_without_its_body() {
    let collector = Controlled::new(Behaviour::Answer);
    let address = start(&collector, limits()).await;
    let head = request(address, "HEAD", "/metrics").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert!(head.header("content-length").unwrap().parse::<usize>().unwrap() > 1000, "{head:?}");
    assert_eq!(head.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    // It tells whether a scrape works.
    collector.set(Behaviour::Fail);
    assert_eq!(request(address, "HEAD", "/metrics").await.status, 500);
}

#[tokio::test]
async fn names_restrict_the_exposition_and_are_bounded() {
    let address = start(&Controlled::with_bulk(Behaviour::Answer, 3), limits()).await;
    let families = async |query: &str| {
        let text = get(address, &format!("/metrics{query}")).await.body;
        let named = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned));
        let mut named: Vec<String> = named.collect();
        named.sort();
        named
    };
    assert_eq!(families("?name[]=events").await, ["events"]);
    assert_eq!(families("?x=1&name%5B%5D=%65vents&name[]=bulk&name[]=absent").await, ["bulk", "events"]);
    assert!(families("?name=events&debug").await.len() > 5);
    let many = format!("/metrics?{}", "name[]=x&".repeat(257));
    let refused = get(address, &many).await;
    assert_eq!((refused.status, refused.body.as_str()), (400, "at most 256 name[] parameters are allowed\n"));
    let refused = get(address, &format!("/metrics?name[]={}", "x".repeat(257))).await;
    assert_eq!((refused.status, refused.body.as_str()), (400, "a name[] may have at most 256 bytes\n"));
    let text = get(address, "/metrics").await.body;
    assert_eq!(series(&text, "metrics_server_scrapes_refused_total{reason=\"names\"}"), Some(2.0));
}

#[tokio::test]
async fn a_scrape_that_cannot_begin_in_time_is_refused_in_time() {
    let collector = Controlled::new(Behaviour::Wait);
    let address = start(&collector, limits()).await;
    let response = get_bytes(address, "/metrics", "X-Prometheus-Scrape-Timeout-Seconds: 0.5\r\n").await;
    assert_eq!(response.status, 503);
    let expected = "no exposition within the scrape timeout of 0.5 s (X-Prometheus-Scrape-Timeout-Seconds)\n";
    assert_eq!(response.text(), expected);
    collector.set(Behaviour::Answer);
    let text = get_bytes(address, "/metrics", "X-Prometheus-Scrape-Timeout-Seconds: soon\r\n").await;
    assert_eq!(series(text.text(), "metrics_server_scrapes_refused_total{reason=\"timeout\"}"), Some(1.0));
}

/// More than what sockets hold and a reader may be behind: 20 MB.
const HUGE: usize = 350_000;

/// Connects with a receive window so small that whatever it does not read stays with the server.
async fn connect_narrow(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(address).await.unwrap()
}

#[tokio::test]
async fn a_stalled_client_is_cut_and_others_of_its_document_are_not_held_up() {
    let collector = Controlled::with_bulk(Behaviour::Wait, HUGE);
    let (address, first) = start_held(&collector, Limits { scrapes_in_flight: 3, ..Limits::default() }, "").await;
    let mut stalled = connect_narrow(address).await;
    send(&mut stalled, "GET", "/metrics", "Connection: close\r\n").await;
    let mut others = JoinSet::new();
    // The stalled one has a place, and one of these two.
    for _ in 0..2 {
        others.spawn(get_bytes(address, "/metrics", ""));
    }
    let refused = within(others.join_next()).await.unwrap().unwrap();
    drop(first);
    collector.set(Behaviour::Answer);
    let served = within(others.join_next()).await.unwrap().unwrap();
    assert_eq!((refused.status, served.status, served.is_whole), (503, 200, true));
    assert_eq!(served.text().lines().filter(|line| line.starts_with("bulk{")).count(), HUGE);
    assert_eq!(collector.encoded(), 2, "the two shared one");
    let text = get(address, "/metrics?name[]=metrics_server_scrapes_cut").await.body;
    assert_eq!(series(&text, "metrics_server_scrapes_cut_total{reason=\"behind\"}"), Some(1.0), "{text}");
    // Reading on, it sees that it has only a part.
    let cut = read_bytes(&mut stalled).await;
    assert_eq!((cut.status, cut.is_whole), (200, false));
}

#[tokio::test]
async fn a_stalled_client_alone_holds_nobody_up_and_is_cut_when_its_time_is_over() {
    let collector = Controlled::with_bulk(Behaviour::Answer, HUGE);
    let address = start(&collector, Limits { scrapes_in_flight: 1, ..Limits::default() }).await;
    let mut stalled = connect_narrow(address).await;
    send(&mut stalled, "GET", "/metrics", "X-Prometheus-Scrape-Timeout-Seconds: 6\r\nConnection: close\r\n").await;
    // It has its first bytes and gives its place back.
    read_until(&mut stalled, "\r\n\r\n").await;
    assert_eq!(get(address, "/metrics?name[]=events").await.status, 200);
    let deadline = tokio::time::Instant::now() + crate::client::DEADLINE;
    let mut pause = tokio::time::interval(Duration::from_millis(50));
    loop {
        let text = get(address, "/metrics?name[]=metrics_server_scrapes_cut").await.body;
        if series(&text, "metrics_server_scrapes_cut_total{reason=\"deadline\"}") == Some(1.0) {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{text}");
        pause.tick().await;
    }
    let mut rest = Vec::new();
    let _ = within(stalled.read_to_end(&mut rest)).await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "it must not look whole");
}

/// HTTP/1.0 ends a body of unknown length by closing, which a broken one does as well.
#[tokio::test]
async fn http_1_0_is_told_the_length() {
    let address = start(&Controlled::with_bulk(Behaviour::Answer, 30_000), limits()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.unwrap();
    let response = read_bytes(&mut stream).await;
    assert_eq!(response.status, 200);
    let length: usize = response.header("content-length").unwrap().parse().unwrap();
    assert!(length == response.body.len() && length > 1 << 20, "{}", response.head);
    // With HTTP/1.1 an exposition of that length comes in chunks.
    let chunked = get_bytes(address, "/metrics", "").await;
    assert_eq!(chunked.header("transfer-encoding"), Some("chunked"));
    assert!(chunked.is_whole);
}

#[tokio::test]
async fn connections_are_kept_for_the_next_scrape() {
    let address = start(&Controlled::new(Behaviour::Answer), limits()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..3 {
        send(&mut stream, "GET", "/metrics", "Accept: application/openmetrics-text\r\n").await;
        read_until(&mut stream, "# EOF\n").await;
    }
}
