//! `/metrics`, `/health` and `/ready` as scripts, supervisors and Prometheus see them.

use crate::client::{get, request, send, series, within};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use metrics_server::{
    BindError, Endpoint, EndpointBody, EndpointService, Exposition, Health, Limits, ListenAddr, PeerAddress, ServeError,
};
use prometheus_client::registry::Registry;
use std::error::Error as _;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tower::util::MapResponse;

const LOOPBACK: &str = "127.0.0.1:0";

struct Running {
    address: SocketAddr,
    health: Health,
    stop: CancellationToken,
    served: JoinHandle<Result<(), ServeError>>,
}

async fn start(registry: Registry) -> Running {
    let health = Health::new("gpu-charts-logger");
    let endpoint = Endpoint::builder(Exposition::new(registry), health.clone())
        .listen(LOOPBACK.parse().unwrap())
        .bind()
        .await
        .unwrap();
    let address = endpoint.local_addrs()[0];
    let stop = CancellationToken::new();
    let served = tokio::spawn(endpoint.serve(stop.clone()));
    Running { address, health, stop, served }
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let running = start(Registry::default()).await;
    for path in ["/metrics", "/health", "/ready"] {
        let head = request(running.address, "HEAD", path).await;
        let get = get(running.address, path).await;
        assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        assert!(head.header("content-length").unwrap().parse::<usize>().unwrap() > 10, "{path}");
    }
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let running = start(Registry::default()).await;
    for path in ["/metric", "/metrics/more", "/health/x"] {
        assert_eq!(get(running.address, path).await.status, 404, "{path}");
    }
    for path in ["/metrics", "/health", "/ready"] {
        for method in ["POST", "DELETE", "PATCH", "NONSENSE"] {
            let response = request(running.address, method, path).await;
            assert_eq!((response.status, response.header("allow")), (405, Some("GET, HEAD")), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn health_and_readiness_follow_the_components() {
    let running = start(Registry::default()).await;
    let check = async |path: &str, status: u16, body: &str| {
        let response = get(running.address, path).await;
        assert_eq!((response.status, response.body.as_str()), (status, body));
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert_eq!(response.header("cache-control"), Some("no-store"));
    };
    let ok = r#"{"status":"ok","service":"gpu-charts-logger"}"#;
    let recorder = running.health.component("recorder", Some(Duration::from_secs(600)));
    check("/health", 200, ok).await;
    let starting = r#"{"status":"not_ready","service":"gpu-charts-logger","reasons":["recorder: starting"]}"#;
    check("/ready", 503, starting).await;

    recorder.ready();
    check("/ready", 200, r#"{"status":"ready","service":"gpu-charts-logger"}"#).await;

    recorder.degraded("disk full");
    let degraded = r#"{"status":"degraded","service":"gpu-charts-logger","reasons":["recorder: disk full"]}"#;
    check("/health", 200, degraded).await;
    let not_ready = r#"{"status":"not_ready","service":"gpu-charts-logger","reasons":["recorder: disk full"]}"#;
    check("/ready", 503, not_ready).await;

    recorder.recovered();
    check("/health", 200, ok).await;
    drop(recorder);
    let gone = r#"{"status":"failing","service":"gpu-charts-logger","reasons":["recorder: gone"]}"#;
    check("/health", 503, gone).await;
}

#[tokio::test]
async fn curl_understands_it() {
    let running = start(Registry::default()).await;
    let url = format!("http://{}/metrics", running.address);
    let output = within(tokio::process::Command::new("curl").args(["-fsS", &url]).output()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("# TYPE metrics_server_connections gauge\n"));
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let taken = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = taken.local_addr().unwrap();
    let builder = Endpoint::builder(Exposition::new(Registry::default()), Health::new("test"));
    let error = builder.listen(LOOPBACK.parse().unwrap()).listen(address.into()).bind().await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
    let source = error.source().unwrap().downcast_ref::<std::io::Error>().unwrap();
    assert_eq!(source.kind(), std::io::ErrorKind::AddrInUse);
    let BindError::Listen { address: named, .. } = error else { panic!("{error}") };
    assert_eq!(named, ListenAddr::from(address));
}

#[tokio::test]
async fn no_address_is_an_error() {
    let builder = Endpoint::builder(Exposition::new(Registry::default()), Health::new("test"));
    assert!(matches!(builder.bind().await.unwrap_err(), BindError::NoAddress));
}

#[tokio::test]
async fn a_port_just_served_can_be_bound_again() {
    let running = start(Registry::default()).await;
    // The server closes first here, which leaves its side of the connection waiting in the kernel.
    assert_eq!(get(running.address, "/health").await.status, 200);
    running.stop.cancel();
    within(running.served).await.unwrap().unwrap();
    let builder = Endpoint::builder(Exposition::new(Registry::default()), Health::new("test"));
    let endpoint = builder.listen(running.address.into()).bind().await.unwrap();
    assert_eq!(endpoint.local_addrs(), [running.address]);
}

#[tokio::test]
async fn all_listeners_serve_the_same_and_stop_together() {
    let builder = Endpoint::builder(Exposition::new(Registry::default()), Health::new("test"));
    let address: ListenAddr = LOOPBACK.parse().unwrap();
    let endpoint = builder.listen(address.clone()).listen(address).bind().await.unwrap();
    let addresses = endpoint.local_addrs();
    assert_ne!(addresses[0], addresses[1]);
    let stop = CancellationToken::new();
    let served = tokio::spawn(endpoint.serve(stop.clone()));
    let open = TcpStream::connect(addresses[0]).await.unwrap();
    for address in &addresses {
        let text = get(*address, "/metrics").await.body;
        assert!(series(&text, "metrics_server_connections") >= Some(2.0), "{text}");
    }
    drop(open);
    stop.cancel();
    within(served).await.unwrap().unwrap();
    for address in addresses {
        TcpStream::connect(address).await.unwrap_err();
    }
}

#[tokio::test]
async fn limits_reach_the_listeners() {
    let builder = Endpoint::builder(Exposition::new(Registry::default()), Health::new("test"));
    let limits = Limits { connections: 1, ..Limits::default() };
    let endpoint = builder.listen(LOOPBACK.parse().unwrap()).limits(limits).bind().await.unwrap();
    let address = endpoint.local_addrs()[0];
    tokio::spawn(endpoint.serve(CancellationToken::new()));
    let mut open = TcpStream::connect(address).await.unwrap();
    let mut refused = TcpStream::connect(address).await.unwrap();
    crate::client::closed(&mut refused).await;
    send(&mut open, "GET", "/metrics", "Connection: close\r\n").await;
    let text = crate::client::read_to_end(&mut open).await.unwrap();
    assert_eq!(series(&text, "metrics_server_connections_refused_total"), Some(1.0));
}

#[tokio::test]
async fn a_layer_sees_requests_first_and_may_answer_them() {
    let endpoint = Endpoint::builder(Exposition::new(Registry::default()), Health::new("test"))
        .listen(LOOPBACK.parse().unwrap())
        .layer(|inner| {
            EndpointService::new(MapResponse::new(inner, |mut answer: Response<EndpointBody>| {
                answer.headers_mut().insert("x-layer", HeaderValue::from_static("inner"));
                answer
            }))
        })
        .layer(|inner| {
            EndpointService::new(tower::service_fn(move |request: Request<Incoming>| {
                let inner = inner.clone();
                async move {
                    if request.uri().path() == "/metrics" && request.extensions().get::<PeerAddress>().is_some() {
                        let mut refused = Response::new(EndpointBody::new("no".to_owned()));
                        *refused.status_mut() = StatusCode::UNAUTHORIZED;
                        return Ok(refused);
                    }
                    inner.oneshot(request).await
                }
            }))
        })
        .bind()
        .await
        .unwrap();
    let address = endpoint.local_addrs()[0];
    tokio::spawn(endpoint.serve(CancellationToken::new()));
    let refused = get(address, "/metrics").await;
    assert_eq!((refused.status, refused.body.as_str(), refused.header("x-layer")), (401, "no", None));
    let served = get(address, "/health").await;
    assert_eq!((served.status, served.header("x-layer")), (200, Some("inner")));
}
