//! A configuration that changes while it is in force.

#![allow(clippy::unwrap_used)] // helpers of tests are tests too

use metrics_server::web_config::WebConfig;
use metrics_server::{
    Exposition, MetricsArgs, Policy, Registry, ReloadError, ReloadHandle, ReloadMetrics, Reloader, SecuritySource,
};
use std::fmt::Debug;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(10);
const DEADLINE: Duration = Duration::from_secs(30);

/// What was applied: the burst of the rate limit, and the text of certificate and key.
type Applied = (u32, String);

struct Running {
    directory: TempDir,
    applied: Arc<Mutex<Vec<Applied>>>,
    exposition: Exposition,
    handle: ReloadHandle,
    _stop: DropGuard,
}

/// A certificate and a key belong together here if they are the same text.
fn prepare(config: &WebConfig) -> Result<Applied, Box<dyn std::error::Error + Send + Sync>> {
    let burst = config.rate_limit.map_or(0, |limit| limit.burst);
    let pems: Vec<String> = config.files().iter().map(fs::read_to_string).collect::<Result<_, _>>()?;
    match pems.as_slice() {
        [cert, key] if cert != key => Err("the key does not belong to the certificate".into()),
        pems => Ok((burst, pems.first().cloned().unwrap_or_default())),
    }
}

fn metrics() -> ReloadMetrics {
    ReloadMetrics::register(&mut Registry::new()).unwrap()
}

async fn start(directory: TempDir, config: &Path) -> Running {
    let mut registry = Registry::default();
    let metrics = ReloadMetrics::register(&mut registry).unwrap();
    let (first, reloader) = Reloader::start(SecuritySource::web_config(config), metrics, prepare).await.unwrap();
    let applied = Arc::new(Mutex::new(vec![first]));
    let (handle, stop) = (reloader.handle(), CancellationToken::new());
    let apply = {
        let applied = Arc::clone(&applied);
        move |next| applied.lock().unwrap().push(next)
    };
    tokio::spawn(reloader.run(EVERY, apply, stop.clone()));
    Running { directory, applied, exposition: Exposition::new(registry), handle, _stop: stop.drop_guard() }
}

async fn started(config: &str) -> Running {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("web-config.yml");
    fs::write(&path, config).unwrap();
    start(directory, &path).await
}

impl Running {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn last(&self) -> Applied {
        self.applied.lock().unwrap().last().unwrap().clone()
    }

    /// Whether the last change was taken, changes taken and refused.
    fn counts(&self) -> [f64; 3] {
        let text = self.exposition.encode().unwrap();
        ["last_reload_successful", "reloads_total{result=\"success\"}", "reloads_total{result=\"failure\"}"].map(
            |name| {
                let series = format!("metrics_server_config_{name} ");
                text.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap()
            },
        )
    }

    async fn eventually<T: PartialEq + Debug>(&self, expected: T, value: impl Fn(&Self) -> T) {
        let (deadline, mut pause) = (Instant::now() + DEADLINE, interval(Duration::from_millis(2)));
        while value(self) != expected {
            assert!(Instant::now() < deadline, "still {:?} instead of {expected:?}", value(self));
            pause.tick().await;
        }
    }
}

fn burst(burst: u32) -> String {
    format!("rate_limit:\n  interval: 1s\n  burst: {burst}\n")
}

const TLS: &str = "tls_server_config:\n  cert_file: cert\n  key_file: key\n";

#[tokio::test]
async fn a_change_is_applied_and_a_mistake_is_not() {
    let running = started(&burst(1)).await;
    assert_eq!((running.last().0, running.counts()), (1, [1.0, 0.0, 0.0]));
    let config = running.path("web-config.yml");
    fs::write(&config, burst(2)).unwrap();
    running.eventually([1.0, 1.0, 0.0], Running::counts).await;
    assert_eq!(running.last().0, 2);

    fs::write(&config, "rate_limits: {}\n").unwrap();
    running.eventually([0.0, 1.0, 1.0], Running::counts).await;
    fs::remove_file(&config).unwrap();
    running.eventually([0.0, 1.0, 2.0], Running::counts).await;
    assert_eq!(running.applied.lock().unwrap().len(), 2, "the last good one stays");

    // As editors and configuration management write: beside it, then renamed.
    fs::write(running.path("new"), burst(3)).unwrap();
    fs::rename(running.path("new"), &config).unwrap();
    running.eventually([1.0, 2.0, 2.0], Running::counts).await;
    assert_eq!(running.last().0, 3);
}

#[tokio::test]
async fn undoing_a_mistake_is_a_recovery() {
    let running = started(&burst(1)).await;
    let config = running.path("web-config.yml");
    fs::write(&config, "?").unwrap();
    running.eventually([0.0, 0.0, 1.0], Running::counts).await;
    fs::write(&config, burst(1)).unwrap();
    running.eventually([1.0, 0.0, 1.0], Running::counts).await;
}

#[tokio::test]
async fn a_certificate_waits_for_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("web-config.yml");
    for (name, text) in [("web-config.yml", TLS), ("cert", "one"), ("key", "one")] {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let running = start(directory, &path).await;
    fs::write(running.path("cert"), "two").unwrap();
    running.eventually([0.0, 0.0, 1.0], Running::counts).await;
    assert_eq!(running.last().1, "one");
    fs::write(running.path("key"), "two").unwrap();
    running.eventually([1.0, 1.0, 1.0], Running::counts).await;
    assert_eq!(running.last().1, "two");
}

#[tokio::test]
async fn a_swapped_symlink_is_a_change() {
    let directory = tempfile::tempdir().unwrap();
    // As Kubernetes mounts a secret: files are links through `..data`, which is replaced as a whole.
    for (version, text) in [("v1", "one"), ("v2", "two")] {
        fs::create_dir(directory.path().join(version)).unwrap();
        for (name, text) in [("web-config.yml", TLS), ("cert", text), ("key", text)] {
            fs::write(directory.path().join(version).join(name), text).unwrap();
        }
    }
    symlink("v1", directory.path().join("..data")).unwrap();
    for name in ["web-config.yml", "cert", "key"] {
        symlink(Path::new("..data").join(name), directory.path().join(name)).unwrap();
    }
    let path = directory.path().join("web-config.yml");
    let running = start(directory, &path).await;
    symlink("v2", running.path("..new")).unwrap();
    fs::rename(running.path("..new"), running.path("..data")).unwrap();
    running.eventually("two".to_owned(), |running| running.last().1).await;
    assert_eq!(running.counts(), [1.0, 1.0, 0.0]);
}

#[tokio::test]
async fn a_reload_that_is_asked_for_is_done_at_once() {
    let running = started(&burst(1)).await;
    running.handle.reload_now().await.unwrap();
    assert_eq!(running.counts(), [1.0, 1.0, 0.0]);
    fs::write(running.path("web-config.yml"), "rate_limit: 1\n").unwrap();
    let error = running.handle.reload_now().await.unwrap_err().to_string();
    assert!(error.contains("web-config.yml:1: rate_limit: must be a mapping"), "{error}");
    fs::write(running.path("web-config.yml"), burst(7)).unwrap();
    running.handle.reload_now().await.unwrap();
    assert_eq!(running.last().0, 7);
    let handle = running.handle.clone();
    drop(running);
    assert!(matches!(handle.reload_now().await, Err(ReloadError::Ended)));
}

#[tokio::test]
async fn without_a_good_start_there_is_none() {
    let started = Reloader::start(SecuritySource::web_config("/nowhere"), metrics(), prepare).await;
    assert!(started.err().unwrap().to_string().contains("/nowhere"));
    let panics = |_: &WebConfig| -> Result<Applied, _> { panic!("the program has a bug") };
    assert!(Reloader::start(SecuritySource::default(), metrics(), panics).await.is_err());
}

#[tokio::test]
async fn the_password_of_the_simple_flags_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    fs::write(&file, "one\n").unwrap();
    let args = MetricsArgs {
        metrics_user: Some("alice".to_owned()),
        metrics_password_file: Some(file.clone()),
        ..MetricsArgs::default()
    };
    let load = |config: &WebConfig| Policy::load(config).map_err(Into::into);
    let (first, reloader) = Reloader::start(args.security().unwrap(), metrics(), load).await.unwrap();
    assert!(format!("{first:?}").contains("1 users"));
    let (sender, mut policies) = tokio::sync::mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    tokio::spawn(reloader.run(EVERY, move |policy| sender.send(policy).unwrap(), stop));
    fs::write(&file, "two\n").unwrap();
    tokio::time::timeout(DEADLINE, policies.recv()).await.unwrap().unwrap();
}
