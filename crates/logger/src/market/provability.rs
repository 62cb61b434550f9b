//! Whether a venue keeps to its rule that trade ids are contiguous.

use metrics_server::{Handle, IntGauge};
use tracing::{info, warn};

/// Fewer breaks than this say nothing.
const LEAST_BREAKS: u64 = 20;
/// Counts are halved at so many trades, so that what was long ago weighs little.
const WINDOW: u64 = 20_000;

/// Counts the trades of a venue and how often its ids broke their rule: ids that never were, as the venue itself says.
#[derive(Debug)]
pub(crate) struct Provability {
    exchange: &'static str,
    trades: u64,
    breaks: u64,
    provable: bool,
    gauge: Handle<IntGauge>,
}

impl Provability {
    pub(crate) fn new(exchange: &'static str, gauge: Handle<IntGauge>) -> Provability {
        gauge.set(1);
        Provability { exchange, trades: 0, breaks: 0, provable: true, gauge }
    }

    pub(crate) fn is_provable(&self) -> bool {
        self.provable
    }

    pub(crate) fn traded(&mut self) {
        self.trades += 1;
        if self.trades >= WINDOW {
            (self.trades, self.breaks) = (self.trades / 2, self.breaks / 2);
            self.judge();
        }
    }

    pub(crate) fn broke(&mut self) {
        self.breaks += 1;
        self.judge();
    }

    /// More than one break in a hundred trades ends it, fewer than one in two hundred restores it.
    fn judge(&mut self) {
        if self.provable && self.breaks >= LEAST_BREAKS && self.breaks * 100 > self.trades {
            self.provable = false;
            self.gauge.set(0);
            let (exchange, breaks, trades) = (self.exchange, self.breaks, self.trades);
            warn!(exchange, breaks, trades, "trade ids are not contiguous: gaps are counted, and not asked about");
        } else if !self.provable && self.breaks * 200 < self.trades {
            self.provable = true;
            self.gauge.set(1);
            info!(exchange = self.exchange, "trade ids are contiguous again");
        }
    }
}
