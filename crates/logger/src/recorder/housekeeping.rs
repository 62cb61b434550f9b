//! Days that are over: sealed, and removed when they are not wanted any more; and how fast the disk fills. What takes reading is
//! done by a helper thread, one thing at a time; the store is changed by the recorder only.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender, TryRecvError, channel},
    time::Duration,
};

use column_store::{
    Day, DiskUse, Reader, SEAL_DELAY_NS, SealDraft, Sealing, SeriesId, StoreError, Table, days_to_remove, layout,
};
use tracing::{info, warn};

use super::Core;
use crate::{config::Recording, metrics::Metrics};

const DAY_NS: u64 = 86_400 * 1_000_000_000;
/// The directory is looked through for days to seal, and its sizes are added up, this often, ns.
const INTERVAL_NS: u64 = 3_600 * 1_000_000_000;
/// Sealing and removing a day wait for the disk, and rows wait for them: no more often than this, ns.
const SPACING_NS: u64 = 100_000_000;
/// A gap that could not be filled for so long after its day does not keep the day open any longer, ns: 6 hours.
const SETTLED_NS: u64 = 6 * 3_600 * 1_000_000_000;
/// A day that cannot be sealed is removed all the same when it is so much older than what is kept.
const UNSEALED_DAYS: u64 = 7;
/// Reading for checksums leaves the disk to others: bytes, and the pause after each.
const BURST: u64 = 4 << 20;
const PAUSE: Duration = Duration::from_millis(50);

enum Job {
    /// Look for days that are over and not sealed, as of a time, ns.
    Look(u64),
    Read(SeriesId, Day),
    /// Look for days that are older than so many, as of a time, ns.
    Age(u32, u64),
    AddUp,
}

enum Done {
    Days(Result<Vec<(SeriesId, Day)>, StoreError>),
    Draft(SeriesId, Day, Result<Option<SealDraft>, StoreError>),
    Old(Result<Removal, StoreError>),
    Use(Result<DiskUse, StoreError>),
}

/// Days that are not kept.
#[derive(Default)]
struct Removal {
    days: VecDeque<(SeriesId, Day)>,
    /// Whether days that are not sealed go too.
    force: bool,
    /// Days that are gone, and bytes that they had.
    removed: u64,
    bytes: u64,
}

/// What is to be done, and the thread that helps.
pub(super) struct Housekeeping {
    jobs: Sender<Job>,
    done: Receiver<Done>,
    is_busy: bool,
    keep_days: Option<u32>,
    delay_ns: u64,
    /// Days to seal.
    days: VecDeque<(SeriesId, Day)>,
    /// Of these, days that could not be sealed since the directory was looked through.
    left: i64,
    next_look_ns: u64,
    next_use_ns: u64,
    /// When the next day may be sealed or removed.
    next_change_ns: u64,
    removal: Removal,
    /// Whether days may be due to be removed since the directory was looked through.
    may_remove: bool,
    usage: DiskUse,
}

impl Housekeeping {
    /// Starts the helper; it ends when this is dropped.
    pub(super) fn start(recording: &Recording) -> std::io::Result<Housekeeping> {
        let delay = u64::try_from(recording.completeness.seal_delay.as_nanos()).unwrap_or(u64::MAX).max(SEAL_DELAY_NS);
        let (jobs, todo) = channel();
        let (tell, done) = channel();
        let root = recording.data_path.clone();
        std::thread::Builder::new().name("housekeeping".to_owned()).spawn(move || help(&root, delay, &todo, &tell))?;
        Ok(Housekeeping {
            jobs,
            done,
            is_busy: false,
            keep_days: recording.keep_days,
            delay_ns: delay,
            days: VecDeque::new(),
            left: 0,
            next_look_ns: 0,
            next_use_ns: 0,
            next_change_ns: 0,
            removal: Removal::default(),
            may_remove: false,
            usage: DiskUse::default(),
        })
    }

    /// Days until the disk is full, by the last whole days; `None` before there is one.
    pub(super) fn days_left(&self, free_bytes: u64, now_ns: u64) -> Option<f64> {
        self.usage.days_left(free_bytes, Day::from_ns(now_ns)?, 7)
    }

    /// Does a little.
    pub(super) fn step(&mut self, core: &mut Core, metrics: &Metrics, now_ns: u64) {
        match self.done.try_recv() {
            Ok(done) => {
                self.is_busy = false;
                self.take(done, core, metrics, now_ns);
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
        }
        if self.is_busy {
            return;
        }
        if now_ns >= self.next_change_ns
            && let Some((id, day)) = self.days.pop_front()
        {
            let may_wait = now_ns < day.end_ns().saturating_add(SETTLED_NS);
            if may_wait && core.has_open_gap(&id, day.end_ns()) {
                self.left += 1;
            } else {
                self.give(Job::Read(id, day));
            }
        } else if self.days.is_empty() && now_ns >= self.next_look_ns {
            self.next_look_ns = self.next_look(now_ns);
            self.give(Job::Look(now_ns));
        } else if self.days.is_empty() {
            self.idle(core, metrics, now_ns);
        }
    }

    fn idle(&mut self, core: &mut Core, metrics: &Metrics, now_ns: u64) {
        if self.may_remove {
            self.may_remove = false;
            metrics.record.days_unsealed.set(self.left);
            if let Some(keep_days) = self.keep_days {
                self.give(Job::Age(keep_days, now_ns));
            }
        } else if !self.removal.days.is_empty() {
            if now_ns >= self.next_change_ns
                && let Some((id, day)) = self.removal.days.pop_front()
            {
                self.remove(&id, day, core, metrics, now_ns);
            }
        } else if now_ns >= self.next_use_ns {
            self.next_use_ns = now_ns.saturating_add(INTERVAL_NS);
            self.give(Job::AddUp);
        }
    }

    fn give(&mut self, job: Job) {
        // Without a helper nothing is sealed, and nothing else depends on it.
        self.is_busy = self.jobs.send(job).is_ok();
    }

    /// In an hour, or as soon as today may be sealed.
    fn next_look(&self, now_ns: u64) -> u64 {
        let midnight = now_ns - now_ns % DAY_NS;
        let ripe = [midnight, midnight + DAY_NS].map(|day| day.saturating_add(self.delay_ns));
        let next = ripe.into_iter().find(|ripe| *ripe > now_ns).unwrap_or(u64::MAX);
        now_ns.saturating_add(INTERVAL_NS).min(next)
    }

    fn take(&mut self, done: Done, core: &mut Core, metrics: &Metrics, now_ns: u64) {
        match done {
            Done::Days(Ok(days)) => {
                (self.days, self.left, self.may_remove) = (days.into(), 0, true);
            }
            Done::Draft(id, day, Ok(Some(draft))) => {
                self.next_change_ns = now_ns.saturating_add(SPACING_NS);
                match core.store().seal(&draft, now_ns) {
                    Ok(Sealing::Sealed) => metrics.record.days_sealed.inc(),
                    // They are flushed by the next time.
                    Ok(Sealing::RowsWaiting | Sealing::TooEarly) => self.left += 1,
                    Err(error) => self.failed(&id, day, &error),
                }
            }
            Done::Draft(_, _, Ok(None)) => {}
            Done::Draft(id, day, Err(error)) => self.failed(&id, day, &error),
            Done::Old(Ok(removal)) => self.removal = removal,
            Done::Old(Err(error)) => warn!(%error, "days that are not kept cannot be removed"),
            Done::Use(Ok(usage)) => self.usage = usage,
            Done::Days(Err(error)) | Done::Use(Err(error)) => {
                warn!(%error, "the data directory cannot be looked through");
            }
        }
    }

    fn failed(&mut self, id: &SeriesId, day: Day, error: &StoreError) {
        self.left += 1;
        warn!(series = %id, %day, %error, "a day that is over cannot be sealed; it is tried again in an hour");
    }

    fn remove(&mut self, id: &SeriesId, day: Day, core: &mut Core, metrics: &Metrics, now_ns: u64) {
        self.next_change_ns = now_ns.saturating_add(SPACING_NS);
        match core.store().remove_day(id, day, now_ns, self.removal.force) {
            Ok(Some(removed)) => {
                metrics.record.days_removed.inc();
                self.removal.removed += 1;
                self.removal.bytes += removed.bytes;
            }
            Ok(None) => return self.removal.days.push_front((id.clone(), day)),
            Err(error) => {
                warn!(series = %id, %day, %error, "days that are not kept cannot be removed; it is tried again in an hour");
                self.removal.days.clear();
            }
        }
        let Removal { removed, bytes, .. } = self.removal;
        if self.removal.days.is_empty() && removed > 0 {
            info!(days = removed, bytes, "days that are not kept were removed");
        }
    }
}

/// Works until nobody has anything to do.
fn help(root: &Path, delay_ns: u64, todo: &Receiver<Job>, tell: &Sender<Done>) {
    for job in todo {
        let done = match job {
            Job::Look(now_ns) => Done::Days(unsealed(root, now_ns.saturating_sub(delay_ns))),
            Job::Read(id, day) => {
                let mut since_pause = 0;
                let draft = SealDraft::read(root, &id, day, &mut |bytes| {
                    since_pause += bytes;
                    if since_pause >= BURST {
                        since_pause = 0;
                        std::thread::sleep(PAUSE);
                    }
                });
                Done::Draft(id, day, draft)
            }
            Job::Age(keep_days, now_ns) => Done::Old(old_days(root, keep_days, now_ns)),
            Job::AddUp => Done::Use(DiskUse::of(root)),
        };
        if tell.send(done).is_err() {
            return;
        }
    }
}

/// The days that are too old at a time: what is so old that it need not be sealed, else what is not kept, if all of it is.
fn old_days(root: &Path, keep_days: u32, now_ns: u64) -> Result<Removal, StoreError> {
    let days = u64::from(keep_days);
    // Today among them. A clock that is ahead makes every day old, but not newer days than there are.
    let keep = usize::try_from(days).unwrap_or(usize::MAX).saturating_add(1);
    for (days, force) in [(days + UNSEALED_DAYS, true), (days, false)] {
        let Some(before) = Day::from_ns(now_ns.saturating_sub(days.saturating_mul(DAY_NS))) else { continue };
        let days = days_to_remove(root, before, keep, force)?;
        if !days.is_empty() {
            return Ok(Removal { days: days.into(), force, removed: 0, bytes: 0 });
        }
    }
    Ok(Removal::default())
}

/// The days that were over at a time and have no marker, oldest first.
fn unsealed(root: &Path, over_ns: u64) -> Result<Vec<(SeriesId, Day)>, StoreError> {
    let mut days = Vec::new();
    for (exchange, symbols) in Reader::open(root)?.symbols()? {
        for symbol in symbols {
            for table in Table::ALL {
                let id = SeriesId { exchange: exchange.clone(), symbol: symbol.clone(), table };
                let names = names(root.join(id.path()))?;
                let of_time = names.iter().filter_map(|name| layout::parse_file_name(name));
                let of_time = of_time.filter(|(column, day)| *column == "time" && day.end_ns() <= over_ns);
                for (_, day) in of_time.filter(|(_, day)| !names.contains(&format!("sealed.{day}.json"))) {
                    days.push((id.clone(), day));
                }
            }
        }
    }
    days.sort_by_key(|(_, day)| *day);
    Ok(days)
}

/// The names in a directory; none if it is not there.
fn names(directory: PathBuf) -> Result<std::collections::HashSet<String>, StoreError> {
    match fs::read_dir(&directory) {
        Ok(entries) => Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Default::default()),
        Err(source) => Err(StoreError::Io { action: "look through", path: directory, source }),
    }
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::Arc, time::Instant};

    use column_store::{GapState, Store, Stream, TimeRule, TradeRow};
    use metrics_server::Registry;

    use super::*;
    use crate::{clock::Clock, config::Config, symbols::Symbols};

    const FIRST_DAY_NS: u64 = 1_794_960_000_000_000_000;

    /// A directory whose trades are of three days, the second with an open gap.
    fn three_days(root: &Path) {
        first_days(root, 3);
    }

    fn first_days(root: &Path, count: u64) {
        let mut store = Store::open(root, Default::default()).unwrap();
        let series = store.series::<TradeRow>("coinbase", "BTC-USD").unwrap();
        for day in 0..count {
            let ns = FIRST_DAY_NS + day * DAY_NS;
            let id = 100 + 10 * day;
            let row = TradeRow {
                id,
                event_ns: ns,
                receive_ns: ns,
                price: 1.0,
                size: 1.0,
                side: column_store::Side::Buy,
                maker_order_id: [0; 16],
                taker_order_id: [0; 16],
            };
            store.append(series, &row, TimeRule::Live).unwrap();
            let state = if day == 1 { GapState::Open } else { GapState::Lost };
            let gap = column_store::Gap::of_ids(Stream::Trades, id + 1, id + 9, ns, ns, "id jump").with_state(state);
            if day < 2 {
                store.gap(series, gap).unwrap();
            }
        }
        store.flush(|_, _| {}).unwrap();
        store.finish().unwrap();
    }

    struct Bench {
        root: PathBuf,
        core: Core,
        metrics: Arc<Metrics>,
        housekeeping: Housekeeping,
    }

    fn bench(root: &Path, keep_days: Option<u32>, now_ns: u64) -> Bench {
        let mut config = Config::load(&Default::default()).unwrap();
        config.exchanges.retain(|exchange| exchange.venue.facts().name == "coinbase");
        config.exchanges[0].symbols = vec!["BTC-USD".to_owned()];
        config.recording.data_path = root.to_owned();
        config.recording.keep_days = keep_days;
        let mut registry = Registry::default();
        let symbols = Symbols::new(&config.exchanges, 10, Clock::system());
        let metrics = Arc::new(Metrics::register(&mut registry, &symbols).unwrap());
        let store = Store::open(root, Default::default()).unwrap();
        let core = Core::new(store, &config.recording, &symbols, Arc::clone(&metrics), true, now_ns).unwrap();
        let housekeeping = Housekeeping::start(&config.recording).unwrap();
        Bench { root: root.to_owned(), core, metrics, housekeeping }
    }

    impl Bench {
        /// Steps until nothing is left to do at a time.
        fn settle(&mut self, now_ns: u64) {
            let deadline = Instant::now() + Duration::from_secs(30);
            loop {
                self.housekeeping.step(&mut self.core, &self.metrics, now_ns);
                self.housekeeping.next_change_ns = 0;
                let housekeeping = &self.housekeeping;
                let has_days = !housekeeping.days.is_empty() || !housekeeping.removal.days.is_empty();
                let is_done = !housekeeping.is_busy && !has_days && !housekeeping.may_remove;
                if is_done && housekeeping.next_look_ns > now_ns && housekeeping.next_use_ns > now_ns {
                    return;
                }
                assert!(Instant::now() < deadline, "housekeeping does not end");
                std::thread::yield_now();
            }
        }

        fn sealed(&self) -> Vec<String> {
            let directory = self.root.join("coinbase/BTC-USD/TRADES");
            let mut sealed: Vec<String> = names(directory).unwrap().into_iter().collect();
            sealed.retain(|name| name.starts_with("sealed."));
            sealed.sort_unstable();
            sealed
        }
    }

    /// Days that the trades have rows of.
    fn days_with_rows(root: &Path) -> Vec<String> {
        let names = names(root.join("coinbase/BTC-USD/TRADES")).unwrap();
        let of_time = |name: &String| Some(name.strip_prefix("time.")?.strip_suffix(".bin")?.to_owned());
        let mut days: Vec<String> = names.iter().filter_map(of_time).collect();
        days.sort_unstable();
        days
    }

    #[test]
    fn days_are_sealed_when_they_are_over_and_their_gaps_settled() {
        let root = tempfile::tempdir().unwrap();
        three_days(root.path());
        let midnight = Day::from_ns(FIRST_DAY_NS + 2 * DAY_NS).unwrap().start_ns();
        let mut bench = bench(root.path(), None, midnight + SEAL_DELAY_NS - 1);
        bench.settle(midnight + SEAL_DELAY_NS - 1);
        assert_eq!(bench.sealed(), ["sealed.18.11.26.json"], "also what an earlier run left");
        bench.settle(midnight + SEAL_DELAY_NS);
        assert_eq!(bench.sealed().len(), 1, "a gap of the second day is open");
        assert_eq!(bench.metrics.record.days_unsealed.get(), 1);
        bench.settle(midnight + SETTLED_NS + INTERVAL_NS);
        assert_eq!(bench.sealed(), ["sealed.18.11.26.json", "sealed.19.11.26.json"], "and has been for 6 hours");
        assert_eq!((bench.metrics.record.days_sealed.get(), bench.metrics.record.days_unsealed.get()), (2, 0));
        let left = bench.housekeeping.days_left(1 << 30, midnight).unwrap();
        assert!(left.is_finite() && left > 1_000.0, "{left}");
    }

    #[test]
    fn days_that_are_not_kept_are_removed_once_all_are_sealed() {
        let root = tempfile::tempdir().unwrap();
        three_days(root.path());
        let midnight = Day::from_ns(FIRST_DAY_NS + 2 * DAY_NS).unwrap().start_ns();
        let mut bench = bench(root.path(), Some(1), midnight + SEAL_DELAY_NS);
        bench.settle(midnight + SEAL_DELAY_NS);
        assert_eq!(bench.metrics.record.days_removed.get(), 1);
        assert!(bench.sealed().is_empty(), "the first day is gone with its seal");
        bench.settle(midnight + 20 * DAY_NS);
        assert_eq!(bench.metrics.record.days_removed.get(), 1, "the newest two stay");
    }

    /// Nothing is flushed while a day is being removed.
    #[test]
    fn days_are_removed_one_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        first_days(root.path(), 6);
        let now_ns = Day::from_ns(FIRST_DAY_NS + 5 * DAY_NS).unwrap().start_ns() + SETTLED_NS + SEAL_DELAY_NS;
        let mut bench = bench(root.path(), Some(1), now_ns);
        let deadline = Instant::now() + Duration::from_secs(30);
        while bench.housekeeping.removal.days.is_empty() {
            bench.housekeeping.step(&mut bench.core, &bench.metrics, now_ns);
            bench.housekeeping.next_change_ns = 0;
            assert!(Instant::now() < deadline, "no days to remove are found");
            std::thread::yield_now();
        }
        bench.housekeeping.next_change_ns = now_ns + SPACING_NS;
        let mut removed_after = |ns: u64| {
            bench.housekeeping.step(&mut bench.core, &bench.metrics, now_ns + ns);
            bench.metrics.record.days_removed.get()
        };
        let first = removed_after(0);
        assert!(first <= 1, "{first} at once");
        let spaced = [SPACING_NS, SPACING_NS, 2 * SPACING_NS - 1, 2 * SPACING_NS];
        assert_eq!(spaced.map(removed_after), [first + 1, first + 1, first + 1, first + 2]);
    }

    /// A clock that is ahead at the start, such as one without a battery, makes every day old.
    #[test]
    fn a_clock_that_is_ahead_does_not_remove_the_newest_days() {
        let root = tempfile::tempdir().unwrap();
        three_days(root.path());
        let ahead = FIRST_DAY_NS + 1_000 * DAY_NS;
        let mut bench = bench(root.path(), Some(1), ahead);
        bench.settle(ahead);
        let left = days_with_rows(root.path());
        assert_eq!(left, ["19.11.26", "20.11.26"]);
        bench.settle(ahead + 100 * DAY_NS);
        assert_eq!(days_with_rows(root.path()), left);
    }
}
