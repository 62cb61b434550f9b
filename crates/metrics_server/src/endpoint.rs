//! `/metrics`, `/health` and `/ready` on their own listeners.

use crate::exposition::Exposition;
use crate::health::Health;
use crate::landing_page::LandingPage;
use crate::limits::Limits;
use crate::listen_addr::{ListenAddr, ListenSocket};
use crate::routes::{ProgramRoutes, routes};
use crate::scrape::Scraper;
use crate::security::Security;
use crate::serve::{BindError, Listener, ServeError, http_bind_all, http_serve};
use crate::tls::ServerTls;
use http::{Request, Response};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, ServiceExt};

mod body;

pub use body::EndpointBody;

/// What answers the requests of an [`Endpoint`]: its three paths, and what is laid around them.
pub type EndpointService = BoxCloneSyncService<Request<Incoming>, Response<EndpointBody>, Infallible>;

/// What is laid around the service of an endpoint; from the innermost outwards.
#[derive(Clone, Default)]
struct Layers(Vec<Arc<dyn Fn(EndpointService) -> EndpointService + Send + Sync>>);

impl Layers {
    fn around(&self, service: EndpointService) -> EndpointService {
        self.0.iter().fold(service, |service, layer| layer(service))
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Layers").field(&self.0.len()).finish()
    }
}

/// An endpoint whose sockets are open; [`serve`](Self::serve) answers on them.
#[derive(Debug)]
#[must_use = "an endpoint answers nobody before it is served"]
pub struct Endpoint {
    exposition: Exposition,
    health: Health,
    limits: Limits,
    listeners: Vec<Listener>,
    security: Option<Security>,
    page: LandingPage,
    routes: Option<ProgramRoutes>,
    layers: Layers,
}

/// What an [`Endpoint`] is made from.
#[derive(Debug)]
#[must_use = "a builder does nothing before it is bound"]
pub struct EndpointBuilder {
    exposition: Exposition,
    health: Health,
    limits: Limits,
    addresses: Vec<ListenAddr>,
    tls: Option<ServerTls>,
    security: Option<Security>,
    page: LandingPage,
    routes: Option<ProgramRoutes>,
    layers: Layers,
}

impl Endpoint {
    /// Starts with the default limits and no address.
    pub fn builder(exposition: Exposition, health: Health) -> EndpointBuilder {
        EndpointBuilder {
            exposition,
            health,
            limits: Limits::default(),
            addresses: Vec::new(),
            tls: None,
            security: None,
            page: LandingPage::default(),
            routes: None,
            layers: Layers::default(),
        }
    }

    /// The addresses of the TCP listeners, in the order they were given, with the ports the system chose for port 0.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// The addresses of all listeners, in the order they were given and `systemd` last; as they are, with the ports
    /// the system chose and the sockets that systemd passed.
    pub fn listen_addrs(&self) -> Vec<ListenAddr> {
        self.listeners.iter().map(|listener| listener.address().clone()).collect()
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
        let service = routes(scraper, self.health, self.page, self.routes);
        let service = ServiceExt::<Request<Incoming>>::map_response(service, |answer| answer.map(EndpointBody::new));
        let mut service = self.layers.around(BoxCloneSyncService::new(service));
        // Outermost: nothing else hears of a request that is refused.
        if let Some(guard) = self.security.as_ref().and_then(Security::guard) {
            let guarded = guard.layer(service);
            service = BoxCloneSyncService::new(guarded.map_response(|answer| answer.map(EndpointBody::new)));
        }
        if let Some(security) = self.security {
            let shutdown = shutdown.clone();
            loops.spawn(async move {
                security.follow(shutdown).await;
                Ok(())
            });
        }
        for listener in self.listeners {
            let (service, observer) = (service.clone(), self.exposition.connections().clone());
            let (limits, shutdown) = (self.limits.clone(), shutdown.clone());
            loops.spawn(async move { http_serve(listener, service, &limits, observer, shutdown).await });
        }
        let mut result = Ok(());
        while let Some(ended) = loops.join_next().await {
            let served = match ended {
                Ok(served) => served,
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

    /// Asks for TLS on all listeners but those marked `plain`. A handle that is kept can be
    /// [replaced](ServerTls::replace) while the endpoint serves.
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Encrypts and guards all listeners as `security` says, and follows its files while the endpoint serves. Listeners
    /// marked `plain` are left without TLS, not without credentials.
    pub fn security(mut self, security: Security) -> Self {
        self.tls = security.tls().or(self.tls);
        self.security = Some(security);
        self
    }

    /// Replaces the page at `/`, to show the program's build and links of its own.
    pub fn landing_page(mut self, page: LandingPage) -> Self {
        self.page = page;
        self
    }

    /// Answers all other paths with the program's own routes, behind the same credentials.
    pub fn routes(mut self, routes: ProgramRoutes) -> Self {
        self.routes = Some(routes);
        self
    }

    /// Lays something around the service that answers: to refuse requests, or to add headers. What is laid later is
    /// further out and sees requests first. Requests carry the [`PeerAddress`](crate::PeerAddress).
    pub fn layer<F>(mut self, layer: F) -> Self
    where
        F: Fn(EndpointService) -> EndpointService + Send + Sync + 'static,
    {
        self.layers.0.push(Arc::new(layer));
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
        let mut addresses: Vec<&ListenAddr> = self.addresses.iter().collect();
        // Takes the sockets that are left, and can be given anywhere.
        addresses.sort_by_key(|address| matches!(address.socket, ListenSocket::Systemd { name: None }));
        let mut listeners = Vec::with_capacity(addresses.len());
        for address in addresses {
            for listener in http_bind_all(address).await? {
                let listener = listener.tls(self.tls.clone());
                let (address, tls) = (listener.address(), listener.has_tls());
                tracing::info!(%address, tls, service = self.health.service(), "metrics endpoint listens");
                listeners.push(listener);
            }
        }
        let Self { exposition, health, limits, security, page, routes, layers, .. } = self;
        Ok(Endpoint { exposition, health, limits, listeners, security, page, routes, layers })
    }
}
