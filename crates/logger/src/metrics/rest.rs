//! What the logger tells of the venues' REST interfaces, of its backfill, and of the listings.

use std::sync::Arc;

use metrics_server::{Counter, Gauge, Handle, Histogram, IntGauge, RegisterError, Registry};

use crate::received::FillEnd;

/// From a cached answer near by to one that is given up.
const BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.5, 2.5, 5.5, 10.5, 20.5];

/// What became of a request: the values of `outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The answer was understood.
    Answered,
    /// The venue's limit is reached.
    Limited,
    /// The same, and the address is banned.
    Banned,
    /// The venue refuses for another reason.
    Refused,
    /// The answer was not understood.
    Garbled,
    /// There is no connection, or it broke.
    Broken,
    /// There was no answer in time.
    Late,
    /// The answer was longer than any should be.
    Oversized,
}

impl Outcome {
    const LABELS: [&str; 8] = ["answered", "limited", "banned", "refused", "garbled", "broken", "late", "oversized"];
}

/// Series of one venue's REST interface.
#[derive(Debug)]
pub(crate) struct RestMetrics {
    pub(crate) duration: Handle<Histogram>,
    pub(crate) waits: Handle<Counter>,
    pub(crate) silent_until: Handle<Gauge>,
    pub(crate) questions_waiting: Handle<IntGauge>,
    pub(crate) trades: Handle<Counter>,
    pub(crate) listed_at: Handle<Gauge>,
    pub(crate) unrecorded: Handle<IntGauge>,
    pub(crate) unlisted: Handle<IntGauge>,
    requests: Vec<Handle<Counter>>,
    questions: [Handle<Counter>; 3],
}

impl RestMetrics {
    /// Registers the families, with a series of each for all these exchanges, in their order.
    pub(crate) fn register(
        r: &mut Registry,
        exchanges: &[&'static str],
    ) -> Result<Vec<Arc<RestMetrics>>, RegisterError> {
        let duration = r
            .histogram("gpu_charts_rest_request_duration_seconds", "Time from a request over REST to its whole answer")
            .buckets(BUCKETS)
            .labels(["exchange"])
            .register()?;
        let mut counter = |name, help| r.counter(name, help).labels(["exchange"]).register();
        let waits = counter("gpu_charts_rest_waits", "Times at which a request had to wait for what the venue grants")?;
        let trades = counter("gpu_charts_backfill_trades", "Trades that REST brought, those included that were known")?;
        let mut by = |label, name, help| r.counter(name, help).labels(["exchange", label]).register();
        let requests = by("outcome", "gpu_charts_rest_requests", "Requests over REST, by what became of them")?;
        let questions =
            by("end", "gpu_charts_backfill_questions", "Questions for missed trades, by how their answer ended")?;
        let mut gauge = |name, help| r.int_gauge(name, help).labels(["exchange"]).register();
        let questions_waiting =
            gauge("gpu_charts_backfill_questions_waiting", "Questions for missed trades that have no answer yet")?;
        let unrecorded = gauge(
            "gpu_charts_symbols_unrecorded",
            "Symbols that the venue lists and the configuration's patterns match, but this run does not record",
        )?;
        let unlisted =
            gauge("gpu_charts_symbols_unlisted", "Symbols recorded that the venue does not list, or not any more")?;
        let mut gauge = |name, help| r.gauge(name, help).labels(["exchange"]).register();
        let silent_until = gauge(
            "gpu_charts_rest_silent_until_timestamp",
            "Unix time in seconds until which the venue wants no requests over REST, 0 if it never said so",
        )?;
        let listed_at = gauge(
            "gpu_charts_listing_timestamp",
            "Unix time in seconds of the venue's listing that is in use, 0 without one",
        )?;
        let of_exchange = |exchange: &&'static str| {
            let labels = [*exchange];
            Arc::new(RestMetrics {
                duration: duration.handle(labels),
                waits: waits.handle(labels),
                silent_until: silent_until.handle(labels),
                questions_waiting: questions_waiting.handle(labels),
                trades: trades.handle(labels),
                listed_at: listed_at.handle(labels),
                unrecorded: unrecorded.handle(labels),
                unlisted: unlisted.handle(labels),
                requests: Outcome::LABELS.iter().map(|outcome| requests.handle([exchange, outcome])).collect(),
                questions: ["answered", "failed", "unsupported"].map(|end| questions.handle([exchange, end])),
            })
        };
        Ok(exchanges.iter().map(of_exchange).collect())
    }

    pub(crate) fn request(&self, outcome: Outcome) {
        if let Some(counter) = self.requests.get(outcome as usize) {
            counter.inc();
        }
    }

    /// How many requests came to that.
    #[cfg(test)]
    pub(crate) fn requests(&self, outcome: Outcome) -> u64 {
        self.requests[outcome as usize].get()
    }

    pub(crate) fn question(&self, end: FillEnd) {
        let [answered, failed, unsupported] = &self.questions;
        match end {
            FillEnd::Answered => answered.inc(),
            FillEnd::Failed => failed.inc(),
            FillEnd::Unsupported => unsupported.inc(),
        }
    }
}
