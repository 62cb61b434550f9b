//! How many compressed scrapes a second one core answers.

use crate::contender::{Client, Ours, fill};
use crate::load::scrapes_per_second;
use crate::server::Server;
use crate::table::{heading, line};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{Request, Response};
use http_body_util::Full;
use std::convert::Infallible;
use std::io::Write as _;
use std::time::Duration;

const SERIES: usize = 2_000;
const CONNECTIONS: usize = 32;
const RUN: Duration = Duration::from_secs(5);

/// The servers that are compared; each runs in a process of its own, on one core.
pub(crate) const SERVERS: [(&str, &str); 3] = [
    ("scrape-ours", "metrics_server"),
    ("scrape-each", "prometheus-client, gzip for each"),
    ("scrape-ready", "floor: compressed beforehand"),
];

pub(crate) fn gzip() {
    heading(&format!(
        "gzip scrapes a second of {SERIES} series by {CONNECTIONS} connections, one core (target: at least 3,000)"
    ));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut ours = 0.0;
    for (kind, name) in SERVERS {
        let server = Server::start(kind);
        let load = scrapes_per_second(server.address, CONNECTIONS, "Accept-Encoding: gzip\r\n", RUN);
        let (rate, size) = runtime.block_on(load);
        if ours == 0.0 {
            ours = rate;
        }
        line(name, &[(rate, "scrapes/s"), (size as f64 / 1e3, "kB each")], ours);
    }
}

/// What runs in the server's process.
pub(crate) async fn serve(kind: &str) {
    match kind {
        "scrape-ours" => {
            let ours = Ours::new();
            fill(&ours, SERIES);
            crate::server::endpoint(ours.into_exposition()).await;
        }
        "scrape-each" => {
            let client = Client::new();
            fill(&client, SERIES);
            let client = std::sync::Arc::new(client);
            answers(move || gzipped(&client.text(), Compression::default())).await;
        }
        "scrape-ready" => {
            let client = Client::new();
            fill(&client, SERIES);
            let ready = gzipped(&client.text(), Compression::default());
            answers(move || ready.clone()).await;
        }
        unknown => panic!("no server {unknown}"),
    }
}

fn gzipped(text: &str, level: Compression) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(text.as_bytes()).expect("a vector takes all");
    encoder.finish().expect("a vector takes all").into()
}

/// The accept loop of this crate for all, so that only what makes the body differs.
async fn answers(body: impl Fn() -> Bytes + Clone + Send + 'static) {
    let service = tower::service_fn(move |_: Request<hyper::body::Incoming>| {
        let response = Response::builder().header("content-encoding", "gzip").body(Full::new(body()));
        async move { Ok::<_, Infallible>(response.expect("valid headers")) }
    });
    crate::server::plain(service).await;
}
