//! `logger migrate`.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use clap::Args;
use column_store::{MigratedDay, Outcome, StoreError, migrate};
use indicatif::HumanCount;

use super::{Failure, progress::ProgressReport, terminal};
use crate::Clock;

pub(super) const EXAMPLES: &str = "\
The source is only read. Every day that is over is copied byte for byte, compared and sealed; torn rows are kept in `*.torn`
files beside it. A migration that was interrupted is taken up by the same command.

Examples:
  logger migrate /old/data /var/lib/gpu-charts
  logger verify /var/lib/gpu-charts              afterwards

Exit codes: 0 everything that the source has is in the target, 1 something is not: the output names it, 64 bad arguments.";

/// Arguments of `migrate`.
#[derive(Clone, Debug, Args)]
pub struct MigrateArgs {
    /// The ancestor's data directory; nothing in it is changed
    from: PathBuf,
    /// The directory to copy it into; created if need be
    to: PathBuf,
}

/// How many days had which outcome.
#[derive(Default)]
struct Counts {
    copied: u64,
    there: u64,
    /// To be copied by a later migration.
    later: u64,
    refused: u64,
    rows: u64,
    torn_bytes: u64,
}

impl Counts {
    /// Counts a day, and says what is worth a line.
    fn add(&mut self, day: &MigratedDay) -> Option<String> {
        let MigratedDay { series, day: date, rows, torn_bytes, outcome } = day;
        let why = match outcome {
            Outcome::Copied => {
                (self.copied, self.rows) = (self.copied + 1, self.rows + rows);
                self.torn_bytes += torn_bytes;
                let torn = || format!("kept      {series} {date}: {torn_bytes} bytes of torn rows, in *.torn files\n");
                return (*torn_bytes > 0).then(torn);
            }
            Outcome::There => {
                (self.there, self.rows) = (self.there + 1, self.rows + rows);
                return None;
            }
            Outcome::NotOver => {
                self.later += 1;
                return Some(format!("later     {series} {date}: the day is not over, or less than ten minutes ago\n"));
            }
            Outcome::NoTime => "it has no `time` column: nothing says how many rows it has".to_owned(),
            Outcome::Conflict { file } => format!("{} has other bytes, and was left alone", file.display()),
        };
        self.refused += 1;
        Some(format!("refused   {series} {date}: {why}\n"))
    }
}

pub(super) fn execute(args: &MigrateArgs) -> Result<ExitCode, Failure> {
    let MigrateArgs { from, to } = args;
    if !from.is_dir() {
        return Err(Failure::usage(format_args!("{} is not a directory", from.display())));
    }
    let progress = std::cell::RefCell::new(ProgressReport::new("migrate", "days"));
    let mut counts = Counts::default();
    let result = migrate(
        from,
        to,
        Clock::system().now_ns(),
        &mut |now| progress.borrow_mut().at(now.done, now.total, &now.series),
        &mut |day| {
            if let Some(line) = counts.add(day) {
                progress.borrow().print(&line);
            }
        },
    );
    progress.into_inner().finish();
    let left = result.map_err(|error| match error {
        StoreError::Name { .. } => Failure::usage(error),
        error => {
            Failure::other(format_args!("{error}\nWhat was copied before stays; the same command goes on from there."))
        }
    })?;
    let mut report = String::new();
    for path in &left {
        _ = writeln!(report, "not ours  {}: not copied", path.display());
    }
    let Counts { copied, there, later, refused, rows, torn_bytes } = counts;
    let (rows, torn) = (HumanCount(rows), HumanCount(torn_bytes));
    _ = writeln!(
        report,
        "{copied} days copied, {there} there before, {later} for later, {refused} refused: {rows} rows in {}; \
         {torn} bytes of torn rows kept; {} other files left where they are",
        to.display(),
        left.len()
    );
    terminal::print(&report);
    Ok(if later + refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
