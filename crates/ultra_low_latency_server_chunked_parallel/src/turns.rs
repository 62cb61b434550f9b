//! Turns: how much work of one kind, such as reading large answers, may wait for disks at once.

use std::{future::Future, sync::Arc};

use tokio::{
    runtime::Handle,
    sync::Semaphore,
    task::{JoinError, JoinHandle},
};
use tokio_util::task::AbortOnDropHandle;

/// So many at once, the rest in the order in which they came.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    places: Arc<Semaphore>,
    /// Where disks are waited for.
    blocking: Handle,
}

/// Work on its way.
enum Taken<T> {
    Begun(JoinHandle<T>),
    Waiting(AbortOnDropHandle<Result<T, JoinError>>),
}

impl Turns {
    /// To be called within the runtime whose blocking threads may wait for disks.
    pub(crate) fn new(at_once: usize) -> Turns {
        Turns { places: Arc::new(Semaphore::new(at_once.min(Semaphore::MAX_PERMITS))), blocking: Handle::current() }
    }

    /// Does work on a blocking thread when its turn comes. What has begun holds its turn until it is done, whether or not
    /// anybody still waits for it, so that clients which ask and hang up cannot pile work up.
    ///
    /// # Errors
    /// The work panicked, or the process is ending.
    pub(crate) fn take<T: Send + 'static, W: FnOnce() -> T + Send + 'static>(
        &self,
        work: W,
    ) -> impl Future<Output = Result<T, JoinError>> + Send + Sync + use<T, W> {
        let places = Arc::clone(&self.places);
        let taken = match Arc::clone(&places).try_acquire_owned() {
            Ok(turn) => Taken::Begun(self.blocking.spawn_blocking(move || {
                let _held_until_done = turn;
                work()
            })),
            // In a task of its own: the future of an answer is not polled while its client does not read, and would keep the
            // turn from all others that comes to it then.
            Err(_) => Taken::Waiting(AbortOnDropHandle::new(self.blocking.spawn(async move {
                // Never closed; if it were, working without a turn would still be correct.
                let turn = places.acquire_owned().await.ok();
                let begun = tokio::task::spawn_blocking(move || {
                    let _held_until_done = turn;
                    work()
                });
                begun.await
            }))),
        };
        async move {
            match taken {
                Taken::Begun(begun) => begun.await,
                Taken::Waiting(waiting) => waiting.await?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    /// Work that lasts until it is told to end.
    fn lasting() -> (mpsc::Sender<()>, impl FnOnce() + Send + 'static) {
        let (end, ended) = mpsc::channel();
        (end, move || _ = ended.recv())
    }

    #[tokio::test]
    async fn a_turn_that_comes_to_who_is_not_polled_is_not_kept_from_others() {
        let turns = Turns::new(1);
        let (end, work) = lasting();
        let (mut first, mut unpolled) = (Box::pin(turns.take(work)), Box::pin(turns.take(|| 2)));
        assert!(futures_util::poll!(&mut first).is_pending() && futures_util::poll!(&mut unpolled).is_pending());
        let third = turns.take(|| 3);
        drop(end);
        first.await.unwrap();
        assert_eq!(timeout(DEADLINE, third).await.expect("its turn").unwrap(), 3);
        assert_eq!(unpolled.await.unwrap(), 2);
    }

    #[tokio::test]
    async fn there_are_no_more_at_once_and_who_gave_up_never_begins() {
        let turns = Turns::new(1);
        let (end, work) = lasting();
        let first = turns.take(work);
        let (tell, told) = mpsc::channel();
        drop(turns.take(move || tell.send(()).unwrap()));
        let mut third = Box::pin(turns.take(|| ()));
        assert!(timeout(Duration::from_millis(50), &mut third).await.is_err(), "the first one has the turn");
        drop(end);
        first.await.unwrap();
        third.await.unwrap();
        assert_eq!(told.recv(), Err(mpsc::RecvError), "it has never begun");
    }

    #[tokio::test]
    async fn who_hangs_up_holds_the_turn_until_the_work_is_done() {
        let turns = Turns::new(1);
        let (end, work) = lasting();
        drop(turns.take(work));
        let mut second = Box::pin(turns.take(|| ()));
        assert!(timeout(Duration::from_millis(50), &mut second).await.is_err(), "the work goes on");
        drop(end);
        timeout(DEADLINE, second).await.expect("its turn").unwrap();
    }
}
