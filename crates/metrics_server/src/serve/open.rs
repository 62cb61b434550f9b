//! The open connections of one listener, and which of them makes room for another.

use super::activity::Activity;
use super::peer::Peer;
use std::collections::HashMap;
use std::hash::Hash;
use tokio_util::sync::CancellationToken;

/// Connections by the task that serves each.
pub(super) struct Open<Id>(HashMap<Id, Connection>);

struct Connection {
    peer: Peer,
    activity: Activity,
    /// Ends it once it has answered.
    end: CancellationToken,
}

impl<Id: Copy + Eq + Hash> Open<Id> {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    pub(super) fn add(&mut self, id: Id, peer: Peer, activity: Activity, end: CancellationToken) {
        self.0.insert(id, Connection { peer, activity, end });
    }

    pub(super) fn remove(&mut self, id: Id) {
        self.0.remove(&id);
    }

    /// Ends a connection on which nothing happens in favour of one from `newcomer`: of the peers that have such
    /// connections that with the most of all, and of its own the one that has been quiet for longest. It has to have more
    /// than the newcomer, or be the same, so that nobody is pushed out by who has more already. Whether there was one.
    pub(super) fn make_room(&mut self, newcomer: Peer) -> bool {
        let mut counts: HashMap<Peer, usize> = HashMap::new();
        self.0.values().for_each(|connection| *counts.entry(connection.peer).or_default() += 1);
        let of = |peer| counts.get(&peer).copied().unwrap_or(0);
        let quiet = self.0.iter().filter_map(|(id, connection)| {
            let since = connection.activity.idle_since()?;
            let count = of(connection.peer);
            let may_go = connection.peer == newcomer || count > of(newcomer);
            may_go.then_some((count, std::cmp::Reverse(since), *id))
        });
        let chosen = quiet.max_by_key(|(count, since, _)| (*count, *since)).map(|(_, _, id)| id);
        match chosen.and_then(|id| self.0.remove(&id)) {
            Some(connection) => {
                connection.end.cancel();
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn peer(number: u8) -> Peer {
        Peer::Ip(IpAddr::V4(Ipv4Addr::new(192, 0, 2, number)))
    }

    /// Connections of these peers, each of which is quiet or owes its first request; the older ones first.
    fn open(connections: &[(u8, bool)]) -> (Open<usize>, Vec<CancellationToken>) {
        let (mut open, mut ends) = (Open::new(), Vec::new());
        for (id, (number, is_quiet)) in connections.iter().enumerate() {
            let (activity, end) = (Activity::new(), CancellationToken::new());
            if *is_quiet {
                drop(activity.request());
            }
            open.add(id, peer(*number), activity, end.clone());
            ends.push(end);
        }
        (open, ends)
    }

    #[test]
    fn the_longest_quiet_connection_of_the_peer_with_the_most_makes_room() {
        let check = |connections: &[(u8, bool)], newcomer, expected: &[usize]| {
            let (mut open, ends) = open(connections);
            let mut ended = Vec::new();
            while open.make_room(peer(newcomer)) {
                ended.extend((0..ends.len()).filter(|id| ends[*id].is_cancelled() && !ended.contains(id)).min());
            }
            assert_eq!(ended, expected, "{connections:?} and {newcomer}");
        };
        check(&[], 9, &[]);
        check(&[(1, true), (2, true), (2, false), (2, true)], 9, &[1, 3, 0]);
        // Who has as many gets no room from others.
        check(&[(1, true), (2, false)], 2, &[]);
        check(&[(1, true), (2, false), (2, true)], 2, &[2]);
        // A peer whose connections are all at something holds its own; others have room to give.
        check(&[(1, true), (1, true), (2, false), (2, false), (2, false)], 9, &[0, 1]);
        check(&[(2, false), (2, false)], 9, &[]);
    }
}
