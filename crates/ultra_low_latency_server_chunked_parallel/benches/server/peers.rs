//! The servers, as processes of their own.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A running server; ended when it is dropped.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<SocketAddr>,
    child: Child,
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn make_certificate(directory: &str) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-keyout", &format!("{directory}/key.pem")])
        .args(["-out", &format!("{directory}/cert.pem")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

fn wait_for(address: SocketAddr) {
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(start.elapsed() < Duration::from_secs(30), "{address} does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Peer {
    /// Our server over the data directory `root`, plain.
    pub(crate) fn ours(root: &Path) -> Peer {
        Peer::start(root, &["--use-tls=false"])
    }

    /// The same over TLS, with the certificate in `directory`.
    pub(crate) fn ours_tls(root: &Path, directory: &Path) -> Peer {
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| directory.join(name).to_str().unwrap().to_owned());
        let mut peer = Peer::start(root, &["--ssl-cert-path", &cert, "--ssl-private-file", &key]);
        peer.tls = Some(peer.address);
        peer
    }

    fn start(root: &Path, options: &[&str]) -> Peer {
        let (port, metrics) = (free_port(), free_port());
        let program = std::env::var("SERVER_BINARY")
            .unwrap_or_else(|_| env!("CARGO_BIN_EXE_ultra_low_latency_server_chunked_parallel").to_owned());
        let child = Command::new(program)
            .args(options)
            .args(["--listen", "127.0.0.1", "--port", &port.to_string()])
            .args(["--metrics-listen", &format!("127.0.0.1:{metrics}"), "--data-path", root.to_str().unwrap()])
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let peer = Peer { name: "ours", address, tls: None, child };
        wait_for(peer.address);
        peer
    }

    /// nginx over the files in `root`, with `state` for what it writes.
    pub(crate) fn nginx(root: &Path, state: &Path) -> Peer {
        let (port, tls) = (free_port(), free_port());
        let certificate = state.parent().unwrap().display().to_string();
        make_certificate(&certificate);
        let (root, state_path) = (root.display(), state.display());
        let config = format!(
            "daemon off; worker_processes 2; pid {state_path}/pid; error_log {state_path}/error warn;
            worker_rlimit_nofile 20000;
            events {{ worker_connections 8192; }}
            http {{
                access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000;
                open_file_cache max=10000 inactive=600s; open_file_cache_valid 600s; etag off; default_type application/octet-stream;
                client_body_temp_path {state_path}/b; proxy_temp_path {state_path}/p; fastcgi_temp_path {state_path}/f;
                uwsgi_temp_path {state_path}/u; scgi_temp_path {state_path}/s;
                server {{
                    listen 127.0.0.1:{port} reuseport; listen 127.0.0.1:{tls} ssl http2 reuseport; root {root};
                    ssl_certificate {certificate}/cert.pem; ssl_certificate_key {certificate}/key.pem;
                    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; ssl_protocols TLSv1.3;
                }}
            }}"
        );
        let path = state.join("nginx.conf");
        fs::write(&path, config).unwrap();
        let child = Command::new("nginx").args(["-c", path.to_str().unwrap()]).stdin(Stdio::null()).spawn().unwrap();
        let [address, tls] = [port, tls].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let peer = Peer { name: "nginx", address, tls: Some(tls), child };
        wait_for(peer.address);
        peer
    }

    /// The process and its children.
    fn processes(&self) -> Vec<u32> {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|child| child.parse().ok()).chain([id]).collect()
    }

    /// Processor time so far.
    pub(crate) fn cpu(&self) -> Duration {
        let of = |process: u32| {
            // Nanoseconds; the file of the process is about its first thread only.
            let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
            let times = tasks.filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok());
            times.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok()).sum::<u64>()
        };
        Duration::from_nanos(self.processes().into_iter().map(of).sum())
    }

    /// Anonymous and locked memory, bytes.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let field = |status: &str, name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
        };
        let statuses =
            self.processes().into_iter().filter_map(|id| fs::read_to_string(format!("/proc/{id}/status")).ok());
        statuses.fold((0, 0), |(anonymous, locked), status| {
            (anonymous + field(&status, "RssAnon:"), locked + field(&status, "VmLck:"))
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // nginx ends its workers only if it is asked.
        let id = rustix::process::Pid::from_child(&self.child);
        _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        _ = self.child.wait();
    }
}
