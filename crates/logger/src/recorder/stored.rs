//! What the files and records of a symbol say, at the start and when an id has to be looked up.

use std::collections::HashSet;

use column_store::{Covered, Day, Gap, GapState, Proof, Reader, SeriesId, StoreError, Stream, Table};

use crate::{
    market::Files,
    trade_ids::{BELIEVED_JUMP, IdRanges, Ids, TradeIds},
};

/// How far back gaps are taken up, ns: what is older stays in the record as it is.
const REACH_NS: u64 = 32 * DAY_NS;
const DAY_NS: u64 = 86_400 * 1_000_000_000;
/// Gaps of a series that are taken up.
const GAPS: usize = 1_024;
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
    /// is nothing. `aggregates`: a row may stand for several ids, so only the record tells what is missing.
    pub(super) fn trade_ids(
        &self,
        last_ids: &[u64],
        gaps: &[Gap],
        last_ns: u64,
        aggregates: bool,
    ) -> Result<Option<TradeIds>, StoreError> {
        let mut seen = IdRanges::default();
        last_ids.iter().for_each(|id| seen.insert(*id, *id));
        let covered = self.coverage(last_ns)?;
        for range in covered.iter().filter(|range| range.by == Proof::Id) {
            seen.insert(range.from, range.to);
        }
        let of_ids = |gap: &Gap| Some((gap.from_id?, gap.to_id?));
        let missing: Vec<Ids> = gaps.iter().filter(|gap| gap.state != GapState::Filled).filter_map(of_ids).collect();
        // Rows of fills stand behind newer ones, so after gaps the last rows tell too little.
        let since_ns = gaps.iter().filter(|gap| gap.from_id.is_some()).map(|gap| gap.from_ns).min();
        if !aggregates && (since_ns.is_some() || seen.holes().next().is_some()) {
            let since_ns = since_ns.unwrap_or(last_ns).min(last_ns.saturating_sub(DAY_NS));
            let mut rows = seen.clone();
            self.ids_since(since_ns, |id| {
                if id != 0 {
                    rows.insert(id, id);
                }
                rows.len() < ID_RANGES
            })?;
            seen = rows;
        }
        let mut known = seen.clone();
        missing.iter().for_each(|(from, to)| known.insert(*from, *to));
        while known.pop_outlier(OUTLIERS, BELIEVED_JUMP).is_some() {}
        let (Some(floor), Some(last)) = (known.first(), known.last()) else { return Ok(None) };
        let holes: Vec<Ids> = if aggregates {
            // Between two rows nothing is missing but what the record says.
            missing
        } else {
            let mut bounded = seen;
            // So that what is missing at either end is a hole too.
            bounded.insert(last.saturating_add(1), last.saturating_add(1));
            bounded.insert(floor.saturating_sub(1), floor.saturating_sub(1));
            bounded.holes().filter(|(from, _)| *from <= last).collect()
        };
        Ok(Some(TradeIds::resume(floor, Some(last), holes)))
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
