//! `logger replay`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use indicatif::{HumanBytes, HumanCount};

use super::{Failure, progress::ProgressReport, terminal};
use crate::capture::{Replay, ReplayError, Replayed};

pub(super) const EXAMPLES: &str = "\
Makes the columns again that a logger with --raw-capture wrote, byte for byte, by the same code: received frames are decoded,
and what else entered the recorder comes from the capture. Runs follow each other in the order in which they were recorded.
Text captures of the cryptofeed project (`URL <-> T`, `T: FRAME`) are taken too; their every trade and quote is recorded.

Examples:
  logger replay /var/lib/captures --data-path /tmp/again
  logger replay captures/1794960000000000000.*.zst --data-path again
  logger replay COINBASE.ws.28.0 --data-path old    a text capture

Exit codes: 0 the columns are what was recorded, 1 something was not captured, not understood, or could not be written,
64 bad arguments.";

/// Arguments of `replay`.
#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {
    /// Files of captures, or directories of them
    #[arg(required = true, value_name = "CAPTURE")]
    captures: Vec<PathBuf>,
    /// Directory for the columns; it must hold none yet
    #[arg(long, value_name = "DIR")]
    data_path: PathBuf,
}

pub(super) fn execute(args: &ReplayArgs) -> Result<ExitCode, Failure> {
    let files = files(&args.captures)?;
    let data_path = args.data_path.as_path();
    if holds_something(data_path).map_err(|error| Failure::usage(format_args!("{}: {error}", data_path.display())))? {
        return Err(Failure::usage(format_args!(
            "{} is not empty: what is there would mix with what is replayed",
            data_path.display()
        )));
    }
    fs::create_dir_all(data_path)
        .map_err(|error| Failure::usage(format_args!("cannot create {}: {error}", data_path.display())))?;
    let total = files.iter().filter_map(|path| fs::metadata(path).ok()).map(|file| file.len()).sum();
    let mut progress = ProgressReport::new("replay", "bytes");
    let replayed = Replay::new(data_path, &mut |done, path| progress.at(done, total, &path.display())).run(&files);
    progress.finish();
    let replayed = replayed.map_err(|error| match error {
        ReplayError::Read(_) | ReplayError::Foreign(_) | ReplayError::Missing { .. } => Failure::other(error),
        error => Failure::other(format_args!("{error}\nWhat is in {} is not whole.", data_path.display())),
    })?;
    terminal::print(&report(&replayed, data_path));
    Ok(if replayed.is_exact() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(replayed: &Replayed, data_path: &Path) -> String {
    let Replayed { files, runs, batches, frames, facts, rows_bytes, lost, torn, differences, undecodable } = replayed;
    let mut text = format!(
        "{} files of {} runs: {} frames, {} batches, {} facts; {} of columns in {}\n",
        HumanCount(*files),
        HumanCount(*runs),
        HumanCount(*frames),
        HumanCount(*batches),
        HumanCount(*facts),
        HumanBytes(*rows_bytes),
        data_path.display()
    );
    let mut note = |count: &u64, what: &str| {
        if *count > 0 {
            text.push_str(&format!("{} {what}\n", HumanCount(*count)));
        }
    };
    note(torn, "files were cut off at their end; what came after is lost with what the kill or power loss took");
    note(lost, "entries were not captured, since the capture could not keep up: columns differ there");
    note(
        differences,
        "events differ from when they were captured: this program decodes otherwise, or the capture is not whole",
    );
    note(undecodable, "frames of other programs' captures were not understood");
    text
}

/// The files themselves, and those in the directories.
fn files(captures: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in captures {
        if !path.is_dir() {
            if !path.is_file() {
                return Err(Failure::usage(format_args!("{} is neither a file nor a directory", path.display())));
            }
            files.push(path.clone());
            continue;
        }
        let entries =
            fs::read_dir(path).map_err(|error| Failure::other(format_args!("{}: {error}", path.display())))?;
        let mut found: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        found.retain(|path| path.to_string_lossy().ends_with(".capture.zst"));
        if found.is_empty() {
            return Err(Failure::usage(format_args!("{} holds no files *.capture.zst", path.display())));
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}

fn holds_something(directory: &Path) -> std::io::Result<bool> {
    match fs::read_dir(directory) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
