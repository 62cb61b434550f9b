//! Live trades that wait while a gap before them is being filled, so that the files stay in the order of events.

use column_store::{TimeRule, TradeRow};

use crate::market::{Context, Effect};

/// Trades of one symbol that wait at most; with more of them, none waits any longer.
pub(crate) const HELD: usize = 20_000;

/// The trades of one symbol that wait.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    /// Until when at most, ns; none while nothing is held.
    until_ns: Option<u64>,
    /// With the id of the first trade that each stands for.
    rows: Vec<(TradeRow, u64)>,
}

impl Hold {
    /// Trades wait from here on, no longer than the rules say since the first of them did.
    pub(crate) fn begin(&mut self, context: &Context<'_>) {
        self.until_ns.get_or_insert(context.now_ns.saturating_add(context.rules.hold_ns));
    }

    pub(crate) fn is_active(&self) -> bool {
        self.until_ns.is_some()
    }

    pub(crate) fn is_over(&self, now_ns: u64) -> bool {
        self.until_ns.is_some_and(|until_ns| now_ns >= until_ns)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Keeps a trade; `true` if that was one too many.
    pub(crate) fn keep(&mut self, row: TradeRow, first_id: u64) -> bool {
        self.rows.push((row, first_id));
        self.rows.len() >= HELD
    }

    /// Ends it: the trades go to the files in the order in which they came.
    pub(crate) fn release(&mut self, context: &mut Context<'_>, mut each: impl FnMut(&TradeRow, u64)) {
        self.until_ns = None;
        for (row, first_id) in std::mem::take(&mut self.rows) {
            each(&row, first_id);
            context.out.push(Effect::Trade(row, TimeRule::Live));
        }
    }
}
