//! When to ask a venue for the newest trades of a symbol: after each reconnect, and while nothing comes. Of a symbol that
//! never traded nothing can be asked: its stream is suspected then.

use super::asked::pause_ns;

/// A symbol that stays quiet is asked about at least this often, ns.
const LONGEST_SPACING_NS: u64 = 3_600 * 1_000_000_000;

/// The next time to ask up to the newest.
#[derive(Debug, Default)]
pub(crate) struct Poll {
    /// When, ns; none if nothing makes it necessary.
    next_ns: Option<u64>,
    /// Whether the answer is awaited.
    is_asked: bool,
    /// How long a symbol may be quiet until it is asked about, ns.
    spacing_ns: u64,
    failures: u32,
}

impl Poll {
    /// Something may have been missed: ask now.
    pub(crate) fn now(&mut self, now_ns: u64, quiet_poll_ns: u64) {
        (self.next_ns, self.spacing_ns) = (Some(now_ns), quiet_poll_ns);
    }

    /// A trade came, or the venue said that there was none: what is due after a reconnect is due all the same.
    pub(crate) fn heard(&mut self, now_ns: u64, quiet_poll_ns: u64) {
        if !self.is_asked && self.failures == 0 && !self.is_due(now_ns) {
            self.spacing_ns = self.spacing_ns.max(quiet_poll_ns);
            self.next_ns = Some(now_ns.saturating_add(self.spacing_ns));
        }
    }

    pub(crate) fn is_due(&self, now_ns: u64) -> bool {
        self.next_ns.is_some_and(|next_ns| next_ns <= now_ns)
    }

    /// It is being asked.
    pub(crate) fn asked(&mut self) {
        (self.next_ns, self.is_asked) = (None, true);
    }

    /// The answer came; a symbol of which nothing was missed is asked about less and less often.
    pub(crate) fn answered(&mut self, found: bool, now_ns: u64, quiet_poll_ns: u64) {
        (self.failures, self.is_asked) = (0, false);
        self.spacing_ns = if found {
            quiet_poll_ns
        } else {
            self.spacing_ns.saturating_mul(2).clamp(quiet_poll_ns, LONGEST_SPACING_NS.max(quiet_poll_ns))
        };
        self.next_ns = Some(self.next_ns.unwrap_or(u64::MAX).min(now_ns.saturating_add(self.spacing_ns)));
    }

    pub(crate) fn failed(&mut self, now_ns: u64) {
        self.is_asked = false;
        self.failures = self.failures.saturating_add(1);
        self.next_ns = Some(now_ns.saturating_add(pause_ns(self.failures)));
    }
}
