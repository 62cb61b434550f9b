//! A set of ids, kept as the ranges that they form.

use std::collections::BTreeMap;

use super::Ids;

/// Ids as disjoint ranges that do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IdRanges {
    /// First of a range → its last.
    ranges: BTreeMap<u64, u64>,
}

impl IdRanges {
    pub(crate) fn insert(&mut self, first: u64, last: u64) {
        let (mut from, mut to) = (first, last);
        let touching = |to: u64| to.saturating_add(1);
        while let Some((start, end)) = self.ranges.range(..=touching(to)).next_back().map(|(start, end)| (*start, *end))
            && touching(end) >= from
        {
            self.ranges.remove(&start);
            (from, to) = (from.min(start), to.max(end));
        }
        self.ranges.insert(from, to);
    }

    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    pub(crate) fn contains(&self, id: u64) -> bool {
        self.ranges.range(..=id).next_back().is_some_and(|(_, to)| *to >= id)
    }

    /// The ids of a range that are not in the set.
    pub(crate) fn missing_within(&self, from: u64, to: u64) -> Vec<Ids> {
        let mut missing = Vec::new();
        let mut next = from;
        let reaching_in = self.ranges.range(..from).next_back();
        for (first, last) in reaching_in.into_iter().chain(self.ranges.range(from..=to.max(from))) {
            if *first > next {
                missing.push((next, first - 1));
            }
            next = next.max(last.saturating_add(1));
        }
        if next <= to {
            missing.push((next, to));
        }
        missing
    }

    pub(crate) fn last(&self) -> Option<u64> {
        self.ranges.last_key_value().map(|(_, to)| *to)
    }

    /// Takes the highest range out, if it has at most `most` ids and lies more than `distance` above the one below it.
    pub(crate) fn pop_outlier(&mut self, most: u64, distance: u64) -> Option<Ids> {
        let mut from_top = self.ranges.iter().rev();
        let ((from, to), (_, below)) = (from_top.next()?, from_top.next()?);
        let is_outlier = to - from < most && from - below > distance;
        let outlier = (*from, *to);
        is_outlier.then(|| {
            self.ranges.remove(&outlier.0);
            outlier
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Ids> {
        self.ranges.iter().map(|(from, to)| (*from, *to))
    }

    /// What lies between the ranges.
    pub(crate) fn holes(&self) -> impl Iterator<Item = Ids> {
        let next = self.ranges.iter().skip(1);
        self.ranges.iter().zip(next).map(|((_, before), (after, _))| (before + 1, after - 1))
    }
}
