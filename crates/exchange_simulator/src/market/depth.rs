//! The levels behind the best bid and ask: a kept book whose best is the market's quote after every move.
//!
//! Its amounts come from a hash and not from the market's generator, so that a venue with a book draws the same market.

use std::collections::BTreeMap;

use crate::ledger::Side;
use crate::market::instrument::Instrument;
use crate::market::trade::Quote;

/// One level as it is after a change; prices are ticks and sizes units of the instrument's scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) side: Side,
    pub(crate) price: u64,
    /// 0: nobody offers at this price any more.
    pub(crate) size: u64,
    /// How many orders make up the size.
    pub(crate) orders: u64,
}

/// A change, and the best on both sides once it is applied: (price, size).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) level: Level,
    pub(crate) best_bid: Option<(u64, u64)>,
    pub(crate) best_ask: Option<(u64, u64)>,
}

/// Both sides of one symbol, `levels` deep.
#[derive(Debug)]
pub(crate) struct Depth {
    levels: usize,
    bids: BTreeMap<u64, (u64, u64)>,
    asks: BTreeMap<u64, (u64, u64)>,
    changes: Vec<Change>,
}

impl Depth {
    pub(crate) fn new(levels: usize) -> Self {
        Self { levels, bids: BTreeMap::new(), asks: BTreeMap::new(), changes: Vec::new() }
    }

    /// What the last move changed, in an order in which bid < ask holds after every single change.
    pub(crate) fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Bids from the highest, then asks from the lowest.
    pub(crate) fn levels(&self) -> impl Iterator<Item = Level> {
        let level = |side, (&price, &(size, orders)): (&u64, &(u64, u64))| Level { side, price, size, orders };
        let bids = self.bids.iter().rev().map(move |found| level(Side::Buy, found));
        bids.chain(self.asks.iter().map(move |found| level(Side::Sell, found)))
    }

    /// Makes `quote` the best on both sides.
    pub(crate) fn follow(&mut self, quote: &Quote, instrument: &Instrument) {
        self.changes.clear();
        if self.levels == 0 {
            return;
        }
        let (bid, ask) = (quote.bid.units(), quote.ask.units());
        // A side that steps back first gets its new best and then loses the better ones: it is never empty, and the
        // other side finds room.
        let bid_first = self.best(Side::Buy).is_some_and(|(best, _)| bid < best);
        let order = if bid_first { [Side::Buy, Side::Sell] } else { [Side::Sell, Side::Buy] };
        for side in order {
            let (price, size) = match side {
                Side::Buy => (bid, quote.bid_size.units()),
                Side::Sell => (ask, quote.ask_size.units()),
            };
            self.set(side, price, size, 1 + mix(quote.update_id, price) % 5);
            let better: Vec<u64> = match side {
                Side::Buy => self.bids.range(price + 1..).rev().map(|(&price, _)| price).collect(),
                Side::Sell => self.asks.range(..price).map(|(&price, _)| price).collect(),
            };
            for price in better {
                self.set(side, price, 0, 0);
            }
        }
        for side in [Side::Buy, Side::Sell] {
            self.fill_up(side, quote.update_id, instrument);
        }
    }

    /// Cuts the side off at the number of levels, or fills it up behind its worst one.
    fn fill_up(&mut self, side: Side, update_id: u64, instrument: &Instrument) {
        while self.side(side).len() > self.levels {
            let Some(worst) = self.worst(side) else { return };
            self.set(side, worst, 0, 0);
        }
        while self.side(side).len() < self.levels {
            let Some(worst) = self.worst(side) else { return };
            let step = 1 + mix(update_id, worst) % 3;
            let price = match side {
                Side::Buy => worst.saturating_sub(step),
                Side::Sell => worst + step,
            };
            if price == 0 || price > instrument.max_ticks {
                return;
            }
            let unit = 10_u64.pow(u32::from(instrument.size_scale).saturating_sub(3));
            let size = unit * (1 + mix(price, update_id) % 20_000);
            self.set(side, price, size, 1 + mix(price, size) % 5);
        }
    }

    fn set(&mut self, side: Side, price: u64, size: u64, orders: u64) {
        let levels = match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        let before = if size == 0 { levels.remove(&price) } else { levels.insert(price, (size, orders)) };
        if before != Some((size, orders)) {
            let (best_bid, best_ask) = (self.best(Side::Buy), self.best(Side::Sell));
            self.changes.push(Change { level: Level { side, price, size, orders }, best_bid, best_ask });
        }
    }

    /// Price and size of the best level.
    pub(crate) fn best(&self, side: Side) -> Option<(u64, u64)> {
        let found = match side {
            Side::Buy => self.bids.last_key_value(),
            Side::Sell => self.asks.first_key_value(),
        };
        found.map(|(&price, &(size, _))| (price, size))
    }

    fn worst(&self, side: Side) -> Option<u64> {
        let found = match side {
            Side::Buy => self.bids.first_key_value(),
            Side::Sell => self.asks.last_key_value(),
        };
        found.map(|(&price, _)| price)
    }

    fn side(&self, side: Side) -> &BTreeMap<u64, (u64, u64)> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }
}

/// Two numbers well stirred (splitmix64's finish).
fn mix(left: u64, right: u64) -> u64 {
    let mut mixed = left.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ right;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decimal::Decimal;

    fn quote(update_id: u64, bid: u64, ask: u64) -> Quote {
        let [bid_size, ask_size] = [Decimal::new(update_id, 3), Decimal::new(update_id + 1, 3)];
        Quote { update_id, bid: Decimal::new(bid, 2), bid_size, ask: Decimal::new(ask, 2), ask_size, time_us: 0 }
    }

    #[test]
    fn the_best_is_the_quote_and_no_change_crosses() {
        let instrument = Instrument {
            symbol: "A".into(),
            base: "A",
            quote: "B",
            price_scale: 2,
            size_scale: 3,
            start_price: 1.0,
            max_ticks: 10_000,
        };
        let mut depth = Depth::new(25);
        // Changes applied by somebody who only sees the changes.
        let mut seen: [BTreeMap<u64, u64>; 2] = Default::default();
        let moves = [(100, 101), (150, 160), (155, 156), (40, 41), (41, 39 + 5), (400, 401), (399, 500), (3, 9_999)];
        for (index, (bid, ask)) in moves.into_iter().cycle().take(200).enumerate() {
            let quote = quote(index as u64 + 1, bid, ask);
            depth.follow(&quote, &instrument);
            for change in depth.changes() {
                let level = change.level;
                let side = &mut seen[usize::from(level.side == Side::Sell)];
                if level.size == 0 {
                    assert!(side.remove(&level.price).is_some(), "only what was there goes");
                } else {
                    side.insert(level.price, level.size);
                }
                let best_bid = seen[0].last_key_value().map(|(&price, &size)| (price, size));
                let best_ask = seen[1].first_key_value().map(|(&price, &size)| (price, size));
                assert_eq!((change.best_bid, change.best_ask), (best_bid, best_ask));
                if let (Some((bid, _)), Some((ask, _))) = (best_bid, best_ask) {
                    assert!(bid < ask, "{bid} {ask} on the way to {quote:?}");
                }
                assert!(index == 0 || (best_bid.is_some() && best_ask.is_some()), "no side is ever empty");
            }
            assert_eq!(depth.best(Side::Buy), Some((bid, quote.bid_size.units())));
            assert_eq!(depth.best(Side::Sell), Some((ask, quote.ask_size.units())));
            assert!(depth.bids.len() <= 25 && depth.asks.len() <= 25);
        }
        assert!(depth.levels().all(|level| level.size > 0));
    }
}
