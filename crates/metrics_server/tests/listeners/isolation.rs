//! What happens on one listener is no affair of another.

use crate::client::{closed, get};
use crate::start;
use metrics_server::Limits;
use tokio::net::TcpStream;

#[tokio::test]
async fn a_full_listener_leaves_the_other_alone() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let running = start(&[&"127.0.0.1:0", &"127.0.0.1:0"], limits).await;
    let _held = TcpStream::connect(running.tcp[0]).await.unwrap();
    let mut refused = TcpStream::connect(running.tcp[0]).await.unwrap();
    closed(&mut refused).await;
    assert_eq!(get(running.tcp[1], "/health").await.status, 200);
    running.stopped().await;
}
