//! Running out of file descriptors. One test alone in its program, because the limit is the process's.

use metrics_server::{Endpoint, Exposition, Health};
use prometheus_client::registry::Registry;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_accept_loop_outlives_a_lack_of_file_descriptors() {
    let exposition = Exposition::new(Registry::default());
    let endpoint = Endpoint::builder(exposition.clone(), Health::new("test"))
        .listen("127.0.0.1:0".parse().unwrap())
        .bind()
        .await
        .unwrap();
    let address = endpoint.local_addrs()[0];
    let served = tokio::spawn(endpoint.serve(CancellationToken::new()));
    let client = TcpSocket::new_v4().unwrap();

    setrlimit(Resource::Nofile, Rlimit { current: Some(64), ..getrlimit(Resource::Nofile) }).unwrap();
    let files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(!files.is_empty());

    // The kernel completes the connection; accepting it fails, again and again.
    let mut client = client.connect(address).await.unwrap();
    client.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await.unwrap();
    let (deadline, mut pause) = (Instant::now() + DEADLINE, tokio::time::interval(Duration::from_millis(5)));
    while accept_errors(&exposition.encode().unwrap()) < 3 {
        assert!(Instant::now() < deadline, "accept did not fail: the test does not test anything");
        pause.tick().await;
    }
    assert!(!served.is_finished());

    drop(files);
    let mut received = String::new();
    tokio::time::timeout(DEADLINE, client.read_to_string(&mut received)).await.unwrap().unwrap();
    assert!(received.starts_with("HTTP/1.1 200 OK\r\n"), "{received}");
    assert!(accept_errors(&received) >= 3);
}

fn accept_errors(exposition: &str) -> u64 {
    let sample = exposition.lines().find_map(|line| line.strip_prefix("metrics_server_accept_errors_total "));
    sample.and_then(|value| value.parse().ok()).unwrap_or(0)
}
