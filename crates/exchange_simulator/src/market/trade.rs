//! What happens at a market: trades and quotes.

use uuid::Uuid;

use crate::decimal::Decimal;
use crate::ledger::Side;

/// One fill.
#[derive(Clone, Debug)]
pub(crate) struct Trade {
    /// Contiguous per symbol.
    pub(crate) id: u64,
    /// The same for neighbouring fills of one taker order at one price; contiguous per symbol.
    pub(crate) agg_id: u64,
    /// Place in the venue's full feed: rises with jumps.
    pub(crate) sequence: u64,
    pub(crate) price: Decimal,
    pub(crate) size: Decimal,
    /// Who crossed the spread.
    pub(crate) taker: Side,
    /// When it happened, µs since the epoch.
    pub(crate) time_us: u64,
    /// When the venue says it published it, µs since the epoch; not before `time_us`.
    pub(crate) publish_us: u64,
    pub(crate) maker_order: Uuid,
    pub(crate) taker_order: Uuid,
    /// A fault keeps it out of REST answers and snapshots.
    pub(crate) hidden: bool,
}

/// The best bid and ask with the amounts offered there; bid < ask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quote {
    /// Strictly increasing per symbol, with skips.
    pub(crate) update_id: u64,
    pub(crate) bid: Decimal,
    pub(crate) bid_size: Decimal,
    pub(crate) ask: Decimal,
    pub(crate) ask_size: Decimal,
    /// When it became the best, µs since the epoch.
    pub(crate) time_us: u64,
}

/// What one move of the market brought for one symbol.
#[derive(Debug)]
pub(crate) enum Happening {
    /// The best bid or ask changed.
    Quote(Quote),
    /// One taker order, in its fills: never empty, all of one time.
    Order(Vec<Trade>),
}

impl Happening {
    /// How many market events that is: a quote is one, an order as many as it has fills.
    pub(crate) fn events(&self) -> u64 {
        match self {
            Self::Quote(_) => 1,
            Self::Order(trades) => trades.len() as u64,
        }
    }
}
