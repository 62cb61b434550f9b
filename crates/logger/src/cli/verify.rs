//! `logger verify`.

mod document;
mod proof;
mod report;

use std::{
    cell::RefCell,
    collections::BTreeSet,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use column_store::{
    Audit, Day, IdRule, Repair, Repaired, Rules, Scope, SeriesAudit, Table, is_recording, layout, repair, verify,
};

use super::{Failure, progress::ProgressReport};
use proof::TableProofs;

pub(super) const EXAMPLES: &str = "\
Reads a data directory, also beside a logger that records into it, also one of the ancestor's, and writes nothing to it: lengths
of columns, order of the search key, trade ids, recorded gaps and coverage, checksums of sealed days. For each exchange and table
it says how many events are missing and what proves that: the venue's contiguous ids, a socket's sequence numbers, the
record of when the subscription was live, or nothing.

Examples:
  logger verify ./data                                  everything
  logger verify ./data --exchange coinbase --symbol BTC-USD --day 18.11.26
  logger verify ./data --day 01.11.26..07.11.26 --quick a week, without reading sealed columns
  logger verify ./data --json | jq .verdict             one document, for programs
  logger verify ./data --repair                         cut torn rows first; no logger may run

Exit codes: 0 whole: nothing is known to be missing or damaged; 1 something is missing or damaged, or could not be read;
64 bad arguments, or there is nothing to verify.";

/// Arguments of `verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// The data directory
    directory: PathBuf,
    /// Only this UTC day, DD.MM.YY or YYYY-MM-DD, or FIRST..LAST
    #[arg(long, value_name = "DAY", value_parser = days)]
    day: Option<Days>,
    /// Only this exchange
    #[arg(long, value_name = "NAME")]
    exchange: Option<String>,
    /// Only this symbol, by the exchange's name or by its directory's
    #[arg(long, value_name = "SYMBOL")]
    symbol: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Cut rows that are not in all columns, and torn lines, before; what is cut off is kept in `*.torn` files
    #[arg(long)]
    repair: bool,
    /// Rows of a day that --repair may cut off at most
    #[arg(long, value_name = "ROWS", requires = "repair", default_value_t = Repair::default().most_rows)]
    max_cut: u64,
    /// Leave the checksums of sealed days alone
    #[arg(long)]
    quick: bool,
    /// Binance was recorded with `trades: aggTrade`: ids that its coverage holds count as there, since a row may stand for several
    #[arg(long)]
    agg_trades: bool,
}

/// Days from one to another.
#[derive(Clone, Debug)]
struct Days(RangeInclusive<Day>);

fn days(text: &str) -> Result<Days, String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let (first, last) = (day(first)?, day(last)?);
    if first > last {
        return Err(format!("{last} is before {first}"));
    }
    Ok(Days(first..=last))
}

/// A day as in file names, or as ISO 8601 writes it.
fn day(text: &str) -> Result<Day, String> {
    let iso = || {
        let (year, rest) = text.strip_prefix("20")?.split_once('-')?;
        let (month, day) = rest.split_once('-')?;
        format!("{day}.{month}.{year}").parse().ok()
    };
    text.parse().ok().or_else(iso).ok_or_else(|| format!("`{text}` is not a day of the form DD.MM.YY or YYYY-MM-DD"))
}

/// What an audit found, all of it.
struct Verified<'a> {
    directory: &'a Path,
    recording: bool,
    checksums: bool,
    repaired: Option<Repaired>,
    series: Vec<SeriesAudit>,
    tables: TableProofs,
    totals: column_store::Totals,
}

pub(super) fn execute(args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let directory = args.directory.as_path();
    if !directory.is_dir() {
        return Err(Failure::usage(format_args!("{} is not a directory", directory.display())));
    }
    let scope = Scope { exchange: args.exchange.clone(), symbols: args.symbol.as_deref().map_or_else(Vec::new, names) };
    let days = args.day.as_ref().map(|days| days.0.clone());
    let repaired = args.repair.then(|| repair_first(directory, &scope, days.clone(), args.max_cut)).transpose()?;
    let recording = is_recording(directory).map_err(Failure::other)?;
    let audit = Audit { days, scope, rules: rules(args.agg_trades), checksums: !args.quick, recording };
    let verified = run(directory, &audit, repaired)?;
    if verified.series.iter().all(|series| series.days.is_empty()) {
        return Err(nothing(directory, args));
    }
    if args.json {
        document::print(&verified)?;
    } else {
        report::print(&verified);
    }
    Ok(if verified.totals.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn repair_first(
    root: &Path,
    scope: &Scope,
    days: Option<RangeInclusive<Day>>,
    most_rows: u64,
) -> Result<Repaired, Failure> {
    let mut progress = ProgressReport::new("repair", "days");
    let wanted = Repair { days, scope: scope.clone(), most_rows };
    let repaired = repair(root, &wanted, &mut |now| progress.at(now.done, now.total, &now.series));
    progress.finish();
    repaired.map_err(Failure::other)
}

fn run<'a>(directory: &'a Path, audit: &Audit, repaired: Option<Repaired>) -> Result<Verified<'a>, Failure> {
    let progress = RefCell::new(ProgressReport::new("verify", "days"));
    let (mut series, mut tables) = (Vec::new(), TableProofs::default());
    let totals = verify(
        directory,
        audit,
        &mut |now| progress.borrow_mut().at(now.done, now.total, &now.series),
        &mut |audited| {
            tables.add(audited);
            series.push(audited.clone());
        },
    );
    progress.into_inner().finish();
    let totals = totals.map_err(Failure::other)?;
    let (recording, checksums) = (audit.recording, audit.checksums);
    Ok(Verified { directory, recording, checksums, repaired, series, tables, totals })
}

/// What the ids of each venue's trades prove. Update ids of quotes prove nothing: a venue sends what changed, not every number.
fn rules(aggregated: bool) -> Rules {
    let venues = exchange_protocol::venues();
    let of_trades = venues.iter().map(|venue| {
        let facts = venue.facts();
        let rule = match facts.trade_ids {
            exchange_protocol::IdRule::Contiguous if aggregated && facts.name == "binance" => IdRule::Aggregated,
            exchange_protocol::IdRule::Contiguous => IdRule::Contiguous,
            exchange_protocol::IdRule::Unique => IdRule::Unique,
        };
        ((facts.name.to_owned(), Table::Trades), rule)
    });
    of_trades.collect()
}

/// The directories that a symbol may lie in: that of this name, that of the venue's symbol of this name.
fn names(symbol: &str) -> Vec<String> {
    let venues = exchange_protocol::venues();
    let stored = venues.iter().map(|venue| venue.stored_symbol(&venue.spelling(symbol)).into_owned());
    let of_venues = stored.filter_map(|symbol| layout::symbol_directory(&symbol).ok());
    of_venues.chain([symbol.to_owned()]).collect::<BTreeSet<_>>().into_iter().collect()
}

fn nothing(directory: &Path, args: &VerifyArgs) -> Failure {
    let VerifyArgs { day, exchange, symbol, .. } = args;
    let day = day.as_ref().map(|Days(days)| format!(" of {} to {}", days.start(), days.end()));
    let mut what = day.unwrap_or_default();
    for (name, value) in [("exchange", exchange), ("symbol", symbol)] {
        what.extend(value.iter().map(|value| format!(" of {name} `{value}`")));
    }
    Failure::usage(format_args!("there is nothing to verify: {} holds no column files{what}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_understood_in_both_spellings() {
        let range = |text| days(text).map(|Days(days)| format!("{} {}", days.start(), days.end()));
        assert_eq!(range("18.11.26").unwrap(), "18.11.26 18.11.26");
        assert_eq!(range("2026-11-18").unwrap(), "18.11.26 18.11.26");
        assert_eq!(range("30.11.26..2026-12-02").unwrap(), "30.11.26 02.12.26");
        for wrong in ["", "18.11.2026", "2026-11-31", "1926-11-18", "02.12.26..30.11.26", "..", "18.11.26.."] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_symbol_is_found_by_either_name() {
        assert!(names("BTC/USD").contains(&"XBT_USD".to_owned()));
        assert!(names("XBT_USD").contains(&"XBT_USD".to_owned()));
        assert!(names("btcusdt").contains(&"BTCUSDT".to_owned()));
        assert!(names("tBTCUSD").contains(&"tBTCUSD".to_owned()));
    }

    #[test]
    fn ids_prove_what_the_venues_say() {
        let rule = |aggregated, exchange: &str| rules(aggregated)[&(exchange.to_owned(), Table::Trades)];
        assert_eq!(rule(false, "binance"), IdRule::Contiguous);
        assert_eq!(rule(true, "binance"), IdRule::Aggregated);
        assert_eq!(rule(true, "coinbase"), IdRule::Contiguous);
        assert_eq!(rule(false, "bitfinex"), IdRule::Unique);
        assert!(!rules(false).contains_key(&("coinbase".to_owned(), Table::Md)));
    }
}
