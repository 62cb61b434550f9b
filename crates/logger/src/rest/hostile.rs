//! A server that answers what a test wants, in bytes, and an exchange that is there.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use exchange_protocol::{Stream, known_venue};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::config::Exchange;

/// An exchange whose REST interface is at `url`.
pub(crate) fn exchange(name: &str, url: &str, symbols: &[&str]) -> Exchange {
    Exchange {
        venue: known_venue(name).unwrap(),
        ws_url: "ws://127.0.0.1:1".to_owned(),
        rest_url: url.to_owned(),
        symbols: symbols.iter().map(|symbol| (*symbol).to_owned()).collect(),
        exclude: Vec::new(),
        streams: vec![Stream::Trades],
        ca_file: None,
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
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Hostile {
    /// `answering` gets the target of each request and how many there were before it.
    pub(crate) async fn start(answering: impl Fn(&str, usize) -> Reply + Send + Sync + 'static) -> Hostile {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answering, all): (Arc<Answering>, _) = (Arc::new(answering), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answering), Arc::clone(&all)));
            }
        });
        Hostile { address, asked }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The targets of all requests.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, answering: Arc<Answering>, asked: Arc<Mutex<Vec<String>>>) {
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
            let mut asked = asked.lock().unwrap();
            asked.push(target.clone());
            asked.len() - 1
        };
        match answering(&target, before) {
            Reply::Raw(bytes) => stream.write_all(&bytes).await.unwrap_or_default(),
            Reply::Endless => {
                let head = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
                stream.write_all(head.as_bytes()).await.unwrap();
                while stream.write_all(&[b'['; 65_536]).await.is_ok() {}
                return;
            }
            Reply::Hang => tokio::time::sleep(Duration::from_secs(3_600)).await,
            Reply::Close => return,
        }
    }
}
