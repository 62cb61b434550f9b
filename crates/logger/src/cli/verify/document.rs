//! What was verified, for programs: one JSON document. Its keys stay; new ones may come.

use column_store::{Repaired, SeriesAudit, Totals};
use serde::Serialize;

use super::{
    Verified,
    proof::{ProvedBy, TableProof},
    report::{Problem, problems, severity_name},
};
use crate::cli::{Failure, terminal};

/// Grows when a key changes its meaning or goes.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    directory: String,
    /// Whether a logger was recording meanwhile.
    recording: bool,
    /// Whether sealed columns were compared with their checksums.
    checksums: bool,
    verdict: Verdict,
    totals: &'a Totals,
    tables: Vec<Table<'a>>,
    problems: Vec<ProblemEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repaired: Option<&'a Repaired>,
    series: Vec<Series<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Whole,
    Missing,
    Damaged,
}

#[derive(Serialize)]
struct Table<'a> {
    exchange: &'a str,
    table: &'a str,
    #[serde(flatten)]
    proof: &'a TableProof,
}

#[derive(Serialize)]
struct ProblemEntry {
    severity: &'static str,
    path: String,
    row: Option<u64>,
    text: String,
}

#[derive(Serialize)]
struct Series<'a> {
    exchange: &'a str,
    symbol: &'a str,
    table: &'static str,
    proved_by: ProvedBy,
    #[serde(flatten)]
    audit: &'a SeriesAudit,
}

pub(super) fn print(verified: &Verified<'_>) -> Result<(), Failure> {
    let Verified { directory, recording, checksums, repaired, series, tables, totals } = verified;
    let verdict = match () {
        () if totals.damage > 0 => Verdict::Damaged,
        () if !totals.is_whole() => Verdict::Missing,
        () => Verdict::Whole,
    };
    let problem = |Problem { severity, path, row, text }| {
        let path = path.display().to_string();
        ProblemEntry { severity: severity_name(severity), path, row, text }
    };
    let document = Document {
        version: VERSION,
        directory: directory.display().to_string(),
        recording: *recording,
        checksums: *checksums,
        verdict,
        totals,
        tables: tables.iter().map(|(exchange, table, proof)| Table { exchange, table, proof }).collect(),
        problems: problems(verified).map(problem).collect(),
        repaired: repaired.as_ref(),
        series: series.iter().map(of_series).collect(),
    };
    let mut text = serde_json::to_string_pretty(&document).map_err(Failure::other)?;
    text.push('\n');
    terminal::print(&text);
    Ok(())
}

fn of_series(audit: &SeriesAudit) -> Series<'_> {
    let id = &audit.series;
    Series { exchange: &id.exchange, symbol: &id.symbol, table: id.table.name(), proved_by: ProvedBy::of(audit), audit }
}
