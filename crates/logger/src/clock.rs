//! The wall clock, as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time that is written beside the data; a test shifts it to stand before midnight, or speeds it up.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    offset_ns: i64,
    /// The system's clock, ns since the Unix epoch, from which on time passes faster.
    since_ns: u64,
    /// Seconds that pass in a second from there on.
    speed: u32,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock { offset_ns: 0, since_ns: 0, speed: 1 }
    }
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Clock {
        Clock::default()
    }

    /// The system's clock, shifted by `offset_ns` nanoseconds.
    pub fn shifted(offset_ns: i64) -> Clock {
        Clock { offset_ns, ..Clock::default() }
    }

    /// This clock, running `speed` times as fast from the moment on at which the system's clock shows `since_ns`.
    #[must_use]
    pub fn sped_up(self, since_ns: u64, speed: u32) -> Clock {
        Clock { since_ns, speed: speed.max(1), ..self }
    }

    /// Nanoseconds since the Unix epoch; 0 if the system's clock stands before it.
    pub fn now_ns(self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let system = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        let gained = system.saturating_sub(self.since_ns).saturating_mul(u64::from(self.speed - 1));
        system.saturating_add(gained).saturating_add_signed(self.offset_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_faster_clock_gains_from_its_beginning_on() {
        const S: u64 = 1_000_000_000;
        let now = Clock::system().now_ns();
        let hour_ago = Clock::shifted(-5 * S as i64).sped_up(now - 3_600 * S, 25);
        let gained = hour_ago.now_ns() - now;
        assert!((24 * 3_600 * S - 5 * S..25 * 3_600 * S).contains(&gained), "{gained}");
        assert!(Clock::system().sped_up(now + 3_600 * S, 25).now_ns() - now < 3_600 * S);
    }
}
