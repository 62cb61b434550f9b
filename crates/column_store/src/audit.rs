//! Audits a data directory without writing to it: lengths of columns, order of the search key, ids, gaps, coverage, markers.
//!
//! Columns are read in blocks, so the memory that an audit needs grows with days and holes and not with rows; where ids are unique and no more,
//! the newest of a series are remembered, 64 MiB at most. It needs neither
//! `FORMAT` nor a checkpoint, nor columns that a day was written without.

mod cells;
mod day;
mod finding;
mod ids;
mod series;
mod unique;

use std::{collections::BTreeMap, fmt, ops::RangeInclusive, path::Path};

pub use finding::{Finding, Severity};
use serde::Serialize;
use series::Wanted;

use crate::{Day, SeriesId, StoreError, Table, recovery, store};

/// What the ids of a table prove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IdRule {
    /// Each event has the id after the one before it: every id between the first and the last must be there, once, in any
    /// order.
    Contiguous,
    /// As contiguous, but a row may stand for several events and has the id of the last: the ids in between count as there
    /// if the coverage says so.
    Aggregated,
    /// Ids are unique, which proves nothing about what is missing.
    Unique,
    /// Nothing.
    #[default]
    None,
}

/// The id rule of each exchange's tables, by the exchange's directory; [`IdRule::None`] for those that are not named.
pub type Rules = BTreeMap<(String, Table), IdRule>;

/// What to audit.
#[derive(Clone, Debug)]
pub struct Audit {
    /// Only these days; the days beside them are looked at for ids that came late, and all earlier ones for gaps that reach
    /// into these.
    pub days: Option<RangeInclusive<Day>>,
    /// Only these series.
    pub scope: Scope,
    /// What ids prove.
    pub rules: Rules,
    /// Whether sealed columns are read and compared with their checksums.
    pub checksums: bool,
    /// Whether a logger may be writing meanwhile: in the newest day of a series columns may then be ahead of `time`.
    pub recording: bool,
}

impl Default for Audit {
    /// All days, with checksums, nobody is writing.
    fn default() -> Audit {
        Audit { days: None, scope: Scope::default(), rules: Rules::new(), checksums: true, recording: false }
    }
}

/// Which series are meant; all of them by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only those of this exchange.
    pub exchange: Option<String>,
    /// Only those of these symbols, by the names of their directories; of all if there are none.
    pub symbols: Vec<String>,
}

impl Scope {
    /// Whether a series is meant.
    pub fn holds(&self, series: &SeriesId) -> bool {
        let Scope { exchange, symbols } = self;
        exchange.as_ref().is_none_or(|exchange| *exchange == series.exchange)
            && (symbols.is_empty() || symbols.contains(&series.symbol))
    }
}

/// How far an audit, a repair or a migration is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being looked at.
    pub series: SeriesId,
    /// Days done.
    pub done: u64,
    /// Days to do.
    pub total: u64,
}

/// Whether a day is sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SealState {
    /// It has no marker.
    #[default]
    Unsealed,
    /// It has one, and rows and checksums are as it says; the latter if they were asked for.
    Sealed,
    /// It has one that is not true.
    Broken,
}

/// Gaps of a day, by their last state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GapCount {
    /// May still be filled.
    pub open: u64,
    /// Were filled.
    pub filled: u64,
    /// Cannot be filled any more.
    pub lost: u64,
}

/// What an audit found on one day of a series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DayAudit {
    /// The day.
    pub day: Day,
    /// Committed rows.
    pub rows: u64,
    /// Bytes of all columns.
    pub bytes: u64,
    /// Key of the first row, ns since the Unix epoch.
    pub first_ns: Option<u64>,
    /// Key of the last row, ns since the Unix epoch.
    pub last_ns: Option<u64>,
    /// Columns that the day was written without.
    pub absent_columns: Vec<&'static str>,
    /// Whether it is sealed.
    pub seal: SealState,
    /// Its gaps.
    pub gaps: GapCount,
    /// Events known to be missing, by ids or by the gaps' records.
    pub missing: u64,
    /// Gaps that are not filled and do not say how many events are missing.
    pub unknown_gaps: u64,
    /// What is worth saying; empty if all is well.
    pub findings: Vec<Finding>,
}

/// What an audit found in one series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeriesAudit {
    /// Which.
    pub series: SeriesId,
    /// What its ids prove.
    pub rule: IdRule,
    /// Lowest id that was seen, for rules by which ids are looked at.
    pub first_id: Option<u64>,
    /// Highest id that was seen.
    pub last_id: Option<u64>,
    /// Ranges that socket sequence numbers prove.
    pub sequence_ranges: u64,
    /// Time in which the subscription is proven to have been live, ns.
    pub live_ns: u64,
    /// Its days, oldest first.
    pub days: Vec<DayAudit>,
}

impl SeriesAudit {
    /// Whether ids prove that what is not said to be missing is there.
    pub fn is_proven(&self) -> bool {
        matches!(self.rule, IdRule::Contiguous | IdRule::Aggregated) && self.first_id.is_some()
    }
}

/// Sums over all series.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Series.
    pub series: u64,
    /// Of these, the ones whose ids prove what is there.
    pub proven_series: u64,
    /// Days of all series.
    pub days: u64,
    /// Of these, the sealed ones.
    pub sealed_days: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes of all columns.
    pub bytes: u64,
    /// Events known to be missing.
    pub missing: u64,
    /// Gaps that are not filled and do not say how many events are missing.
    pub unknown_gaps: u64,
    /// Findings of [`Severity::Damage`].
    pub damage: u64,
}

impl Totals {
    /// Adds a series.
    pub fn add(&mut self, series: &SeriesAudit) {
        self.series += 1;
        self.proven_series += u64::from(series.is_proven());
        for day in &series.days {
            self.days += 1;
            self.sealed_days += u64::from(day.seal == SealState::Sealed);
            self.rows += day.rows;
            self.bytes += day.bytes;
            self.missing = self.missing.saturating_add(day.missing);
            self.unknown_gaps += day.unknown_gaps;
            let damage = day.findings.iter().filter(|finding| finding.severity() == Severity::Damage);
            self.damage += damage.count() as u64;
        }
    }

    /// Whether nothing is known to be missing and nothing is damaged: with [`Totals::proven_series`], a certificate.
    pub fn is_whole(&self) -> bool {
        self.missing == 0 && self.unknown_gaps == 0 && self.damage == 0
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { series, proven_series, days, sealed_days, rows, missing, unknown_gaps, damage, .. } = self;
        write!(
            f,
            "{missing} missing, {unknown_gaps} gaps of unknown size, {damage} damaged: {rows} rows in {days} days \
             ({sealed_days} sealed) of {series} series, {proven_series} of them proven by ids"
        )
    }
}

/// Audits all series below `root`, read-only, one after the other. `on_progress` hears of every day before it is looked at,
/// `on_series` of every series when it is done.
///
/// # Errors
/// [`StoreError::NewerFormat`], or what the operating system says. What is wrong with the data is no error but a finding.
pub fn verify(
    root: &Path,
    audit: &Audit,
    on_progress: &mut dyn FnMut(&Progress),
    on_series: &mut dyn FnMut(&SeriesAudit),
) -> Result<Totals, StoreError> {
    store::check_format(root, false)?;
    let mut totals = Totals::default();
    let mut todo = Vec::new();
    let mut total = 0;
    for id in recovery::series(root)?.into_iter().filter(|id| audit.scope.holds(id)) {
        let wanted = Wanted::of(&root.join(id.path()), audit)?;
        total += wanted.days.len() as u64;
        todo.push((id, wanted));
    }
    let mut done = 0;
    for (id, wanted) in todo {
        let result = series::audit(root, &id, wanted, audit, &mut || {
            on_progress(&Progress { series: id.clone(), done, total });
            done += 1;
        })?;
        totals.add(&result);
        on_series(&result);
    }
    Ok(totals)
}
