//! What to simulate.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use crate::clock::ClockPace;
use crate::error::{Error, Result};
use crate::fault::Fault;
use crate::market::instrument::MAX_SYMBOLS;
use crate::venue::VenueKind;

/// Most market events per second and venue that make sense to ask for.
pub const MAX_RATE: f64 = 1_000_000.0;

/// Everything a simulator is started with. [`Config::default`] is Coinbase and Binance on free loopback ports with ten
/// symbols each, 200 events/s, seed 1, a running market and no ledger.
#[derive(Clone, Debug)]
pub struct Config {
    /// The venues to stand for. With `replay`: ports for the venues found in the captures; others are not started.
    pub venues: Vec<VenueConfig>,
    /// Address all ports are opened on.
    pub listen: IpAddr,
    /// Seed of prices, sizes, ids and sides.
    pub seed: u64,
    /// Market events per second and venue over all symbols; 0 leaves the market to [`Simulator::emit_events`].
    ///
    /// [`Simulator::emit_events`]: crate::Simulator::emit_events
    pub rate: f64,
    /// Symbols per venue, 1 to [`MAX_SYMBOLS`].
    pub symbols: usize,
    /// The market of each venue stops by itself after so many events.
    pub max_events: Option<u64>,
    /// Whether the market moves from the start.
    pub market: MarketState,
    /// Nanoseconds by which the market's clock is ahead of the system clock.
    pub clock_offset_ns: i64,
    /// How fast the market's clock runs. Times of events follow it; rates, heartbeats and time limits do not.
    pub clock_pace: ClockPace,
    /// Write the ledger to this file, one JSON object per line.
    pub ledger: Option<PathBuf>,
    /// Keep the ledger in memory for [`Simulator::ledger`].
    ///
    /// [`Simulator::ledger`]: crate::Simulator::ledger
    pub keep_ledger_in_memory: bool,
    /// Offer the WebSocket ports as `wss://`.
    pub tls: Option<Tls>,
    /// Send captured frames and not those of a simulated market.
    pub replay: Option<Replay>,
    /// The venues' time limits and the size of queues.
    pub limits: Limits,
    /// Faults to begin with; see [`Simulator::inject`](crate::Simulator::inject) for later ones.
    pub faults: Vec<Fault>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            venues: VenueKind::DEFAULT.map(VenueConfig::new).to_vec(),
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            seed: 1,
            rate: 200.0,
            symbols: 10,
            max_events: None,
            market: MarketState::Running,
            clock_offset_ns: 0,
            clock_pace: ClockPace::default(),
            ledger: None,
            keep_ledger_in_memory: false,
            tls: None,
            replay: None,
            limits: Limits::default(),
            faults: Vec::new(),
        }
    }
}

impl Config {
    /// Refuses values that cannot work.
    pub(crate) fn check(&self) -> Result<()> {
        let fail = |setting, reason| Err(Error::Setting { setting, reason });
        if self.venues.is_empty() && self.replay.is_none() {
            return fail("exchanges", "name at least one".to_owned());
        }
        for (index, venue) in self.venues.iter().enumerate() {
            if self.venues[..index].iter().any(|earlier| earlier.kind == venue.kind) {
                return fail("exchanges", format!("{} is named twice", venue.kind));
            }
        }
        if !(1..=MAX_SYMBOLS).contains(&self.symbols) {
            return fail("symbols", format!("{} is not between 1 and {MAX_SYMBOLS}", self.symbols));
        }
        if !(0.0..=MAX_RATE).contains(&self.rate) {
            return fail("rate", format!("{} is not between 0 and {MAX_RATE} events per second", self.rate));
        }
        if self.clock_pace.speed == 0 {
            return fail("clock-speed", "must be at least 1".to_owned());
        }
        if self.limits.queue_frames == 0 {
            return fail("queue-frames", "must be at least 1".to_owned());
        }
        for (setting, duration) in [
            ("ping-interval", self.limits.ping_interval),
            ("pong-timeout", self.limits.pong_timeout),
            ("subscribe-timeout", self.limits.subscribe_timeout),
            ("heartbeat-interval", self.limits.heartbeat_interval.unwrap_or(Duration::MAX)),
            ("idle-timeout", self.limits.idle_timeout.unwrap_or(Duration::MAX)),
            ("connection-lifetime", self.limits.connection_lifetime),
        ] {
            if duration.is_zero() {
                return fail(setting, "must be longer than 0".to_owned());
            }
        }
        match &self.replay {
            Some(replay) if replay.files.is_empty() => fail("replay", "name at least one capture file".to_owned()),
            Some(replay) if !(replay.speed.is_finite() && replay.speed >= 0.0) => {
                fail("speed", format!("{} is neither 0 nor a positive factor", replay.speed))
            }
            _ => Ok(()),
        }
    }
}

/// One venue and its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VenueConfig {
    /// Which venue.
    pub kind: VenueKind,
    /// WebSocket port; 0 takes a free one.
    pub ws_port: u16,
    /// REST port; 0 takes a free one.
    pub rest_port: u16,
}

impl VenueConfig {
    /// The venue on free ports.
    pub fn new(kind: VenueKind) -> Self {
        Self { kind, ws_port: 0, rest_port: 0 }
    }
}

/// Whether the market moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MarketState {
    /// It moves at the configured rate.
    #[default]
    Running,
    /// It stands still; connections, acks, heartbeats and pings go on.
    Paused,
}

/// PEM files for `wss://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Certificate chain, leaf first.
    pub cert: PathBuf,
    /// Private key of the leaf.
    pub key: PathBuf,
}

/// Captures to replay, in the order of the files.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// Capture files; several of one venue follow each other without a pause.
    pub files: Vec<PathBuf>,
    /// 1 is the captured pace, 2 twice as fast, 0 as fast as the client reads.
    pub speed: f64,
}

/// The venues' time limits and the size of queues; the defaults are the venues' documented values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Coinbase closes a connection without a subscription after this.
    pub subscribe_timeout: Duration,
    /// Binance sends a ping frame this often.
    pub ping_interval: Duration,
    /// Binance closes a connection that left a ping unanswered for this long.
    pub pong_timeout: Duration,
    /// Time between rounds of heartbeats. None: the venue's own, 1 s at Coinbase and Kraken and 15 s at Bitfinex.
    pub heartbeat_interval: Option<Duration>,
    /// A connection without a frame in either direction is closed after this. None: the venue's own, 30 s at OKX and 60 s at
    /// Kraken and Bitfinex.
    pub idle_timeout: Option<Duration>,
    /// Binance ends every connection after this.
    pub connection_lifetime: Duration,
    /// Bitfinex confirms a trade (`tu`) after this.
    pub confirm_after: Duration,
    /// Whether the venues' limits on handshakes and REST requests of one address hold. Off by default: all clients of a test
    /// have one address.
    pub per_address: bool,
    /// Frames waiting for one connection before it counts as a slow consumer and is closed.
    pub queue_frames: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            subscribe_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(20),
            pong_timeout: Duration::from_secs(60),
            heartbeat_interval: None,
            idle_timeout: None,
            connection_lifetime: Duration::from_secs(24 * 60 * 60),
            confirm_after: Duration::from_millis(1_500),
            per_address: false,
            // About a minute of a busy feed, at most some 30 MB per connection.
            queue_frames: 65_536,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_named() {
        let with = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            match config.check() {
                Err(Error::Setting { setting, .. }) => setting,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(with(|config| config.symbols = 0), "symbols");
        assert_eq!(with(|config| config.symbols = MAX_SYMBOLS + 1), "symbols");
        assert_eq!(with(|config| config.rate = f64::NAN), "rate");
        assert_eq!(with(|config| config.rate = -1.0), "rate");
        assert_eq!(with(|config| config.venues.clear()), "exchanges");
        assert_eq!(with(|config| config.venues.push(VenueConfig::new(VenueKind::Binance))), "exchanges");
        assert_eq!(with(|config| config.clock_pace.speed = 0), "clock-speed");
        assert_eq!(with(|config| config.limits.ping_interval = Duration::ZERO), "ping-interval");
        assert_eq!(with(|config| config.replay = Some(Replay { files: vec![], speed: 1.0 })), "replay");
        assert!(Config::default().check().is_ok());
    }
}
