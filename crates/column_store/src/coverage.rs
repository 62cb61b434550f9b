//! What is proven to be whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Day, StoreError, gap};

/// Bytes of a connection's name at most.
const CONNECTION_LIMIT: usize = 64;

/// What proves that nothing is missing in a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// The venue's ids, which are contiguous: the range is of ids.
    Id,
    /// A socket's sequence numbers: the range is of these, on the connection that is named.
    Sequence,
    /// Nothing but that the subscription was live: the range is of ns since the Unix epoch.
    Live,
}

/// A range that was received whole and is durably recorded. The coverage of a series is the union of its lines, so a line
/// that is lost, doubled or out of order never claims too much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    /// What proves it.
    pub by: Proof,
    /// Which connection, for sequence numbers, unique over all time; else `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// First of the range.
    pub from: u64,
    /// Last of the range.
    pub to: u64,
    /// Time of the first event, ns since the Unix epoch.
    pub from_ns: u64,
    /// Time of the last event, ns since the Unix epoch; its day is the one whose file has the line.
    pub to_ns: u64,
}

impl Covered {
    /// The day whose file records it.
    pub fn day(&self) -> Option<Day> {
        Day::from_ns(self.to_ns)
    }

    /// Whether both prove by the same numbers.
    pub(crate) fn same_proof(&self, other: &Covered) -> bool {
        self.by == other.by && self.connection == other.connection
    }

    /// Whether the ranges overlap or stand side by side.
    pub(crate) fn touches(&self, other: &Covered) -> bool {
        self.same_proof(other) && self.from <= other.to.saturating_add(1) && other.from <= self.to.saturating_add(1)
    }

    /// Takes in a range that touches this one.
    pub(crate) fn extend(&mut self, other: &Covered) {
        self.from = self.from.min(other.from);
        self.to = self.to.max(other.to);
        self.from_ns = self.from_ns.min(other.from_ns);
        self.to_ns = self.to_ns.max(other.to_ns);
    }

    /// The range as a line of its file.
    pub(crate) fn line(&self, series: &dyn std::fmt::Display) -> Result<Vec<u8>, StoreError> {
        gap::to_line(self, "coverage", series)
    }

    /// Refuses what no reader should meet.
    pub(crate) fn check(&self, series: &dyn std::fmt::Display) -> Result<(), StoreError> {
        let reason = if self.from > self.to || self.from_ns > self.to_ns {
            "it runs backwards"
        } else if self.connection.is_some() != (self.by == Proof::Sequence) {
            "sequence numbers, and only they, belong to a connection"
        } else if self.connection.as_ref().is_some_and(|name| name.is_empty() || name.len() > CONNECTION_LIMIT) {
            "its connection's name is empty or longer than 64 bytes"
        } else {
            return Ok(());
        };
        Err(StoreError::Record { what: "coverage", series: series.to_string(), reason })
    }
}

/// Ranges by what proves them, united.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// By proof and connection: first of a range → the range. Ranges of one key neither overlap nor touch.
    ranges: BTreeMap<(Proof, Option<String>), BTreeMap<u64, Covered>>,
    count: usize,
}

impl Coverage {
    /// Unites a range with what is there.
    pub fn add(&mut self, mut range: Covered) {
        let of_key = self.ranges.entry((range.by, range.connection.clone())).or_default();
        // Those that begin at or before its end may touch it; from the newest backwards, until one does not reach it.
        while let Some((from, _)) =
            of_key.range(..=range.to.saturating_add(1)).next_back().filter(|(_, other)| other.touches(&range))
        {
            let from = *from;
            if let Some(other) = of_key.remove(&from) {
                self.count -= 1;
                range.extend(&other);
            }
        }
        of_key.insert(range.from, range);
        self.count += 1;
    }

    /// All ranges, by proof, connection and beginning.
    pub fn ranges(&self) -> impl Iterator<Item = &Covered> {
        self.ranges.values().flat_map(BTreeMap::values)
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing is proven.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The ranges of ids that are proven, disjoint and rising.
    pub fn ids(&self) -> impl Iterator<Item = (u64, u64)> {
        let of_ids = self.ranges.get(&(Proof::Id, None));
        of_ids.into_iter().flat_map(BTreeMap::values).map(|range| (range.from, range.to))
    }

    /// How many of the ids `from..=to` are proven.
    pub fn ids_within(&self, from: u64, to: u64) -> u64 {
        let overlaps =
            self.ids().map(|(start, end)| (start.max(from), end.min(to))).filter(|(start, end)| start <= end);
        overlaps.fold(0, |sum, (start, end)| sum.saturating_add(end - start).saturating_add(1))
    }
}
