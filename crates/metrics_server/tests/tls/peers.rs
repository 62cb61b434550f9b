//! A server with TLS, and the programs that talk to it.

use crate::client::within;
use metrics_server::tls::{ServerTls, server_config};
use metrics_server::web_config::TlsConfig;
use metrics_server::{Endpoint, Exposition, Health, Limits};
use prometheus_client::registry::Registry;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::process::Command;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::certificates::Identity;

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// Without TLS.
    pub(crate) plain: SocketAddr,
    pub(crate) exposition: Exposition,
    pub(crate) tls: ServerTls,
    _stop: DropGuard,
}

pub(crate) async fn start(config: &TlsConfig, http2: bool) -> Running {
    start_with(config, http2, Limits::default()).await
}

pub(crate) async fn start_with(config: &TlsConfig, http2: bool, limits: Limits) -> Running {
    let tls = ServerTls::new(server_config(config, http2).unwrap());
    let exposition = Exposition::new(Registry::default());
    let endpoint = Endpoint::builder(exposition.clone(), Health::new("test"))
        .listen("127.0.0.1:0".parse().unwrap())
        .listen("127.0.0.1:0,plain".parse().unwrap())
        .limits(limits)
        .tls(tls.clone())
        .bind()
        .await
        .unwrap();
    let addresses = endpoint.local_addrs();
    let stop = CancellationToken::new();
    tokio::spawn(endpoint.serve(stop.clone()));
    Running { address: addresses[0], plain: addresses[1], exposition, tls, _stop: stop.drop_guard() }
}

impl Running {
    /// The value of one of the endpoint's own metrics.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        crate::client::series(&self.exposition.encode().unwrap(), name).unwrap()
    }

    /// curl's answer, or what it complains about. It writes version, status and the number of connections it made.
    pub(crate) async fn curl(&self, arguments: &[&str]) -> Result<String, String> {
        let url = format!("https://{}/health", self.address);
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", "--max-time", "25"]);
        let output = within(curl.args(arguments).arg(url).output()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// As [`s_client`].
    pub(crate) async fn s_client(&self, arguments: &[&str]) -> String {
        s_client(self.address, arguments).await
    }
}

/// What `openssl s_client` prints of a handshake and a request, whether or not they come to something.
pub(crate) async fn s_client(address: SocketAddr, arguments: &[&str]) -> String {
    let mut client = Command::new("openssl");
    client.args(["s_client", "-ign_eof", "-connect", &address.to_string()]).args(arguments);
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = client.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // A client that failed already does not read this.
    let request = b"GET /health HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    let _ = tokio::io::AsyncWriteExt::write_all(&mut input, request).await;
    let output = within(child.wait_with_output()).await.unwrap();
    drop(input);
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Writes an identity into files, for the programs.
pub(crate) fn files(identity: &Identity) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("cert.pem"), &identity.cert).unwrap();
    std::fs::write(directory.path().join("key.pem"), &identity.key).unwrap();
    directory
}

pub(crate) fn text(directory: &TempDir, name: &str) -> String {
    Path::new(directory.path()).join(name).to_str().unwrap().to_owned()
}
