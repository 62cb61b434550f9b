//! A client that keeps its connection, over TLS or not.

use crate::client::within;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Where to connect to, and whom to trust there if it is over TLS.
#[derive(Clone)]
pub(crate) struct Target {
    address: SocketAddr,
    tls: Option<TlsConnector>,
}

pub(crate) struct Scraper {
    pub(crate) stream: Box<dyn Stream>,
    /// The server's, in DER.
    pub(crate) certificate: Option<Vec<u8>>,
}

impl Target {
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    pub(crate) fn tls(address: SocketAddr, authorities: &[String]) -> Self {
        let mut roots = RootCertStore::empty();
        for pem in authorities {
            roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let client = client.with_root_certificates(roots).with_no_client_auth();
        Self { address, tls: Some(TlsConnector::from(Arc::new(client))) }
    }

    pub(crate) async fn connect(&self) -> Scraper {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let Some(tls) = &self.tls else { return Scraper { stream: Box::new(stream), certificate: None } };
        let stream = within(tls.connect("localhost".try_into().unwrap(), stream)).await.unwrap();
        let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        Scraper { stream: Box::new(stream), certificate: Some(certificate) }
    }
}

impl Scraper {
    pub(crate) async fn ask(&mut self, path: &str, user: &str, password: &str) -> io::Result<()> {
        let credentials = STANDARD.encode(format!("{user}:{password}"));
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Basic {credentials}\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await
    }

    /// The status of a whole answer, and the length of its body as it came.
    pub(crate) async fn status(&mut self, path: &str, user: &str, password: &str) -> (u16, usize) {
        self.ask(path, user, password).await.unwrap();
        let (mut received, mut head_end) = (Vec::new(), None);
        loop {
            let read = within(self.stream.read_buf(&mut received)).await.unwrap();
            assert_ne!(read, 0, "closed after {} bytes", received.len());
            let from = received.len().saturating_sub(read + 3);
            head_end = head_end.or_else(|| {
                received[from..].windows(4).position(|window| window == b"\r\n\r\n").map(|at| from + at + 4)
            });
            let Some(end) = head_end else { continue };
            let head = std::str::from_utf8(&received[..end]).unwrap().to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let is_whole = match length {
                Some(length) => received.len() - end == length.parse::<usize>().unwrap(),
                None => received.ends_with(b"\r\n0\r\n\r\n"),
            };
            if is_whole {
                return (head.split(' ').nth(1).unwrap().parse().unwrap(), received.len() - end);
            }
        }
    }
}
