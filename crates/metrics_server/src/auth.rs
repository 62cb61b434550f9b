//! Who may see what is served: HTTP Basic and Bearer authentication that a flood of wrong credentials cannot turn
//! against those who have the right ones.
//!
//! - A right password is *pinned* once it has been hashed: from then on it costs one HMAC, whatever its peer has done and
//!   whatever waits. The pin ends when the user's hash changes; of a password that stands in a file, at any reload.
//! - Hashes are computed one at a time, off the async workers, and wrong ones take a [share](queue::WRONG_SHARE) of one
//!   core at most. A password that stands in a file is compared without a hash, and charged as if there were one.
//! - A peer that fails again and again waits longer and longer until a password it never showed before is looked at. One
//!   that it did show before, and which was not looked at then, may [queue](queue::Queue): a scraper behind the address
//!   of a flood is refused once, and comes in by its next attempts.
//! - Wrong passwords are remembered for a short while, in a bounded table of their own.

mod credentials;
mod generations;
mod hashing;
mod keyed;
mod metrics;
mod peers;
mod presented;
mod queue;
mod verdicts;

pub(crate) use credentials::Credentials;
use generations::Generations;
use hashing::Hashing;
use http::HeaderMap;
use keyed::short;
pub use metrics::GuardMetrics;
pub(crate) use metrics::Reason;
use peers::Peers;
use presented::Presented;
use queue::{Job, Outcome};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, sleep, timeout};
use verdicts::Verdicts;

use crate::serve::{Peer, PeerAddress};
use crate::web_config::WebConfigError;

/// How long a request waits for its password to be hashed. Prometheus gives up a scrape after 10 s by default.
const QUEUE_DEADLINE: Duration = Duration::from_secs(5);
/// How long somebody who failed often waits for a refusal. It slows down whoever tries the next password only when the
/// last one was refused, and leaves the processor to others.
const REFUSAL_DELAY: Duration = Duration::from_millis(250);
/// Refusals held back at once; a further one is sent at once, so that holding back cannot fill the memory.
const DELAYED_MAX: usize = 512;
/// Passwords remembered as refused without being looked at: at 24 bytes each 3 MiB at most, in a flood only.
const RETURNING_MAX: usize = 32_768;

/// Decides about credentials, and remembers what it takes to decide quickly.
pub(crate) struct Authenticator {
    verdicts: Mutex<Verdicts>,
    peers: Mutex<Peers>,
    /// Passwords that were refused without being looked at, with the order in which that first happened.
    returning: Mutex<(u64, Generations<u64, u64>)>,
    hashing: Hashing,
    delayed: Semaphore,
    metrics: GuardMetrics,
}

/// Whether a request may go on.
pub(crate) enum Decision {
    Pass,
    Refuse(Refusal),
    /// It takes a while to know.
    Wait(Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>>),
}

/// How a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) retry_after: Option<Duration>,
}

impl Authenticator {
    pub(crate) fn new(metrics: GuardMetrics) -> Result<Arc<Self>, WebConfigError> {
        Ok(Arc::new(Self {
            verdicts: Mutex::new(Verdicts::new()?),
            peers: Mutex::default(),
            returning: Mutex::new((0, Generations::new(RETURNING_MAX))),
            hashing: Hashing::new(),
            delayed: Semaphore::new(DELAYED_MAX),
            metrics,
        }))
    }

    /// Forgets what is known about users who are gone or changed.
    pub(crate) fn changed(&self, credentials: Option<&Credentials>) {
        let mut verdicts = lock(&self.verdicts);
        verdicts.retain(credentials);
        self.count(&verdicts);
    }

    /// Decides about a request with these headers from this peer.
    pub(crate) fn decide(
        self: &Arc<Self>,
        credentials: &Credentials,
        headers: &HeaderMap,
        address: Option<&PeerAddress>,
    ) -> Decision {
        let peer = Peer::of(address);
        match Presented::read(headers) {
            Presented::Nothing => Decision::Refuse(Refusal { reason: Reason::Missing, retry_after: None }),
            Presented::Malformed => Decision::Refuse(Refusal { reason: Reason::Malformed, retry_after: None }),
            Presented::Bearer(token) if credentials.has_token(&token) => Decision::Pass,
            Presented::Bearer(_) => self.wrong(peer),
            Presented::Basic { user, password } => self.basic(credentials, peer, user, password),
        }
    }

    fn basic(self: &Arc<Self>, credentials: &Credentials, peer: Peer, user: String, password: Vec<u8>) -> Decision {
        let (expected, is_known_user) = match credentials.user(&user) {
            Some(expected) => (expected.clone(), true),
            // Compared like one that exists, so that the time does not tell which names do.
            None => match credentials.fake(&user) {
                Some(fake) => (fake, false),
                None => return self.wrong(peer),
            },
        };
        let presented = {
            let mut verdicts = lock(&self.verdicts);
            let presented = verdicts.key().digest(&[user.as_bytes(), &password]);
            match verdicts.known(&user, &expected.print, &presented) {
                Some(true) => return Decision::Pass,
                Some(false) => {
                    drop(verdicts);
                    return self.wrong(peer);
                }
                None => presented,
            }
        };
        let returned = lock(&self.returning).1.get(&short(&presented));
        if returned.is_none()
            && let Some(wait) = lock(&self.peers).blocked_for(peer, Instant::now())
        {
            self.remember(&presented);
            return self.refuse_late(Refusal { reason: Reason::Throttled, retry_after: Some(wait) });
        }
        let (answer, outcome) = oneshot::channel();
        self.enqueue(Job { peer, user, password, presented, expected, is_known_user, returned, answer });
        let this = Arc::clone(self);
        Decision::Wait(Box::pin(async move {
            let (reason, retry_after) = match timeout(QUEUE_DEADLINE, outcome).await {
                Ok(Ok(Outcome::Right)) => return Ok(()),
                // Counted as a failure of the peer when it was hashed.
                Ok(Ok(Outcome::Wrong)) => (Reason::Wrong, None),
                Ok(Ok(Outcome::Throttled(wait))) => (Reason::Throttled, Some(wait)),
                Ok(Err(_)) | Err(_) => (Reason::Overloaded, Some(QUEUE_DEADLINE)),
            };
            if reason != Reason::Wrong {
                this.remember(&presented);
                this.hold_back().await;
            }
            Err(Refusal { reason, retry_after })
        }))
    }

    /// Something that is known to be wrong without hashing.
    fn wrong(self: &Arc<Self>, peer: Peer) -> Decision {
        let refusal = Refusal { reason: Reason::Wrong, retry_after: None };
        let is_suspect = self.failed(peer);
        if is_suspect { self.refuse_late(refusal) } else { Decision::Refuse(refusal) }
    }

    /// Notes a failure of the peer, and returns whether it has used up those that cost nothing.
    fn failed(&self, peer: Peer) -> bool {
        let (mut peers, now) = (lock(&self.peers), Instant::now());
        self.metrics.forgot(usize::from(peers.failed(peer, now)));
        self.metrics.peers.set(i64::try_from(peers.len()).unwrap_or(i64::MAX));
        peers.is_suspect(peer, now)
    }

    fn refuse_late(self: &Arc<Self>, refusal: Refusal) -> Decision {
        let this = Arc::clone(self);
        Decision::Wait(Box::pin(async move {
            this.hold_back().await;
            Err(refusal)
        }))
    }

    async fn hold_back(&self) {
        if let Ok(_place) = self.delayed.try_acquire() {
            sleep(REFUSAL_DELAY).await;
        }
    }

    /// Notes that a password was refused without being looked at.
    fn remember(&self, presented: &keyed::Digest) {
        let mut returning = lock(&self.returning);
        let (order, table) = &mut *returning;
        *order += 1;
        // One that comes again keeps the order of its first time, and with this is among the newer ones.
        let first = table.get(&short(presented)).unwrap_or(*order);
        let forgotten = table.insert(short(presented), first);
        self.metrics.forgot(forgotten);
    }

    fn count(&self, verdicts: &Verdicts) {
        let (right, wrong) = verdicts.len();
        self.metrics.pinned.set(i64::try_from(right).unwrap_or(i64::MAX));
        self.metrics.rejected.set(i64::try_from(wrong).unwrap_or(i64::MAX));
    }
}

/// What is behind these locks stays whole whatever panics, so a poisoned one is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
