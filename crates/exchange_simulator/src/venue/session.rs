//! What a connection asked for so far.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tokio::time::Instant;

use crate::clock::MarketClock;
use crate::frame::{Form, Stamp};

/// One connection's subscriptions and settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    /// The connection's number, from 1 over all venues; 0 until it has joined.
    pub(crate) id: u64,
    pub(crate) topics: BTreeSet<String>,
    pub(crate) form: Form,
    /// Topics that a fault keeps silent, with its name.
    pub(crate) muted: BTreeMap<String, &'static str>,
    /// At venues whose connections number their subscriptions.
    pub(crate) channels: Option<Channels>,
    /// Which of the venue's endpoints it is at, where there are several.
    pub(crate) endpoint: &'static str,
    /// The venue's clock.
    pub(crate) clock: MarketClock,
    /// When it made requests that count towards a limit, oldest first.
    pub(crate) requests: VecDeque<Instant>,
}

/// A connection's numbers of its subscriptions, and of its frames.
#[derive(Clone, Debug, Default)]
pub(crate) struct Channels {
    pub(crate) ids: BTreeMap<String, u64>,
    /// The last number given to a subscription.
    pub(crate) last_id: u64,
    /// Frames so far.
    pub(crate) last_seq: u64,
    /// Frames tell their number.
    pub(crate) sequenced: bool,
    /// Frames tell the time.
    pub(crate) timestamped: bool,
}

impl Session {
    /// Numbers a frame of `topic`, at venues that do.
    pub(crate) fn stamp(&mut self, topic: &str) -> Option<Stamp> {
        let channels = self.channels.as_mut()?;
        let channel = *channels.ids.get(topic)?;
        channels.last_seq += 1;
        Some(Stamp {
            channel,
            seq: channels.sequenced.then_some(channels.last_seq),
            time_ms: channels.timestamped.then(|| self.clock.now_us() / 1_000),
        })
    }
}
