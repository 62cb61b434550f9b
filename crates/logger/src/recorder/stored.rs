//! What the files and records of a symbol say, at the start and when an id has to be looked up.

use std::collections::HashSet;

use column_store::{Covered, Day, Gap, GapState, Proof, Reader, SeriesId, StoreError, Stream, Table};

use crate::{
    market::Files,
    trade_ids::{BELIEVED_JUMP, IdRanges, Ids, REMEMBERED, TradeIds},
};

/// How far back gaps are taken up, ns: what is older stays in the record as it is.
const REACH_NS: u64 = 32 * DAY_NS;
const DAY_NS: u64 = 86_400 * 1_000_000_000;
/// Gaps of a series that are taken up.
const GAPS: usize = 10_000;
/// Gaps that are looked at where these do not explain what is missing.
const OLD_GAPS: usize = 100_000;
/// Ranges of coverage that are looked at.
const RANGES: usize = 100_000;
/// Ranges of ids kept while files are looked through; a venue that keeps to its rule needs few.
const ID_RANGES: usize = 1_000_000;
/// Cells read at once.
const CELLS: usize = 8_192;
/// So few ids far above all others are not believed.
const OUTLIERS: u64 = 3;

/// One series of the data directory, to be read beside the store that writes it.
pub(super) struct Stored<'s> {
    pub(super) reader: &'s Reader,
    pub(super) series: &'s SeriesId,
}

impl Stored<'_> {
    /// The gaps of the last weeks before `last_ns` in their last state.
    pub(super) fn gaps(&self, stream: Stream, last_ns: u64) -> Result<Vec<Gap>, StoreError> {
        let found = self.reader.gaps(self.series, last_ns.saturating_sub(REACH_NS), u64::MAX, GAPS)?;
        Ok(found.gaps.into_iter().filter(|gap| gap.stream == stream).collect())
    }

    /// What is proven of the day of `last_ns`, and of the one before it.
    pub(super) fn coverage(&self, last_ns: u64) -> Result<Vec<Covered>, StoreError> {
        let Some(last) = Day::from_ns(last_ns) else { return Ok(Vec::new()) };
        let first = Day::from_ns(last.start_ns() - 1).unwrap_or(last);
        // Coverage may reach beyond the last row.
        let last = last.next().unwrap_or(last);
        let history = self.reader.coverage(self.series, first, last, RANGES)?;
        Ok(history.coverage.ranges().cloned().collect())
    }

    /// Up to when this proves that nothing is missing, ns; 0 if it never did. Where little happens that is long after the last
    /// row, and where nothing ever happened there is no row at all.
    pub(super) fn proven_ns(&self, by: Proof, last_ns: u64, now_ns: u64) -> Result<u64, StoreError> {
        let day = |ns: u64| Day::from_seconds_clamped(u32::try_from(ns / 1_000_000_000).unwrap_or(u32::MAX));
        let history = self.reader.coverage(self.series, day(last_ns.saturating_sub(DAY_NS)), day(now_ns), RANGES)?;
        let ranges = history.coverage.ranges().filter(|range| range.by == by);
        let proven_ns = ranges.map(|range| if by == Proof::Live { range.to } else { range.to_ns }).max();
        Ok(proven_ns.unwrap_or(0).min(now_ns))
    }

    /// Hands over the ids of all rows of the day of `since_ns` and of later ones; `false` ends it.
    fn ids_since(&self, since_ns: u64, mut each: impl FnMut(u64) -> bool) -> Result<(), StoreError> {
        let Some(column) = Table::Trades.column(Table::Trades.id_column()) else { return Ok(()) };
        let start = Day::from_ns(since_ns).map_or(0, |day| day.start_ns() / 1_000_000_000);
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        let selection = self.reader.select(self.series, &[column], start, u32::MAX)?;
        let mut cells = vec![0; CELLS * 8];
        for slice in selection.columns.iter().flat_map(|selected| &selected.slices) {
            let mut position = 0;
            while position < slice.len() {
                let length = usize::try_from(slice.len() - position).unwrap_or(usize::MAX).min(cells.len());
                let Some(block) = cells.get_mut(..length) else { break };
                slice.read_at(block, position).map_err(|source| StoreError::Io {
                    action: "read",
                    path: self.series.path(),
                    source,
                })?;
                for cell in block.chunks_exact(8).filter_map(|cell| cell.try_into().ok()) {
                    if !each(u64::from_le_bytes(cell)) {
                        return Ok(());
                    }
                }
                position += length as u64;
            }
        }
        Ok(())
    }

    /// What is known of contiguous ids, from the last ids of the files, the coverage and the record of gaps; `None` if there
    /// is nothing. `gaps` gets older ones that explain what is missing. `aggregates`: a row may stand for several ids, so only
    /// the record tells what is missing.
    pub(super) fn trade_ids(
        &self,
        last_ids: &[u64],
        gaps: &mut Vec<Gap>,
        last_ns: u64,
        aggregates: bool,
    ) -> Result<Option<TradeIds>, StoreError> {
        let mut seen = IdRanges::default();
        last_ids.iter().for_each(|id| seen.insert(*id, *id));
        for range in self.coverage(last_ns)?.iter().filter(|range| range.by == Proof::Id) {
            seen.insert(range.from, range.to);
        }
        let mut recorded = Recorded::of(gaps);
        // Live rows stand in their order. Rows of fills stand behind newer ones: they say nothing of what lies between.
        let floor = last_ids.iter().copied().filter(|id| !recorded.all.contains(*id)).min();
        let has_fills = last_ids.iter().any(|id| recorded.all.contains(*id));
        recorded.filled.iter().for_each(|(from, to)| seen.insert(*from, *to));
        let unexplained = |seen: &IdRanges, recorded: &Recorded| {
            let mut known = seen.clone();
            recorded.all.iter().for_each(|(from, to)| known.insert(from, to));
            known.holes().any(|(from, _)| floor.is_some_and(|floor| from >= floor))
        };
        if !aggregates && (recorded.open_ns.is_some() || has_fills || unexplained(&seen, &recorded)) {
            let since_ns = recorded.open_ns.unwrap_or(last_ns).min(last_ns.saturating_sub(DAY_NS));
            self.ids_since(since_ns, |id| {
                if id != 0 {
                    seen.insert(id, id);
                }
                seen.len() < ID_RANGES
            })?;
            if seen.len() >= ID_RANGES {
                // These ids are not contiguous at all: they tell nothing.
                return Ok(None);
            }
            if unexplained(&seen, &recorded) {
                *gaps = self.reader.gaps(self.series, 0, u64::MAX, OLD_GAPS)?.gaps;
                recorded = Recorded::of(gaps);
                recorded.filled.iter().for_each(|(from, to)| seen.insert(*from, *to));
            }
        }
        let mut known = seen.clone();
        recorded.unfilled.iter().for_each(|(from, to)| known.insert(*from, *to));
        while known.pop_outlier(OUTLIERS, BELIEVED_JUMP).is_some() {}
        let Some(last) = known.last() else { return Ok(None) };
        // With few rows these are all ids that there are: the record begins with the lowest, or with a gap before it. Of an
        // aggregate the files tell the last id alone.
        let begins = !aggregates && last_ids.len() < REMEMBERED;
        let gaps_begin = recorded.unfilled.iter().map(|(from, _)| *from);
        let lowest = last_ids.iter().copied().chain(gaps_begin).min();
        let floor = if begins { lowest } else { floor }.unwrap_or(last).min(last);
        let missing: Vec<Ids> = if aggregates {
            recorded.unfilled.iter().flat_map(|(from, to)| seen.missing_within(*from, *to)).collect()
        } else {
            let below = recorded.open.iter().filter(|(from, _)| *from < floor);
            let below = below.flat_map(|(from, to)| seen.missing_within(*from, (*to).min(floor - 1)));
            below.chain(seen.missing_within(floor, last)).collect()
        };
        Ok(Some(TradeIds::resume(floor, begins, Some(last), missing)))
    }
}

/// The ids that the record of gaps names.
#[derive(Default)]
struct Recorded {
    all: IdRanges,
    filled: Vec<Ids>,
    unfilled: Vec<Ids>,
    open: Vec<Ids>,
    /// When the oldest open one begins, ns.
    open_ns: Option<u64>,
}

impl Recorded {
    fn of(gaps: &[Gap]) -> Recorded {
        let mut recorded = Recorded::default();
        for gap in gaps {
            let Some((from, to)) = gap.from_id.zip(gap.to_id) else { continue };
            recorded.all.insert(from, to);
            if gap.state == GapState::Filled {
                recorded.filled.push((from, to));
                continue;
            }
            recorded.unfilled.push((from, to));
            if gap.state == GapState::Open {
                recorded.open.push((from, to));
                recorded.open_ns = Some(recorded.open_ns.unwrap_or(u64::MAX).min(gap.from_ns));
            }
        }
        recorded
    }
}

impl Files for Stored<'_> {
    fn known(&self, ids: &HashSet<u64>, since_ns: u64) -> Option<HashSet<u64>> {
        let mut known = HashSet::new();
        let looked = self.ids_since(since_ns, |id| {
            if ids.contains(&id) {
                known.insert(id);
            }
            known.len() < ids.len()
        });
        looked.ok().map(|()| known)
    }
}
