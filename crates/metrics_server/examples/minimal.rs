//! A program with one metric and one component, which serves `/metrics`, `/health` and `/ready` until Ctrl-C.
//!
//! `cargo run -p metrics_server --example minimal [HOST:PORT]`

use metrics_server::{Endpoint, Exposition, Health, ListenAddr};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9090".to_owned());

    let ticks = Counter::<u64>::default();
    let mut registry = Registry::default();
    registry.register("example_ticks", "Ticks of the example's clock", ticks.clone());
    metrics_server::process::register(&mut registry);
    metrics_server::build_info!("example").register(&mut registry);

    let health = Health::new("example");
    let clock = health.component("clock", Some(Duration::from_secs(10)));
    let endpoint = Endpoint::builder(Exposition::new(registry), health.clone())
        .listen(address.parse::<ListenAddr>()?)
        .bind()
        .await?;

    let stop = CancellationToken::new();
    let ticking = tokio::spawn(async move {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        clock.ready();
        loop {
            second.tick().await;
            ticks.inc();
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
