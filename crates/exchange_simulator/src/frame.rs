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

/// One market message.
pub(crate) trait Frame {
    /// The subscription it belongs to.
    fn topic(&self) -> &str;

    /// Its text in the given form.
    fn text(&self, form: Form) -> String;

    /// What the ledger says of it, for connections of the given form.
    fn entry(&self, form: Form) -> MessageEntry;

    /// Whether the ledger's entry differs between milliseconds and microseconds.
    fn has_times_by_unit(&self) -> bool {
        false
    }
}
