//! What every program of this workspace serves to those who watch it: `/metrics` for Prometheus, `/health` and `/ready`
//! for supervisors and load balancers.
//!
//! The crate knows no business metric. A program registers its own metrics in a [`Registry`], adds the ones every
//! process has ([`process::register`], [`build_info!`], [`runtime::register`]), and hands the registry to an
//! [`Exposition`]; what it is able to do right now it reports through a [`Health`]; an [`Endpoint`] serves both, behind
//! the [`Security`] that [`MetricsArgs`] or a `web-config.yml` describe.
//!
//! ```no_run
//! # async fn run(args: metrics_server::MetricsArgs, stop: tokio_util::sync::CancellationToken) -> Result<(), Box<dyn std::error::Error>> {
//! use metrics_server::{Endpoint, Exposition, Health, Registry, Security};
//! use std::time::Duration;
//!
//! let mut registry = Registry::new();
//! let messages = registry.counter("gpu_charts_messages", "Frames received").labels(["exchange"]).register()?;
//! metrics_server::process::register(&mut registry);
//! metrics_server::build_info!("gpu_charts").register(&mut registry);
//!
//! let health = Health::new("gpu-charts-logger");
//! let recorder = health.component("recorder", Some(Duration::from_secs(10)));
//! recorder.ready();
//! messages.with(["coinbase"]).inc();
//!
//! let security = Security::start(args.security()?, &mut registry).await?;
//! let mut endpoint = Endpoint::builder(Exposition::new(registry), health.clone()).security(security);
//! for address in args.listen(9090)? {
//!     endpoint = endpoint.listen(address);
//! }
//! endpoint.bind().await?.serve(stop).await?;
//! # Ok(())
//! # }
//! ```
//!
//! - Numbers: the families of [`Registry`], and prometheus-client's registry beside them, in three [`Format`]s.
//! - Who sees them: [`Security`] makes TLS and a [`Guard`] of a [`web_config`], and follows its files; [`Reloader`] is
//!   the part that follows, for other services.
//! - Where: [`ListenAddr`], within [`Limits`].
//!
//! Beside the endpoint there are two pieces for programs that serve HTTP themselves: [`http_serve`], the accept loop
//! with its limits, and [`HttpMetrics`], the middleware that counts and times requests. The crate's README has the whole
//! on one page.

/// The example on that page compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod args;
mod auth;
pub mod build_info;
mod encoding;
mod endpoint;
mod exposition;
mod families;
mod guard;
mod health;
mod http_metrics;
mod landing_page;
mod limits;
mod listen_addr;
mod negotiation;
pub mod process;
mod registry;
mod reload;
mod routes;
pub mod runtime;
mod scrape;
mod security;
mod serve;
pub mod tls;
pub mod web_config;

pub use args::{MetricsArgs, MetricsArgsError, SecuritySource};
pub use auth::GuardMetrics;
pub use encoding::{EncodeError, Encoder, Format, NameFilter};
pub use endpoint::{Endpoint, EndpointBody, EndpointBuilder, EndpointService};
pub use exposition::{Exposition, OPENMETRICS_TEXT};
pub use families::{
    Builder, Counter, Family, FloatCounter, Gauge, Handle, Histogram, IntGauge, Metric, NativeBuckets, Samples,
    Selected, ShardedCounter,
};
pub use guard::{Guard, GuardBody, GuardFuture, GuardService, Policy};
pub use health::{Component, Health, Liveness, Readiness};
pub use http_metrics::{
    FinishedRequest, HttpEndpoint, HttpLabel, HttpMetrics, HttpMetricsBody, HttpMetricsBuilder, HttpMetricsFuture,
    HttpMetricsService,
};
pub use landing_page::LandingPage;
pub use limits::Limits;
pub use listen_addr::{ListenAddr, ListenAddrError, ListenSocket};
pub use registry::{CallbackKind, RegisterError, Registry};
pub use reload::{PrepareError, RELOAD_INTERVAL, ReloadError, ReloadHandle, ReloadMetrics, Reloader};
pub use routes::ProgramRoutes;
pub use security::{Security, SecurityError};
pub use serve::{
    Accepted, BindError, ConnectionObserver, ConnectionTimeout, Detached, DetachedSocket, HandshakeFailure, Listener,
    PeerAddress, Protocol, ServeError, http_bind, http_bind_all, http_serve, serve_connections,
};
