//! `/metrics`, `/health` and `/ready` on their own listeners.

use crate::exposition::{Exposition, ScrapeMetrics};
use crate::health::Health;
use crate::landing_page::LandingPage;
use crate::limits::Limits;
use crate::listen_addr::ListenAddr;
use crate::routes::routes;
use crate::scrape::Scraper;
use crate::serve::{BindError, ConnectionObserver, ServeError, http_bind, http_serve};
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// An endpoint whose sockets are open; [`serve`](Self::serve) answers on them.
#[derive(Debug)]
#[must_use = "an endpoint answers nobody before it is served"]
pub struct Endpoint {
    exposition: Exposition,
    health: Health,
    limits: Limits,
    listeners: Vec<(SocketAddr, TcpListener)>,
}

/// What an [`Endpoint`] is made from.
#[derive(Debug)]
#[must_use = "a builder does nothing before it is bound"]
pub struct EndpointBuilder {
    exposition: Exposition,
    health: Health,
    limits: Limits,
    addresses: Vec<ListenAddr>,
}

impl Endpoint {
    /// Starts with the default limits and no address.
    pub fn builder(exposition: Exposition, health: Health) -> EndpointBuilder {
        EndpointBuilder { exposition, health, limits: Limits::default(), addresses: Vec::new() }
    }

    /// The addresses of the TCP listeners, in the order they were given, with the ports the system chose for port 0.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|(address, _)| *address).collect()
    }

    /// Answers requests until `shutdown` is cancelled, then lets those under way finish within [`Limits::drain`].
    ///
    /// # Errors
    ///
    /// A listener that broke ends all of them; see [`ServeError`].
    pub async fn serve(self, shutdown: CancellationToken) -> Result<(), ServeError> {
        let scraper = Scraper::new(self.exposition.clone(), self.limits.scrapes_in_flight);
        // A child: when one listener breaks, the others must drain, but it is not ours to stop the whole program.
        let shutdown = shutdown.child_token();
        let mut loops = JoinSet::new();
        for (address, listener) in self.listeners {
            let service = routes(scraper.clone(), self.health.clone(), LandingPage::default(), None);
            let observer = self.exposition.metrics().clone();
            let (limits, shutdown) = (self.limits.clone(), shutdown.clone());
            loops.spawn(async move {
                let served = http_serve(listener, service, &limits, observer, shutdown).await;
                (address, served)
            });
        }
        let mut result = Ok(());
        while let Some(ended) = loops.join_next().await {
            let served = match ended {
                Ok((_, served)) => served,
                Err(source) => Err(ServeError::Died { source }),
            };
            if result.is_ok() && served.is_err() {
                result = served;
                shutdown.cancel();
            }
        }
        result
    }
}

impl EndpointBuilder {
    /// Adds an address to listen on; may be called more than once.
    pub fn listen(mut self, address: ListenAddr) -> Self {
        self.addresses.push(address);
        self
    }

    /// Replaces the default limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Opens the sockets. From here on clients can connect; they are answered once the endpoint is served.
    ///
    /// # Errors
    ///
    /// No address was given, or one of them cannot be listened on; the error names it, and no socket stays open.
    pub async fn bind(self) -> Result<Endpoint, BindError> {
        if self.addresses.is_empty() {
            return Err(BindError::NoAddress);
        }
        let mut listeners = Vec::with_capacity(self.addresses.len());
        for address in &self.addresses {
            let listener = http_bind(address).await?;
            let local =
                listener.local_addr().map_err(|source| BindError::Listen { address: address.clone(), source })?;
            tracing::info!(address = %local, service = self.health.service(), "metrics endpoint listens");
            listeners.push((local, listener));
        }
        Ok(Endpoint { exposition: self.exposition, health: self.health, limits: self.limits, listeners })
    }
}

impl ConnectionObserver for ScrapeMetrics {
    fn opened(&self) {
        self.connections.inc();
    }

    fn closed(&self) {
        self.connections.dec();
    }

    fn refused(&self) {
        self.connections_refused.inc();
    }

    fn panicked(&self) {
        self.connection_panics.inc();
    }

    fn accept_failed(&self) {
        self.accept_errors.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_to_connections_is_counted() {
        let exposition = Exposition::new(prometheus_client::registry::Registry::default());
        let observer = exposition.metrics();
        observer.opened();
        observer.opened();
        observer.closed();
        (0..2).for_each(|_| observer.refused());
        (0..3).for_each(|_| observer.panicked());
        (0..4).for_each(|_| observer.accept_failed());
        let text = exposition.encode().unwrap();
        for sample in [
            "metrics_server_connections 1",
            "metrics_server_connections_refused_total 2",
            "metrics_server_connection_panics_total 3",
            "metrics_server_accept_errors_total 4",
        ] {
            assert!(text.lines().any(|line| line == sample), "no {sample} in {text}");
        }
    }
}
