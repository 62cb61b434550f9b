//! Starting, readiness, stopping.

use std::{fs, io::Read as _, net::TcpStream};

use metrics_server::Registry;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use ultra_low_latency_server_chunked_parallel::{Config, ServerError, run};

use crate::{
    DAY,
    client::{connect, get, receive_head, send},
    running::{Running, config},
    wait_until,
    written::{quotes, write_btc, write_large_day},
};

#[test]
fn ready_once_the_data_directory_exists() {
    let directory = TempDir::new().unwrap();
    let root = directory.path().join("later");
    let server = Running::start(&root);
    let not_yet =
        r#"{"status":"not_ready","service":"gpu-charts-server","reasons":["data directory: it does not exist yet"]}"#;
    wait_until("not ready, with the reason", || get(server.metrics, "/ready").text() == not_yet);
    assert_eq!(get(server.metrics, "/ready").status, 503);
    // A restart would not make the directory.
    let health = get(server.metrics, "/health").expect(200);
    assert_eq!(health.text(), r#"{"status":"ok","service":"gpu-charts-server"}"#);

    write_btc(&root, &quotes(&[DAY]));
    wait_until("ready", || get(server.metrics, "/ready").status == 200);
    fs::write(root.join("FORMAT"), "99\n").unwrap();
    wait_until("degraded", || get(server.metrics, "/health").text().contains("degraded"));
    let reasons = "data directory: it is of a newer format than this server knows";
    let ready = get(server.metrics, "/ready").expect(503);
    assert!(ready.text().contains(reasons) && !ready.text().contains(root.to_str().unwrap()), "{}", ready.text());
    fs::write(root.join("FORMAT"), "1\n").unwrap();
    wait_until("ready again", || get(server.metrics, "/ready").status == 200);
}

#[test]
fn shutdown_finishes_the_answer_under_way() {
    let root = TempDir::new().unwrap();
    write_large_day(root.path(), DAY, "18.11.26", 8 << 20);
    let server = Running::start(root.path());
    wait_until("ready", || get(server.metrics, "/ready").status == 200);
    let target = format!("/api/data?symbol=BTC-USD&type=MD&start={DAY}&end={DAY}&columns=time,price");
    let mut stream = connect(server.data);
    send(&mut stream, "GET", &target);
    let head = receive_head(&mut stream).unwrap();
    let length: usize = head.header("content-length").unwrap().parse().unwrap();

    server.begin_shutdown();
    wait_until("no new connections", || TcpStream::connect(server.data).is_err());
    let draining = get(server.metrics, "/ready").expect(503);
    assert!(draining.text().contains("draining"), "{}", draining.text());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the connection is closed after the answer");
    server.join().unwrap();
}

#[test]
fn shutdown_of_an_idle_server_is_quick() {
    let root = TempDir::new().unwrap();
    let server = Running::start(root.path());
    let mut idle = connect(server.data);
    send(&mut idle, "GET", "/api/symbols");
    crate::client::receive(&mut idle, false).unwrap().expect(200);
    server.begin_shutdown();
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    server.join().unwrap();
}

#[test]
fn a_taken_port_is_an_error_that_names_it() {
    let root = TempDir::new().unwrap();
    let server = Running::start(root.path());
    let start = |config: &Config| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(run(config, Registry::default(), CancellationToken::new())).unwrap_err()
    };
    let error = start(&Config { listen: vec![server.data.into()], ..config(root.path()) });
    assert!(
        matches!(&error, ServerError::DataPort(source) if source.to_string().contains(&server.data.to_string())),
        "{error:?}"
    );
    let error = start(&Config { metrics_listen: vec![server.metrics.into()], ..config(root.path()) });
    assert!(matches!(error, ServerError::MetricsPort(_)), "{error:?}");
}
