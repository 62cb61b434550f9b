//! What of the memory a series may use that alone cannot be written.

use std::collections::{BTreeMap, BTreeSet};

use column_store::SeriesId;

/// Series whose files cannot be written while those of others can.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// Number of this flush.
    flush: u64,
    /// Number of the last flush that wrote some series.
    written: u64,
    /// Since which flush a series fails.
    failing: BTreeMap<SeriesId, u64>,
    /// Those whose rows are dropped.
    cut: BTreeSet<SeriesId>,
}

impl Shares {
    /// Whether no series fails.
    pub(super) fn is_idle(&self) -> bool {
        self.failing.is_empty()
    }

    /// Takes note of a flush: which series still have rows in memory, how many, and whether any other was written. Returns
    /// the series whose rows are to be dropped from now on, and those whose rows are not dropped any more.
    pub(super) fn judge(
        &mut self,
        pending: Vec<(SeriesId, u64)>,
        any_written: bool,
        memory_limit_bytes: usize,
    ) -> Vec<(SeriesId, bool)> {
        self.flush += 1;
        if any_written {
            self.written = self.flush;
        }
        let rows: BTreeMap<SeriesId, u64> = pending.into_iter().collect();
        self.failing.retain(|id, _| rows.contains_key(id));
        for id in rows.keys() {
            self.failing.entry(id.clone()).or_insert(self.flush);
        }
        // Buffers grow by doubling, and half of the memory is for series that fail.
        let share = (memory_limit_bytes / 4 / self.failing.len().max(1)) as u64;
        let mut changes = Vec::new();
        for (id, rows) in &rows {
            let width: usize = id.table.columns().iter().map(|column| column.kind.width()).sum();
            // If no other has been written since, the disk is the trouble, and all memory is there for that.
            let alone = self.failing.get(id).is_some_and(|since| *since <= self.written);
            if alone && rows.saturating_mul(width as u64) > share && self.cut.insert(id.clone()) {
                changes.push((id.clone(), true));
            }
        }
        let restored: Vec<SeriesId> = self.cut.iter().filter(|id| !rows.contains_key(id)).cloned().collect();
        for id in restored {
            self.cut.remove(&id);
            changes.push((id, false));
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use column_store::Table;

    use super::*;

    fn id(symbol: &str) -> SeriesId {
        SeriesId { exchange: "coinbase".into(), symbol: symbol.into(), table: Table::Trades }
    }

    #[test]
    fn one_that_fails_alone_has_a_share() {
        let mut shares = Shares::default();
        let limit = 4 * 92 * 100;
        assert_eq!(shares.judge(vec![(id("A"), 100)], true, limit), []);
        assert_eq!(shares.judge(vec![(id("A"), 101)], false, limit), [(id("A"), true)]);
        assert_eq!(shares.judge(vec![(id("A"), 900)], true, limit), [], "it is known");
        // A second one halves what each may have.
        assert_eq!(shares.judge(vec![(id("A"), 900), (id("B"), 51)], true, limit), [(id("B"), true)]);
        assert_eq!(shares.judge(vec![(id("B"), 51)], true, limit), [(id("A"), false)]);
        assert_eq!(shares.judge(vec![], true, limit), [(id("B"), false)]);
        assert!(shares.is_idle());
    }

    #[test]
    fn a_full_disk_is_nobodys_own_fault() {
        let mut shares = Shares::default();
        for _ in 0..9 {
            assert_eq!(shares.judge(vec![(id("A"), 1 << 40)], false, 1_000), []);
        }
        assert_eq!(shares.judge(vec![(id("A"), 1 << 40)], true, 1_000), [(id("A"), true)], "it is not full any more");
    }
}
