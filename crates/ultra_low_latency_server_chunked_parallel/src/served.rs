//! The bytes of a body that is ready, counted once it is known to be sent.

use metrics_server::{Counter, Handle};

/// Goes with a response as an extension.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) counter: Handle<Counter>,
    pub(crate) bytes: u64,
}

impl Served {
    /// The body goes to the network.
    pub(crate) fn count(&self) {
        self.counter.add(self.bytes);
    }
}
