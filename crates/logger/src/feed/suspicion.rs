//! What the recorder suspects: a stream that looks alive, while REST has trades that it did not bring, or that never brought
//! any.

use column_store::Stream;
use tokio::sync::broadcast;

use crate::received::SymbolIndex;

/// Suspicions that wait at most; one that does not fit is told again when it shows again.
const WAITING: usize = 1_024;

/// Where the recorder tells that a stream of a symbol should be subscribed anew, and where every connection hears of it.
#[derive(Clone, Debug)]
pub(crate) struct Suspicions(broadcast::Sender<(SymbolIndex, Stream)>);

impl Default for Suspicions {
    fn default() -> Suspicions {
        Suspicions(broadcast::Sender::new(WAITING))
    }
}

impl Suspicions {
    /// Tells without waiting; false if nobody is there to hear it.
    pub(crate) fn tell(&self, symbol: SymbolIndex, stream: Stream) -> bool {
        self.0.send((symbol, stream)).is_ok()
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<(SymbolIndex, Stream)> {
        self.0.subscribe()
    }
}
