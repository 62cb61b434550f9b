//! What proves that nothing is missing, summed up over the series of each exchange and table.

use std::collections::BTreeMap;

use column_store::{IdRule, SeriesAudit, Totals};
use serde::Serialize;

/// What proves what a series holds: the strongest that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ProvedBy {
    /// The venue's contiguous ids.
    Ids,
    /// Sequence numbers of the socket.
    Sequence,
    /// The record of when the subscription was live: that events came then, not that all did.
    Live,
    /// Nothing.
    Nothing,
}

impl ProvedBy {
    pub(super) fn of(series: &SeriesAudit) -> ProvedBy {
        if series.is_proven() {
            ProvedBy::Ids
        } else if series.sequence_ranges > 0 {
            ProvedBy::Sequence
        } else if series.live_ns > 0 {
            ProvedBy::Live
        } else {
            ProvedBy::Nothing
        }
    }
}

/// One table of one exchange.
#[derive(Debug, Default, Serialize)]
pub(super) struct TableProof {
    pub(super) rule: IdRule,
    /// Series by what proves them.
    pub(super) proved_by: BTreeMap<ProvedBy, u64>,
    /// Time in which subscriptions are proven to have been live, ns, summed up.
    pub(super) live_ns: u64,
    #[serde(flatten)]
    pub(super) totals: TableTotals,
}

/// Sums over the series of a table.
#[derive(Debug, Default, Serialize)]
pub(super) struct TableTotals {
    pub(super) series: u64,
    pub(super) days: u64,
    pub(super) sealed_days: u64,
    pub(super) rows: u64,
    pub(super) missing: u64,
    pub(super) unknown_gaps: u64,
    pub(super) damage: u64,
}

/// By exchange and table.
#[derive(Debug, Default)]
pub(super) struct TableProofs(BTreeMap<(String, &'static str), TableProof>);

impl TableProofs {
    pub(super) fn add(&mut self, series: &SeriesAudit) {
        let mut totals = Totals::default();
        totals.add(series);
        let table = self.0.entry((series.series.exchange.clone(), series.series.table.name())).or_default();
        table.rule = series.rule;
        *table.proved_by.entry(ProvedBy::of(series)).or_default() += 1;
        table.live_ns = table.live_ns.saturating_add(series.live_ns);
        let of = &mut table.totals;
        of.series += totals.series;
        of.days += totals.days;
        of.sealed_days += totals.sealed_days;
        of.rows += totals.rows;
        of.missing = of.missing.saturating_add(totals.missing);
        of.unknown_gaps += totals.unknown_gaps;
        of.damage += totals.damage;
    }

    /// Exchange, table and its sums, sorted.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'static str, &TableProof)> {
        self.0.iter().map(|((exchange, table), proof)| (exchange.as_str(), *table, proof))
    }
}
