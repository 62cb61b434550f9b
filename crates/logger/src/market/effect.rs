//! What a market asks the recorder to do, and what it needs to know for that.

use std::{collections::HashSet, time::Duration};

use column_store::{Covered, Gap, MdRow, Stream, TimeRule, TradeRow};

use crate::{
    backfill::Question,
    config::Completeness,
    market::provability::Provability,
    metrics::{SymbolMetrics, VenueMetrics},
    received::SymbolIndex,
};

/// One thing to do, in this order.
#[derive(Debug)]
pub(crate) enum Effect {
    Md(MdRow),
    Trade(TradeRow, TimeRule),
    Gap(Gap),
    Cover(Stream, Covered),
    Ask(Question),
    /// REST has trades that the stream did not bring although it is said to be live, or nothing ever came.
    Suspect(Stream),
}

/// The surroundings of a market while it handles one fact.
pub(crate) struct Context<'c> {
    pub(crate) now_ns: u64,
    pub(crate) symbol: SymbolIndex,
    pub(crate) rules: &'c Rules,
    pub(crate) venue: &'c VenueMetrics,
    pub(crate) metrics: &'c SymbolMetrics,
    pub(crate) provability: &'c mut Provability,
    /// Number of the last question.
    pub(crate) questions: &'c mut u64,
    pub(crate) files: &'c dyn Files,
    pub(crate) out: &'c mut Vec<Effect>,
}

impl Context<'_> {
    pub(crate) fn asks(&self) -> bool {
        self.rules.asks && self.provability.is_provable()
    }
}

/// What the files of the symbol's trades hold.
pub(crate) trait Files {
    /// Which of the ids stand in rows of the day of `since_ns` or of later ones; none if that cannot be read now.
    fn known(&self, ids: &HashSet<u64>, since_ns: u64) -> Option<HashSet<u64>>;
}

/// The rules of completeness, in ns.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Whether anybody answers questions.
    pub(crate) asks: bool,
    pub(crate) hold_ns: u64,
    pub(crate) claim_grace_ns: u64,
    pub(crate) quiet_poll_ns: u64,
    pub(crate) answer_timeout_ns: u64,
    pub(crate) retries_ns: Vec<u64>,
    /// In the quote currency.
    pub(crate) large_trade: f64,
}

impl Rules {
    pub(crate) fn new(completeness: &Completeness, large_trade: f64, asks: bool) -> Rules {
        let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Rules {
            asks,
            hold_ns: ns(completeness.hold),
            claim_grace_ns: ns(completeness.claim_grace),
            quiet_poll_ns: ns(completeness.quiet_poll),
            answer_timeout_ns: ns(completeness.answer_timeout),
            retries_ns: completeness.retries.iter().copied().map(ns).collect(),
            large_trade,
        }
    }
}
