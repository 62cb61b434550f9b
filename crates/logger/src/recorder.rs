//! The recorder: the one thread that owns the store. Takes facts off the queue, makes rows of them, and brings the rows to
//! the disk at the flush and sync intervals.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use column_store::{MdRow, SeriesHandle, Store, StoreError, Stream, TimeRule, TradeRow};
use metrics_server::Component;
use tokio::runtime::Handle;
use tracing::{error, info, warn};

use crate::{
    clock::Clock,
    config::Recording,
    error::LoggerError,
    market::{Market, Rows},
    metrics::{DropReason, Metrics, VenueMetrics},
    queue::{self, Taken},
    received::{Batch, Fact, Received, SymbolIndex},
    symbols::Symbols,
};

/// Trades at the end of the files whose ids are looked at to go on after them: late ones may stand behind the newest.
const RESUME_TRADES: u64 = 4_096;
/// Files whose newest row lies further ahead of our clock than this are not written on, ns.
const FUTURE_LIMIT: u64 = 86_400 * 1_000_000_000;
/// How often gauges that age by themselves are brought up to date.
const REFRESH: Duration = Duration::from_secs(1);

/// Rows in memory and on their way to the disk.
pub(crate) struct Recorder {
    store: Store,
    recording: Recording,
    /// How long the last rows are tried to be written at the end.
    grace: Duration,
    clock: Clock,
    metrics: Arc<Metrics>,
    health: Component,
    /// By [`SymbolIndex`].
    symbols: Vec<Recorded>,
    started: Instant,
    bytes_written: u64,
    /// Why the last flush and the last sync failed.
    failures: [Option<String>; 2],
}

/// Indices into `Recorder::failures`.
const FLUSH: usize = 0;
const SYNC: usize = 1;

struct Recorded {
    venue: Arc<VenueMetrics>,
    market: Market,
    md: SeriesHandle<MdRow>,
    trades: SeriesHandle<TradeRow>,
}

impl Recorder {
    /// Opens the series of all symbols and goes on after what their files hold.
    pub(crate) fn new(
        mut store: Store,
        recording: Recording,
        grace: Duration,
        clock: Clock,
        symbols: &Symbols,
        metrics: Arc<Metrics>,
        health: Component,
    ) -> Result<Recorder, LoggerError> {
        let mut recorded = Vec::new();
        for (_, symbol) in symbols.iter() {
            let facts = symbol.venue.facts();
            let stored = symbol.venue.stored_symbol(&symbol.name);
            let trades = store.series::<TradeRow>(facts.name, &stored)?;
            let md = store.series::<MdRow>(facts.name, &stored)?;
            for (table, last_ns) in [("MD", store.last_time_ns(md)), ("TRADES", store.last_time_ns(trades))] {
                // Every row would be filed under that time from here on.
                if last_ns > clock.now_ns().saturating_add(FUTURE_LIMIT) {
                    let series = format!("{}/{stored}/{table}", facts.name);
                    return Err(LoggerError::Future { series, ahead: Duration::from_nanos(last_ns - clock.now_ns()) });
                }
            }
            // 0 is an unknown id.
            let mut ids = store.last_cells(trades, "id", RESUME_TRADES)?;
            ids.retain(|id| *id != 0);
            recorded.push(Recorded {
                venue: Arc::clone(metrics.venue(facts.name)?),
                market: Market::new(facts.trade_ids, facts.quotes_have_time, ids),
                md,
                trades,
            });
        }
        let started = Instant::now();
        Ok(Recorder {
            store,
            recording,
            grace,
            clock,
            metrics,
            health,
            symbols: recorded,
            started,
            bytes_written: 0,
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
            if self.store.pending_bytes() < self.recording.memory_limit_bytes || queue.is_closed() {
                let record = |batch: Batch| batch.facts.iter().for_each(|received| self.record(received));
                if runtime.block_on(queue.take(wake, record)) == Taken::Closed {
                    break;
                }
            } else {
                std::thread::sleep(wake);
            }
            self.health.beat();
            let now = Instant::now();
            if now >= next_flush {
                self.flush_and_report();
                next_flush = now + self.recording.flush_interval;
            }
            if now >= next_sync {
                self.sync_and_report();
                next_sync = now + self.recording.sync_interval;
            }
            if now >= next_refresh {
                self.refresh();
                next_refresh = now + REFRESH;
            }
        }
        self.finish()
    }

    fn record(&mut self, received: &Received) {
        let Received { symbol, receive_ns, ref fact } = *received;
        let (Some(recorded), Some(metrics)) = (self.symbols.get_mut(symbol), self.metrics.symbols.get(symbol)) else {
            return;
        };
        let rows = match fact {
            Fact::Trade(trade) => {
                recorded.market.trade(trade, receive_ns, self.recording.large_trade, &recorded.venue, metrics)
            }
            Fact::Quote(quote) => recorded.market.quote(quote, receive_ns, &recorded.venue, metrics),
            Fact::Lost { stream: Stream::Quotes, .. } => {
                recorded.market.disconnected(metrics);
                Rows::default()
            }
            Fact::LastTrade { .. }
            | Fact::Alive(_)
            | Fact::Renumbered
            | Fact::Live(_)
            | Fact::Lost { .. }
            | Fact::Fill(_) => Rows::default(),
        };
        self.append(symbol, &rows);
    }

    fn append(&mut self, symbol: SymbolIndex, rows: &Rows) {
        let Some(recorded) = self.symbols.get(symbol) else { return };
        let trade = rows.trade.as_ref().map(|row| self.store.append(recorded.trades, row, TimeRule::Live));
        let md = rows.md.as_ref().map(|row| self.store.append(recorded.md, row, TimeRule::Live));
        for error in [trade, md].into_iter().flatten().filter_map(Result::err) {
            recorded.venue.dropped(DropReason::Clock, 1);
            error!(%error, "a row cannot be recorded");
        }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let started = Instant::now();
        let metrics = &self.metrics;
        let mut bytes = 0;
        let result = self.store.flush(|series, written| {
            bytes += written.bytes;
            if let Ok(venue) = metrics.venue(&series.exchange) {
                venue.written(series.table, written.rows, written.bytes);
            }
        });
        self.bytes_written += bytes;
        metrics.recorder.flush_seconds.observe(started.elapsed().as_secs_f64());
        metrics.recorder.pending_bytes.set(i64::try_from(self.store.pending_bytes()).unwrap_or(i64::MAX));
        metrics.recorder.open_files.set(i64::try_from(self.store.open_files()).unwrap_or(i64::MAX));
        result
    }

    fn flush_and_report(&mut self) {
        let result = self.flush();
        self.report(FLUSH, "rows are kept in memory: a flush failed", result);
    }

    fn sync_and_report(&mut self) {
        let started = Instant::now();
        let result = self.store.sync();
        self.metrics.recorder.sync_seconds.observe(started.elapsed().as_secs_f64());
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
                warn!(pending_bytes = self.store.pending_bytes(), "{reason}");
            }
            *failure = reason;
        }
        match self.failures.iter().flatten().next() {
            Some(reason) => self.health.degraded(reason),
            None if was_failing => self.health.recovered(),
            None => {}
        }
    }

    fn refresh(&self) {
        let now_ns = self.clock.now_ns();
        for (recorded, metrics) in self.symbols.iter().zip(&self.metrics.symbols) {
            recorded.market.refresh(now_ns, metrics);
        }
    }

    fn measure_disk(&self) {
        let Ok(disk) = rustix::fs::statvfs(&self.recording.data_path) else { return };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        self.metrics.recorder.disk_free_bytes.set(i64::try_from(free).unwrap_or(i64::MAX));
        let bytes_per_day = self.bytes_written as f64 / self.started.elapsed().as_secs_f64() * 86_400.0;
        let days = if self.bytes_written == 0 { f64::INFINITY } else { free as f64 / bytes_per_day };
        self.metrics.recorder.disk_days_left.set(days);
    }

    /// The queue is closed and empty: everything goes to the disk.
    fn finish(mut self) -> Result<(), LoggerError> {
        let give_up = Instant::now() + self.grace;
        while let Err(source) = self.flush() {
            self.health.beat();
            let pause = self.recording.flush_interval.min(REFRESH);
            if Instant::now() + pause >= give_up {
                let mut rows = 0;
                for (series, pending) in self.store.pending() {
                    rows += pending;
                    if let Ok(venue) = self.metrics.venue(&series.exchange) {
                        venue.dropped(DropReason::Shutdown, pending);
                    }
                }
                // What the other series have in their files must survive a power loss all the same.
                if let Err(error) = self.store.sync() {
                    warn!(%error, "the rows that were written are not proven to be on disk");
                }
                return Err(LoggerError::Unwritten { rows, source });
            }
            std::thread::sleep(pause);
        }
        self.store.sync()?;
        self.health.finish();
        info!(bytes = self.bytes_written, "all rows are on disk");
        Ok(())
    }
}
