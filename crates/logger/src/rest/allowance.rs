//! What a venue grants this address, and the silence that it asked for. Both are noted in a file of the data directory
//! before a request goes out: a logger that is started again and again must not earn a ban.

use std::{
    collections::{BTreeMap, VecDeque},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use exchange_protocol::Budget;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tracing::warn;

use crate::clock::Clock;

/// The file's name in the data directory.
const FILE: &str = "allowances.json";
/// Of ten requests that a venue grants, so many are used: others may share the address.
const USED_OF_TEN: u32 = 8;
/// Requests are counted for so much longer than the venue's time that their delay on the way does not matter.
const LONGER: f64 = 1.1;
/// A refusal that tells no time, or none worth the name, is obeyed for this long at least, doubled by each that follows.
const LEAST_SILENCE: Duration = Duration::from_secs(1);
const DOUBLINGS: u32 = 8;
/// The longest silence that a file is believed: what Binance bans for.
const LONGEST_SILENCE: Duration = Duration::from_secs(3 * 24 * 3_600);

/// The allowances of all venues, and the file that remembers them.
#[derive(Debug)]
pub(crate) struct Allowances {
    /// None: nothing is remembered.
    path: Option<PathBuf>,
    clock: Clock,
    noted: Arc<Mutex<BTreeMap<String, Noted>>>,
    writing: Arc<Mutex<()>>,
}

/// What the file says of one allowance; times are ns since the Unix epoch.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
struct Noted {
    /// When requests were sent, and what they weighed.
    used: Vec<(u64, u32)>,
    silent_until_ns: u64,
}

/// The allowance of one venue for one purpose, such as REST.
#[derive(Debug)]
pub(crate) struct Allowance {
    key: String,
    budget: Budget,
    shared: Arc<Allowances>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    used: VecDeque<(Instant, u32)>,
    silent_until: Option<Instant>,
    /// Refusals without a success in between.
    refusals: u32,
    /// Those who wait with [`Allowance::take`], before whom [`Allowance::try_take`] steps back.
    preferred: usize,
}

impl Allowances {
    /// Reads what an earlier run noted in the data directory.
    pub(crate) fn open(data_path: &Path, clock: Clock) -> Arc<Allowances> {
        let path = data_path.join(FILE);
        let noted = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                // It is not synced: a power loss may leave it empty, and took longer than most budgets reach back.
                warn!(file = %path.display(), %error, "what earlier runs asked of the venues is not known");
                BTreeMap::new()
            }),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    warn!(file = %path.display(), %error, "what earlier runs asked of the venues is not known");
                }
                BTreeMap::new()
            }
        };
        Arc::new(Allowances::new(Some(path), noted, clock))
    }

    /// Without a file, for a single request.
    pub(crate) fn forgetful(clock: Clock) -> Arc<Allowances> {
        Arc::new(Allowances::new(None, BTreeMap::new(), clock))
    }

    fn new(path: Option<PathBuf>, noted: BTreeMap<String, Noted>, clock: Clock) -> Allowances {
        Allowances { path, clock, noted: Arc::new(Mutex::new(noted)), writing: Arc::default() }
    }

    /// The allowance of that name, with what is noted of it.
    pub(crate) fn allowance(self: &Arc<Allowances>, key: &str, budget: Budget) -> Allowance {
        let noted = lock(&self.noted).get(key).cloned().unwrap_or_default();
        let (now, now_ns) = (Instant::now(), self.clock.now_ns());
        let budget =
            Budget { count: (budget.count.saturating_mul(USED_OF_TEN) / 10).max(1), per: budget.per.mul_f64(LONGER) };
        // A clock that was set back must not make old requests count for ever.
        let age = |ns: u64| now.checked_sub(Duration::from_nanos(now_ns.saturating_sub(ns)));
        let silence = Duration::from_nanos(noted.silent_until_ns.saturating_sub(now_ns)).min(LONGEST_SILENCE);
        let state = State {
            used: noted.used.into_iter().filter_map(|(ns, weight)| Some((age(ns)?, weight))).collect(),
            silent_until: (!silence.is_zero()).then(|| now + silence),
            refusals: 0,
            preferred: 0,
        };
        Allowance { key: key.to_owned(), budget, shared: Arc::clone(self), state: Mutex::new(state) }
    }

    /// Brings what is noted to the file. Failing to do so stops nobody: the disk may be full.
    async fn save(&self) {
        let Some(path) = self.path.clone() else { return };
        let (file, noted, writing) = (path.clone(), Arc::clone(&self.noted), Arc::clone(&self.writing));
        // The turn is taken where the file is written: a future that nobody polls for a while must not keep it from others.
        let written = tokio::task::spawn_blocking(move || {
            let _turn = lock(&writing);
            let text = serde_json::to_vec(&*lock(&noted)).map_err(io::Error::other)?;
            let temporary = file.with_extension("tmp");
            fs::write(&temporary, text)?;
            fs::rename(&temporary, &file)
        });
        if let Ok(Err(error)) = written.await {
            warn!(file = %path.display(), %error, "a restart would not know what was asked of the venues");
        }
    }
}

impl Allowance {
    /// Takes the weight of a request if that is possible now; otherwise says how long it cannot be.
    pub(crate) fn try_take(&self, weight: u32) -> Result<(), Duration> {
        self.take_at(Instant::now(), weight, false)
    }

    /// Takes the weight of a request before all who try, waiting for it.
    pub(crate) async fn take(&self, weight: u32) {
        let _preferred = Preferred::new(self);
        while let Err(wait) = self.take_at(Instant::now(), weight, true) {
            tokio::time::sleep(wait).await;
        }
    }

    fn take_at(&self, now: Instant, weight: u32, preferred: bool) -> Result<(), Duration> {
        let mut state = lock(&self.state);
        let silence = state.silence(now);
        if !silence.is_zero() {
            return Err(silence);
        }
        while state.used.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= self.budget.per) {
            state.used.pop_front();
        }
        // Each window of time holds no more than the budget, or a single request that is heavier.
        let used: u32 = state.used.iter().map(|(_, weight)| *weight).fold(0, u32::saturating_add);
        let next = state.used.front().map_or(Duration::ZERO, |(at, _)| (*at + self.budget.per) - now);
        let is_full = !state.used.is_empty() && used.saturating_add(weight) > self.budget.count;
        if is_full || (state.preferred > 0 && !preferred) {
            return Err(next.max(Duration::from_millis(10)));
        }
        state.used.push_back((now, weight));
        Ok(())
    }

    /// The venue refused and wants so much silence; as long as it refuses, each is longer. Returns how long it is.
    pub(crate) fn silence(&self, wanted: Duration) -> Duration {
        self.silence_at(Instant::now(), wanted)
    }

    fn silence_at(&self, now: Instant, wanted: Duration) -> Duration {
        let mut state = lock(&self.state);
        let least = LEAST_SILENCE * 2_u32.pow(state.refusals.min(DOUBLINGS));
        state.refusals = state.refusals.saturating_add(1);
        let until = now + wanted.max(least).min(LONGEST_SILENCE);
        let until = state.silent_until.map_or(until, |before| before.max(until));
        state.silent_until = Some(until);
        until - now
    }

    /// The venue answered.
    pub(crate) fn answered(&self) {
        lock(&self.state).refusals = 0;
    }

    /// How long the venue must still be left alone.
    pub(crate) fn silent_for(&self) -> Duration {
        lock(&self.state).silence(Instant::now())
    }

    /// Notes in the file what was taken and which silence was asked for.
    pub(crate) async fn save(&self) {
        let (now, now_ns) = (Instant::now(), self.shared.clock.now_ns());
        let noted = {
            let state = lock(&self.state);
            let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
            let silence = state.silence(now);
            Noted {
                used: (state.used.iter())
                    .map(|(at, weight)| (now_ns.saturating_sub(ns(now.saturating_duration_since(*at))), *weight))
                    .collect(),
                silent_until_ns: if silence.is_zero() { 0 } else { now_ns.saturating_add(ns(silence)) },
            }
        };
        lock(&self.shared.noted).insert(self.key.clone(), noted);
        self.shared.save().await;
    }
}

impl State {
    fn silence(&self, now: Instant) -> Duration {
        self.silent_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }
}

/// Counts among the preferred until it is dropped.
struct Preferred<'a>(&'a Allowance);

impl<'a> Preferred<'a> {
    fn new(allowance: &'a Allowance) -> Preferred<'a> {
        lock(&allowance.state).preferred += 1;
        Preferred(allowance)
    }
}

impl Drop for Preferred<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).preferred -= 1;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_A_MINUTE: Budget = Budget { count: 10, per: Duration::from_secs(60) };

    fn taken(allowance: &Allowance) -> u32 {
        taken_at(allowance, Instant::now())
    }

    fn taken_at(allowance: &Allowance, now: Instant) -> u32 {
        (0..).take_while(|_| allowance.take_at(now, 1, false).is_ok()).count() as u32
    }

    fn allowance(budget: Budget) -> Allowance {
        Allowances::forgetful(Clock::system()).allowance("x", budget)
    }

    #[test]
    fn no_window_holds_more_than_the_budget() {
        let (limited, start) = (allowance(TEN_A_MINUTE), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(taken_at(&limited, start), 8, "a part is left to others");
        assert_eq!(taken_at(&limited, after(65)), 0);
        assert_eq!(limited.take_at(after(65), 1, false), Err(Duration::from_secs(1)));
        assert_eq!(limited.take_at(after(66), 5, false), Ok(()));
        assert_eq!(taken_at(&limited, after(99)), 3);
        assert_eq!(taken_at(&limited, after(132)), 5, "the five of then are over, the three are not");
        let one_a_second = allowance(Budget { count: 1, per: Duration::from_secs(1) });
        assert_eq!(one_a_second.take_at(start, 20, false), Ok(()), "a request heavier than the budget goes alone");
        assert!(one_a_second.take_at(start, 1, false).is_err());
    }

    #[tokio::test]
    async fn who_waits_is_served_before_who_tries() {
        let allowance = Arc::new(allowance(Budget { count: 10, per: Duration::from_millis(300) }));
        assert_eq!(taken(&allowance), 8);
        let waiting = tokio::spawn({
            let allowance = Arc::clone(&allowance);
            async move { allowance.take(8).await }
        });
        tokio::task::yield_now().await;
        while lock(&allowance.state).preferred > 0 {
            // What was tried in vain was not taken either.
            _ = allowance.try_take(1).map(|()| assert_eq!(lock(&allowance.state).preferred, 0));
            tokio::task::yield_now().await;
        }
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn a_restart_remembers() {
        let directory = tempfile::tempdir().unwrap();
        let of_run = || {
            let allowances = Allowances::open(directory.path(), Clock::system());
            (allowances.allowance("a/rest", TEN_A_MINUTE), allowances.allowance("b/rest", TEN_A_MINUTE))
        };
        let (first, other) = of_run();
        assert_eq!(taken(&first), 8);
        first.save().await;
        assert!(other.silence(Duration::from_secs(600)) > Duration::from_secs(599));
        other.save().await;
        let (first, other) = of_run();
        assert_eq!(taken(&first), 0);
        assert_eq!(other.try_take(1).unwrap_err().as_secs(), 599);
        fs::write(directory.path().join(FILE), "").unwrap();
        let (first, _) = of_run();
        assert_eq!(taken(&first), 8, "a file that is cut short stops nobody");
    }

    #[tokio::test]
    async fn a_save_that_nobody_polls_keeps_no_other_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let allowance = Allowances::open(directory.path(), Clock::system()).allowance("x", TEN_A_MINUTE);
        let mut begun = std::pin::pin!(allowance.save());
        assert!(futures_util::poll!(begun.as_mut()).is_pending());
        tokio::time::timeout(Duration::from_secs(20), allowance.save()).await.expect("it waits for the first one");
        begun.await;
    }

    #[tokio::test]
    async fn a_clock_that_was_set_back_blocks_nobody_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let day = 86_400_000_000_000;
        let before = Allowances::open(directory.path(), Clock::shifted(9 * day)).allowance("x", TEN_A_MINUTE);
        assert_eq!(taken(&before), 8);
        before.silence(Duration::from_secs(60));
        before.save().await;
        let after = Allowances::open(directory.path(), Clock::system()).allowance("x", TEN_A_MINUTE);
        assert!(after.silent_for() <= LONGEST_SILENCE);
        let later = Allowances::open(directory.path(), Clock::shifted(10 * day)).allowance("x", TEN_A_MINUTE);
        assert_eq!(taken(&later), 8);
    }

    #[test]
    fn a_venue_that_goes_on_refusing_is_left_alone_for_longer() {
        let (refused, start) = (allowance(TEN_A_MINUTE), Instant::now());
        let mut now = start;
        let mut told = Vec::new();
        for _ in 0..4 {
            let silence = refused.silence_at(now, Duration::ZERO);
            assert_eq!(refused.take_at(now, 1, false), Err(silence));
            now += silence;
            told.push(silence.as_secs());
        }
        assert_eq!(told, [1, 2, 4, 8]);
        refused.answered();
        assert_eq!(refused.silence_at(now, Duration::from_secs(30)).as_secs(), 30);
        assert_eq!(refused.silence_at(now, Duration::ZERO).as_secs(), 30, "a shorter one does not end a longer one");
        assert_eq!(refused.silence_at(now, Duration::MAX), LONGEST_SILENCE);
    }
}
