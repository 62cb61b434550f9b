//! Makes the columns of captured runs again.

use std::path::{Path, PathBuf};

use column_store::{Options, Store};
use metrics_server::Registry;

use super::{CaptureFile, Entry, Header, ReadError, derive::Connections, foreign};
use crate::{
    clock::Clock,
    config::{Config, ConfigError},
    error::LoggerError,
    metrics::Metrics,
    recorder::Core,
    symbols::Symbols,
};

/// Flushes between two syncs: a replay that is cut short is begun anew, so they need not be close.
const FLUSHES_PER_SYNC: u32 = 1_000;

/// Why a capture cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("{path} is of a run whose rules this program does not take: {source}")]
    Rules { path: PathBuf, source: ConfigError },
    #[error(transparent)]
    Recorder(#[from] LoggerError),
    #[error(transparent)]
    Store(#[from] column_store::StoreError),
    #[error("{}: no file {missing} of the run that began at {run} ns: columns would not be the same without it", path.display())]
    Missing { path: PathBuf, run: u64, missing: u64 },
    #[error(transparent)]
    Foreign(#[from] foreign::ForeignError),
}

/// What was replayed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replayed {
    pub(crate) files: u64,
    pub(crate) runs: u64,
    pub(crate) batches: u64,
    pub(crate) frames: u64,
    pub(crate) facts: u64,
    pub(crate) rows_bytes: u64,
    /// Entries that could not be captured.
    pub(crate) lost: u64,
    /// Files whose end was cut off.
    pub(crate) torn: u64,
    /// Events that frames did not give as when they were captured.
    pub(crate) differences: u64,
    /// Frames of other programs' captures that were not understood.
    pub(crate) undecodable: u64,
}

impl Replayed {
    /// Whether the columns are what the captured runs wrote.
    pub(crate) fn is_exact(&self) -> bool {
        self.lost == 0 && self.differences == 0
    }
}

/// Replays captures, run after run, into one data directory.
pub(crate) struct Replay<'p> {
    data_path: PathBuf,
    /// Hears how many bytes of files were read.
    on_progress: &'p mut dyn FnMut(u64, &Path),
    done: Replayed,
    read_bytes: u64,
}

/// A run that is being replayed.
struct Run {
    connections: Connections,
    core: Core,
    flushes: u32,
}

impl<'p> Replay<'p> {
    pub(crate) fn new(data_path: &Path, on_progress: &'p mut dyn FnMut(u64, &Path)) -> Replay<'p> {
        Replay { data_path: data_path.to_owned(), on_progress, done: Replayed::default(), read_bytes: 0 }
    }

    /// Replays captures of this logger, in the order of runs and of their files, and then those of others, in the order
    /// given.
    pub(crate) fn run(mut self, paths: &[PathBuf]) -> Result<Replayed, ReplayError> {
        let mut ours = Vec::new();
        let mut others = Vec::new();
        for path in paths {
            if foreign::is_foreign(path)? {
                others.push(path);
                continue;
            }
            let file = CaptureFile::open(path)?;
            match file.header() {
                Some(header) => ours.push((header.clone(), path)),
                // It was begun, and nothing came into it.
                None => self.done.torn += 1,
            }
        }
        ours.sort_by_key(|(header, _)| (header.run, header.file));
        check_complete(&ours)?;
        let runs: Vec<_> = ours.chunk_by(|(a, _), (b, _)| a.run == b.run).collect();
        for files in runs {
            self.run_of_files(files)?;
        }
        for path in others {
            self.foreign(path)?;
        }
        Ok(self.done)
    }

    fn run_of_files(&mut self, files: &[(Header, &PathBuf)]) -> Result<(), ReplayError> {
        let mut run: Option<Run> = None;
        self.done.runs += 1;
        for (header, path) in files {
            let mut file = CaptureFile::open(path)?;
            let mut number = 0_u64;
            while let Some(entry) = file.next() {
                let entry = entry?;
                number += 1;
                if number.is_multiple_of(1_024) {
                    (self.on_progress)(self.read_bytes + file.position(), path);
                }
                if let Entry::Lost(count) = entry {
                    self.done.lost += count;
                    continue;
                }
                let begins_ns = if let Entry::Resume(now_ns) = entry { now_ns } else { header.run };
                let run = match &mut run {
                    Some(run) => run,
                    none => none.insert(self.begin(header.rules.clone(), path, begins_ns)?),
                };
                self.take(run, entry)?;
            }
            self.done.files += 1;
            self.done.torn += u64::from(file.is_torn());
            self.read_bytes += file.length();
        }
        if let Some(run) = run {
            self.end(run)?;
        }
        Ok(())
    }

    fn begin(&self, rules: serde_json::Value, path: &Path, now_ns: u64) -> Result<Run, ReplayError> {
        let config = Config::of_capture(rules, self.data_path.clone());
        let config = config.map_err(|source| ReplayError::Rules { path: path.to_owned(), source })?;
        let store = Store::open(&self.data_path, Options::default())?;
        let symbols = Symbols::new(&config.exchanges, config.symbol_label_limit, Clock::system());
        let metrics = Metrics::register(&mut Registry::default(), &symbols).map_err(LoggerError::from)?;
        let core = Core::new(store, &config.recording, &symbols, metrics.into(), config.backfill, now_ns)?;
        let named = symbols.iter().map(|(index, symbol)| (index, symbol.exchange(), symbol.name.clone()));
        Ok(Run { connections: Connections::new(named), core, flushes: 0 })
    }

    fn take(&mut self, run: &mut Run, entry: Entry) -> Result<(), ReplayError> {
        match entry {
            Entry::Batch(batch, now_ns) => {
                let batch = run.connections.whole(batch);
                self.done.batches += 1;
                self.done.facts += batch.facts.len() as u64;
                run.core.batch(&batch, now_ns);
            }
            Entry::Tick(now_ns) => run.core.tick(now_ns),
            Entry::Flush(now_ns) => {
                run.core.flush(now_ns)?;
                run.flushes += 1;
                if run.flushes.is_multiple_of(FLUSHES_PER_SYNC) {
                    run.core.sync()?;
                }
            }
            Entry::Release(now_ns) => run.core.release(now_ns),
            Entry::Resume(_) | Entry::Lost(_) => {}
        }
        // Nobody answers: the answers are in the capture.
        run.core.questions().clear();
        run.core.suspicions().clear();
        Ok(())
    }

    fn end(&mut self, mut run: Run) -> Result<(), ReplayError> {
        // A run that was killed did not come to its last flush; what it captured since then is flushed here.
        run.core.flush(Clock::system().now_ns())?;
        run.core.finish()?;
        self.done.rows_bytes += run.core.bytes_written();
        self.done.differences += run.connections.differences;
        self.done.frames += run.connections.frames;
        Ok(())
    }

    fn foreign(&mut self, path: &Path) -> Result<(), ReplayError> {
        let capture = foreign::ForeignCapture::read(path)?;
        self.done.runs += 1;
        self.done.frames += capture.frames;
        self.done.undecodable += capture.undecodable;
        let mut run = self.begin(capture.rules, path, capture.begins_ns)?;
        let total = capture.entries.len().max(1) as u64;
        for (number, entry) in (0_u64..).zip(capture.entries) {
            if number % 1_024 == 0 {
                (self.on_progress)(self.read_bytes + capture.length * number / total, path);
            }
            self.take(&mut run, entry)?;
        }
        self.done.files += 1;
        self.read_bytes += capture.length;
        self.end(run)
    }
}

/// Refuses a run of which a file is missing in the middle or at the beginning.
fn check_complete(files: &[(Header, &PathBuf)]) -> Result<(), ReplayError> {
    let mut before: Option<(u64, u64)> = None;
    for (header, path) in files {
        let expected = before.filter(|(run, _)| *run == header.run).map_or(0, |(_, file)| file + 1);
        if header.file > expected {
            return Err(ReplayError::Missing { path: (*path).clone(), run: header.run, missing: expected });
        }
        before = Some((header.run, header.file));
    }
    Ok(())
}
