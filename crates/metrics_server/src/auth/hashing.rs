//! The one worker that hashes passwords, or compares them where that takes no hash.

use super::credentials::{Check, Expected};
use super::metrics::Verdict;
use super::queue::{Budget, Job, Outcome, Queue, WRONG_PLAIN};
use super::{Authenticator, lock};
use rustix::time::{ClockId, clock_gettime};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The passwords that wait, and the time left for wrong ones.
pub(super) struct Hashing {
    queue: Mutex<Queue>,
    budget: Mutex<Budget>,
}

impl Hashing {
    pub(super) fn new() -> Self {
        Self { queue: Mutex::default(), budget: Mutex::new(Budget::new(Instant::now())) }
    }
}

impl Authenticator {
    /// Adds a password to those that wait; starts the worker if it rests.
    pub(super) fn enqueue(self: &Arc<Self>, job: Job) {
        let mut queue = lock(&self.hashing.queue);
        queue.push(job);
        self.count_waiting(&queue);
        if !std::mem::replace(&mut queue.is_worked_on, true) {
            tokio::spawn(Arc::clone(self).work());
        }
    }

    /// Hashes what waits, one after the other, and ends when nothing does.
    async fn work(self: Arc<Self>) {
        let _resting = Resting(&self);
        loop {
            // First the wait, then the choice: whoever comes meanwhile has a chance too.
            let wait = lock(&self.hashing.budget).wait(Instant::now());
            if let Some(wait) = wait {
                sleep(wait).await;
            }
            let job = {
                let mut queue = lock(&self.hashing.queue);
                let job = queue.pop();
                self.count_waiting(&queue);
                if job.is_none() {
                    // Under the same lock as the look, so that nobody waits for a worker that has just gone.
                    queue.is_worked_on = false;
                }
                job
            };
            match job {
                Some(job) => self.judge(job).await,
                None => return,
            }
        }
    }

    async fn judge(&self, job: Job) {
        let known = lock(&self.verdicts).known(&job.user, &job.expected.print, &job.presented);
        if let Some(is_right) = known {
            // The same password waited twice.
            let _ = job.answer.send(if is_right { Outcome::Right } else { Outcome::Wrong });
            return;
        }
        let blocked = lock(&self.peers).blocked_for(job.peer, Instant::now());
        if let (Some(wait), None) = (blocked, job.returned) {
            let _ = job.answer.send(Outcome::Throttled(wait));
            return;
        }
        let compared = self.compare(&job.expected, job.password, job.is_known_user).await;
        // Whoever waits is told that there was no place.
        let Some((is_right, spent)) = compared else { return };
        {
            let mut verdicts = lock(&self.verdicts);
            if is_right {
                verdicts.pin(&job.user, job.expected.print, job.presented);
            } else {
                self.metrics.forgot(verdicts.reject(&job.expected.print, &job.presented));
            }
            self.count(&verdicts);
        }
        if is_right {
            lock(&self.peers).forget(job.peer);
        } else {
            self.charge(spent);
            self.failed(job.peer);
        }
        let _ = job.answer.send(if is_right { Outcome::Right } else { Outcome::Wrong });
    }

    /// Whether the password is right, and what is charged if it is not. Nothing if hashing panics, which only its library
    /// does.
    async fn compare(&self, expected: &Expected, password: Vec<u8>, is_known_user: bool) -> Option<(bool, Duration)> {
        let hash = match &expected.check {
            Check::Plain(plain) => return Some((plain.verify(&password) && is_known_user, WRONG_PLAIN)),
            Check::Hash(hash) => Arc::clone(hash),
        };
        let hashed = tokio::task::spawn_blocking(move || {
            let start = processor_time();
            (hash.verify(&password), processor_time().saturating_sub(start))
        });
        let (is_right, spent) = hashed.await.ok()?;
        let is_right = is_right && is_known_user;
        self.metrics.hash_seconds.add(spent.as_secs_f64());
        self.metrics.hashed(match (is_right, is_known_user) {
            (true, _) => Verdict::Right,
            (false, true) => Verdict::Wrong,
            (false, false) => Verdict::UnknownUser,
        });
        Some((is_right, spent))
    }

    fn charge(&self, spent: Duration) {
        lock(&self.hashing.budget).charge(spent);
    }

    fn count_waiting(&self, queue: &Queue) {
        self.metrics.queue_depth.set(i64::try_from(queue.len()).unwrap_or(i64::MAX));
    }
}

/// What this thread has taken of a core so far. The time on the wall would grow with the load of the host, and with it
/// the wait of somebody who has the right password.
fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

/// Lets the next password start another worker if this one ends by a panic.
struct Resting<'a>(&'a Authenticator);

impl Drop for Resting<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            lock(&self.0.hashing.queue).is_worked_on = false;
        }
    }
}
