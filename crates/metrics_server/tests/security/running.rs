//! A secured endpoint in this process, and curl.

use crate::client::within;
use metrics_server::{Component, Endpoint, Exposition, Health, Limits, ListenAddr, Registry, Security, SecuritySource};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Between two looks at the files.
pub(crate) const EVERY: Duration = Duration::from_millis(20);

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// The listener marked `plain`.
    pub(crate) plain: SocketAddr,
    pub(crate) has_tls: bool,
    pub(crate) exposition: Exposition,
    _component: Component,
    _stop: DropGuard,
}

/// An answer as curl tells it.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) version: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value.trim_end())
        })
    }
}

pub(crate) async fn start(source: SecuritySource) -> Result<Running, String> {
    start_with(source, Registry::new(), Limits::default(), &[]).await
}

pub(crate) async fn start_with(
    source: SecuritySource,
    mut registry: Registry,
    limits: Limits,
    further: &[ListenAddr],
) -> Result<Running, String> {
    let security = Security::start(source.clone(), &mut registry).await.map_err(|error| error.to_string())?;
    Security::check(&source).map_err(|error| error.to_string())?;
    let has_tls = security.tls().is_some();
    let exposition = Exposition::new(registry);
    let health = Health::new("test");
    let component = health.component("test", None);
    component.ready();
    let mut endpoint = Endpoint::builder(exposition.clone(), health)
        .listen("127.0.0.1:0".parse().unwrap())
        .listen("127.0.0.1:0,plain".parse().unwrap())
        .limits(limits)
        .security(security.look_every(EVERY));
    for address in further {
        endpoint = endpoint.listen(address.clone());
    }
    let endpoint = endpoint.bind().await.unwrap();
    let addresses = endpoint.local_addrs();
    let stop = CancellationToken::new();
    tokio::spawn(endpoint.serve(stop.clone()));
    Ok(Running {
        address: addresses[0],
        plain: addresses[1],
        has_tls,
        exposition,
        _component: component,
        _stop: stop.drop_guard(),
    })
}

impl Running {
    pub(crate) fn metric(&self, name: &str) -> f64 {
        crate::client::series(&self.exposition.encode().unwrap(), name).unwrap_or_else(|| panic!("no {name}"))
    }

    /// Whether the last reload succeeded, reloads taken and refused.
    pub(crate) fn reloads(&self) -> [f64; 3] {
        ["last_reload_successful", "reloads_total{result=\"success\"}", "reloads_total{result=\"failure\"}"]
            .map(|name| self.metric(&format!("metrics_server_config_{name}")))
    }

    /// curl's answer, over TLS without a look at the certificate if there is TLS, or what it complains about.
    pub(crate) async fn curl(&self, path: &str, arguments: &[&str]) -> Result<Answer, String> {
        let scheme = if self.has_tls { "https" } else { "http" };
        curl(&format!("{scheme}://{}{path}", self.address), &[&["-k"], arguments].concat()).await
    }

    pub(crate) async fn status(&self, path: &str, arguments: &[&str]) -> u16 {
        self.curl(path, arguments).await.unwrap().status
    }
}

pub(crate) async fn curl(url: &str, arguments: &[&str]) -> Result<Answer, String> {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-i", "-w", "\n%{http_version} %{http_code}", "--max-time", "25"]).args(arguments).arg(url);
    let output = within(curl.kill_on_drop(true).output()).await.unwrap();
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let (response, told) = text.rsplit_once('\n').unwrap();
    let (version, status) = told.split_once(' ').unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let [head, body, version] = [head, body, version].map(str::to_owned);
    Ok(Answer { status: status.parse().unwrap(), version, head, body })
}

/// The bcrypt hash of a password; cost 4 takes a millisecond.
pub(crate) fn bcrypt(password: &str, cost: u32) -> String {
    ::bcrypt::hash_with_salt(password, cost, [7; 16]).unwrap().to_string()
}

/// A web config in a directory.
pub(crate) fn written(directory: &Path, config: &str) -> SecuritySource {
    let path = directory.join("web-config.yml");
    std::fs::write(&path, config).unwrap();
    SecuritySource::web_config(path)
}
