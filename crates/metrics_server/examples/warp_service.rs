//! A warp filter, measured: `/metrics` is a route of the same server here.
//!
//! `cargo run -p metrics_server --example warp_service`, then `curl http://127.0.0.1:8080/items/7` and
//! `curl http://127.0.0.1:8080/metrics`

use metrics_server::{Exposition, HttpMetrics, Limits, Registry, http_bind, http_serve};
use tokio_util::sync::CancellationToken;
use tower::Layer;
use warp::Filter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut registry = Registry::new();
    let metrics = HttpMetrics::builder("example").route("/items/{id}").skip("/metrics").register(&mut registry);
    let exposition = Exposition::new(registry);

    let item = warp::path!("items" / u32).map(|id| format!("item {id}\n"));
    let scrape = warp::path!("metrics").map(move || exposition.encode().unwrap_or_else(|error| error.to_string()));
    let service = metrics.layer(warp::service(item.or(scrape)));

    let stop = CancellationToken::new();
    let interrupted = stop.clone();
    tokio::spawn(async move {
        // Without a signal handler the example could not be stopped in order; then it is better stopped at once.
        let _ = tokio::signal::ctrl_c().await;
        interrupted.cancel();
    });
    let listener = http_bind(&"127.0.0.1:8080".parse()?).await?;
    http_serve(listener, service, &Limits::default(), (), stop).await?;
    Ok(())
}
