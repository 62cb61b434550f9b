//! The process metrics move with the process. One test alone in its program, so that nothing else moves them.

use metrics_server::Registry;
use metrics_server::{Exposition, process};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn value(exposition: &Exposition, name: &str) -> f64 {
    let text = exposition.encode().expect("encodes");
    let sample = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    sample.unwrap_or_else(|| panic!("{name} is missing in {text}")).parse().expect("is a number")
}

/// Does `work` until the metric has grown by `growth`.
fn grows(exposition: &Exposition, name: &str, growth: f64, mut work: impl FnMut()) {
    let (before, deadline) = (value(exposition, name), Instant::now() + Duration::from_secs(30));
    while value(exposition, name) < before + growth {
        assert!(Instant::now() < deadline, "{name} stays at {before}");
        work();
    }
}

#[test]
fn process_metrics_follow_the_process() {
    let mut registry = Registry::default();
    process::register(&mut registry);
    let exposition = Exposition::new(registry);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();

    let started = value(&exposition, "process_start_time_seconds");
    assert!((now - 3600.0..now + 5.0).contains(&started), "{started} at {now}");
    assert_eq!(value(&exposition, "process_start_time_seconds"), started);

    let mut held = Vec::new();
    let touch_a_megabyte = || held.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    grows(&exposition, "process_resident_memory_bytes", f64::from(32 << 20), touch_a_megabyte);
    let resident = value(&exposition, "process_resident_memory_bytes");
    let virtual_memory = value(&exposition, "process_virtual_memory_bytes");
    assert!(resident > f64::from(32 << 20) && virtual_memory > resident, "{resident} {virtual_memory}");
    assert!(value(&exposition, "process_virtual_memory_max_bytes") >= virtual_memory);

    let mut files = Vec::new();
    let open = value(&exposition, "process_open_fds");
    for _ in 0..20 {
        files.push(std::fs::File::open("/dev/null").unwrap());
    }
    assert_eq!(value(&exposition, "process_open_fds"), open + 20.0);
    assert!(value(&exposition, "process_max_fds") >= open + 20.0);

    let threads = value(&exposition, "process_threads");
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let parked = std::thread::spawn(move || wait.recv());
    assert_eq!(value(&exposition, "process_threads"), threads + 1.0);
    drop(release);
    parked.join().unwrap().unwrap_err();

    grows(&exposition, "process_cpu_seconds_total", 0.05, || {
        std::hint::black_box((0..100_000_u64).fold(0, |sum, number| std::hint::black_box(sum ^ number)));
    });

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut receiver = listener.accept().unwrap().0;
    let mut send_bytes = || {
        sender.write_all(&[0; 4096]).unwrap();
        receiver.read_exact(&mut [0; 4096]).unwrap();
    };
    grows(&exposition, "process_network_transmit_bytes_total", 10_000.0, &mut send_bytes);
    grows(&exposition, "process_network_receive_bytes_total", 10_000.0, &mut send_bytes);
}
