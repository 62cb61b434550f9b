//! Socket files: who may connect, what is replaced, and what is left behind.

use crate::client::within;
use crate::{bind, start};
use metrics_server::{BindError, Limits};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

async fn health(path: &Path) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut received = String::new();
    within(stream.read_to_string(&mut received)).await.unwrap();
    received
}

fn entries(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[tokio::test]
async fn it_is_served_with_the_mode_asked_for_and_removed_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.sock");
    for (options, mode) in [("", 0o660), (",mode=0600", 0o600), (",mode=0666", 0o666)] {
        let running = start(&[&format!("unix:{}{options}", path.display())], Limits::default()).await;
        assert_eq!(running.addresses[0].to_string(), format!("unix:{}{options}", path.display()));
        assert!(health(&path).await.starts_with("HTTP/1.1 200 OK\r\n"));
        let metadata = fs::metadata(&path).unwrap();
        assert!(metadata.file_type().is_socket());
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{options}");
        assert_eq!(entries(directory.path()), ["a.sock"], "nothing temporary is left");
        running.stopped().await;
        assert!(entries(directory.path()).is_empty());
    }
}

#[tokio::test]
async fn curl_gets_metrics_from_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.sock");
    let running = start(&[&format!("unix:{}", path.display())], Limits::default()).await;
    let mut curl = tokio::process::Command::new("curl");
    let output = within(curl.args(["-fsS", "--unix-socket"]).arg(&path).arg("http://localhost/metrics").output());
    let output = output.await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("\nmetrics_server_connections 1\n"), "{text}");
    running.stopped().await;
}

#[tokio::test]
async fn it_gets_its_group_by_number_and_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.sock");
    let own = rustix::process::getegid().as_raw();
    let groups = fs::read_to_string("/etc/group").unwrap();
    let named = |gid: u32| {
        let line = groups.lines().find(|line| line.split(':').nth(2) == Some(&gid.to_string()))?;
        Some((line.split(':').next()?.to_owned(), gid))
    };
    // Only root can give any group; without it there is but one to test with.
    let root = rustix::process::geteuid().is_root();
    let mut cases = vec![(own.to_string(), own)];
    cases.extend(named(own));
    if root {
        cases.push(("12345".to_owned(), 12345));
        cases.extend(groups.lines().filter_map(|line| named(line.split(':').nth(2)?.parse().ok()?)).nth(1));
    }
    for (group, gid) in cases {
        let endpoint = bind(&[&format!("unix:{},group={group}", path.display())], Limits::default()).await.unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.gid(), metadata.permissions().mode() & 0o777), (gid, 0o660), "{group}");
        drop(endpoint);
    }
    let error = bind(&[&format!("unix:{},group=no-such-group", path.display())], Limits::default()).await.unwrap_err();
    assert!(matches!(&error, BindError::Group { group, .. } if group == "no-such-group"), "{error}");
    assert!(error.to_string().contains("no group \"no-such-group\""), "{error}");
    assert!(entries(directory.path()).is_empty());
}

#[tokio::test]
async fn a_stale_socket_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.sock");
    // The file stays when its listener is dropped, as after kill -9.
    drop(UnixListener::bind(&path).unwrap());
    let running = start(&[&format!("unix:{}", path.display())], Limits::default()).await;
    assert!(health(&path).await.starts_with("HTTP/1.1 200 OK\r\n"));
    running.stopped().await;
}

#[tokio::test]
async fn a_live_socket_is_refused_and_lives_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.sock");
    let address = format!("unix:{}", path.display());
    let running = start(&[&address], Limits::default()).await;
    let error = bind(&[&address], Limits::default()).await.unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }), "{error}");
    assert_eq!(error.to_string(), format!("cannot listen on {address}: another program accepts connections there"));
    assert!(health(&path).await.starts_with("HTTP/1.1 200 OK\r\n"));
    running.stopped().await;
}

#[tokio::test]
async fn what_is_no_socket_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("precious");
    fs::write(&path, "data").unwrap();
    let error = bind(&[&format!("unix:{}", path.display())], Limits::default()).await.unwrap_err();
    assert!(matches!(error, BindError::NoSocket { .. }), "{error}");
    assert!(error.to_string().ends_with("precious exists and is no socket"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "data");
}

#[tokio::test]
async fn a_socket_of_somebody_else_is_not_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.sock");
    let running = start(&[&format!("unix:{}", path.display())], Limits::default()).await;
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    running.stopped().await;
    assert_eq!(entries(directory.path()), ["a.sock"]);
}
