//! Which build of the program is running.

use crate::registry::Registry;
use prometheus_client::metrics::info::Info;

/// The revision of the workspace this was built from, 12 hex digits; `unknown` when built outside of a checkout
/// without `GPU_CHARTS_REVISION`.
pub const REVISION: &str = env!("METRICS_SERVER_REVISION");

/// The compiler's version, such as `1.95.0`.
pub const RUSTC: &str = env!("METRICS_SERVER_RUSTC");

/// What `<prefix>_build_info` tells; made by [`build_info!`](crate::build_info!).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    /// What the metric's name starts with, without the `_`.
    pub prefix: &'static str,
    /// The version of the program.
    pub version: &'static str,
    /// The revision it was built from.
    pub revision: &'static str,
    /// The compiler's version.
    pub rustc: &'static str,
}

impl BuildInfo {
    /// Registers `<prefix>_build_info{version,revision,rustc} 1`.
    pub fn register(&self, registry: &mut Registry) {
        let labels = [("version", self.version), ("revision", self.revision), ("rustc", self.rustc)];
        // The encoder appends `_info`.
        registry.client().register(
            format!("{}_build", self.prefix),
            "Version, revision and compiler of the running program",
            Info::new(labels.to_vec()),
        );
    }
}

/// The [`BuildInfo`] with the version of the crate that calls the macro.
///
/// ```
/// let mut registry = metrics_server::Registry::new();
/// metrics_server::build_info!("gpu_charts").register(&mut registry);
/// ```
#[macro_export]
macro_rules! build_info {
    ($prefix:expr) => {
        $crate::build_info::BuildInfo {
            prefix: $prefix,
            version: env!("CARGO_PKG_VERSION"),
            revision: $crate::build_info::REVISION,
            rustc: $crate::build_info::RUSTC,
        }
    };
}
