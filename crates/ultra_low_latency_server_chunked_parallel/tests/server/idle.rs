//! Very many connections that say nothing.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use rustix::process::{Resource, getrlimit};
use tempfile::TempDir;

use crate::{
    DAY,
    client::{connect, get, receive, send},
    command_line::{Serving, program},
    wait_until,
    written::{quotes, write_btc},
};

const CONNECTIONS: usize = 10_000;
/// Descriptors that both processes need beside these connections: this one runs other tests meanwhile, the server keeps
/// some for columns.
const OTHERS: u64 = 5_000;
/// What an idle connection may cost, bytes of the server's memory.
const BYTES_EACH: u64 = 8 * 1024;
/// In what time most requests are answered beside them.
const ANSWERED_WITHIN: Duration = Duration::from_millis(50);

fn descriptors(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}

fn resident_bytes(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn target() -> String {
    format!("/api/data?symbol=BTC-USD&type=MD&start={DAY}&end={DAY}&columns=time")
}

fn open_connections(metrics: SocketAddr) -> f64 {
    let text = get(metrics, "/metrics").expect(200).text().to_owned();
    let series = "gpu_charts_server_concurrent_connections{protocol=\"http/1.1\"} ";
    text.lines().find_map(|line| line.strip_prefix(series)).map_or(0.0, |value| value.parse().unwrap())
}

#[test]
fn ten_thousand_idle_connections_cost_little() {
    // Raises the soft limit of this process; the program does the same for itself.
    column_store::raise_open_files_limit().unwrap();
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if limit < CONNECTIONS as u64 + OTHERS {
        eprintln!("skipped: {CONNECTIONS} connections need more descriptors than the hard limit of {limit}");
        return;
    }
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&[DAY]));
    let mut program = program();
    program.args(["--max-connections", "10100", "--use-tls=false"]);
    let mut serving = Serving::start(program, root.path());
    let (metrics, data) = (serving.address("metrics endpoint listens"), serving.address("data port listens"));
    let process = serving.child.id();
    // Whatever the first requests make is there.
    get(data, &target()).expect(200);
    wait_until("only scrapes", || open_connections(metrics) == 0.0);
    let (descriptors_before, bytes_before) = (descriptors(process), resident_bytes(process));

    // Each asks once: a connection that never did is closed after some seconds.
    let opened = (0..CONNECTIONS).map(|_| {
        let mut stream = connect(data);
        send(&mut stream, "GET", &target());
        assert_eq!(receive(&mut stream, false).unwrap().u32s(), [DAY]);
        stream
    });
    let mut idle: Vec<_> = opened.collect();
    assert_eq!(open_connections(metrics), CONNECTIONS as f64);
    let each = resident_bytes(process).saturating_sub(bytes_before) / CONNECTIONS as u64;
    assert!(each <= BYTES_EACH, "an idle connection costs {each} bytes of memory, at most {BYTES_EACH} are allowed");
    println!("an idle connection costs {each} bytes of memory");

    // Of a new connection and of the idle ones; the middle one, since the machine may be busy with other things.
    let mut took: Vec<Duration> = (0..101)
        .map(|number| {
            let start = Instant::now();
            if number % 2 == 0 {
                get(data, &target()).expect(200);
            } else {
                let stream = &mut idle[number * (CONNECTIONS / 101)];
                send(stream, "GET", &target());
                receive(stream, false).unwrap().expect(200);
            }
            start.elapsed()
        })
        .collect();
    took.sort();
    assert!(took[50] <= ANSWERED_WITHIN, "{:?} beside idle connections of {each} bytes each", took[50]);

    drop(idle);
    wait_until("all are closed", || open_connections(metrics) == 0.0);
    wait_until("all descriptors are back", || descriptors(process) <= descriptors_before);
    get(data, &target()).expect(200);
}
