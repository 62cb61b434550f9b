//! Every metric of the server moves.

use tempfile::TempDir;
use ultra_low_latency_server_chunked_parallel::Limits;

use crate::{
    DAY,
    client::{connect, receive, request, send},
    running::Running,
    wait_until,
    written::{quotes, trade, write, write_btc, write_large_day},
};

#[test]
fn requests_are_counted_and_timed_by_route() {
    let root = TempDir::new().unwrap();
    let server = Running::start(root.path());
    let count = |method: &str, endpoint: &str, status: u16| {
        let labels = format!("method=\"{method}\",endpoint=\"{endpoint}\",status=\"{status}\"");
        server.sample(&format!("gpu_charts_server_http_requests_total{{{labels}}}"))
    };
    let timed = |method: &str, endpoint: &str| {
        let labels = format!("method=\"{method}\",endpoint=\"{endpoint}\"");
        server.sample(&format!("gpu_charts_server_http_request_duration_seconds_count{{{labels}}}"))
    };
    assert_eq!(count("GET", "/api/data", 200), 0.0);
    server.data(&format!("type=MD&start={DAY}&end={DAY}&columns=time")).expect(200);
    server.data("").expect(400);
    server.get("/api/symbols").expect(200);
    server.get("/nope").expect(404);
    request(server.data, "OPTIONS", "/api/data").expect(200);
    for (method, endpoint, status) in [
        ("GET", "/api/data", 200),
        ("GET", "/api/data", 400),
        ("GET", "/api/symbols", 200),
        ("GET", "other", 404),
        ("OPTIONS", "/api/data", 200),
    ] {
        assert_eq!(count(method, endpoint, status), 1.0, "{method} {endpoint} {status}");
    }
    assert_eq!(timed("GET", "/api/data"), 2.0);
    assert_eq!(timed("GET", "/api/symbols"), 1.0);
}

#[test]
fn connections_come_and_go() {
    let root = TempDir::new().unwrap();
    let server = Running::start(root.path());
    let open = || server.sample("gpu_charts_server_concurrent_connections{protocol=\"http/1.1\"}");
    assert_eq!(open(), 0.0);
    let streams: Vec<_> = (0..3).map(|_| connect(server.data)).collect();
    wait_until("three connections", || open() == 3.0);
    drop(streams);
    wait_until("no connection", || open() == 0.0);
}

#[test]
fn too_many_connections_are_refused_and_counted() {
    let root = TempDir::new().unwrap();
    let server = Running::with_limits(root.path(), Limits { connections: 2, ..Limits::default() });
    let open = || server.sample("gpu_charts_server_concurrent_connections{protocol=\"http/1.1\"}");
    let held: Vec<_> = (0..2).map(|_| connect(server.data)).collect();
    wait_until("two connections", || open() == 2.0);
    assert_eq!(crate::client::drain(&mut connect(server.data)), 0);
    let refused = server.sample("gpu_charts_server_requests_refused_total{reason=\"connections\"}");
    assert_eq!(refused, 1.0);
    drop(held);
}

#[test]
fn bytes_and_queries_are_counted_by_symbol() {
    let root = TempDir::new().unwrap();
    write_large_day(root.path(), DAY, "18.11.26", 200_000);
    write_btc(root.path(), &[trade(DAY, 1)]);
    let server = Running::start(root.path());
    let bytes = |symbol: &str, table: &str| {
        server.sample(&format!("gpu_charts_server_data_bytes_served_total{{symbol=\"{symbol}\",type=\"{table}\"}}"))
    };
    let queries = |symbol: &str| {
        server.sample(&format!("gpu_charts_server_data_query_duration_seconds_count{{symbol=\"{symbol}\"}}"))
    };
    // A streamed answer and one that is sent at once.
    let large = server.data(&format!("type=MD&start={DAY}&end={DAY}&columns=time")).expect(200);
    let small = server.data(&format!("type=TRADES&start={DAY}&end={DAY}&columns=time,id")).expect(200);
    assert_eq!(bytes("BTC-USD", "MD"), large.body.len() as f64);
    assert_eq!(bytes("BTC-USD", "TRADES"), small.body.len() as f64);
    assert_eq!(queries("BTC-USD"), 2.0);
    // Without a body nothing is served; what is not on disk is no label.
    let target = format!("/api/data?symbol=BTC-USD&type=MD&start={DAY}&end={DAY}&columns=time");
    request(server.data, "HEAD", &target).expect(200);
    assert_eq!((bytes("BTC-USD", "MD"), queries("BTC-USD")), (large.body.len() as f64, 3.0));
    let unknown = server.get(&format!("/api/data?symbol=NOPE&type=MD&start={DAY}&end={DAY}&columns=time")).expect(200);
    assert_eq!((bytes("other", "MD"), queries("other")), (unknown.body.len() as f64, 1.0));
    assert!(!server.scrape().contains("NOPE"));
    // Buckets begin where answers from the page cache live and reach beyond the alerts' thresholds.
    let text = server.scrape();
    for bound in ["0.000025", "30"] {
        let series = format!("query_duration_seconds_bucket{{symbol=\"BTC-USD\",le=\"{bound}\"}}");
        assert!(text.contains(&series), "{bound}: {text}");
    }
}

#[test]
fn symbols_beyond_the_limit_share_a_label() {
    let root = TempDir::new().unwrap();
    for symbol in ["A", "B", "C"] {
        write(root.path(), "coinbase", symbol, &quotes(&[DAY]));
    }
    let server = Running::with_limits(root.path(), Limits { symbol_labels: 1, ..Limits::default() });
    for symbol in ["B", "A", "C", "B"] {
        server.get(&format!("/api/data?symbol={symbol}&type=MD&start={DAY}&end={DAY}&columns=time")).expect(200);
    }
    let queries = |symbol: &str| {
        server.sample(&format!("gpu_charts_server_data_query_duration_seconds_count{{symbol=\"{symbol}\"}}"))
    };
    assert_eq!(["A", "B", "C", "other"].map(queries), [0.0, 2.0, 0.0, 2.0]);
}

#[test]
fn the_process_and_the_build_are_told() {
    let root = TempDir::new().unwrap();
    let server = Running::start(root.path());
    assert!(server.sample("process_resident_memory_bytes") > 0.0);
    assert!(server.scrape().contains("gpu_charts_build_info{version=\""));
    // Counted from 0, so that a first refusal is an increase.
    for reason in ["days", "columns", "files", "open_files", "connections"] {
        assert!(server.scrape().contains(&format!("requests_refused_total{{reason=\"{reason}\"}} 0")), "{reason}");
    }
}

#[test]
fn bytes_of_an_answer_that_nobody_reads_are_not_counted() {
    let root = TempDir::new().unwrap();
    write_large_day(root.path(), DAY, "18.11.26", 8 << 20);
    let server = Running::start(root.path());
    let target = format!("/api/data?symbol=BTC-USD&type=MD&start={DAY}&end={DAY}&columns=time,price");
    let mut stream = connect(server.data);
    send(&mut stream, "GET", &target);
    let aborted = "gpu_charts_server_http_requests_total{method=\"GET\",endpoint=\"/api/data\",status=\"499\"}";
    crate::client::receive_head(&mut stream).unwrap().expect(200);
    drop(stream);
    wait_until("the hang-up is noticed", || server.sample(aborted) == 1.0);
    let served = server.sample("gpu_charts_server_data_bytes_served_total{symbol=\"BTC-USD\",type=\"MD\"}");
    assert!(served < f64::from(8 << 23), "{served}");
    // The connection's end is not the server's.
    let mut stream = connect(server.data);
    send(&mut stream, "GET", "/api/symbols");
    receive(&mut stream, false).unwrap().expect(200);
}
