//! Addresses that cannot be listened on: the error says which and why.

use crate::bind;
use metrics_server::{BindError, Limits};
use std::error::Error as _;
use std::io;

async fn fails(address: &str, kind: io::ErrorKind) {
    let error = bind(&[&address], Limits::default()).await.unwrap_err();
    assert!(matches!(error, BindError::Listen { .. }), "{error}");
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
    let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), kind, "{address}: {source}");
}

#[tokio::test]
async fn each_has_its_error() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().display();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    fails(&taken.local_addr().unwrap().to_string(), io::ErrorKind::AddrInUse).await;
    fails("192.0.2.1:9090", io::ErrorKind::AddrNotAvailable).await;
    fails(&format!("unix:{directory}/missing/a.sock"), io::ErrorKind::NotFound).await;
    fails(&format!("unix:{directory}/{}", "a".repeat(200)), io::ErrorKind::InvalidFilename).await;
}

#[tokio::test]
async fn systemd_passed_nothing() {
    let error = bind(&[&"systemd"], Limits::default()).await.unwrap_err();
    let expected = "cannot listen on systemd: LISTEN_PID is not set: start the program by a systemd socket unit";
    assert_eq!(error.to_string(), expected);
}
