//! The connections that carry one stream of a symbol.

use crate::received::ConnectionId;

/// Connections with what is kept of each, in the order in which they began to carry the stream.
#[derive(Debug)]
pub(crate) struct Carriers<T> {
    carriers: Vec<(ConnectionId, T)>,
}

impl<T> Default for Carriers<T> {
    fn default() -> Self {
        Carriers { carriers: Vec::new() }
    }
}

impl<T> Carriers<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.carriers.is_empty()
    }

    /// The one that has carried the stream longest.
    pub(crate) fn oldest(&self) -> Option<ConnectionId> {
        self.carriers.first().map(|(id, _)| *id)
    }

    pub(crate) fn get(&mut self, connection: ConnectionId) -> Option<&mut T> {
        self.carriers.iter_mut().find(|(id, _)| *id == connection).map(|(_, kept)| kept)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.carriers.iter().map(|(_, kept)| kept)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.carriers.iter_mut().map(|(_, kept)| kept)
    }

    /// The connection carries the stream from here on.
    pub(crate) fn add(&mut self, connection: ConnectionId, kept: T) {
        if self.get(connection).is_none() {
            self.carriers.push((connection, kept));
        }
    }

    /// The connection carries the stream no more.
    pub(crate) fn remove(&mut self, connection: ConnectionId) -> Option<T> {
        let at = self.carriers.iter().position(|(id, _)| *id == connection)?;
        Some(self.carriers.remove(at).1)
    }
}
