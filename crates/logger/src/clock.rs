//! The wall clock, as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time that is written beside the data; a test shifts it to stand before midnight.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    offset_ns: i64,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Clock {
        Clock::default()
    }

    /// The system's clock, shifted by `offset_ns` nanoseconds.
    pub fn shifted(offset_ns: i64) -> Clock {
        Clock { offset_ns }
    }

    /// Nanoseconds since the Unix epoch; 0 if the system's clock stands before it.
    pub fn now_ns(self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX).saturating_add_signed(self.offset_ns)
    }
}
