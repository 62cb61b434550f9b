//! The middleware, counted over a real server.

use crate::client::{closed, eventually, get, read_until, request, send, series, within};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use metrics_server::Registry;
use metrics_server::{
    Exposition, HttpLabel, HttpMetrics, HttpMetricsBuilder, Limits, PeerAddress, http_bind, http_serve,
};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::Layer;

/// A body of some frames, and then an end, nothing ever, or a panic.
struct Frames {
    frames: VecDeque<&'static str>,
    then: Then,
}

#[derive(Clone, Copy)]
enum Then {
    End,
    Stall,
    Fail,
    Panic,
}

impl Frames {
    fn new<const N: usize>(frames: [&'static str; N], then: Then) -> Self {
        Self { frames: frames.into(), then }
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        match (self.frames.pop_front(), self.then) {
            (Some(frame), _) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(frame.as_bytes()))))),
            (None, Then::End) => Poll::Ready(None),
            (None, Then::Stall) => Poll::Pending,
            (None, Then::Fail) => Poll::Ready(Some(Err("the body fails"))),
            (None, Then::Panic) => panic!("the body panics"),
        }
    }
}

async fn handle(request: Request<Incoming>) -> Result<Response<Frames>, Infallible> {
    let ok = |frames| Ok(Response::new(frames));
    match request.uri().path() {
        "/api/data" => ok(Frames::new(["one ", "two"], Then::End)),
        "/api/symbols/okx" => {
            let mut response = Response::new(Frames::new(["exact"], Then::Stall));
            // The length is known, so nobody asks for the end of this body.
            response.headers_mut().insert("content-length", "5".parse().unwrap());
            Ok(response)
        }
        "/hang" => std::future::pending().await,
        "/stall" => ok(Frames::new(["first"], Then::Stall)),
        "/fail" => ok(Frames::new(["first"], Then::Fail)),
        "/panic" => panic!("a handler panics"),
        "/panic-body" => ok(Frames::new(["first"], Then::Panic)),
        "/teapot" => Ok(Response::builder().status(418).body(Frames::new([], Then::End)).unwrap()),
        "/unchanged" => Ok(Response::builder().status(304).body(Frames::new([], Then::Stall)).unwrap()),
        _ => Ok(Response::builder().status(404).body(Frames::new(["no"], Then::End)).unwrap()),
    }
}

/// Everything but the two templates of the API is an unknown path to the metrics.
async fn start() -> (SocketAddr, Exposition) {
    let mut registry = Registry::default();
    let templates = ["/api/data", "/api/symbols/{exchange}", "/panic", "/panic-body"];
    let metrics = HttpMetrics::register(&mut registry, "svc", &templates);
    let listener = http_bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = metrics.layer(tower::service_fn(handle));
    tokio::spawn(async move { http_serve(listener, service, &Limits::default(), (), CancellationToken::new()).await });
    (address, Exposition::new(registry))
}

fn requests(exposition: &Exposition, method: &str, endpoint: &str, status: u16) -> Option<f64> {
    let labels = format!("{{method=\"{method}\",endpoint=\"{endpoint}\",status=\"{status}\"}}");
    series(&exposition.encode().unwrap(), &format!("svc_http_requests_total{labels}"))
}

fn in_flight(exposition: &Exposition) -> Option<f64> {
    series(&exposition.encode().unwrap(), "svc_http_requests_in_flight")
}

/// Sends one request on a connection that is closed afterwards, and waits until it was counted as told.
async fn check(sent: (&str, &str), method: &str, endpoint: &str, status: u16) {
    let (address, exposition) = start().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    send(&mut stream, sent.0, sent.1, "Connection: close\r\n").await;
    // Some of these end in a cut connection; what was received is not the point here.
    let _ = crate::client::read_to_end(&mut stream).await;
    eventually(Some(1.0), || requests(&exposition, method, endpoint, status)).await;
    let text = exposition.encode().unwrap();
    let labels = format!("{{method=\"{method}\",endpoint=\"{endpoint}\"}}");
    assert_eq!(series(&text, &format!("svc_http_request_duration_seconds_count{labels}")), Some(1.0), "{text}");
    assert_eq!(in_flight(&exposition), Some(0.0));
    let total: f64 = text
        .lines()
        .filter(|line| line.starts_with("svc_http_requests_total"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert_eq!(total, 1.0, "counted once: {text}");
}

#[tokio::test]
async fn requests_are_counted_by_template_method_and_status() {
    check(("GET", "/api/data"), "GET", "/api/data", 200).await;
    check(("GET", "/api/data?symbol=BTC-USD"), "GET", "/api/data", 200).await;
    check(("HEAD", "/api/data"), "HEAD", "/api/data", 200).await;
    check(("POST", "/api/symbols/okx"), "POST", "/api/symbols/{exchange}", 200).await;
    check(("GET", "/etc/passwd"), "GET", "other", 404).await;
    check(("GET", "/api/data/"), "GET", "other", 404).await;
    check(("BREW", "/teapot"), "other", "other", 418).await;
    check(("GET", "/unchanged"), "GET", "other", 304).await;
}

#[tokio::test]
async fn handlers_and_bodies_that_fail_or_panic_are_500() {
    check(("GET", "/panic"), "GET", "/panic", 500).await;
    check(("GET", "/panic-body"), "GET", "/panic-body", 500).await;
    check(("GET", "/fail"), "GET", "other", 500).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_before_the_response_is_499() {
    let (address, exposition) = start().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    send(&mut stream, "GET", "/hang", "").await;
    eventually(Some(1.0), || in_flight(&exposition)).await;
    assert_eq!(requests(&exposition, "GET", "other", 499), None);
    drop(stream);
    eventually(Some(1.0), || requests(&exposition, "GET", "other", 499)).await;
    assert_eq!(in_flight(&exposition), Some(0.0));
}

#[tokio::test]
async fn a_client_that_hangs_up_within_the_response_is_499() {
    let (address, exposition) = start().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    send(&mut stream, "GET", "/stall", "").await;
    read_until(&mut stream, "first").await;
    assert_eq!((in_flight(&exposition), requests(&exposition, "GET", "other", 499)), (Some(1.0), None));
    drop(stream);
    eventually(Some(1.0), || requests(&exposition, "GET", "other", 499)).await;
    assert_eq!(requests(&exposition, "GET", "other", 200), None);
}

#[tokio::test]
async fn a_response_with_a_known_length_ends_with_its_last_byte() {
    let (address, exposition) = start().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    send(&mut stream, "GET", "/api/symbols/okx", "").await;
    read_until(&mut stream, "exact").await;
    eventually(Some(1.0), || requests(&exposition, "GET", "/api/symbols/{exchange}", 200)).await;
    // The connection lives on: the count did not wait for it.
    send(&mut stream, "GET", "/api/data", "").await;
    read_until(&mut stream, "two").await;
}

#[tokio::test]
async fn known_endpoints_start_at_zero_and_others_do_not_exist() {
    let (_, exposition) = start().await;
    assert_eq!(requests(&exposition, "GET", "/api/data", 200), Some(0.0));
    assert_eq!(requests(&exposition, "GET", "/api/data", 500), None);
    assert_eq!(requests(&exposition, "GET", "other", 200), None);
}

#[tokio::test]
async fn what_clients_send_does_not_grow_the_exposition() {
    let (address, exposition) = start().await;
    for index in 0..50 {
        request(address, &format!("METHOD{index}"), &format!("/path/{index}")).await;
    }
    let text = exposition.encode().unwrap();
    assert_eq!(requests(&exposition, "other", "other", 404), Some(50.0));
    assert!(!text.contains("METHOD") && !text.contains("/path/"), "{text}");
}

#[tokio::test]
async fn a_panic_still_closes_the_connection() {
    let (address, _) = start().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    send(&mut stream, "GET", "/panic", "").await;
    closed(&mut stream).await;
    assert_eq!(within(get(address, "/nothing")).await.status, 404);
}

#[tokio::test]
async fn a_warp_service_can_be_measured() {
    use warp::Filter;
    let mut registry = Registry::default();
    let metrics = HttpMetrics::register(&mut registry, "svc", &["/hello"]);
    let exposition = Exposition::new(registry);
    let listener = http_bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = metrics.layer(warp::service(warp::path!("hello").map(|| "hello")));
    tokio::spawn(async move { http_serve(listener, service, &Limits::default(), (), CancellationToken::new()).await });
    assert_eq!(get(address, "/hello").await.body, "hello");
    assert_eq!(get(address, "/unknown").await.status, 404);
    eventually(Some(1.0), || requests(&exposition, "GET", "/hello", 200)).await;
    eventually(Some(1.0), || requests(&exposition, "GET", "other", 404)).await;
}

/// Serves the handler with what the test chose, and sends the requests one after the other; the exposition then.
async fn after(builder: HttpMetricsBuilder, requests: &[(&str, &str)]) -> String {
    answers(builder, requests).await.0
}

/// The same, and what was received for each request.
async fn answers(builder: HttpMetricsBuilder, requests: &[(&str, &str)]) -> (String, Vec<String>) {
    let mut received = Vec::new();
    let mut registry = Registry::default();
    let service = builder.register(&mut registry).layer(tower::service_fn(handle));
    let exposition = Exposition::new(registry);
    let listener = http_bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let served = tokio::spawn(async move { http_serve(listener, service, &Limits::default(), (), stopped).await });
    for (method, path) in requests {
        let mut stream = TcpStream::connect(address).await.unwrap();
        send(&mut stream, method, path, "Connection: close\r\nContent-Length: 0\r\n").await;
        received.push(crate::client::read_to_end(&mut stream).await.unwrap_or_default());
    }
    // All connections have ended when the server has, and with them all requests.
    stop.cancel();
    within(served).await.unwrap().unwrap();
    (exposition.encode().unwrap(), received)
}

fn request_series(text: &str) -> Vec<&str> {
    let mut samples: Vec<&str> = text.lines().filter(|line| line.starts_with("svc_http_requests_total")).collect();
    samples.sort_unstable();
    samples
}

#[tokio::test]
async fn paths_are_grouped_and_skipped() {
    let builder = HttpMetrics::builder("svc").group("/api/{*rest}", "api").group("/teapot", "api").skip("/unchanged");
    let sent =
        [("GET", "/api/data"), ("GET", "/api/symbols/okx"), ("GET", "/teapot"), ("GET", "/unchanged"), ("GET", "/x")];
    let text = after(builder, &sent).await;
    assert_eq!(
        request_series(&text),
        [
            r#"svc_http_requests_total{method="GET",endpoint="api",status="200"} 2"#,
            r#"svc_http_requests_total{method="GET",endpoint="api",status="418"} 1"#,
            r#"svc_http_requests_total{method="GET",endpoint="other",status="404"} 1"#,
        ]
    );
    assert_eq!(series(&text, "svc_http_requests_in_flight"), Some(0.0));
}

#[tokio::test]
async fn labels_can_be_dropped() {
    let sent = [("GET", "/api/data"), ("POST", "/api/data"), ("GET", "/teapot"), ("BREW", "/teapot")];
    let without = async |labels: &[HttpLabel]| {
        let builder = HttpMetrics::builder("svc").route("/api/data");
        after(labels.iter().fold(builder, |builder, label| builder.without(*label)), &sent).await
    };
    let text = without(&[HttpLabel::Method]).await;
    assert_eq!(
        request_series(&text),
        [
            r#"svc_http_requests_total{endpoint="/api/data",status="200"} 2"#,
            r#"svc_http_requests_total{endpoint="other",status="418"} 2"#,
        ]
    );
    assert_eq!(series(&text, r#"svc_http_request_duration_seconds_count{endpoint="other"}"#), Some(2.0));
    let text = without(&[HttpLabel::Status, HttpLabel::Endpoint]).await;
    assert_eq!(
        request_series(&text),
        [
            r#"svc_http_requests_total{method="GET"} 2"#,
            r#"svc_http_requests_total{method="POST"} 1"#,
            r#"svc_http_requests_total{method="other"} 1"#,
        ]
    );
    let text = without(&[HttpLabel::Status, HttpLabel::Endpoint, HttpLabel::Method]).await;
    assert_eq!(request_series(&text), ["svc_http_requests_total 4"], "{text}");
    assert_eq!(series(&text, "svc_http_response_size_bytes_count"), Some(4.0), "{text}");
}

#[tokio::test]
async fn sizes_and_panics_are_counted() {
    let builder = HttpMetrics::builder("svc").route("/api/data").route("/api/symbols/{exchange}");
    let sent = [
        ("GET", "/api/data"),
        ("HEAD", "/api/data"),
        ("GET", "/api/symbols/okx"),
        ("GET", "/panic"),
        ("GET", "/panic-body"),
    ];
    let text = after(builder, &sent).await;
    let size = |method: &str, endpoint: &str| {
        series(&text, &format!("svc_http_response_size_bytes_sum{{method=\"{method}\",endpoint=\"{endpoint}\"}}"))
    };
    assert_eq!(size("GET", "/api/data"), Some("one two".len() as f64));
    assert_eq!(size("HEAD", "/api/data"), Some(0.0));
    assert_eq!(size("GET", "/api/symbols/{exchange}"), Some("exact".len() as f64));
    assert_eq!(series(&text, "svc_http_request_panics_total"), Some(2.0));
    assert_eq!(requests_in(&text, "GET", "other", 500), Some(2.0));
}

fn requests_in(text: &str, method: &str, endpoint: &str, status: u16) -> Option<f64> {
    let labels = format!("{{method=\"{method}\",endpoint=\"{endpoint}\",status=\"{status}\"}}");
    series(text, &format!("svc_http_requests_total{labels}"))
}

/// Metrics of a program's own, from request and response, on a clock that stands still but for one step.
#[tokio::test]
async fn functions_see_every_finished_request() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (sink, origin, steps) = (Arc::clone(&seen), Instant::now(), AtomicU64::new(0));
    let builder = HttpMetrics::builder("svc")
        .route("/api/symbols/{exchange}")
        .clock(move || origin + Duration::from_secs(3 * steps.fetch_add(1, Ordering::SeqCst)))
        .on_finished(move |request| {
            let length = request.response.and_then(|response| response.headers.get("content-length").cloned());
            let peer = request.request.extensions.get::<PeerAddress>().is_some();
            sink.lock().unwrap().push(format!(
                "{} {} {} {} {:?} {:?} {} {length:?} {peer}",
                request.method,
                request.request.uri,
                request.endpoint,
                request.status,
                request.duration,
                request.request_bytes,
                request.response_bytes,
            ));
            panic!("a function that panics harms nobody");
        });
    let (text, received) = answers(builder, &[("GET", "/api/symbols/okx?x=1"), ("GET", "/panic")]).await;
    assert!(received[0].ends_with("\r\n\r\nexact"), "{received:?}");
    assert_eq!(
        *seen.lock().unwrap(),
        [
            "GET /api/symbols/okx?x=1 /api/symbols/{exchange} 200 3s Some(0) 5 Some(\"5\") true",
            "GET /panic other 500 3s Some(0) 0 None true",
        ]
    );
    let sum = r#"svc_http_request_duration_seconds_sum{method="GET",endpoint="/api/symbols/{exchange}"}"#;
    assert_eq!(series(&text, sum), Some(3.0), "{text}");
}
