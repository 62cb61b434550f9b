//! The search key of a row: which time it is filed under.

/// An event whose timestamp lies further back than this is filed under the time we received it, ns.
const OLDEST_EVENT: u64 = 60 * 1_000_000_000;
/// An event whose timestamp lies further ahead than this is filed under the time we received it, ns.
const NEWEST_EVENT: u64 = 1_000_000_000;

/// A row's place in the search key, ns since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowTime(pub(crate) u64);

impl RowTime {
    /// Nanoseconds since the Unix epoch.
    pub fn ns(self) -> u64 {
        self.0
    }

    /// The `time` column: whole seconds. Days end in 2099, so the seconds fit.
    pub fn seconds(self) -> u32 {
        (self.0 / 1_000_000_000) as u32
    }

    /// The `nanos` column: nanoseconds within the second.
    pub fn nanos(self) -> u32 {
        (self.0 % 1_000_000_000) as u32
    }
}

/// How far a row's own timestamp is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeRule {
    /// A live message: believed within 60 s behind and 1 s ahead of our clock, so that neither an old snapshot nor a
    /// broken clock opens an old day or freezes the key.
    Live,
    /// A trade filled in later by REST: believed as it stands.
    Filled,
}

impl TimeRule {
    /// The time a row belongs to, before it is made non-decreasing, ns.
    pub(crate) fn time_of(self, event_ns: u64, receive_ns: u64) -> u64 {
        let believed = match self {
            TimeRule::Live => {
                event_ns >= receive_ns.saturating_sub(OLDEST_EVENT)
                    && event_ns <= receive_ns.saturating_add(NEWEST_EVENT)
            }
            TimeRule::Filled => true,
        };
        if event_ns != 0 && believed { event_ns } else { receive_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn believes_an_event_time_only_near_our_clock() {
        const S: u64 = 1_000_000_000;
        let now = 1_000_000 * S;
        for (event, rule, expected) in [
            (now, TimeRule::Live, now),
            (now - 60 * S, TimeRule::Live, now - 60 * S),
            (now - 60 * S - 1, TimeRule::Live, now),
            (now + S, TimeRule::Live, now + S),
            (now + S + 1, TimeRule::Live, now),
            (0, TimeRule::Live, now),
            (now - 3_600 * S, TimeRule::Filled, now - 3_600 * S),
            (0, TimeRule::Filled, now),
        ] {
            assert_eq!(rule.time_of(event, now), expected, "{event} {rule:?}");
        }
        assert_eq!(TimeRule::Live.time_of(0, 5), 5, "an unknown event time is not the epoch");
    }
}
