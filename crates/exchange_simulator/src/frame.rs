//! A market message before it is text: one message can go out in several forms.

use crate::ledger::MessageEntry;

/// The form a connection wants its messages in. Venues with one form only use the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form {
    /// Binance: inside `{"stream":…,"data":…}`.
    pub(crate) wrapped: bool,
    /// Binance: times in microseconds and not milliseconds.
    pub(crate) micros: bool,
}

/// What only one connection's copy of a message carries (Bitfinex).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The connection's number of the subscription.
    pub(crate) channel: u64,
    /// The connection's count of frames, if it asked for it.
    pub(crate) seq: Option<u64>,
    /// The venue's time in ms since the epoch, if it asked for it.
    pub(crate) time_ms: Option<u64>,
}

/// One market message: one frame of the socket, and one line of the ledger or several.
pub(crate) trait Frame {
    /// The subscription it belongs to.
    fn topic(&self) -> &str;

    /// Its text in the given form.
    fn text(&self, form: Form) -> String;

    /// Its text for a connection that numbers its frames; None at venues whose connections do not.
    fn stamped(&self, _stamp: Stamp) -> Option<String> {
        None
    }

    /// What the ledger says of it, for connections of the given form. Of a frame with several lines the last one.
    fn entry(&self, form: Form) -> MessageEntry;

    /// Its lines of the ledger: one for each trade in it, or else one.
    fn entries(&self, form: Form) -> Vec<MessageEntry> {
        vec![self.entry(form)]
    }

    /// How many lines that is, at least one.
    fn lines(&self) -> u64 {
        1
    }

    /// Whether the ledger has a line of it even when nobody is subscribed.
    fn told_unheard(&self) -> bool {
        true
    }

    /// Whether the ledger's entry differs between milliseconds and microseconds.
    fn has_times_by_unit(&self) -> bool {
        false
    }
}
