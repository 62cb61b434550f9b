//! What the paths beside the plain data path count.

use metrics_server::{Handle, IntGauge, RegisterError, Registry};

/// The metrics of these paths. Cheap to clone; all clones are the same metrics.
#[derive(Clone, Debug)]
pub(crate) struct ApiMetrics {
    /// Symbols in the listing.
    pub(crate) symbols_listed: Handle<IntGauge>,
}

impl ApiMetrics {
    /// Registers all of them. Counters go without `_total`, which the exposition appends.
    pub(crate) fn register(registry: &mut Registry) -> Result<ApiMetrics, RegisterError> {
        let help = "Symbols in the listing of the data directory";
        let symbols_listed = registry.int_gauge("gpu_charts_server_symbols_listed", help).register()?;
        Ok(ApiMetrics { symbols_listed })
    }
}
