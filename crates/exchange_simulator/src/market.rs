//! The seeded random-walk market behind one venue. It knows nothing of connections or frames.

pub(crate) mod book;
pub(crate) mod depth;
pub(crate) mod instrument;
pub(crate) mod trade;

use std::ops::RangeInclusive;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

pub(crate) use book::{Book, Ids, Setup};
pub(crate) use instrument::Instrument;
pub(crate) use trade::{Happening, Quote, Trade};

/// Most fills one taker order can have.
const MAX_FILLS: u64 = 4;

/// All symbols of one venue.
///
/// The same seed, instruments and count of events give the same prices, sizes, ids, sides and order ids; only the
/// times come from the clock, and no draw of the generator depends on them.
#[derive(Debug)]
pub(crate) struct Market {
    rng: StdRng,
    books: Vec<Book>,
    /// How many of a hundred moves are quote changes of their own; 0 for a venue that publishes none.
    quote_percent: u32,
    ids: Ids,
    events: u64,
}

/// What differs between the venues' markets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// How many of a hundred moves are quote changes of their own.
    pub(crate) quote_percent: u32,
    /// How trades are numbered.
    pub(crate) ids: Ids,
    /// Levels of the kept book on each side; 0 for none.
    pub(crate) levels: usize,
}

impl Market {
    /// A market that has just opened at `now_us` (µs since the epoch).
    pub(crate) fn open(seed: u64, instruments: Vec<Instrument>, habits: Habits, now_us: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let Habits { quote_percent, mut ids, levels } = habits;
        let mut setup = Setup { now_us, levels, ids: &mut ids, rng: &mut rng };
        let books = instruments.into_iter().map(|instrument| Book::open(instrument, &mut setup)).collect();
        Self { rng, books, quote_percent, ids, events: 0 }
    }

    /// The symbols' markets, in the order of the instruments.
    pub(crate) fn books(&self) -> &[Book] {
        &self.books
    }

    /// The market of `symbol`, if it is listed.
    pub(crate) fn book(&self, symbol: &str) -> Option<&Book> {
        self.books.iter().find(|book| book.instrument().symbol == symbol)
    }

    /// Keeps trades out of REST answers and snapshots from now on.
    pub(crate) fn hide(&mut self, symbol: &str, ids: RangeInclusive<u64>) {
        if let Some(book) = self.books.iter_mut().find(|book| book.instrument().symbol == symbol) {
            book.hide(ids);
        }
    }

    /// Lets times start anew after the venue's clock was set.
    pub(crate) fn forget_time(&mut self) {
        self.books.iter_mut().for_each(Book::forget_time);
    }

    /// Events so far; each symbol's trade from before the opening is none.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// Makes one thing happen, of at most `limit` (≥ 1) events: which symbol, by index, and what.
    pub(crate) fn step(&mut self, now_us: u64, limit: u64) -> (usize, Happening) {
        // The lower of two draws: the first symbols are the busy ones, as on a real venue.
        let last = self.books.len() - 1;
        let index = self.rng.random_range(0..=last).min(self.rng.random_range(0..=last));
        let book = &mut self.books[index];
        let happening = if self.rng.random_range(0..100) < self.quote_percent {
            Happening::Quote(book.move_quote(now_us, &mut self.rng))
        } else {
            let fills = if self.rng.random_bool(0.2) { self.rng.random_range(2..=MAX_FILLS) } else { 1 };
            let trades = book.take(now_us, fills.min(limit), &mut self.ids, &mut self.rng);
            book.move_quote(now_us, &mut self.rng);
            Happening::Order(trades)
        };
        self.events += happening.events();
        (index, happening)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: u64 = 1_800_000_000_000_000;

    fn instrument(symbol: &str, price_scale: u8, start_price: f64) -> Instrument {
        let max_ticks = u64::MAX;
        Instrument { symbol: symbol.into(), base: "A", quote: "B", price_scale, size_scale: 8, start_price, max_ticks }
    }

    fn market(seed: u64) -> Market {
        let instruments = vec![instrument("BIG", 2, 97_000.0), instrument("SMALL", 8, 0.000_008_12)];
        let habits = Habits { quote_percent: 50, ids: Ids::PerSymbol, levels: 10 };
        Market::open(seed, instruments, habits, NOW_US)
    }

    /// Everything but the times.
    fn digest(market: &mut Market, clock_step_us: u64) -> Vec<String> {
        let mut lines = Vec::new();
        let mut now_us = NOW_US;
        while market.events() < 500 {
            now_us += clock_step_us;
            let (symbol, happening) = market.step(now_us, 500 - market.events());
            match happening {
                Happening::Quote(quote) => lines.push(format!("{symbol} {:?}", Quote { time_us: 0, ..quote })),
                Happening::Order(trades) => lines.extend(trades.iter().map(|trade| {
                    format!(
                        "{symbol} {} {} {:?} {:?} {:?} {}",
                        trade.id, trade.agg_id, trade.price, trade.size, trade.taker, trade.maker_order
                    )
                })),
            }
        }
        lines
    }

    #[test]
    fn same_seed_same_market_whatever_the_clock() {
        let first = digest(&mut market(7), 10);
        assert_eq!(first, digest(&mut market(7), 90_000));
        assert_ne!(first, digest(&mut market(8), 10));
        assert_eq!(first.len(), 500, "the limit is exact");
    }

    #[test]
    fn ids_are_contiguous_times_in_order_and_quotes_uncrossed() {
        let mut market = market(3);
        let mut shared_times = 0;
        for step in 0..30_000 {
            let now_us = NOW_US + step * 10;
            let (index, happening) = market.step(now_us, 10);
            if let Happening::Order(trades) = happening {
                shared_times += u64::from(trades.len() > 1);
                assert!(trades.iter().all(|trade| trade.time_us <= trade.publish_us && trade.publish_us <= now_us));
            }
            let quote = market.books()[index].quote();
            assert!(0 < quote.bid.units() && quote.bid.units() < quote.ask.units());
            assert!(quote.bid_size.units() > 0 && quote.ask_size.units() > 0);
        }
        assert!(shared_times > 100);
        for book in market.books() {
            let trades: Vec<_> = book.history().iter().collect();
            for pair in trades.windows(2) {
                assert_eq!(pair[1].id, pair[0].id + 1);
                assert!(pair[1].agg_id == pair[0].agg_id || pair[1].agg_id == pair[0].agg_id + 1);
                assert!(pair[1].time_us >= pair[0].time_us);
                assert!(pair[1].sequence > pair[0].sequence);
                assert_eq!(pair[1].taker_order.get_version_num(), 4);
            }
        }
        assert!(market.books().iter().any(|book| book.history().len() == book::HISTORY_TRADES));
    }

    #[test]
    fn a_trade_lies_behind_the_opening() {
        for book in market(1).books() {
            let trade = &book.history()[0];
            assert!(trade.publish_us < NOW_US && trade.time_us > NOW_US - 40_000_000);
        }
    }
}
