//! The `process_*` metrics that every Prometheus client library has, read from `/proc` at each scrape.

#[cfg(target_os = "linux")]
mod collector;

use crate::registry::Registry;

/// Registers the process metrics. What cannot be read is left out of the exposition; elsewhere than on Linux that is
/// all of it.
pub fn register(registry: &mut Registry) {
    #[cfg(target_os = "linux")]
    registry.client().register_collector(Box::new(collector::ProcessCollector::new()));
    #[cfg(not(target_os = "linux"))]
    let _ = registry;
}
