//! Passwords that wait to be hashed, and which of them is next.

use super::credentials::Expected;
use super::keyed::{Digest, random_below};
use crate::serve::Peer;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// As many as connections a listener has by default. The memory is theirs already.
const WAITING_MAX: usize = 256;

/// What became of a waiting password. A sender that is dropped stands for "there was no place".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Right,
    Wrong,
    /// The peer failed too often meanwhile.
    Throttled(Duration),
}

/// A password that waits.
pub(super) struct Job {
    pub(super) peer: Peer,
    pub(super) user: String,
    pub(super) password: Vec<u8>,
    pub(super) presented: Digest,
    pub(super) expected: Expected,
    pub(super) is_known_user: bool,
    /// When it was refused for the first time, as a running number, if it was.
    pub(super) returned: Option<u64>,
    pub(super) answer: oneshot::Sender<Outcome>,
}

/// The waiting passwords, fair to peers and to those who come again.
///
/// Somebody who guesses shows a different password each time; a scraper that was turned away shows the same one again
/// 15 seconds later. So of a peer's passwords those that have been refused before come first, and of these by turns
/// the one that has tried for longest and any one: the first beats those who start to repeat their guesses, and the
/// second those who have stored up guesses to repeat.
#[derive(Default)]
pub(super) struct Queue {
    jobs: Vec<Job>,
    /// Whether a worker empties it.
    pub(super) is_worked_on: bool,
}

impl Queue {
    /// Adds a job. In a full queue one of the peers with the most, and of their jobs rather a new one than one that has
    /// returned, loses its place; it may be the one that comes.
    pub(super) fn push(&mut self, job: Job) {
        self.jobs.push(job);
        if self.jobs.len() <= WAITING_MAX {
            return;
        }
        self.jobs.retain(|job| !job.answer.is_closed());
        if self.jobs.len() <= WAITING_MAX {
            return;
        }
        let mut counts: HashMap<Peer, usize> = HashMap::new();
        self.jobs.iter().for_each(|job| *counts.entry(job.peer).or_default() += 1);
        let most = counts.values().max().copied().unwrap_or(0);
        let of_heaviest = |is_new: bool| {
            let jobs = self.jobs.iter().enumerate();
            let chosen =
                jobs.filter(|(_, job)| counts.get(&job.peer) == Some(&most) && job.returned.is_none() == is_new);
            chosen.map(|(place, _)| place).collect::<Vec<_>>()
        };
        let new = of_heaviest(true);
        let places = if new.is_empty() { of_heaviest(false) } else { new };
        if let Some(place) = places.get(random_below(places.len())) {
            self.jobs.swap_remove(*place);
        }
    }

    /// Takes the next job: of any waiting peer with the same chance, however many jobs it has, and by turns only of
    /// those with one that has returned, which a flood of new passwords from new addresses has not.
    pub(super) fn pop(&mut self) -> Option<Job> {
        self.jobs.retain(|job| !job.answer.is_closed());
        let peers = |may_be_new: bool| {
            let mut peers: Vec<Peer> = Vec::new();
            for job in self.jobs.iter().filter(|job| may_be_new || job.returned.is_some()) {
                if !peers.contains(&job.peer) {
                    peers.push(job.peer);
                }
            }
            peers
        };
        let mut waiting = peers(random_below(2) == 0);
        if waiting.is_empty() {
            waiting = peers(true);
        }
        let peer = *waiting.get(random_below(waiting.len()))?;
        let jobs = || self.jobs.iter().enumerate().filter(|(_, job)| job.peer == peer);
        let returned: Vec<(u64, usize)> = jobs().filter_map(|(place, job)| Some((job.returned?, place))).collect();
        let place = if returned.is_empty() {
            let new: Vec<usize> = jobs().map(|(place, _)| place).collect();
            new.get(random_below(new.len())).copied()
        } else if random_below(2) == 0 {
            returned.iter().min().map(|(_, place)| *place)
        } else {
            returned.get(random_below(returned.len())).map(|(_, place)| *place)
        };
        place.map(|place| self.jobs.swap_remove(place))
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }
}

/// Seconds of a core that may go into wrong passwords for each second that passes. Guessing costs us this much at most,
/// from however many addresses it comes.
pub(super) const WRONG_SHARE: f64 = 0.15;
/// Seconds that may be spent at once.
pub(super) const WRONG_BURST: f64 = 1.0;

/// What a wrong password is charged that was compared with one at hand, which costs next to nothing: as much as with a
/// hash of bcrypt's usual cost, so that it is guessed no faster than one that is hashed.
pub(super) const WRONG_PLAIN: Duration = Duration::from_millis(60);

/// The time left for hashing wrong passwords. Right ones are not charged.
pub(super) struct Budget {
    seconds: f64,
    since: Instant,
}

impl Budget {
    pub(super) fn new(now: Instant) -> Self {
        Self { seconds: WRONG_BURST, since: now }
    }

    /// How long to wait until the next password may be hashed, whose verdict nobody knows yet.
    pub(super) fn wait(&mut self, now: Instant) -> Option<Duration> {
        let earned = now.saturating_duration_since(self.since).as_secs_f64() * WRONG_SHARE;
        (self.seconds, self.since) = ((self.seconds + earned).min(WRONG_BURST), now);
        (self.seconds < 0.0).then(|| Duration::from_secs_f64(-self.seconds / WRONG_SHARE) + Duration::from_millis(1))
    }

    pub(super) fn charge(&mut self, spent: Duration) {
        self.seconds -= spent.as_secs_f64();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::credentials::Credentials;
    use crate::web_config::{Secret, WebConfig};

    fn expected() -> Expected {
        let hash = Secret::new("$2a$04$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW");
        let config = WebConfig { basic_auth_users: [("a".to_owned(), hash)].into(), ..WebConfig::default() };
        Credentials::load(&config).unwrap().unwrap().fake("x").unwrap()
    }

    fn job(expected: &Expected, peer: u32, user: &str, returned: Option<u64>) -> (Job, oneshot::Receiver<Outcome>) {
        let (answer, outcome) = oneshot::channel();
        let peer = Peer::Ip(std::net::IpAddr::V4(peer.into()));
        let (user, expected) = (user.to_owned(), expected.clone());
        let password = Vec::new();
        (Job { peer, user, password, presented: [0; 32], expected, is_known_user: true, returned, answer }, outcome)
    }

    #[test]
    fn a_flood_keeps_neither_another_peer_nor_a_returned_password_out() {
        let (expected, mut queue, mut outcomes) = (expected(), Queue::default(), Vec::new());
        for (peer, user, returned) in [(1, "returned", Some(7)), (2, "other", None)] {
            let (job, outcome) = job(&expected, peer, user, returned);
            queue.push(job);
            outcomes.push(outcome);
        }
        for _ in 0..10_000 {
            let (job, outcome) = job(&expected, 1, "flood", None);
            queue.push(job);
            outcomes.push(outcome);
            assert!(queue.len() <= WAITING_MAX);
        }
        // Of peer 1 the returned one is taken before all others, so it is among the first few with peer 2's.
        let first: Vec<String> = (0..2).filter_map(|_| queue.pop()).map(|job| job.user).collect();
        assert!(first.contains(&"returned".to_owned()), "{first:?}");
        let taken: Vec<String> = (0..60).filter_map(|_| queue.pop()).map(|job| job.user).chain(first).collect();
        assert!(taken.contains(&"other".to_owned()), "{taken:?}");
    }

    #[test]
    fn a_flood_of_addresses_does_not_keep_a_returned_password_out() {
        let (expected, mut queue) = (expected(), Queue::default());
        let (returned, _outcome) = job(&expected, 0, "returned", Some(7));
        queue.push(returned);
        let mut outcomes = Vec::new();
        for peer in 1..2000 {
            let (job, outcome) = job(&expected, peer, "flood", None);
            queue.push(job);
            outcomes.push(outcome);
        }
        // Half of the turns are its own: that it has none of 40 happens once in 10^12 runs.
        assert!((0..40).filter_map(|_| queue.pop()).any(|job| job.user == "returned"));
    }

    #[test]
    fn of_the_returned_the_oldest_has_at_least_every_second_turn() {
        let (expected, mut turns) = (expected(), 0);
        for _ in 0..200 {
            let mut queue = Queue::default();
            let mut outcomes = Vec::new();
            for number in 0..100 {
                let (job, outcome) = job(&expected, 1, &number.to_string(), Some(number));
                queue.push(job);
                outcomes.push(outcome);
            }
            turns += usize::from(queue.pop().unwrap().user == "0");
        }
        // Expected 101 of 200 with a deviation of 7; without the rule 2.
        assert!((50..=150).contains(&turns), "{turns}");
    }

    #[test]
    fn who_has_gone_is_not_hashed_for() {
        let (expected, mut queue) = (expected(), Queue::default());
        let (gone, outcome) = job(&expected, 1, "gone", None);
        queue.push(gone);
        drop(outcome);
        assert!(queue.pop().is_none());
    }

    #[test]
    fn wrong_passwords_get_their_share_and_no_more() {
        let (start, cost) = (Instant::now(), Duration::from_millis(60));
        let (mut budget, mut now, mut spent) = (Budget::new(start), start, Duration::ZERO);
        while now - start < Duration::from_secs(60) {
            now += budget.wait(now).unwrap_or_default();
            budget.charge(cost);
            spent += cost;
            now += cost;
        }
        let allowed = WRONG_BURST + WRONG_SHARE * 60.0;
        assert!((allowed * 0.8..allowed + 0.2).contains(&spent.as_secs_f64()), "{spent:?}");
    }
}
