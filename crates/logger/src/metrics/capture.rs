//! What the logger tells of its raw capture. All is 0 without one.

use metrics_server::{Counter, Handle, IntGauge, RegisterError, Registry};

/// Series of the raw capture.
#[derive(Clone, Debug)]
pub(crate) struct CaptureMetrics {
    pub(crate) bytes: Handle<Counter>,
    pub(crate) files: Handle<Counter>,
    pub(crate) lost: Handle<Counter>,
    pub(crate) errors: Handle<Counter>,
    pub(crate) pending_bytes: Handle<IntGauge>,
}

impl CaptureMetrics {
    pub(crate) fn register(r: &mut Registry) -> Result<CaptureMetrics, RegisterError> {
        let mut counter = |name, help| r.counter(name, help).register();
        let bytes = counter("gpu_charts_capture_bytes", "Bytes of raw capture that reached the files, compressed")?;
        let files = counter("gpu_charts_capture_files", "Files of raw capture begun")?;
        let help = "Batches that were recorded, and that the raw capture could not keep up with; it says where";
        let lost = counter("gpu_charts_capture_lost", help)?;
        let errors = counter("gpu_charts_capture_errors", "Writes of raw capture that failed; they are tried again")?;
        let help = "Bytes in memory that wait for the raw capture to be written";
        let pending_bytes = r.int_gauge("gpu_charts_capture_pending_bytes", help).register()?;
        Ok(CaptureMetrics { bytes, files, lost, errors, pending_bytes })
    }
}
