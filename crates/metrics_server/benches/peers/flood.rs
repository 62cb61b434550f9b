//! How long a scrape with the right password takes while many connections try wrong ones.

use crate::load::Connection;
use crate::table::{heading, line};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const CONNECTIONS: usize = 160;
const RUN: Duration = Duration::from_secs(20);
/// A scraper that asks ten times a second: enough samples for the slowest of a hundred.
const PAUSE: Duration = Duration::from_millis(100);
const USER: &str = "prometheus";
const PASSWORD: &str = "correct horse battery staple";
/// What htpasswd and exporter-toolkit's documents use.
const BCRYPT_COST: u32 = 10;

pub(crate) fn wrong_passwords() {
    heading(&format!(
        "a legitimate scrape while {CONNECTIONS} connections try wrong passwords, bcrypt cost {BCRYPT_COST} (target: p99 at most 20 ms)"
    ));
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("web-config.yml");
    let hash = bcrypt::hash(PASSWORD, BCRYPT_COST).expect("a hash");
    std::fs::write(&config, format!("basic_auth_users:\n  {USER}: {hash}\n")).expect("a file");

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut ours = 0.0;
    for (name, start) in [("metrics_server", start_ours as Start), ("exporter-toolkit (Prometheus)", start_prometheus)]
    {
        let Some(mut server) = start(&config, directory.path()) else {
            println!("  {name:<32}not installed");
            continue;
        };
        let latencies = runtime.block_on(flood(server.address));
        let _ = server.child.kill();
        let _ = server.child.wait();
        let Some(mut latencies) = latencies else {
            println!("  {name:<32}no scrape was answered");
            continue;
        };
        latencies.sort_by(f64::total_cmp);
        let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share).round() as usize];
        if ours == 0.0 {
            ours = at(0.99);
        }
        let figures =
            [(at(0.99), "ms p99"), (at(0.5), "ms p50"), (at(1.0), "ms worst"), (latencies.len() as f64, "scrapes")];
        line(name, &figures, ours);
    }
}

struct Started {
    address: SocketAddr,
    child: Child,
}

type Start = fn(&Path, &Path) -> Option<Started>;

fn start_ours(config: &Path, _: &Path) -> Option<Started> {
    let address = free_address();
    let program = std::env::current_exe().ok()?;
    let child = Command::new(program)
        .args(["serve", "flood"])
        .env("BENCH_ADDRESS", address.to_string())
        .env("BENCH_WEB_CONFIG", config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    Some(Started { address, child })
}

fn start_prometheus(config: &Path, directory: &Path) -> Option<Started> {
    let address = free_address();
    let own = directory.join("prometheus.yml");
    std::fs::write(&own, "{}\n").ok()?;
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", own.display()))
        .arg(format!("--storage.tsdb.path={}", directory.join("tsdb").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg(format!("--web.config.file={}", config.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    Some(Started { address, child })
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

fn authorization(password: &str) -> String {
    use base64::Engine as _;
    let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{password}"));
    format!("Authorization: Basic {credentials}\r\n")
}

/// Milliseconds of each scrape with the right password. The scraper has scraped before the flood begins, as one has
/// that a password is guessed at.
async fn flood(address: SocketAddr) -> Option<Vec<f64>> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Ok(mut connection) = Connection::open(address, &authorization(PASSWORD)).await
            && let Ok((200, _)) = connection.scrape().await
        {
            break;
        }
        if Instant::now() > deadline {
            return None;
        }
        tokio::time::sleep(PAUSE).await;
    }
    let start = Instant::now();
    let mut attackers = JoinSet::new();
    for attacker in 0..CONNECTIONS {
        attackers.spawn(async move {
            let mut connection = None;
            for attempt in 0.. {
                let headers = authorization(&format!("guess {attacker} {attempt}"));
                // A connection that was cut or refused is opened again.
                let mut open = match connection.take() {
                    Some(open) => open,
                    None => match Connection::open(address, "").await {
                        Ok(open) => open,
                        Err(_) => continue,
                    },
                };
                open.set_headers(address, &headers);
                connection = open.scrape().await.is_ok().then_some(open);
            }
        });
    }
    let mut latencies = Vec::new();
    while start.elapsed() < RUN {
        let asked = Instant::now();
        let answer = async { Connection::open(address, &authorization(PASSWORD)).await?.scrape().await };
        // One that is refused or not answered has taken all the time it was given.
        let answer = tokio::time::timeout(RUN, answer).await;
        let answered = matches!(answer, Ok(Ok((200, _))));
        latencies.push(if answered { asked.elapsed() } else { RUN }.as_secs_f64() * 1e3);
        tokio::time::sleep(PAUSE).await;
    }
    attackers.shutdown().await;
    Some(latencies)
}
