//! The connections that carry one stream of a symbol.

use crate::received::ConnectionId;

/// Connections with what is kept of each, in the order in which they began to carry the stream: the first is the primary.
#[derive(Debug)]
pub(crate) struct Carriers<T> {
    carriers: Vec<(ConnectionId, T)>,
    /// The one that was lost last: what still arrives on it does not make it carry the stream again.
    lost: Option<ConnectionId>,
}

impl<T> Default for Carriers<T> {
    fn default() -> Self {
        Carriers { carriers: Vec::new(), lost: None }
    }
}

impl<T> Carriers<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.carriers.is_empty()
    }

    pub(crate) fn primary(&mut self) -> Option<&mut (ConnectionId, T)> {
        self.carriers.first_mut()
    }

    pub(crate) fn get(&mut self, connection: ConnectionId) -> Option<&mut T> {
        self.carriers.iter_mut().find(|(id, _)| *id == connection).map(|(_, kept)| kept)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.carriers.iter().map(|(_, kept)| kept)
    }

    /// The connection carries the stream from here on; `true` if it did not already.
    pub(crate) fn add(&mut self, connection: ConnectionId, kept: T) -> bool {
        if self.carriers.iter().any(|(id, _)| *id == connection) {
            return false;
        }
        self.lost = self.lost.filter(|lost| *lost != connection);
        self.carriers.push((connection, kept));
        true
    }

    /// Data arrived on a connection: proof that it carries the stream, unless it was lost just before.
    pub(crate) fn heard(&mut self, connection: ConnectionId, kept: impl FnOnce() -> T) -> bool {
        self.lost != Some(connection) && self.get(connection).is_none() && self.add(connection, kept())
    }

    /// The connection carries the stream no more.
    pub(crate) fn remove(&mut self, connection: ConnectionId) -> Option<T> {
        self.lost = Some(connection);
        let at = self.carriers.iter().position(|(id, _)| *id == connection)?;
        Some(self.carriers.remove(at).1)
    }
}
