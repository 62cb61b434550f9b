//! Listeners of every kind, seen through real sockets.

#![allow(clippy::unwrap_used)] // helpers of tests are tests too

#[allow(dead_code)]
#[path = "../http/client.rs"]
mod client;
mod errors;
mod isolation;
mod systemd;
mod unix_socket;

use metrics_server::{BindError, Endpoint, Exposition, Health, Limits, ListenAddr, ServeError};
use prometheus_client::registry::Registry;
use std::fmt::Display;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Running {
    addresses: Vec<ListenAddr>,
    tcp: Vec<std::net::SocketAddr>,
    stop: CancellationToken,
    served: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    async fn stopped(self) {
        self.stop.cancel();
        client::within(self.served).await.unwrap().unwrap();
    }
}

async fn bind(addresses: &[&dyn Display], limits: Limits) -> Result<Endpoint, BindError> {
    let mut builder = Endpoint::builder(Exposition::new(Registry::default()), Health::new("test")).limits(limits);
    for address in addresses {
        builder = builder.listen(address.to_string().parse().unwrap());
    }
    builder.bind().await
}

async fn start(addresses: &[&dyn Display], limits: Limits) -> Running {
    let endpoint = bind(addresses, limits).await.unwrap();
    let (addresses, tcp) = (endpoint.listen_addrs(), endpoint.local_addrs());
    let stop = CancellationToken::new();
    let served = tokio::spawn(endpoint.serve(stop.clone()));
    Running { addresses, tcp, stop, served }
}
