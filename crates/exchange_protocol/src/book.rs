//! A kept order book, as far as the best bid and ask need it.

use crate::{BookFault, Decimal, Level};

/// Messages in a row that leave a book crossed until it counts as wrong: a moment's crossing is no fault, for a venue may
/// send one side before the other, and an auction crosses a book for long.
const CROSSED_LIMIT: u32 = 512;

/// A price level as the venue tells it; a size of zero deletes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<N = ()> {
    pub(crate) side: BookSide,
    pub(crate) price: Decimal,
    pub(crate) size: Decimal,
    /// What else is to be remembered with the level.
    pub(crate) note: N,
}

/// A level as it is kept, in 24 bytes without a note.
#[derive(Debug)]
struct Row<N> {
    /// Grows towards the best price: a bid's price, an ask's below zero.
    key: f64,
    size: f64,
    /// Of price and size: [`Decimal::exact`].
    exact: [bool; 2],
    note: N,
}

impl<N> From<Change<N>> for Row<N> {
    fn from(Change { side, price, size, note }: Change<N>) -> Row<N> {
        let key = if side == BookSide::Bid { price.value } else { -price.value };
        Row { key, size: size.value, exact: [price.exact, size.exact], note }
    }
}

/// One side: its levels, the best one last, where most changes are.
#[derive(Debug)]
struct Ladder<N> {
    rows: Vec<Row<N>>,
    /// Below this key nothing is known, for it was forgotten.
    floor: Option<f64>,
}

/// Both sides, and what was last told of them.
#[derive(Debug)]
pub(crate) struct Book<N = ()> {
    bids: Ladder<N>,
    asks: Ladder<N>,
    /// Levels of a side that are kept.
    limit: usize,
    told: Option<[Option<Level>; 2]>,
    crossed: u32,
}

/// A side of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BookSide {
    Bid,
    Ask,
}

/// What a message did to the best bid and ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Best {
    /// Nothing, or nothing that can be told while the book is crossed.
    Same,
    /// They are new: bid, ask.
    New([Option<Level>; 2]),
    /// The book is wrong.
    Wrong(BookFault),
}

impl<N> Ladder<N> {
    /// A size of zero deletes. A change in the forgotten part is none.
    fn set(&mut self, row: Row<N>, limit: usize) {
        if self.floor.is_some_and(|floor| row.key < floor) {
            return;
        }
        let at = self.rows.partition_point(|other| other.key < row.key);
        let found = self.rows.get_mut(at).filter(|other| other.key == row.key);
        match found {
            Some(_) if row.size == 0.0 => _ = self.rows.remove(at),
            Some(found) => *found = row,
            None if row.size == 0.0 => {}
            None => {
                self.rows.insert(at, row);
                // An eighth more, so that a full book is not cut again with every new level.
                if self.rows.len() > limit + limit / 8 {
                    self.cut(limit);
                }
            }
        }
    }

    fn cut(&mut self, limit: usize) {
        if let Some(excess) = self.rows.len().checked_sub(limit).filter(|excess| *excess > 0) {
            self.rows.drain(..excess);
            self.floor = self.rows.first().map(|row| row.key);
        }
    }

    fn replace(&mut self, mut rows: Vec<Row<N>>, limit: usize) {
        // Stable, so that of two rows with one price the later one stays last and wins.
        rows.sort_by(|one, other| one.key.total_cmp(&other.key));
        let mut kept: Vec<Row<N>> = Vec::with_capacity(rows.len().min(limit + limit / 8));
        self.floor = None;
        for row in rows {
            if kept.last().is_some_and(|last| last.key == row.key) {
                kept.pop();
            }
            kept.push(row);
        }
        kept.retain(|row| row.size != 0.0);
        self.rows = kept;
        self.cut(limit);
        self.rows.shrink_to(limit);
    }

    fn best(&self) -> Option<Level> {
        self.rows.last().map(|row| {
            let [price, size] = row.exact;
            Level {
                price: Decimal { value: row.key.abs(), exact: price },
                size: Some(Decimal { value: row.size, exact: size }),
            }
        })
    }

    fn is_exhausted(&self) -> bool {
        self.rows.is_empty() && self.floor.is_some()
    }
}

impl<N> Book<N> {
    /// A book as the venue sends it whole.
    pub(crate) fn new(limit: usize, levels: Vec<Change<N>>) -> Book<N> {
        let (bids, asks): (Vec<_>, Vec<_>) = levels.into_iter().partition(|level| level.side == BookSide::Bid);
        let ladder = |levels: Vec<Change<N>>| {
            let mut ladder = Ladder { rows: Vec::new(), floor: None };
            ladder.replace(levels.into_iter().map(Row::from).collect(), limit);
            ladder
        };
        Book { bids: ladder(bids), asks: ladder(asks), limit, told: None, crossed: 0 }
    }

    /// Makes a change.
    pub(crate) fn set(&mut self, change: Change<N>) {
        let ladder = match change.side {
            BookSide::Bid => &mut self.bids,
            BookSide::Ask => &mut self.asks,
        };
        ladder.set(change.into(), self.limit);
    }

    /// Keeps the best `levels` of both sides only. Unlike what the limit cuts off, these are not missed: the venue tells them
    /// again when they come back into its window.
    pub(crate) fn truncate(&mut self, levels: usize) {
        for ladder in [&mut self.bids, &mut self.asks] {
            let excess = ladder.rows.len().saturating_sub(levels);
            ladder.rows.drain(..excess);
        }
    }

    /// To be asked after each message, when all its changes are made: what is new.
    pub(crate) fn best(&mut self) -> Best {
        if self.bids.is_exhausted() || self.asks.is_exhausted() {
            return Best::Wrong(BookFault::Exhausted);
        }
        let best = [self.bids.best(), self.asks.best()];
        if let [Some(bid), Some(ask)] = best
            && bid.price.value >= ask.price.value
        {
            self.crossed += 1;
            return if self.crossed == CROSSED_LIMIT { Best::Wrong(BookFault::Crossed) } else { Best::Same };
        }
        self.crossed = 0;
        if self.told == Some(best) {
            return Best::Same;
        }
        self.told = Some(best);
        Best::New(best)
    }

    /// What is remembered with the levels of a side, best first.
    pub(crate) fn notes(&self, side: BookSide) -> impl Iterator<Item = &N> {
        let ladder = match side {
            BookSide::Bid => &self.bids,
            BookSide::Ask => &self.asks,
        };
        ladder.rows.iter().rev().map(|row| &row.note)
    }
}

#[cfg(test)]
mod tests;
