//! A guard before a service that always answers, and requests to it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use metrics_server::web_config::WebConfig;
use metrics_server::{Exposition, Guard, GuardMetrics, MetricsArgs, PeerAddress, Policy, Registry};
use std::convert::Infallible;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tower::{Layer, ServiceExt, service_fn};

/// How long any one wait may take before its test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A guard whose configuration is in a directory of its own.
#[derive(Clone)]
pub(crate) struct Tried {
    pub(crate) guard: Guard,
    exposition: Exposition,
    directory: Arc<TempDir>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) challenges: Vec<String>,
    pub(crate) retry_after: Option<u64>,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

/// The bcrypt hash of a password; cost 4 takes a millisecond.
pub(crate) fn bcrypt(password: &str, cost: u32) -> String {
    ::bcrypt::hash_with_salt(password, cost, [7; 16]).unwrap().to_string()
}

impl Tried {
    pub(crate) fn new(config: &str) -> Self {
        Self::with_files(config, &[])
    }

    pub(crate) fn with_files(config: &str, files: &[(&str, &str)]) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let policy = policy(&directory, config);
        Self::of(directory, policy)
    }

    /// With the simple flags `--metrics-user` and `--metrics-password-file`.
    pub(crate) fn with_flags(user: &str, password: &str) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let path = directory.path().join("password");
        fs::write(&path, password).unwrap();
        let args = MetricsArgs {
            metrics_user: Some(user.to_owned()),
            metrics_password_file: Some(path),
            ..MetricsArgs::default()
        };
        let config = args.security().unwrap().load().unwrap();
        Self::of(directory, Policy::load(&config).unwrap())
    }

    fn of(directory: Arc<TempDir>, policy: Policy) -> Self {
        let mut registry = Registry::default();
        let metrics = GuardMetrics::register(&mut registry).unwrap();
        let guard = Guard::new(policy, metrics).unwrap();
        Self { guard, exposition: Exposition::new(registry), directory }
    }

    pub(crate) fn apply(&self, config: &str) {
        self.guard.apply(policy(&self.directory, config));
    }

    pub(crate) async fn send(&self, request: Request<()>) -> Answer {
        let inner = service_fn(|_: Request<()>| async {
            Ok::<_, Infallible>(
                Response::builder().header("x-frame-options", "service").body("inner".to_owned()).unwrap(),
            )
        });
        let answered = tokio::time::timeout(DEADLINE, self.guard.layer(inner).oneshot(request)).await;
        let (head, body) = answered.expect("no answer").unwrap().into_parts();
        let challenges = head.headers.get_all("www-authenticate").iter();
        Answer {
            status: head.status,
            challenges: challenges.map(|value| value.to_str().unwrap().to_owned()).collect(),
            retry_after: head.headers.get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap()),
            headers: head.headers,
            body: String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(()).unwrap()).await
    }

    pub(crate) async fn authorized(&self, authorization: &str) -> Answer {
        self.send(Request::get("/metrics").header("authorization", authorization).body(()).unwrap()).await
    }

    /// The status for a user and password from an address.
    pub(crate) async fn basic(&self, peer: &str, user: &str, password: &str) -> u16 {
        self.answer(peer, user, password).await.status.as_u16()
    }

    pub(crate) async fn answer(&self, peer: &str, user: &str, password: &str) -> Answer {
        let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let peer = SocketAddr::from((peer.parse::<IpAddr>().unwrap(), 4711));
        let request = Request::get("/metrics").header("authorization", value).extension(PeerAddress::Tcp(peer));
        self.send(request.body(()).unwrap()).await
    }

    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = self.exposition.encode().unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("no {series} in\n{text}"))
    }

    /// Hashes computed: for right, wrong and unknown users.
    pub(crate) fn hashes(&self) -> [f64; 3] {
        ["right", "wrong", "unknown_user"]
            .map(|verdict| self.metric(&format!("metrics_server_auth_hashes_total{{verdict=\"{verdict}\"}}")))
    }

    pub(crate) fn failures(&self, reason: &str) -> f64 {
        self.metric(&format!("metrics_server_auth_failures_total{{reason=\"{reason}\"}}"))
    }
}

fn policy(directory: &TempDir, config: &str) -> Policy {
    let path = directory.path().join("web-config.yml");
    fs::write(&path, config).unwrap();
    Policy::load(&WebConfig::load(&path).unwrap()).unwrap()
}
