//! Servers under test, each in a process of its own.

use http::{Request, Response};
use hyper::body::Incoming;
use metrics_server::{
    Endpoint, Exposition, Health, Limits, ListenAddr, Registry, Security, SecuritySource, http_bind, http_serve,
    process,
};
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
    let workers = if kind == "flood" { 2 } else { 1 };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let runtime = runtime.expect("a runtime");
    match kind {
        "flood" => runtime.block_on(guarded()),
        scrape => runtime.block_on(crate::scrape::serve(scrape)),
    }
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

/// This crate's endpoint behind a password.
async fn guarded() {
    let variable = |name| std::env::var(name).expect("the benchmark sets it");
    let mut registry = Registry::new();
    process::register(&mut registry);
    let source = SecuritySource::web_config(variable("BENCH_WEB_CONFIG"));
    let security = Security::start(source, &mut registry).await.expect("a good web config");
    let endpoint = Endpoint::builder(Exposition::new(registry), Health::new("bench"))
        .listen(variable("BENCH_ADDRESS").parse().expect("an address"))
        .security(security);
    let endpoint = endpoint.bind().await.expect("a free port");
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
