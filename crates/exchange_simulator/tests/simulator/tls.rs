//! wss://

use std::sync::Arc;

use exchange_simulator::{Config, Error, Simulator, Tls, VenueKind};
use futures_util::{SinkExt, StreamExt};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{start, still};

#[tokio::test]
async fn a_client_that_trusts_the_certificate_gets_frames() {
    let directory = tempfile::tempdir().unwrap();
    let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = Some(Tls { cert: cert.clone(), key });
    let simulator = start(Config { tls, ..still(VenueKind::Coinbase) }).await;
    let url = simulator.ws_url("coinbase");
    let port: u16 = url.strip_prefix("wss://localhost:").unwrap().parse().unwrap();
    assert!(simulator.logger_config().contains(&format!("ca_file: \"{}\"", cert.display())));

    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let (mut socket, _) = client_async(url, stream).await.unwrap();
    let subscribe = r#"{"type":"subscribe","channels":["ticker"],"product_ids":["BTC-USD"]}"#;
    socket.send(Message::text(subscribe)).await.unwrap();
    assert!(socket.next().await.unwrap().unwrap().to_text().unwrap().contains("subscriptions"));
    drop(socket);
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn files_that_are_no_certificate_are_named() {
    let tls = Some(Tls { cert: "/dev/null".into(), key: "/dev/null".into() });
    let error = Simulator::start(Config { tls, ..still(VenueKind::Coinbase) }).await.unwrap_err();
    assert!(matches!(&error, Error::Tls { .. }) && error.to_string().contains("/dev/null"), "{error}");
}
