//! One day of a series: its columns, its key, its marker, its records.

use std::{fs::File, path::Path};

use super::{Audit, DayAudit, Finding, GapCount, SealState, cells};
use crate::{
    Column, Day, Gap, GapState, SeriesId, StoreError,
    history::{self, History},
    layout::{self, DayFile},
    line_file::Scanned,
    recovery::Found,
    seal::{self, Seal},
};

/// Gaps of a day, and ranges of coverage of a series, that are looked at.
pub(super) const RECORD_LIMIT: usize = 65_536;

/// What a day of a series looks like, and what must be known to look at it.
pub(super) struct Look<'a> {
    pub(super) directory: &'a Path,
    pub(super) id: &'a SeriesId,
    pub(super) day: Day,
    pub(super) audit: &'a Audit,
    /// Whether a logger may be writing this day.
    pub(super) recording: bool,
}

/// Looks at a day; `after` is the key of the row before it and becomes the highest key of the day, ns.
pub(super) fn audit(look: &Look<'_>, after: &mut u64) -> Result<DayAudit, StoreError> {
    // What `time` has was written to the other columns before: looked at in this order, a growing day is whole.
    let time_rows = column_length(look, "time")?.map(|length| length / 4);
    let found = Found::on_disk(look.directory, look.id.table, look.day)?;
    let mut day = DayAudit {
        day: look.day,
        rows: time_rows.unwrap_or(0).min(found.rows()),
        bytes: found.columns().iter().map(|(.., length)| length).sum(),
        first_ns: None,
        last_ns: None,
        absent_columns: found.missing().iter().map(|(column, _)| column.name).collect(),
        seal: SealState::Unsealed,
        gaps: GapCount::default(),
        missing: 0,
        unknown_gaps: 0,
        findings: Vec::new(),
    };
    match time_rows {
        Some(time_rows) => lengths(&found, time_rows, look.recording, &mut day.findings),
        None if found.columns().is_empty() => {}
        None => day.findings.push(Finding::NoTime),
    }
    if day.rows > 0 {
        let has_nanos = !day.absent_columns.contains(&"nanos");
        let key = cells::key(look.directory, look.day, 0..day.rows, has_nanos, *after)?;
        (day.first_ns, day.last_ns) = (key.first_ns, Some(key.last_ns));
        *after = key.last_ns;
        let tallies = [
            (key.falls, (|count, row| Finding::KeyFalls { count, row }) as fn(u64, u64) -> Finding),
            (key.other_day, |count, row| Finding::OtherDay { count, row }),
            (key.large_nanos, |count, row| Finding::NanosTooLarge { count, row }),
        ];
        let told = tallies.into_iter().filter(|(tally, _)| tally.count > 0);
        day.findings.extend(told.map(|(tally, finding)| finding(tally.count, tally.first)));
    }
    audit_seal(look, &found, &mut day)?;
    Ok(day)
}

fn column_length(look: &Look<'_>, column: &str) -> Result<Option<u64>, StoreError> {
    let path = look.directory.join(layout::file_name(column, look.day));
    let Some(file) = history::open(&path)? else { return Ok(None) };
    Ok(Some(file.metadata().map_err(StoreError::io("look at", path))?.len()))
}

fn lengths(found: &Found, time_rows: u64, recording: bool, findings: &mut Vec<Finding>) {
    for (column, _, length) in found.columns() {
        let Column { name, kind } = *column;
        let (rows, bytes) = (length / kind.width() as u64, length % kind.width() as u64);
        if bytes > 0 && !recording {
            findings.push(Finding::TornCell { column: name, bytes });
        }
        if rows < time_rows {
            findings.push(Finding::ShortColumn { column: name, rows, time_rows });
        } else if rows > time_rows && !recording {
            findings.push(Finding::LongColumn { column: name, rows, time_rows });
        }
    }
}

fn audit_seal(look: &Look<'_>, found: &Found, day: &mut DayAudit) -> Result<(), StoreError> {
    let seal = match Seal::read(look.directory, look.day) {
        Ok(None) => return Ok(()),
        Ok(Some(seal)) => seal,
        Err(StoreError::Damaged { reason, .. }) => {
            day.seal = SealState::Broken;
            day.findings.push(Finding::DamagedSeal { reason });
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let before = day.findings.len();
    if seal.rows != day.rows {
        day.findings.push(Finding::SealedRows { sealed: seal.rows, found: day.rows });
    }
    let is_there = |name: &str| found.columns().iter().any(|(column, ..)| column.name == name);
    let gone = seal.columns.keys().filter(|name| !is_there(name)).cloned();
    day.findings.extend(gone.map(|column| Finding::SealedColumns { column }));
    for (column, path, length) in found.columns() {
        let Some(sealed) = seal.columns.get(column.name) else {
            day.findings.push(Finding::SealedColumns { column: column.name.to_owned() });
            continue;
        };
        // A wrong length was found above, and a checksum says no more.
        if look.audit.checksums && *length == seal.bytes(column) {
            let file = File::open(path).map_err(StoreError::io("open", path))?;
            let (_, checksum) = seal::checksum(&file, path, *length, &mut |_| {})?;
            if checksum != *sealed {
                day.findings.push(Finding::SealedBytes { column: column.name });
            }
        }
    }
    let is_exact = found.columns().iter().all(|(column, _, length)| *length == seal.bytes(column));
    let is_sound = is_exact && day.findings.len() == before;
    day.seal = if is_sound { SealState::Sealed } else { SealState::Broken };
    Ok(())
}

/// Reads the gaps of a day in their last state and unites its coverage with `history`.
pub(super) fn records(
    directory: &Path,
    day: Day,
    history: &mut History,
    findings: &mut Vec<Finding>,
) -> Result<Vec<Gap>, StoreError> {
    let mut gaps = Vec::new();
    let name = DayFile::Gaps.name(day);
    let path = directory.join(&name);
    if let Some(file) = history::open(&path)? {
        let (read, torn) = history::read_gaps(&file, &path, RECORD_LIMIT, |_| true)?;
        findings.extend(lines(&name, read.damaged_lines, torn, read.truncated));
        gaps = read.gaps;
    }
    let name = DayFile::Coverage.name(day);
    let path = directory.join(&name);
    if let Some(file) = history::open(&path)? {
        let Scanned { damaged, torn, truncated } = history::read_coverage(&file, &path, RECORD_LIMIT, history)?;
        findings.extend(lines(&name, damaged, torn, truncated));
    }
    Ok(gaps)
}

fn lines(file: &str, damaged: u64, torn: u64, truncated: bool) -> impl Iterator<Item = Finding> {
    let count = damaged + u64::from(truncated);
    let damaged = (count > 0).then(|| Finding::DamagedLines { file: file.to_owned(), count });
    let torn = (torn > 0).then(|| Finding::TornLine { file: file.to_owned(), bytes: torn });
    damaged.into_iter().chain(torn)
}

/// Counts gaps by their state.
pub(super) fn count(gaps: &[Gap]) -> GapCount {
    let of = |state| gaps.iter().filter(|gap| gap.state == state).count() as u64;
    GapCount { open: of(GapState::Open), filled: of(GapState::Filled), lost: of(GapState::Lost) }
}
