//! One look at the files of all series that are followed, at a fixed interval.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use column_store::{Day, SeriesId, layout};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

/// A series and the day to whose end somebody has read.
type Place = (SeriesId, Day);

/// Bytes of the `time` files of that day and of those that may follow it; 0 where there is none.
type Lengths = [u64; 4];

/// What is followed, and by how many it is told apart by receivers.
#[derive(Clone, Debug)]
pub(super) struct Poller {
    places: Arc<Mutex<BTreeMap<Place, watch::Sender<Lengths>>>>,
    rounds: watch::Receiver<u64>,
}

impl Poller {
    /// Polls until `stop`.
    pub(super) fn start(root: &Path, interval_ms: u64, stop: CancellationToken) -> Poller {
        let (tell, rounds) = watch::channel(0);
        let poller = Poller { places: Arc::default(), rounds };
        let (places, root): (_, Arc<Path>) = (Arc::clone(&poller.places), root.into());
        tokio::spawn(async move {
            let mut ticks = interval(Duration::from_millis(interval_ms.max(1)));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = ticks.tick() => {}
                }
                let (places, root) = (Arc::clone(&places), Arc::clone(&root));
                // A disk that hangs holds up this one thread.
                if spawn_blocking(move || poll(&root, &places)).await.unwrap_or(false) {
                    tell.send_modify(|round| *round += 1);
                }
            }
        });
        poller
    }

    /// Changes whenever rows were committed to any series that is followed.
    pub(super) fn rounds(&self) -> watch::Receiver<u64> {
        self.rounds.clone()
    }

    /// Changes when there may be rows after those that were there when this was called.
    pub(super) fn follow(&self, root: &Path, id: &SeriesId, day: Day) -> watch::Receiver<Lengths> {
        let place = (id.clone(), day);
        let mut places = lock(&self.places);
        places.entry(place).or_insert_with_key(|place| watch::Sender::new(lengths(root, place, today()))).subscribe()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Entries are only added or removed, so the map is whole even if a holder of the lock panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at all places; whether anything changed.
fn poll(root: &Path, places: &Mutex<BTreeMap<Place, watch::Sender<Lengths>>>) -> bool {
    let followed: Vec<Place> = {
        let mut places = lock(places);
        places.retain(|_, sender| sender.receiver_count() > 0);
        places.keys().cloned().collect()
    };
    let today = today();
    let mut has_changed = false;
    for place in followed {
        let found = lengths(root, &place, today);
        if let Some(sender) = lock(places).get(&place) {
            has_changed |= sender.send_if_modified(|known| std::mem::replace(known, found) != found);
        }
    }
    has_changed
}

/// New rows are those of the day itself, or of a day that follows: the next one, or by our clock today or tomorrow.
fn lengths(root: &Path, (id, day): &Place, today: Day) -> Lengths {
    let directory = root.join(id.path());
    let length = |day: Day| {
        let time = directory.join(layout::file_name("time", day));
        time.metadata().map_or(0, |metadata| metadata.len())
    };
    let later = |candidate: Option<Day>| candidate.filter(|candidate| candidate > day).map_or(0, length);
    [length(*day), later(day.next()), later(Some(today)), later(today.next())]
}

fn today() -> Day {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Day::from_seconds_clamped(u32::try_from(now).unwrap_or(u32::MAX))
}
