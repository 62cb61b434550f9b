//! Who has failed how often.

use super::keyed::random_below;
use crate::serve::Peer;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Peers remembered; a record takes about 100 bytes.
const PEERS_MAX: usize = 4096;
/// Failures that cost nothing: typing errors, and a scraper whose password was just changed.
const FREE_FAILURES: u32 = 5;
/// The wait after the first failure that is not free; each further one doubles it.
const BACKOFF: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Time without a failure after which a peer is as good as any.
const FORGIVEN: Duration = Duration::from_secs(300);
/// Records looked at to find one to give up.
const EVICTION_SAMPLE: usize = 16;

/// Failures by peer, bounded.
#[derive(Debug, Default)]
pub(super) struct Peers {
    places: HashMap<Peer, usize>,
    records: Vec<Record>,
}

#[derive(Debug)]
struct Record {
    peer: Peer,
    failures: u32,
    last: Instant,
}

impl Record {
    fn blocked_for(&self, now: Instant) -> Option<Duration> {
        let beyond = self.failures.checked_sub(FREE_FAILURES + 1)?;
        let backoff = BACKOFF.saturating_mul(1 << beyond.min(16)).min(BACKOFF_MAX);
        (self.last + backoff).checked_duration_since(now).filter(|left| !left.is_zero())
    }
}

impl Peers {
    /// How long the peer has to wait until a password it never showed before is looked at.
    pub(super) fn blocked_for(&self, peer: Peer, now: Instant) -> Option<Duration> {
        self.record(peer)?.blocked_for(now)
    }

    /// Whether the peer has used up the failures that cost nothing.
    pub(super) fn is_suspect(&self, peer: Peer, now: Instant) -> bool {
        self.record(peer).is_some_and(|record| record.failures > FREE_FAILURES && now - record.last < FORGIVEN)
    }

    fn record(&self, peer: Peer) -> Option<&Record> {
        self.records.get(*self.places.get(&peer)?)
    }

    /// Notes a failure. Returns whether another peer was forgotten for it.
    pub(super) fn failed(&mut self, peer: Peer, now: Instant) -> bool {
        if let Some(record) = self.places.get(&peer).and_then(|place| self.records.get_mut(*place)) {
            let failures = if now - record.last < FORGIVEN { record.failures } else { 0 };
            (record.failures, record.last) = (failures.saturating_add(1), now);
            return false;
        }
        let must_evict = self.records.len() >= PEERS_MAX;
        if must_evict {
            self.evict(now);
        }
        self.places.insert(peer, self.records.len());
        self.records.push(Record { peer, failures: 1, last: now });
        must_evict
    }

    /// Of some chosen at random, gives up the one with the fewest failures. Those who try many addresses have one
    /// failure on each and push out each other; to be rid of a record with many, they would have to earn as many on
    /// thousands of addresses.
    fn evict(&mut self, now: Instant) {
        let sample = (0..EVICTION_SAMPLE).map(|_| random_below(self.records.len()));
        let worth = |place: &usize| {
            let record = self.records.get(*place);
            record.map_or((0, None), |record| {
                (if now - record.last < FORGIVEN { record.failures } else { 0 }, Some(record.last))
            })
        };
        if let Some(peer) = sample.min_by_key(worth).and_then(|place| self.records.get(place)).map(|record| record.peer)
        {
            self.forget(peer);
        }
    }

    /// A right password: whoever typed it has come to the end of the typing errors.
    pub(super) fn forget(&mut self, peer: Peer) {
        if let Some(place) = self.places.remove(&peer) {
            self.records.swap_remove(place);
            if let Some(moved) = self.records.get(place) {
                self.places.insert(moved.peer, place);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn peer(number: u32) -> Peer {
        Peer::Ip(IpAddr::V4(number.into()))
    }

    #[test]
    fn backoff_grows_ends_and_is_forgiven() {
        let (mut peers, mut now) = (Peers::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..14 {
            peers.failed(peer(1), now);
            waits.push(peers.blocked_for(peer(1), now).unwrap_or_default().as_millis());
        }
        assert_eq!(waits, [0, 0, 0, 0, 0, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
        assert_eq!(peers.blocked_for(peer(2), now), None);
        now += BACKOFF_MAX;
        assert_eq!(peers.blocked_for(peer(1), now), None);
        assert!(peers.is_suspect(peer(1), now));
        now += FORGIVEN;
        assert!(!peers.is_suspect(peer(1), now));
        peers.failed(peer(1), now);
        assert_eq!(peers.blocked_for(peer(1), now), None);
    }

    #[test]
    fn a_flood_of_addresses_stays_bounded_and_does_not_hide_an_offender() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        for _ in 0..20 {
            peers.failed(peer(0), now);
        }
        for number in 1..100_000 {
            peers.failed(peer(number), now);
            assert!(peers.len() <= PEERS_MAX);
        }
        assert!(peers.blocked_for(peer(0), now).is_some());
        assert_eq!(peers.places.len(), peers.records.len());
    }
}
