//! What every program of this workspace serves to those who watch it: `/metrics` for Prometheus, `/health` and `/ready`
//! for supervisors and load balancers.
//!
//! The crate knows no business metric. A program registers its own metrics in a [`Registry`], adds the ones every
//! process has ([`process::register`], [`build_info!`]), and hands the registry to an [`Exposition`]; what it is
//! able to do right now it reports through a [`Health`]; an [`Endpoint`] serves both.
//!
//! ```no_run
//! # async fn run(stop: tokio_util::sync::CancellationToken) -> Result<(), Box<dyn std::error::Error>> {
//! use metrics_server::{Endpoint, Exposition, Health, ListenAddr, Limits};
//! use std::time::Duration;
//!
//! let mut registry = prometheus_client::registry::Registry::default();
//! metrics_server::process::register(&mut registry);
//! metrics_server::build_info!("gpu_charts").register(&mut registry);
//!
//! let health = Health::new("gpu-charts-logger");
//! let recorder = health.component("recorder", Some(Duration::from_secs(10)));
//! recorder.ready();
//!
//! let endpoint = Endpoint::builder(Exposition::new(registry), health.clone())
//!     .listen("127.0.0.1:9090".parse::<ListenAddr>()?)
//!     .limits(Limits::default())
//!     .bind()
//!     .await?;
//! endpoint.serve(stop).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Beside the endpoint there are two pieces for programs that serve HTTP themselves: [`http_serve`], the accept loop
//! with its limits, and [`HttpMetrics`], the middleware that counts and times requests.

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
    FinishedRequest, HttpLabel, HttpMetrics, HttpMetricsBody, HttpMetricsBuilder, HttpMetricsFuture, HttpMetricsService,
};
pub use landing_page::LandingPage;
pub use limits::Limits;
pub use listen_addr::{ListenAddr, ListenAddrError, ListenSocket};
pub use registry::{CallbackKind, RegisterError, Registry};
pub use reload::{PrepareError, RELOAD_INTERVAL, ReloadError, ReloadHandle, ReloadMetrics, Reloader};
pub use routes::ProgramRoutes;
pub use security::{Security, SecurityError};
pub use serve::{
    BindError, ConnectionObserver, ConnectionTimeout, HandshakeFailure, Listener, PeerAddress, ServeError, http_bind,
    http_bind_all, http_serve,
};
