//! A venue that does what a test tells it to.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
    },
};

use super::{DEADLINE, book};

/// A venue's listening socket.
pub(crate) struct Venue(pub(crate) TcpListener);

/// A connection of the logger, as the venue sees it.
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<TcpStream>,
    /// What the logger connected to.
    pub(crate) path: String,
}

impl Venue {
    pub(crate) async fn start() -> Venue {
        Venue(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// A configuration with these symbols, to which further keys of the exchange can be added.
    pub(crate) fn config(&self, exchange: &str, symbols: &str) -> String {
        let address = self.0.local_addr().unwrap();
        // There is no REST: nobody listens on port 1.
        format!(
            "backfill: false\nexchanges:\n  {exchange}:\n    ws_url: ws://{address}\n    rest_url: http://127.0.0.1:1\n    symbols: [{symbols}]\n"
        )
    }

    /// The next connection.
    pub(crate) async fn open(&self) -> Client {
        let (stream, _) = timeout(DEADLINE, self.0.accept()).await.expect("a connection").unwrap();
        let mut path = String::new();
        #[allow(clippy::result_large_err)]
        let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            path = request.uri().path().to_owned();
            Ok(response)
        };
        let socket = accept_hdr_async(stream, note).await.unwrap();
        Client { socket, path }
    }

    /// The next connection, with its first subscription read.
    pub(crate) async fn accept(&self) -> Client {
        let mut client = self.open().await;
        assert!(client.receive().await.to_lowercase().contains("subscribe"));
        client
    }

    /// The next connection, subscribed to trades and quotes of BTC-USD at Coinbase.
    pub(crate) async fn accept_and_acknowledge(&self) -> Client {
        let mut client = self.accept().await;
        client.acknowledge(&["BTC-USD"]).await;
        client
    }
}

impl Client {
    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.unwrap();
    }

    /// The next text that is no ping.
    pub(crate) async fn receive(&mut self) -> String {
        timeout(DEADLINE, self.next_text()).await.expect("a message")
    }

    /// The same, if it comes in time.
    pub(crate) async fn receive_within(&mut self, wait: Duration) -> Option<String> {
        timeout(wait, self.next_text()).await.ok()
    }

    async fn next_text(&mut self) -> String {
        loop {
            match self.socket.next().await.unwrap().unwrap() {
                Message::Text(text) if text.contains("\"ping\"") || text.as_str() == "ping" => {}
                Message::Text(text) => return text.to_string(),
                Message::Close(_) => panic!("closed"),
                _ => {}
            }
        }
    }

    /// Reads until the logger has closed the connection.
    pub(crate) async fn wait_for_close(mut self) {
        let closed = async { while let Some(Ok(_)) = self.socket.next().await {} };
        timeout(DEADLINE, closed).await.expect("the logger closes the connection");
    }

    /// As Coinbase, with a book of each symbol.
    pub(crate) async fn acknowledge(&mut self, symbols: &[&str]) {
        self.acknowledge_channels(&["matches", "level2_batch", "heartbeat"], symbols).await;
        for symbol in symbols {
            self.send(book(symbol, "100.5")).await;
        }
    }

    pub(crate) async fn acknowledge_channels(&mut self, channels: &[&str], symbols: &[&str]) {
        let channel = |name: &&str| serde_json::json!({"name": name, "product_ids": symbols});
        let channels: Vec<_> = channels.iter().map(channel).collect();
        self.send(serde_json::json!({"type": "subscriptions", "channels": channels}).to_string()).await;
    }

    pub(crate) async fn trade(&mut self, id: u64) {
        self.send(super::trade("BTC-USD", id)).await;
    }
}
