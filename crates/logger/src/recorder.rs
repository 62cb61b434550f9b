//! The recorder: the one thread that owns the store. It hands facts from the queue to its core, tells it the time, and brings
//! the rows to the disk at the flush and sync intervals.

mod core;
mod housekeeping;
mod share;
mod stored;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use column_store::{Store, StoreError};
use metrics_server::Component;
use tokio::runtime::Handle;
use tracing::{info, warn};

use crate::{
    backfill::Questions,
    capture::{Capture, Entry},
    clock::Clock,
    config::Recording,
    error::LoggerError,
    feed::Suspicions,
    metrics::{DropReason, Metrics},
    queue::{self, Taken},
    received::{Batch, Received},
    symbols::Symbols,
};
pub(crate) use core::Core;
use housekeeping::Housekeeping;

/// Facts that come one by one do not wake the recorder each: after so few it rests for so long, and they wait in the queue.
const FEW: usize = 256;
const REST: Duration = Duration::from_millis(5);
/// How often gauges that age by themselves are brought up to date.
const REFRESH: Duration = Duration::from_secs(1);
/// Facts in the queue take at most one part in so many of the memory; a longer queue leaves less to rows.
const QUEUE_SHARE: usize = 2;

/// Where the recorder tells what it wants to know.
#[derive(Default)]
pub(crate) struct Outlets {
    /// Who asks the venues; none leaves what is missing open.
    pub(crate) questions: Option<Questions>,
    /// Who subscribes streams anew.
    pub(crate) suspicions: Option<Suspicions>,
}

/// The core, its timers, and its health.
pub(crate) struct Recorder {
    core: Core,
    outlets: Outlets,
    /// What the core is made to do is noted there.
    capture: Option<Capture>,
    housekeeping: Housekeeping,
    recording: Recording,
    /// Bytes that rows may take in memory before the queue is left to fill up.
    memory_bytes: usize,
    /// How long the last rows are tried to be written at the end.
    grace: Duration,
    clock: Clock,
    metrics: Arc<Metrics>,
    health: Component,
    started: Instant,
    /// Since when a sync is under way.
    syncing_since: Option<Instant>,
    /// Why the last flush and the last sync failed.
    failures: [Option<String>; 2],
}

/// Indices into `Recorder::failures`.
const FLUSH: usize = 0;
const SYNC: usize = 1;

/// What a recorder is made of besides its store.
pub(crate) struct Parts<'p> {
    pub(crate) recording: Recording,
    /// Facts that fit into the queue.
    pub(crate) queue_capacity: usize,
    /// How long the last rows are tried to be written at the end.
    pub(crate) grace: Duration,
    pub(crate) clock: Clock,
    pub(crate) symbols: &'p Symbols,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Component,
    pub(crate) outlets: Outlets,
    pub(crate) capture: Option<Capture>,
}

impl Recorder {
    /// Opens the series of all symbols and goes on after what their files hold.
    pub(crate) fn new(store: Store, parts: Parts<'_>) -> Result<Recorder, LoggerError> {
        let Parts { recording, queue_capacity, grace, clock, symbols, metrics, health, outlets, mut capture } = parts;
        let asks = outlets.questions.is_some();
        let now_ns = clock.now_ns();
        note(&mut capture, Entry::Resume(now_ns));
        let core = Core::new(store, &recording, symbols, Arc::clone(&metrics), asks, now_ns)?;
        let queued = queue_capacity.saturating_mul(size_of::<Received>());
        let limit = recording.memory_limit_bytes;
        Ok(Recorder {
            core,
            outlets,
            capture,
            housekeeping: Housekeeping::start(&recording).map_err(LoggerError::Thread)?,
            memory_bytes: limit - queued.min(limit / QUEUE_SHARE),
            recording,
            grace,
            clock,
            metrics,
            health,
            started: Instant::now(),
            syncing_since: None,
            failures: [None, None],
        })
    }

    /// Records until the queue is closed and empty; then everything is flushed and synced. Blocks its thread.
    ///
    /// # Errors
    /// [`LoggerError::Unwritten`] if the last rows could not be brought to the files.
    pub(crate) fn run(mut self, mut queue: queue::Receiver, runtime: &Handle) -> Result<(), LoggerError> {
        let mut next_flush = Instant::now() + self.recording.flush_interval;
        let mut next_sync = Instant::now() + self.recording.sync_interval;
        let mut next_refresh = Instant::now() + REFRESH;
        self.measure_disk();
        self.health.ready();
        loop {
            let wake = next_flush.min(next_refresh).saturating_duration_since(Instant::now());
            // With too much in memory the queue is left to fill up: the feeds then wait, and nothing is dropped here. When
            // they are gone, the little that is left in the queue is taken in any case.
            if self.core.memory_bytes() < self.memory_bytes || queue.is_closed() {
                let (core, clock, capture) = (&mut self.core, self.clock, &mut self.capture);
                let mut taken = 0;
                let record = |batch: Batch| {
                    taken += batch.facts.len();
                    let now_ns = clock.now_ns();
                    core.batch(&batch, now_ns);
                    note(capture, Entry::Batch(batch, now_ns));
                };
                match runtime.block_on(queue.take(wake, record)) {
                    Taken::Closed => break,
                    Taken::Some if taken < FEW => std::thread::sleep(REST),
                    Taken::Some | Taken::None => {}
                }
            } else {
                std::thread::sleep(wake);
            }
            self.health.beat();
            self.tell();
            self.end_sync();
            self.housekeeping.step(&mut self.core, &self.metrics, self.clock.now_ns());
            let now = Instant::now();
            if now >= next_flush {
                let now_ns = self.clock.now_ns();
                self.core.tick(now_ns);
                note(&mut self.capture, Entry::Tick(now_ns));
                self.flush_and_report();
                next_flush = now + self.recording.flush_interval;
            }
            if now >= next_sync {
                self.begin_sync();
                next_sync = now + self.recording.sync_interval;
            }
            if now >= next_refresh {
                self.core.refresh(self.clock.now_ns());
                next_refresh = now + REFRESH;
            }
        }
        self.finish()
    }

    /// Passes on what the core wants to know; what finds no room waits for the next time.
    fn tell(&mut self) {
        let questions = self.core.questions();
        while let Some(question) = questions.front() {
            match &self.outlets.questions {
                Some(outlet) if !outlet.ask(question.clone()) => break,
                _ => _ = questions.pop_front(),
            }
        }
        for (symbol, stream) in self.core.suspicions().drain(..) {
            if let Some(outlet) = &self.outlets.suspicions {
                // One that finds no room shows again.
                outlet.tell(symbol, stream);
            }
        }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let started = Instant::now();
        let now_ns = self.clock.now_ns();
        let result = self.core.flush(now_ns);
        note(&mut self.capture, Entry::Flush(now_ns));
        let metrics = &self.metrics.recorder;
        metrics.flush_seconds.observe(started.elapsed().as_secs_f64());
        let gauge = |value| i64::try_from(value).unwrap_or(i64::MAX);
        metrics.pending_bytes.set(gauge(self.core.store().pending_bytes()));
        metrics.open_files.set(gauge(self.core.store().open_files()));
        result
    }

    fn flush_and_report(&mut self) {
        let result = self.flush();
        self.report(FLUSH, "rows are kept in memory: a flush failed", result);
    }

    fn begin_sync(&mut self) {
        match self.core.begin_sync() {
            Ok(()) => _ = self.syncing_since.get_or_insert_with(Instant::now),
            Err(error) => self.report_sync(Err(error)),
        }
    }

    /// Hears of the sync that is under way.
    fn end_sync(&mut self) {
        if let Some(result) = self.core.end_sync() {
            if let Some(since) = self.syncing_since.take() {
                self.metrics.recorder.sync_seconds.observe(since.elapsed().as_secs_f64());
            }
            self.report_sync(result);
        }
    }

    fn report_sync(&mut self, result: Result<(), StoreError>) {
        self.report(SYNC, "rows are not proven to be on disk: a sync failed", result);
        self.measure_disk();
    }

    /// A disk that fails is not cured by a restart, which would lose what is in memory: degraded, not failing.
    fn report(&mut self, which: usize, what: &str, result: Result<(), StoreError>) {
        let reason = result.err().map(|error| {
            self.metrics.recorder.write_errors.inc();
            format!("{what}: {error}")
        });
        let was_failing = self.failures.iter().any(Option::is_some);
        if let Some(failure) = self.failures.get_mut(which) {
            // Once: the disk that the log goes to may be the full one.
            if let Some(reason) = reason.as_ref().filter(|reason| failure.as_ref() != Some(reason)) {
                warn!(pending_bytes = self.core.store().pending_bytes(), "{reason}");
            }
            *failure = reason;
        }
        match self.failures.iter().flatten().next() {
            Some(reason) => self.health.degraded(reason),
            None if was_failing => self.health.recovered(),
            None => {}
        }
    }

    fn measure_disk(&self) {
        let Ok(disk) = rustix::fs::statvfs(&self.recording.data_path) else { return };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        self.metrics.recorder.disk_free_bytes.set(i64::try_from(free).unwrap_or(i64::MAX));
        let bytes_written = self.core.bytes_written();
        let bytes_per_day = bytes_written as f64 / self.started.elapsed().as_secs_f64() * 86_400.0;
        let at_this_rate = if bytes_written == 0 { f64::INFINITY } else { free as f64 / bytes_per_day };
        let days = self.housekeeping.days_left(free, self.clock.now_ns()).unwrap_or(at_this_rate);
        self.metrics.recorder.disk_days_left.set(days);
    }

    /// The queue is closed and empty: everything goes to the disk.
    fn finish(mut self) -> Result<(), LoggerError> {
        let give_up = Instant::now() + self.grace;
        let now_ns = self.clock.now_ns();
        self.core.release(now_ns);
        note(&mut self.capture, Entry::Release(now_ns));
        while let Err(source) = self.flush() {
            self.health.beat();
            let pause = self.recording.flush_interval.min(REFRESH);
            if Instant::now() + pause >= give_up {
                let mut rows = 0;
                for (series, pending) in self.core.store().pending() {
                    rows += pending;
                    if let Ok(venue) = self.metrics.venue(&series.exchange) {
                        venue.dropped(DropReason::Shutdown, pending);
                    }
                }
                // What the other series have in their files must survive a power loss all the same.
                if let Err(error) = self.core.finish() {
                    warn!(%error, "the rows that were written are not proven to be on disk");
                }
                return Err(LoggerError::Unwritten { rows, source });
            }
            std::thread::sleep(pause);
        }
        self.core.finish()?;
        if let Some(capture) = self.capture.take() {
            capture.finish();
        }
        self.health.finish();
        info!(bytes = self.core.bytes_written(), "all rows are on disk");
        Ok(())
    }
}

fn note(capture: &mut Option<Capture>, entry: Entry) {
    if let Some(capture) = capture {
        capture.note(entry);
    }
}

#[cfg(test)]
mod tests;
