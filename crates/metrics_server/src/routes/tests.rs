use super::*;
use crate::exposition::Exposition;
use crate::limits::Limits;
use crate::serve::{PeerAddress, http_bind, http_serve};
use prometheus_client::registry::Registry;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use warp::Filter;

/// The answer to one request, head and all.
async fn ask(page: LandingPage, program: Option<ProgramRoutes>, method: &str, path: &str) -> String {
    let health = Health::new("gpu-charts-logger");
    let component = health.component("recorder", None);
    component.degraded("disk <full>");
    let routes = routes(Scraper::new(Exposition::new(Registry::default()), 4), health, page, program);
    let listener = http_bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let _stopped_after = stop.clone().drop_guard();
    tokio::spawn(async move { http_serve(listener, routes, &Limits::default(), (), stop).await });
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut received = String::new();
    let read = stream.read_to_string(&mut received);
    tokio::time::timeout(Duration::from_secs(30), read).await.unwrap().unwrap();
    received
}

#[tokio::test]
async fn the_landing_page_is_html_that_links_to_the_rest() {
    let page = ask(LandingPage::default().link("/heartbeat", "probes"), None, "GET", "/").await;
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("content-type: text/html; charset=utf-8\r\n"));
    for part in ["<h1>gpu-charts-logger</h1>", "degraded", "disk &lt;full&gt;", "\"/metrics\"", "\"/heartbeat\""] {
        assert!(page.contains(part), "no {part} in {page}");
    }
    let head = ask(LandingPage::default(), None, "HEAD", "/").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(ask(LandingPage::default(), None, "POST", "/").await.starts_with("HTTP/1.1 405 "));
}

#[tokio::test]
async fn unknown_paths_are_told_the_known_ones() {
    let answer = ask(LandingPage::default(), None, "GET", "/metric").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nnot found; there is /, /metrics, /health and /ready\n"), "{answer}");
}

#[tokio::test]
async fn a_program_serves_routes_of_its_own_but_not_the_endpoints() {
    let own = warp::path!("heartbeat").map(|| "beating").or(warp::path!("metrics").map(|| "not this"));
    let routes = ProgramRoutes::new(warp::service(own));
    let check = async |method: &str, path: &str, status: &str, end: &str| {
        let answer = ask(LandingPage::default(), Some(routes.clone()), method, path).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.ends_with(end), "{path}: {answer}");
    };
    check("GET", "/heartbeat", "200", "\r\n\r\nbeating").await;
    check("POST", "/heartbeat", "200", "\r\n\r\nbeating").await;
    check("GET", "/unknown", "404", "").await;
    check("POST", "/metrics", "405", "use GET or HEAD\n").await;
    let metrics = ask(LandingPage::default(), Some(routes), "GET", "/metrics").await;
    assert!(metrics.contains("\nmetrics_server_connections "), "{metrics}");
}

#[tokio::test]
async fn routes_of_a_program_see_the_peer_and_their_errors_are_answered() {
    let service = tower::service_fn(async |request: Request<Incoming>| {
        let peer = request.extensions().get::<PeerAddress>().is_some();
        if request.uri().path() == "/broken" {
            return Err("broken");
        }
        Ok(Response::new(http_body_util::Full::new(Bytes::from(format!("peer: {peer}")))))
    });
    let routes = ProgramRoutes::new(service);
    let answer = ask(LandingPage::default(), Some(routes.clone()), "GET", "/own").await;
    assert!(answer.ends_with("\r\n\r\npeer: true"), "{answer}");
    let answer = ask(LandingPage::default(), Some(routes), "GET", "/broken").await;
    assert!(answer.starts_with("HTTP/1.1 500 ") && answer.ends_with("the route failed\n"), "{answer}");
}
