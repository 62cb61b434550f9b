//! What was verified, for people.

use std::{fmt::Write as _, path::PathBuf, time::Duration};

use column_store::{Day, DayAudit, Finding, SeriesAudit, Severity, Table, layout};
use humantime::format_duration;
use indicatif::HumanCount;

use super::{
    Verified,
    proof::{ProvedBy, TableProof},
};
use crate::cli::terminal;

/// Something that is worth a line: how bad, where, and what.
pub(super) struct Problem {
    pub(super) severity: Severity,
    /// A file of the day, or the series' directory where no single file is meant.
    pub(super) path: PathBuf,
    /// The first row that shows it, where rows show it; 0 is the first of the day.
    pub(super) row: Option<u64>,
    pub(super) text: String,
}

pub(super) fn print(verified: &Verified<'_>) {
    let mut text = String::new();
    if let Some(repaired) = &verified.repaired {
        for cut in &repaired.cuts {
            let (file, kept) = (cut.file.display(), cut.kept_in.display());
            _ = writeln!(text, "repaired  {file}: {} bytes cut off, kept in {kept}", cut.bytes);
        }
        for (series, day, reason) in &repaired.refused {
            _ = writeln!(text, "refused   {series} {day}: {reason}");
        }
        if repaired.cuts.is_empty() && repaired.refused.is_empty() {
            _ = writeln!(text, "nothing had to be repaired");
        }
    }
    for Problem { severity, path, row, text: what } in problems(verified) {
        let row = row.map(|row| format!(" row {row}")).unwrap_or_default();
        _ = writeln!(text, "{:8}  {}{row}: {what}", severity_name(severity), path.display());
    }
    for (exchange, table, proof) in verified.tables.iter() {
        table_lines(&mut text, exchange, table, proof);
    }
    if !verified.checksums {
        _ = writeln!(text, "Checksums of sealed days were not looked at.");
    }
    if verified.recording {
        _ = writeln!(text, "A logger is recording: the rows that it has not written yet are not in this.");
    }
    _ = writeln!(text, "{}", verified.totals);
    terminal::print(&text);
}

pub(super) fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Missing => "missing",
        Severity::Damage => "damaged",
    }
}

fn table_lines(text: &mut String, exchange: &str, table: &str, proof: &TableProof) {
    let TableProof { proved_by, live_ns, totals, .. } = proof;
    let is_proven = proved_by.keys().all(|by| matches!(by, ProvedBy::Ids | ProvedBy::Sequence));
    let known = if is_proven { "missing" } else { "known to be missing" };
    let (days, sealed) = (HumanCount(totals.days), HumanCount(totals.sealed_days));
    _ = write!(text, "{exchange} {table}: {} {known}", HumanCount(totals.missing));
    if totals.unknown_gaps > 0 {
        _ = write!(text, ", {} gaps of unknown size", HumanCount(totals.unknown_gaps));
    }
    if totals.damage > 0 {
        _ = write!(text, ", {} damaged", HumanCount(totals.damage));
    }
    _ = writeln!(text, "; {} rows, {days} days ({sealed} sealed)", HumanCount(totals.rows));
    for (by, count) in proved_by {
        let what = match by {
            ProvedBy::Ids => "by ids: every number between the first and the last was looked for".to_owned(),
            ProvedBy::Sequence => "by the socket's sequence numbers, while it was connected".to_owned(),
            ProvedBy::Live => {
                // The sum over all series would be longer than the days were.
                let each = Duration::from_secs(live_ns / count.max(&1) / 1_000_000_000);
                format!(
                    "by live intervals only, {} each: whether every event came then nobody can tell",
                    format_duration(each)
                )
            }
            ProvedBy::Nothing => {
                "by nothing: no ids to count by, and no record of when the subscription was live".to_owned()
            }
        };
        let symbols = if *count == 1 { "symbol" } else { "symbols" };
        _ = writeln!(text, "  {} {symbols} {what}", HumanCount(*count));
    }
}

/// All that is worth a line, in the order of series and days.
pub(super) fn problems<'v>(verified: &'v Verified<'_>) -> impl Iterator<Item = Problem> + 'v {
    let of_series = verified.series.iter().flat_map(|series| series.days.iter().map(move |day| (series, day)));
    of_series
        .flat_map(move |(series, day)| day.findings.iter().map(move |finding| problem(verified, series, day, finding)))
}

fn problem(verified: &Verified<'_>, series: &SeriesAudit, day: &DayAudit, finding: &Finding) -> Problem {
    let (file, row) = place(finding, series.series.table, day.day);
    let path = verified.directory.join(series.series.path()).join(file);
    Problem { severity: finding.severity(), path, row, text: explain(finding) }
}

/// Which file of the day shows it, and the first row that does.
fn place(finding: &Finding, table: Table, day: Day) -> (String, Option<u64>) {
    let column = |name: &str| layout::file_name(name, day);
    match finding {
        Finding::NoTime => (column("time"), None),
        Finding::TornCell { column: name, .. } | Finding::SealedBytes { column: name } => (column(name), None),
        Finding::ShortColumn { column: name, rows, .. } => (column(name), Some(*rows)),
        Finding::LongColumn { column: name, time_rows, .. } => (column(name), Some(*time_rows)),
        Finding::KeyFalls { row, .. } | Finding::OtherDay { row, .. } => (column("time"), Some(*row)),
        Finding::NanosTooLarge { row, .. } => (column("nanos"), Some(*row)),
        Finding::DuplicateIds { .. }
        | Finding::MissingIds { .. }
        | Finding::UnknownIds { .. }
        | Finding::UnjudgedIds { .. } => (column(table.id_column()), None),
        Finding::Gap { begins, .. } => (format!("gaps.{begins}.jsonl"), None),
        Finding::Ended { .. } | Finding::NotFilled { .. } | Finding::WrongGap { .. } => {
            (format!("gaps.{day}.jsonl"), None)
        }
        Finding::WrongCoverage { .. } => (format!("coverage.{day}.jsonl"), None),
        Finding::DamagedLines { file, .. } | Finding::TornLine { file, .. } => (file.clone(), None),
        Finding::DamagedSeal { .. } | Finding::SealedRows { .. } => (format!("sealed.{day}.json"), None),
        Finding::SealedColumns { column: name } => (column(name), None),
        Finding::TornFiles { .. } => (format!("*.{day}.*.torn"), None),
    }
}

fn explain(finding: &Finding) -> String {
    match finding {
        Finding::NoTime => "it is not there; without it no reader sees the day".to_owned(),
        Finding::TornCell { bytes, .. } => format!("its last cell is incomplete: {bytes} bytes"),
        Finding::ShortColumn { time_rows, .. } => format!("it ends here, `time` has {time_rows} rows"),
        Finding::LongColumn { rows, .. } => format!("`time` ends here, it has {rows} rows"),
        Finding::KeyFalls { count, .. } => format!("the search key falls, {count} times that day"),
        Finding::OtherDay { count, .. } => format!("of another day, {count} rows"),
        Finding::NanosTooLarge { count, .. } => format!("a second or more, {count} rows"),
        Finding::DuplicateIds { count, id } => format!("{count} ids are there twice, the first is {id}"),
        Finding::MissingIds { count, unrecorded, first } => {
            let range = |(from, to): &(u64, u64)| if from == to { from.to_string() } else { format!("{from} to {to}") };
            let ranges: Vec<_> = first.iter().map(range).collect();
            let which = if ranges.is_empty() { "too long ago to tell which".to_owned() } else { ranges.join(", ") };
            let recorded = match unrecorded {
                0 => "recorded as gaps".to_owned(),
                unrecorded => format!("{unrecorded} of them are recorded in no gap"),
            };
            format!("{count} ids are missing: {which}; {recorded}")
        }
        Finding::UnknownIds { count } => format!("{count} rows without an id"),
        Finding::UnjudgedIds { count } => format!("{count} rows could not be judged: too many holes"),
        Finding::Gap { id, lost, missing, reason, .. } => {
            let unknown = || "an unknown number of events is missing".to_owned();
            let size = missing.map_or_else(unknown, |count| format!("{count} events are missing"));
            format!("gap {id} ({reason}), {}: {size}", if *lost { "lost for good" } else { "open" })
        }
        Finding::Ended { at_ns, reason } => {
            let at = std::time::UNIX_EPOCH + Duration::from_nanos(*at_ns);
            format!("the record ends at {} ({reason})", humantime::format_rfc3339_millis(at))
        }
        Finding::NotFilled { id, missing } => {
            format!("gap {id} is recorded as filled, but {missing} of its ids are missing")
        }
        Finding::WrongGap { id } => format!("gap {id} is recorded as not filled, but all of its ids are there"),
        Finding::WrongCoverage { missing } => format!("{missing} ids are recorded as received whole, and have no row"),
        Finding::DamagedLines { count, .. } => format!("{count} lines are not understood"),
        Finding::TornLine { bytes, .. } => format!("its last line is incomplete: {bytes} bytes"),
        Finding::DamagedSeal { reason } => reason.clone(),
        Finding::SealedRows { sealed, found } => format!("sealed with {sealed} rows, there are {found}"),
        Finding::SealedColumns { .. } => "gone since the day was sealed, or new since then".to_owned(),
        Finding::SealedBytes { .. } => "other bytes than when the day was sealed".to_owned(),
        Finding::TornFiles { count } => format!("{count} files keep what recovery or a repair cut off"),
    }
}
