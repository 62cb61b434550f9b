//! What tells how complete the record is.

use metrics_server::{Counter, Family, Handle, IntGauge, RegisterError, Registry};

/// Series of one venue.
pub(crate) struct VenueCompleteness {
    pub(crate) provable: Handle<IntGauge>,
    pub(crate) open_gaps: Handle<IntGauge>,
    pub(crate) holds_cut: Handle<Counter>,
}

/// Series of the whole record.
pub(crate) struct RecordMetrics {
    pub(crate) held: Handle<IntGauge>,
    pub(crate) days_sealed: Handle<Counter>,
    pub(crate) days_unsealed: Handle<IntGauge>,
    pub(crate) days_removed: Handle<Counter>,
    pub(crate) refused: Handle<Counter>,
}

/// Families of all venues.
pub(super) struct CompletenessFamilies {
    provable: Family<IntGauge, 1>,
    open_gaps: Family<IntGauge, 1>,
    holds_cut: Family<Counter, 1>,
}

impl CompletenessFamilies {
    pub(super) fn register(r: &mut Registry) -> Result<CompletenessFamilies, RegisterError> {
        let mut gauge = |name, help| r.int_gauge(name, help).labels(["exchange"]).register();
        let provable = gauge(
            "gpu_charts_trade_ids_provable",
            "1 while the venue's trade ids prove what is missing; 0 while more than 1 % of them break their rule",
        )?;
        let open_gaps = gauge("gpu_charts_open_gaps", "Gaps that may still be filled, or whose end has not come")?;
        let help =
            "Times that trades waiting for a gap to be filled were too many, and went to the files before it was";
        let holds_cut = r.counter("gpu_charts_holds_cut", help).labels(["exchange"]).register()?;
        Ok(CompletenessFamilies { provable, open_gaps, holds_cut })
    }

    pub(super) fn venue(&self, exchange: &str) -> VenueCompleteness {
        VenueCompleteness {
            provable: self.provable.handle([exchange]),
            open_gaps: self.open_gaps.handle([exchange]),
            holds_cut: self.holds_cut.handle([exchange]),
        }
    }
}

impl RecordMetrics {
    pub(super) fn register(r: &mut Registry) -> Result<RecordMetrics, RegisterError> {
        let held = "Trades in memory that wait for a gap before them to be filled";
        let unsealed = "Days that are over and could not be sealed yet";
        let refused = "Gaps and ranges of coverage that could not be recorded: a mistake in this program";
        Ok(RecordMetrics {
            held: r.int_gauge("gpu_charts_held_trades", held).register()?,
            days_sealed: r.counter("gpu_charts_days_sealed", "Days of a table sealed").register()?,
            days_unsealed: r.int_gauge("gpu_charts_days_unsealed", unsealed).register()?,
            days_removed: r
                .counter("gpu_charts_days_removed", "Days of a table removed because of keep_days")
                .register()?,
            refused: r.counter("gpu_charts_records_refused", refused).register()?,
        })
    }
}
