//! Questions to the venue: one of a symbol at a time, and when to ask again.

use crate::{
    backfill::Question,
    market::{Context, Effect},
    received::{Fill, FillEnd},
    trade_ids::Ids,
};

/// After a failure, and twice as long after each further one, ns.
const FIRST_PAUSE_NS: u64 = 2 * 1_000_000_000;
/// A venue that cannot be asked is tried again at least this often, ns.
const LONGEST_PAUSE_NS: u64 = 600 * 1_000_000_000;

/// What is to be asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) ids: Option<Ids>,
    /// Between which times, ns.
    pub(crate) times: (u64, u64),
}

/// The question whose answer is awaited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    number: u64,
    pub(crate) wanted: Wanted,
    pub(crate) at_ns: u64,
    /// When something was last heard of it.
    heard_ns: u64,
    /// Whether a part of the answer was not recorded.
    failed: bool,
}

impl Asked {
    pub(crate) fn ask(wanted: Wanted, context: &mut Context<'_>) -> Asked {
        *context.questions += 1;
        let Wanted { ids, times } = wanted;
        let question = Question { number: *context.questions, symbol: context.symbol, ids, times };
        context.out.push(Effect::Ask(question));
        let (number, now_ns) = (*context.questions, context.now_ns);
        Asked { number, wanted, at_ns: now_ns, heard_ns: now_ns, failed: false }
    }

    /// Takes note of a part of an answer, and whether it was recorded. If that was the last part of its own: how it ended.
    pub(crate) fn heard(&mut self, fill: &Fill, is_recorded: bool, now_ns: u64) -> Option<FillEnd> {
        if self.number != fill.question {
            return None;
        }
        self.heard_ns = now_ns;
        self.failed |= !is_recorded;
        fill.end.map(|end| if self.failed { FillEnd::Failed } else { end })
    }

    /// Whether its answer does not come any more.
    pub(crate) fn is_forgotten(&self, context: &Context<'_>) -> bool {
        context.now_ns >= self.heard_ns.saturating_add(context.rules.answer_timeout_ns)
    }
}

/// How long not to ask after so many failures one after the other, ns.
pub(crate) fn pause_ns(failures: u32) -> u64 {
    let doubled = 1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX);
    FIRST_PAUSE_NS.saturating_mul(doubled).min(LONGEST_PAUSE_NS)
}
