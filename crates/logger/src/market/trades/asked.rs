//! Questions to the venue: one of a symbol at a time, and when to ask again.

use crate::{
    backfill::Question,
    market::{Context, Effect},
    received::Fill,
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
}

impl Asked {
    pub(crate) fn ask(wanted: Wanted, context: &mut Context<'_>) -> Asked {
        *context.questions += 1;
        let Wanted { ids, times } = wanted;
        let question = Question { number: *context.questions, symbol: context.symbol, ids, times };
        context.out.push(Effect::Ask(question));
        Asked { number: *context.questions, wanted, at_ns: context.now_ns, heard_ns: context.now_ns }
    }

    /// Whether the fill belongs to it, which is then still being answered.
    pub(crate) fn is_answered_by(&mut self, fill: &Fill, now_ns: u64) -> bool {
        let is_answered = self.number == fill.question;
        if is_answered {
            self.heard_ns = now_ns;
        }
        is_answered
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
