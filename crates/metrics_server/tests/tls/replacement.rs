//! A certificate is replaced while it is in use.

use crate::certificates::{Authority, config};
use crate::client::within;
use crate::peers::start;
use metrics_server::tls::server_config;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

async fn connect(authorities: &[&Authority], address: std::net::SocketAddr) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    }
    let client = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = "localhost".try_into().unwrap();
    within(TlsConnector::from(Arc::new(client)).connect(name, stream)).await.unwrap()
}

async fn ask(stream: &mut TlsStream<TcpStream>) {
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    let (mut received, mut buffer) = (String::new(), [0; 1024]);
    while !received.ends_with('}') {
        let length = within(stream.read(&mut buffer)).await.unwrap();
        assert_ne!(length, 0, "closed after {received:?}");
        received.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    assert!(received.starts_with("HTTP/1.1 200 OK"), "{received}");
}

fn certificate(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn old_connections_go_on_and_new_ones_get_the_new_certificate() {
    let (old, new) = (Authority::new(), Authority::new());
    let running = start(&config(&old.server()), true).await;
    let replacement = new.server();
    let mut open = connect(&[&old], running.address).await;
    ask(&mut open).await;

    let (done, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let traffic = tokio::spawn({
        let (done, asked, address) = (Arc::clone(&done), Arc::clone(&asked), running.address);
        let (old, new) = (old, new);
        async move {
            while !done.load(Ordering::SeqCst) {
                // Whichever it gets; any failure fails the test.
                ask(&mut connect(&[&old, &new], address).await).await;
                asked.fetch_add(1, Ordering::SeqCst);
            }
            (old, new)
        }
    });
    let enough = |number| {
        let asked = Arc::clone(&asked);
        async move { crate::client::eventually(true, || asked.load(Ordering::SeqCst) >= number).await }
    };
    enough(3).await;
    for _ in 0..5 {
        running.tls.replace(server_config(&config(&replacement), true).unwrap());
        enough(asked.load(Ordering::SeqCst) + 2).await;
    }
    done.store(true, Ordering::SeqCst);
    let (_old, new) = traffic.await.unwrap();

    ask(&mut open).await;
    let fresh = connect(&[&new], running.address).await;
    assert_eq!(certificate(&fresh), CertificateDer::from_pem_slice(replacement.cert.as_bytes()).unwrap().to_vec());
    assert_ne!(certificate(&open), certificate(&fresh));
}
