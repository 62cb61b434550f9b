//! What the logger tells of its connections to the venues.

use std::sync::Arc;

use metrics_server::{Counter, FloatCounter, Gauge, Handle, IntGauge, RegisterError, Registry};

/// Series of one venue's connections.
#[derive(Debug)]
pub(crate) struct FeedMetrics {
    pub(crate) exchange: &'static str,
    pub(crate) connections: Handle<IntGauge>,
    pub(crate) refused: Handle<IntGauge>,
    pub(crate) resubscriptions: Handle<Counter>,
    pub(crate) replaced: Handle<Counter>,
    pub(crate) waited: Handle<FloatCounter>,
    pub(crate) clock_offset: Handle<Gauge>,
}

impl FeedMetrics {
    /// Registers the families, with a series of each for all these exchanges, in their order.
    pub(crate) fn register(
        r: &mut Registry,
        exchanges: &[&'static str],
    ) -> Result<Vec<Arc<FeedMetrics>>, RegisterError> {
        let mut counter = |name, help| r.counter(name, help).labels(["exchange"]).register();
        let resubscriptions =
            counter("gpu_charts_resubscriptions", "Subscriptions that were ended to be begun anew, alone")?;
        let replaced = counter(
            "gpu_charts_connections_replaced",
            "Connections that another one took over from before they ended",
        )?;
        let help = "Time that connecting and subscribing waited for what the venue grants this address";
        let waited = r.float_counter("gpu_charts_venue_wait_seconds", help).labels(["exchange"]).register()?;
        let mut gauge = |name, help| r.int_gauge(name, help).labels(["exchange"]).register();
        let connections =
            gauge("gpu_charts_connections", "Connections to the venue that are open, spare ones included")?;
        let refused = gauge(
            "gpu_charts_subscriptions_refused",
            "Subscriptions that the venue refuses or ignores; they are asked for again, and hold nothing up",
        )?;
        let help = "Estimate of the venue's clock minus ours; 0 while nothing shows that they differ";
        let clock_offset = r.gauge("gpu_charts_clock_offset_seconds", help).labels(["exchange"]).register()?;
        let of_exchange = |exchange: &&'static str| {
            let labels = [*exchange];
            Arc::new(FeedMetrics {
                exchange,
                connections: connections.handle(labels),
                refused: refused.handle(labels),
                resubscriptions: resubscriptions.handle(labels),
                replaced: replaced.handle(labels),
                waited: waited.handle(labels),
                clock_offset: clock_offset.handle(labels),
            })
        };
        Ok(exchanges.iter().map(of_exchange).collect())
    }
}
