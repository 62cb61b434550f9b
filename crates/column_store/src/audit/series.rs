//! One series: its days one after the other, and what its ids say over all of them.

use std::{collections::BTreeSet, path::Path};

use super::{
    Audit, DayAudit, Finding, IdRule, SeriesAudit, cells,
    cells::Tally,
    day::{self, Look},
    ids::{SeenIds, overlap},
    unique::UniqueIds,
};
use crate::{
    Day, Gap, GapState, Proof, SeriesId, StoreError,
    history::{self, History},
    layout::{self, DayFile},
    recovery::{self, Found},
};

/// Holes that a finding lists.
const LISTED: usize = 16;
/// Unique ids that are compared at once.
const BLOCK_IDS: usize = 1_048_576;

/// What is gathered while the days go by.
#[derive(Default)]
struct Pass {
    rule: IdRule,
    recording: bool,
    seen: SeenIds,
    /// The ids, for a rule by which they are unique and no more.
    unique: UniqueIds,
    /// Each day's highest id so far: a hole belongs to the day that first had an id behind it.
    highest: Vec<(Day, u64)>,
    gaps: Vec<(Day, Gap)>,
    history: History,
    /// Key of the last row, ns.
    key: u64,
}

/// What an audit looks at.
pub(super) struct Wanted {
    pub(super) days: BTreeSet<Day>,
    /// Gaps of earlier days that are not filled and reach into these, with the first day that they touch.
    reaching: Vec<(Day, Gap)>,
}

impl Wanted {
    pub(super) fn of(directory: &Path, audit: &Audit) -> Result<Wanted, StoreError> {
        let mut wanted = Wanted { days: all_days(directory)?, reaching: Vec::new() };
        let Some(range) = &audit.days else { return Ok(wanted) };
        wanted.days.retain(|day| range.contains(day));
        let (first, start_ns) = (*range.start(), range.start().start_ns());
        for day in recovery::day_files(directory, DayFile::Gaps)?.range(..first) {
            let path = directory.join(DayFile::Gaps.name(*day));
            let Some(file) = history::open(&path)? else { continue };
            // One without an end is the end of the record, unless somebody records.
            let reaches_in = |gap: &Gap| gap.to_ns > start_ns || (audit.recording && gap.is_under_way());
            let is_wanted = |gap: &Gap| gap.state != GapState::Filled && reaches_in(gap);
            let (gaps, _) = history::read_gaps(&file, &path, day::RECORD_LIMIT, is_wanted)?;
            wanted.reaching.extend(gaps.gaps.into_iter().map(|gap| (first, gap)));
        }
        // During an outage a day may have no file at all.
        wanted.days.extend(wanted.reaching.first().map(|(first, _)| *first));
        Ok(wanted)
    }
}

fn all_days(directory: &Path) -> Result<BTreeSet<Day>, StoreError> {
    let names = recovery::names(directory)?;
    let of_columns = names.iter().filter_map(|name| layout::parse_file_name(name)).map(|(_, day)| day);
    let records = [DayFile::Gaps, DayFile::Coverage, DayFile::Sealed];
    let of_records = names.iter().filter_map(|name| DayFile::parse(name));
    Ok(of_columns.chain(of_records.filter(|(file, _)| records.contains(file)).map(|(_, day)| day)).collect())
}

pub(super) fn audit(
    root: &Path,
    id: &SeriesId,
    wanted: Wanted,
    audit: &Audit,
    on_day: &mut dyn FnMut(),
) -> Result<SeriesAudit, StoreError> {
    let directory = root.join(id.path());
    let all = all_days(&directory)?;
    let Wanted { days: wanted, reaching } = wanted;
    let rule = audit.rules.get(&(id.exchange.clone(), id.table)).copied().unwrap_or_default();
    let mut pass = Pass { rule, recording: audit.recording, gaps: reaching, ..Pass::default() };
    let mut audited = Vec::with_capacity(wanted.len());
    if let Some((first, last)) = wanted.first().zip(wanted.last()) {
        if let Some(before) = all.range(..first).next_back() {
            pass.context(&directory, id, *before)?;
            pass.key = last_key(&directory, id, *before)?;
        }
        for day in &wanted {
            on_day();
            let recording = audit.recording && all.last() == Some(day);
            audited.push(pass.day(&Look { directory: &directory, id, day: *day, audit, recording })?);
        }
        if let Some(after) = all.iter().find(|day| *day > last) {
            pass.context(&directory, id, *after)?;
        }
    }
    torn_files(&directory, &mut audited)?;
    pass.judge(&mut audited);
    let span = pass.seen.span();
    let ranges = || pass.history.coverage.ranges();
    let sequences = ranges().filter(|range| range.by == Proof::Sequence).count();
    let live = ranges().filter(|range| range.by == Proof::Live).map(|range| range.to - range.from);
    Ok(SeriesAudit {
        series: id.clone(),
        rule,
        first_id: span.map(|(first, _)| first),
        last_id: span.map(|(_, last)| last),
        sequence_ranges: sequences as u64,
        live_ns: live.fold(0, u64::saturating_add),
        days: audited,
    })
}

/// The key of the last row of a day, ns; 0 if it has none.
fn last_key(directory: &Path, id: &SeriesId, day: Day) -> Result<u64, StoreError> {
    let found = Found::on_disk(directory, id.table, day)?;
    let has_nanos = found.columns().iter().any(|(column, ..)| column.name == "nanos");
    match found.rows().checked_sub(1) {
        Some(row) => Ok(cells::key(directory, day, row..row + 1, has_nanos, 0)?.last_ns),
        None => Ok(0),
    }
}

/// Files that recovery kept are told on the day they belong to.
fn torn_files(directory: &Path, days: &mut [DayAudit]) -> Result<(), StoreError> {
    let names = recovery::names(directory)?;
    for day in days {
        let part = format!(".{}.", day.day);
        let count = names.iter().filter(|name| name.ends_with(".torn") && name.contains(&part)).count() as u64;
        if count > 0 {
            day.findings.push(Finding::TornFiles { count });
        }
    }
    Ok(())
}

impl Pass {
    /// A day beside the ones asked for: only its ids and records count.
    fn context(&mut self, directory: &Path, id: &SeriesId, day: Day) -> Result<(), StoreError> {
        let gaps = day::records(directory, day, &mut self.history, &mut Vec::new())?;
        let found = Found::on_disk(directory, id.table, day)?;
        self.gaps.extend(gaps.into_iter().map(|gap| (day, gap)));
        let has_ids = found.columns().iter().any(|(column, ..)| column.name == id.table.id_column());
        self.ids(directory, id, day, if has_ids { found.rows() } else { 0 }, &mut Vec::new())
    }

    fn day(&mut self, look: &Look<'_>) -> Result<DayAudit, StoreError> {
        // Claims come after their rows: read in this order, those of a logger that is writing have theirs.
        let mut of_records = Vec::new();
        let gaps = day::records(look.directory, look.day, &mut self.history, &mut of_records)?;
        if look.audit.recording {
            of_records.retain(|finding| !matches!(finding, Finding::TornLine { .. }));
        }
        let mut day = day::audit(look, &mut self.key)?;
        day.findings.append(&mut of_records);
        day.gaps = day::count(&gaps);
        self.gaps.extend(gaps.into_iter().map(|gap| (look.day, gap)));
        let has_ids = !day.absent_columns.contains(&look.id.table.id_column());
        let rows = if has_ids { day.rows } else { 0 };
        self.ids(look.directory, look.id, look.day, rows, &mut day.findings)?;
        Ok(day)
    }

    fn ids(
        &mut self,
        directory: &Path,
        id: &SeriesId,
        day: Day,
        rows: u64,
        findings: &mut Vec<Finding>,
    ) -> Result<(), StoreError> {
        if self.rule == IdRule::None || rows == 0 {
            return Ok(());
        }
        if self.rule == IdRule::Unique {
            return self.unique_ids(directory, id, day, rows, findings);
        }
        let (mut duplicates, mut unknown) = (Tally::default(), 0);
        let unjudged = self.seen.unjudged;
        let seen = &mut self.seen;
        cells::ids(directory, id.table.id_column(), day, rows, |_, id| {
            if id == 0 {
                unknown += 1;
            } else if !seen.insert(id) {
                duplicates.add(id);
            }
        })?;
        self.highest.extend(self.seen.span().map(|(_, highest)| (day, highest)));
        let unjudged = self.seen.unjudged - unjudged;
        tell_ids(duplicates, unknown, unjudged, findings);
        Ok(())
    }

    fn unique_ids(
        &mut self,
        directory: &Path,
        id: &SeriesId,
        day: Day,
        rows: u64,
        findings: &mut Vec<Finding>,
    ) -> Result<(), StoreError> {
        let (mut ids, mut duplicates) = (Vec::new(), Tally::default());
        let unjudged = self.unique.unjudged;
        let unique = &mut self.unique;
        // An id of 0 is unknown, which where ids prove nothing is nothing to tell.
        cells::ids(directory, id.table.id_column(), day, rows, |_, id| {
            if id != 0 {
                ids.push(id);
            }
            if ids.len() >= BLOCK_IDS {
                unique.add(std::mem::take(&mut ids), &mut |id| duplicates.add(id));
            }
        })?;
        unique.add(ids, &mut |id| duplicates.add(id));
        tell_ids(duplicates, 0, self.unique.unjudged - unjudged, findings);
        Ok(())
    }

    /// Compares ids, gaps and coverage of all days, and writes what follows into the days.
    fn judge(&mut self, days: &mut [DayAudit]) {
        // Nobody can tell any more on which day they were.
        if let Some(day) = days.first_mut().filter(|_| self.seen.settled > 0) {
            let count = self.seen.settled;
            day.missing += count;
            day.findings.push(Finding::MissingIds { count, unrecorded: 0, first: Vec::new() });
        }
        let recorded = self.recorded();
        let mut holes = self.seen.holes().peekable();
        for (of, highest) in &self.highest {
            let mut finding = Holes::default();
            while let Some(hole) = holes.next_if(|(_, to)| to < highest) {
                finding.add(hole, self, &recorded);
            }
            if let Some(day) = days.iter_mut().find(|day| day.day == *of) {
                finding.tell(day);
            }
        }
        for (of, gap) in &self.gaps {
            if let Some(day) = days.iter_mut().find(|day| day.day == *of) {
                self.judge_gap(gap, day);
            }
        }
    }

    /// The ids that are recorded as missing, as disjoint rising ranges.
    fn recorded(&self) -> Vec<(u64, u64)> {
        let missing = self.gaps.iter().filter(|(_, gap)| gap.state != GapState::Filled);
        let ranges = missing.filter_map(|(_, gap)| gap.from_id.zip(gap.to_id));
        let mut ranges: Vec<_> = ranges.filter(|(from, to)| from <= to).collect();
        ranges.sort_unstable();
        let mut united: Vec<(u64, u64)> = Vec::new();
        for (from, to) in ranges {
            match united.last_mut() {
                Some((_, last)) if from <= *last => *last = to.max(*last),
                _ => united.push((from, to)),
            }
        }
        united
    }

    /// Of the ids `from..=to`, how many are missing.
    fn missing_within(&self, from: u64, to: u64) -> u64 {
        let missing = overlap((from, to), (from, to)) - self.seen.within(from, to);
        if self.rule == IdRule::Aggregated {
            // Ids that rows have are covered too, so what is covered beyond them is inside of aggregates.
            let holes = self.seen.holes().map(|hole| (hole.0.max(from), hole.1.min(to))).filter(|(a, b)| a <= b);
            let vouched = holes.map(|(a, b)| self.history.coverage.ids_within(a, b)).fold(0, u64::saturating_add);
            return missing.saturating_sub(vouched);
        }
        missing
    }

    fn judge_gap(&self, gap: &Gap, day: &mut DayAudit) {
        let begins = gap.day().unwrap_or(day.day);
        let span = self.seen.span();
        let ids = gap.from_id.zip(gap.to_id).filter(|(from, to)| from <= to);
        // The interval has no end, and nobody records: this is how far the record goes.
        if gap.is_under_way() && !self.recording {
            day.findings.push(Finding::Ended { at_ns: gap.from_ns, reason: gap.reason.clone() });
            return;
        }
        let mut unfilled = |missing: Option<u64>| {
            day.missing = day.missing.saturating_add(missing.unwrap_or(0));
            day.unknown_gaps += u64::from(missing.is_none());
            let (id, reason, lost) = (gap.id.clone(), gap.reason.clone(), gap.state == GapState::Lost);
            day.findings.push(Finding::Gap { id, begins, lost, missing, reason });
        };
        let Some(((from, to), (first, last))) = ids.zip(span) else {
            if gap.state != GapState::Filled {
                unfilled(gap.missing);
            }
            return;
        };
        // Only between the first and the last id do ids tell; there they were counted as holes.
        let inside = overlap((from, to), (first, last));
        let outside = overlap((from, to), (from, to)) - inside;
        let missing = if inside == 0 { 0 } else { self.missing_within(from.max(first), to.min(last)) };
        match gap.state {
            GapState::Filled if missing > 0 => {
                day.findings.push(Finding::NotFilled { id: gap.id.clone(), missing });
            }
            GapState::Filled => {}
            _ if outside > 0 => unfilled(Some(outside)),
            // Told on the day that it begins.
            _ if begins != day.day => {}
            _ if missing == 0 => day.findings.push(Finding::WrongGap { id: gap.id.clone() }),
            _ => {}
        }
    }
}

fn tell_ids(duplicates: Tally, unknown: u64, unjudged: u64, findings: &mut Vec<Finding>) {
    let Tally { count, first } = duplicates;
    findings.extend((count > 0).then_some(Finding::DuplicateIds { count, id: first }));
    findings.extend((unknown > 0).then_some(Finding::UnknownIds { count: unknown }));
    findings.extend((unjudged > 0).then_some(Finding::UnjudgedIds { count: unjudged }));
}

/// The holes of one day.
#[derive(Default)]
struct Holes {
    count: u64,
    unrecorded: u64,
    first: Vec<(u64, u64)>,
    wrongly_covered: u64,
}

impl Holes {
    fn add(&mut self, (from, to): (u64, u64), pass: &Pass, recorded: &[(u64, u64)]) {
        let size = overlap((from, to), (from, to));
        let covered = pass.history.coverage.ids_within(from, to);
        let missing = if pass.rule == IdRule::Aggregated {
            size - covered
        } else {
            self.wrongly_covered = self.wrongly_covered.saturating_add(covered);
            size
        };
        if missing == 0 {
            return;
        }
        let start = recorded.partition_point(|(_, last)| *last < from);
        let known = recorded.iter().skip(start).take_while(|(first, _)| *first <= to);
        let known = known.map(|range| overlap(*range, (from, to))).fold(0, u64::saturating_add);
        self.count = self.count.saturating_add(missing);
        self.unrecorded = self.unrecorded.saturating_add(missing.saturating_sub(known));
        if self.first.len() < LISTED {
            self.first.push((from, to));
        }
    }

    fn tell(self, day: &mut DayAudit) {
        let Holes { count, unrecorded, first, wrongly_covered: missing } = self;
        day.missing = day.missing.saturating_add(count);
        day.findings.extend((count > 0).then_some(Finding::MissingIds { count, unrecorded, first }));
        day.findings.extend((missing > 0).then_some(Finding::WrongCoverage { missing }));
    }
}
