//! What is known to be missing.

use serde::{Deserialize, Serialize};

use crate::{Day, StoreError, line_file::LINE_LIMIT};

/// Bytes of a gap's id and of its reason at most.
const TEXT_LIMIT: usize = 128;

/// Which of a symbol's streams a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Trades; their records lie beside the `TRADES` columns.
    Trades,
    /// Best bid and ask; their records lie beside the `MD` columns.
    Quotes,
}

/// What became of a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GapState {
    /// Missing, and may still be filled.
    Open,
    /// All of it was filled in later.
    Filled,
    /// The venue cannot deliver it any more.
    Lost,
}

/// Events that are missing, or an interval in which a subscription was not live. The last line of an id wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Names the gap within its series. [`Gap::of_ids`] and [`Gap::of_interval`] make it from where the gap begins, so that
    /// one that is detected again after a crash is the same gap.
    pub id: String,
    /// The exchange's directory; the store fills it in.
    pub exchange: String,
    /// The symbol's directory; the store fills it in.
    pub symbol: String,
    /// Which stream.
    pub stream: Stream,
    /// First missing id, if ids tell.
    pub from_id: Option<u64>,
    /// Last missing id, if ids tell.
    pub to_id: Option<u64>,
    /// Time of the last event before the gap, ns since the Unix epoch.
    pub from_ns: u64,
    /// Time of the first event after the gap, ns since the Unix epoch.
    pub to_ns: u64,
    /// Events that are missing; `None` if nobody can know.
    pub missing: Option<u64>,
    /// Why, in few words such as `disconnected`.
    pub reason: String,
    /// What became of it.
    pub state: GapState,
}

impl Gap {
    /// An open gap of the ids `from_id..=to_id`, between the times `from_ns` and `to_ns`.
    pub fn of_ids(stream: Stream, from_id: u64, to_id: u64, from_ns: u64, to_ns: u64, reason: &str) -> Gap {
        Gap {
            id: format!("id-{from_id}"),
            exchange: String::new(),
            symbol: String::new(),
            stream,
            from_id: Some(from_id),
            to_id: Some(to_id),
            from_ns,
            to_ns,
            missing: Some(to_id.saturating_sub(from_id).saturating_add(1)),
            reason: reason.to_owned(),
            state: GapState::Open,
        }
    }

    /// An open gap of which only the time is known.
    pub fn of_interval(stream: Stream, from_ns: u64, to_ns: u64, reason: &str) -> Gap {
        Gap {
            id: format!("ns-{from_ns}"),
            from_id: None,
            to_id: None,
            missing: None,
            ..Gap::of_ids(stream, 0, 0, from_ns, to_ns, reason)
        }
    }

    /// The same gap in another state.
    pub fn with_state(self, state: GapState) -> Gap {
        Gap { state, ..self }
    }

    /// The day whose file records it: the day in which it begins.
    pub fn day(&self) -> Option<Day> {
        Day::from_ns(self.from_ns)
    }

    /// Whether it is an interval that has not ended yet: its end stands at its beginning.
    pub fn is_under_way(&self) -> bool {
        self.state == GapState::Open && self.from_id.is_none() && self.from_ns == self.to_ns
    }

    /// The gap as a line of its file.
    pub(crate) fn line(&self, series: &dyn std::fmt::Display) -> Result<Vec<u8>, StoreError> {
        let reason = match () {
            () if self.id.is_empty() || self.id.len() > TEXT_LIMIT => "its id is empty or longer than 128 bytes",
            () if self.reason.len() > TEXT_LIMIT => "its reason is longer than 128 bytes",
            () if self.from_id.is_some() != self.to_id.is_some() => "it has one end of a range of ids",
            () if self.from_id > self.to_id => "its ids run backwards",
            () if self.from_ns > self.to_ns => "its times run backwards",
            () => return to_line(self, "a gap", series),
        };
        Err(StoreError::Record { what: "a gap", series: series.to_string(), reason })
    }
}

/// A record as a JSON line.
pub(crate) fn to_line(
    record: &impl Serialize,
    what: &'static str,
    series: &dyn std::fmt::Display,
) -> Result<Vec<u8>, StoreError> {
    let error = |reason| StoreError::Record { what, series: series.to_string(), reason };
    let mut line = serde_json::to_vec(record).map_err(|_| error("it is no JSON"))?;
    line.push(b'\n');
    if line.len() > LINE_LIMIT { Err(error("its line is longer than 4,096 bytes")) } else { Ok(line) }
}
