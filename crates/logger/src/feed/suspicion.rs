//! What the recorder suspects: a stream that looks alive, while REST has trades that it did not bring.

use column_store::Stream;
use tokio::sync::mpsc;

use crate::received::SymbolIndex;

/// Suspicions that wait at most; one that does not fit is told again when it shows again.
const WAITING: usize = 1_024;

/// Where the recorder tells that a stream of a symbol should be subscribed anew.
#[derive(Clone, Debug)]
pub(crate) struct Suspicions(mpsc::Sender<(SymbolIndex, Stream)>);

impl Suspicions {
    pub(crate) fn channel() -> (Suspicions, mpsc::Receiver<(SymbolIndex, Stream)>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Suspicions(sender), receiver)
    }

    /// Tells without waiting; false if there is no room now.
    pub(crate) fn tell(&self, symbol: SymbolIndex, stream: Stream) -> bool {
        self.0.try_send((symbol, stream)).is_ok()
    }
}
