//! Looks at a logger's metrics all the time, for what is true at a moment only.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use end_to_end::metrics::Scrape;
use tokio::{task::JoinHandle, time::Instant};

/// Between two looks.
const EVERY: Duration = Duration::from_millis(50);

/// What was seen since the last [`Observer::reset`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// How long it took until `connection_status` was 0, if it was.
    pub(crate) down_after: Option<Duration>,
    /// The longest time between two looks: with less than this nobody can say when something happened.
    pub(crate) blind: Duration,
    /// The highest `data_freshness_seconds` of any symbol.
    pub(crate) stalest: f64,
}

/// A task that scrapes; it ends with this.
pub(crate) struct Observer {
    seen: Arc<Mutex<(Instant, Seen)>>,
    task: JoinHandle<()>,
}

impl Observer {
    pub(crate) fn start(metrics: SocketAddr) -> Observer {
        let seen = Arc::new(Mutex::new((Instant::now(), Seen::default())));
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut last = Instant::now();
            loop {
                let Some(scrape) = Scrape::of(metrics).await else { return };
                let status = scrape.sum("gpu_charts_exchange_connection_status", "");
                let stalest = scrape.max("gpu_charts_data_freshness_seconds", "");
                let now = Instant::now();
                {
                    let (since, seen) = &mut *shared.lock().unwrap();
                    seen.blind = seen.blind.max(now.duration_since(last.max(*since)));
                    seen.stalest = seen.stalest.max(stalest);
                    if status == 0.0 {
                        seen.down_after.get_or_insert(now.duration_since(*since));
                    }
                }
                last = now;
                tokio::time::sleep(EVERY).await;
            }
        });
        Observer { seen, task }
    }

    /// Forgets what was seen.
    pub(crate) fn reset(&self) {
        *self.seen.lock().unwrap() = (Instant::now(), Seen::default());
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().1
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
