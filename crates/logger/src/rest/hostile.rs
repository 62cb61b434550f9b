//! A server that answers what a test wants, in bytes, and an exchange that is there.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use exchange_protocol::Stream;
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::config::{Exchange, Timeouts};

/// An exchange whose REST interface is at `url`.
pub(crate) fn exchange(name: &str, url: &str, symbols: &[&str]) -> Exchange {
    Exchange {
        venue: exchange_protocol::venue(name).unwrap(),
        ws_url: "ws://127.0.0.1:1".to_owned(),
        rest_url: url.to_owned(),
        symbols: symbols.iter().map(|symbol| (*symbol).to_owned()).collect(),
        exclude: Vec::new(),
        streams: vec![Stream::Trades],
        ca_file: None,
        spare_connections: 0,
        timeouts: Timeouts::default(),
    }
}

/// What to do with a request.
pub(crate) enum Reply {
    /// Status line, headers and body.
    Raw(Vec<u8>),
    /// A head, and a body without end.
    Endless,
    /// Nothing, for ever.
    Hang,
    /// The connection ends.
    Close,
    /// Another reply, after a while.
    After(Duration, Box<Reply>),
}

impl Reply {
    pub(crate) fn with(head: &str, body: &[u8]) -> Reply {
        let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len());
        Reply::Raw([head.as_bytes(), body].concat())
    }

    pub(crate) fn json(body: &str) -> Reply {
        Reply::with("200 OK", body.as_bytes())
    }
}

type Answering = dyn Fn(&str, usize) -> Reply + Send + Sync;

/// The server; it ends with the runtime of its test.
pub(crate) struct Hostile {
    url: String,
    seen: Arc<Mutex<Seen>>,
}

/// What the server has seen.
#[derive(Default)]
struct Seen {
    targets: Vec<String>,
    connections: usize,
    /// Requests that wait for their reply, and the most that did so at once.
    waiting: usize,
    most_waiting: usize,
}

impl Hostile {
    /// `answering` gets the target of each request and how many there were before it.
    pub(crate) async fn start(answering: impl Fn(&str, usize) -> Reply + Send + Sync + 'static) -> Hostile {
        Hostile::with(None, Arc::new(answering)).await
    }

    /// The same over TLS, at `localhost`.
    pub(crate) async fn start_tls(
        certificate: &CertificateDer<'static>,
        key: Vec<u8>,
        answering: impl Fn(&str, usize) -> Reply + Send + Sync + 'static,
    ) -> Hostile {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivatePkcs8KeyDer::from(key).into();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
        Hostile::with(Some(Arc::new(config).into()), Arc::new(answering)).await
    }

    async fn with(tls: Option<TlsAcceptor>, answering: Arc<Answering>) -> Hostile {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = if tls.is_some() { format!("https://localhost:{port}") } else { format!("http://127.0.0.1:{port}") };
        let seen = Arc::new(Mutex::new(Seen::default()));
        let all = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                all.lock().unwrap().connections += 1;
                let (answering, all, tls) = (Arc::clone(&answering), Arc::clone(&all), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, answering, all).await,
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else { return };
                            serve(stream, answering, all).await;
                        }
                    }
                });
            }
        });
        Hostile { url, seen }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// The targets of all requests.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.seen.lock().unwrap().targets.clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// The most requests that waited for a reply at once.
    pub(crate) fn most_waiting(&self) -> usize {
        self.seen.lock().unwrap().most_waiting
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answering: Arc<Answering>, seen: Arc<Mutex<Seen>>) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let target = head.split(' ').nth(1).unwrap().to_owned();
        let before = {
            let mut seen = seen.lock().unwrap();
            seen.targets.push(target.clone());
            seen.waiting += 1;
            seen.most_waiting = seen.most_waiting.max(seen.waiting);
            seen.targets.len() - 1
        };
        let mut reply = answering(&target, before);
        while let Reply::After(while_, next) = reply {
            tokio::time::sleep(while_).await;
            reply = *next;
        }
        seen.lock().unwrap().waiting -= 1;
        match reply {
            Reply::Raw(bytes) => {
                if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
            Reply::Endless => {
                let head = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
                stream.write_all(head.as_bytes()).await.unwrap();
                while stream.write_all(&[b'['; 65_536]).await.is_ok() {}
                return;
            }
            Reply::Hang => tokio::time::sleep(Duration::from_secs(3_600)).await,
            Reply::Close | Reply::After(..) => return,
        }
    }
}
