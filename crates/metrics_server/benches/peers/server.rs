//! Servers under test, each in a process of its own.

use http::{Request, Response};
use hyper::body::Incoming;
use metrics_server::{Endpoint, Exposition, Health, Limits, ListenAddr, http_bind, http_serve};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use tokio_util::sync::CancellationToken;

/// A running server; killed when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Server {
    /// Starts this program again as the server `kind`, on one core only.
    pub(crate) fn start(kind: &str) -> Self {
        let program = std::env::current_exe().expect("a program has a path");
        let mut child = Command::new("taskset")
            .args(["-c", "0"])
            .arg(program)
            .args(["serve", kind])
            .stdout(Stdio::piped())
            .spawn()
            .expect("taskset is installed");
        let mut first = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut first).expect("it prints where it listens");
        Self { address: first.trim().parse().expect("an address"), child }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until killed.
pub(crate) fn run(kind: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(crate::scrape::serve(kind));
}

fn loopback() -> ListenAddr {
    "127.0.0.1:0".parse().expect("an address")
}

/// This crate's endpoint, whole.
pub(crate) async fn endpoint(exposition: Exposition) {
    let endpoint = Endpoint::builder(exposition, Health::new("bench")).listen(loopback()).bind().await;
    let endpoint = endpoint.expect("a free port");
    println!("{}", endpoint.local_addrs()[0]);
    endpoint.serve(CancellationToken::new()).await.expect("it is killed");
}

/// Any service behind this crate's accept loop.
pub(crate) async fn plain<S>(service: S)
where
    S: tower::Service<Request<Incoming>, Response = Response<http_body_util::Full<bytes::Bytes>>>,
    S: Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let listener = http_bind(&loopback()).await.expect("a free port");
    println!("{}", listener.local_addr().expect("it is bound"));
    let stop = CancellationToken::new();
    http_serve(listener, service, &Limits::default(), (), stop).await.expect("it is killed");
}
