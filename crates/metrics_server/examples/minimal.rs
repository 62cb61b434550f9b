//! A program with one metric and one component, and an endpoint with everything: `/metrics`, `/health` and `/ready` until
//! Ctrl-C.
//!
//! ```sh
//! cargo run -p metrics_server --example minimal
//! cargo run -p metrics_server --example minimal -- --metrics-listen unix:/tmp/minimal.sock --web-config web-config.yml
//! ```

use clap::Parser;
use metrics_server::{Endpoint, Exposition, Health, MetricsArgs, Registry, Security};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    metrics: MetricsArgs,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).init();
    let args = Args::parse().metrics;

    let mut registry = Registry::new();
    let ticks = registry.counter("example_ticks", "Ticks of the example's clock").labels(["clock"]).register()?;
    metrics_server::process::register(&mut registry);
    metrics_server::build_info!("example").register(&mut registry);

    let health = Health::new("example");
    let clock = health.component("clock", Some(Duration::from_secs(10)));
    let security = Security::start(args.security()?, &mut registry).await?;
    let mut endpoint = Endpoint::builder(Exposition::new(registry), health).security(security);
    for address in args.listen(9090)? {
        endpoint = endpoint.listen(address);
    }
    let endpoint = endpoint.bind().await?;

    let stop = CancellationToken::new();
    let ticking = tokio::spawn(async move {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        clock.ready();
        loop {
            second.tick().await;
            ticks.with(["wall"]).inc();
            tracing::trace!("tick");
            clock.beat();
        }
    });
    let interrupted = stop.clone();
    tokio::spawn(async move {
        // Without a signal handler the example could not be stopped in order; then it is better stopped at once.
        let _ = tokio::signal::ctrl_c().await;
        interrupted.cancel();
    });
    endpoint.serve(stop).await?;
    ticking.abort();
    Ok(())
}
