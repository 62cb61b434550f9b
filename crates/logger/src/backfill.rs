//! Asks the venues' REST interfaces for trades that the feeds missed. The recorder asks; the answers come to it as
//! [`Fill`](crate::received::Fill)s through the queue.

use tokio::sync::mpsc;

use crate::received::SymbolIndex;

/// Questions that wait at most; the recorder keeps what does not fit, and asks later.
const WAITING: usize = 4_096;

/// What the recorder wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// Comes back with the answer.
    pub(crate) number: u64,
    pub(crate) symbol: SymbolIndex,
    /// Which ids; up to `u64::MAX` means up to the newest.
    pub(crate) ids: Option<(u64, u64)>,
    /// Between which times, ns since the Unix epoch.
    pub(crate) times: (u64, u64),
}

/// Where the recorder puts its questions.
#[derive(Clone, Debug)]
pub(crate) struct Questions(mpsc::Sender<Question>);

impl Questions {
    pub(crate) fn channel() -> (Questions, mpsc::Receiver<Question>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Questions(sender), receiver)
    }

    /// Asks without waiting; false if there is no room now.
    pub(crate) fn ask(&self, question: Question) -> bool {
        self.0.try_send(question).is_ok()
    }
}
