//! One symbol's market: a price that walks on the tick grid, the quote around it, the trades it made.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use rand::Rng;
use rand::rngs::StdRng;
use uuid::Builder;

use crate::decimal::Decimal;
use crate::ledger::Side;
use crate::market::depth::Depth;
use crate::market::instrument::Instrument;
use crate::market::trade::{Quote, Trade};

/// How many trades a symbol remembers for the REST answers; the oldest are forgotten first.
pub const HISTORY_TRADES: usize = 10_000;

/// Prices never walk below this many ticks, so that bid > 0 and the walk stays visible.
const MIN_TICKS: u64 = 50;

/// Day statistics as Coinbase's ticker shows them; sizes in units of the instrument's size scale.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DayStats {
    pub(crate) open: u64,
    pub(crate) high: u64,
    pub(crate) low: u64,
    pub(crate) volume: u64,
}

/// The market of one symbol. Prices inside are ticks, sizes are units of the size scale.
#[derive(Debug)]
pub(crate) struct Book {
    instrument: Instrument,
    origin: u64,
    mid: u64,
    quote: Quote,
    /// Whether the last move of the quote changed the price of either side, and not only amounts.
    price_moved: bool,
    depth: Depth,
    next_trade_id: u64,
    next_agg_id: u64,
    sequence: u64,
    stats: DayStats,
    history: VecDeque<Trade>,
    /// Time of the last trade.
    last_us: u64,
}

/// How a venue numbers its trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ids {
    /// Contiguous per symbol.
    PerSymbol,
    /// Rising over all symbols, with skips.
    Global {
        /// The last one given out.
        last: u64,
    },
}

/// What a book is opened with, besides its instrument.
pub(crate) struct Setup<'a> {
    /// µs since the epoch.
    pub(crate) now_us: u64,
    /// How deep the kept book is on each side; 0 for none.
    pub(crate) levels: usize,
    pub(crate) ids: &'a mut Ids,
    pub(crate) rng: &'a mut StdRng,
}

impl Book {
    /// A market with one trade already behind it, made between 1 s and 30 s before `now_us`.
    pub(crate) fn open(instrument: Instrument, setup: &mut Setup<'_>) -> Self {
        let Setup { now_us, levels, ids, rng } = setup;
        let now_us = *now_us;
        let origin = to_units(instrument.start_price, instrument.price_scale).max(MIN_TICKS);
        let zero = Decimal::new(0, 0);
        let mut book = Self {
            instrument,
            origin,
            mid: origin,
            quote: Quote {
                update_id: rng.random_range(100_000..1_000_000_000),
                bid: zero,
                bid_size: zero,
                ask: zero,
                ask_size: zero,
                time_us: now_us,
            },
            price_moved: true,
            depth: Depth::new(*levels),
            next_trade_id: rng.random_range(10_000..100_000_000),
            next_agg_id: rng.random_range(10_000..50_000_000),
            sequence: rng.random_range(1_000_000..10_000_000_000),
            stats: DayStats { open: origin, high: origin, low: origin, volume: 0 },
            history: VecDeque::new(),
            last_us: 0,
        };
        book.move_quote(now_us, rng);
        let age_us = rng.random_range(1_000_000..30_000_000);
        book.take(now_us.saturating_sub(age_us), 1, ids, rng);
        book
    }

    pub(crate) fn instrument(&self) -> &Instrument {
        &self.instrument
    }

    pub(crate) fn quote(&self) -> &Quote {
        &self.quote
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(crate) fn stats(&self) -> DayStats {
        self.stats
    }

    /// The trades it remembers, oldest first, ids rising; never empty.
    pub(crate) fn history(&self) -> &VecDeque<Trade> {
        &self.history
    }

    /// The remembered trades that the venue still shows, oldest first.
    pub(crate) fn shown(&self) -> impl DoubleEndedIterator<Item = &Trade> {
        self.history.iter().filter(|trade| !trade.hidden)
    }

    /// Keeps the trades of these ids out of REST answers and snapshots from now on.
    pub(crate) fn hide(&mut self, ids: RangeInclusive<u64>) {
        self.history.iter_mut().rev().filter(|trade| ids.contains(&trade.id)).for_each(|trade| trade.hidden = true);
    }

    /// Levels behind the quote; empty unless the venue publishes them.
    pub(crate) fn depth(&self) -> &Depth {
        &self.depth
    }

    /// Whether the last move of the quote changed a price, and not only amounts.
    pub(crate) fn price_moved(&self) -> bool {
        self.price_moved
    }

    /// Lets times start anew: after the venue's clock was set, they may be before those of earlier trades.
    pub(crate) fn forget_time(&mut self) {
        self.last_us = 0;
    }

    /// Lets the price walk one step and sets a new quote around it.
    pub(crate) fn move_quote(&mut self, now_us: u64, rng: &mut StdRng) -> Quote {
        let span = (self.mid / 10_000).max(1);
        // The farther from where it began, the likelier the way back: a long run neither starves nor explodes.
        let drift = (self.mid as f64 - self.origin as f64) / self.origin as f64;
        let up = rng.random_bool((0.5 - 0.5 * drift).clamp(0.05, 0.95));
        let step = rng.random_range(0..=span);
        self.mid = if up { self.mid + step } else { self.mid.saturating_sub(step) }.max(MIN_TICKS);
        // Half a span and the fills of one order still fit in above.
        self.mid = self.mid.min(self.instrument.max_ticks.saturating_sub(span + 8));
        let bid = self.mid - 1 - rng.random_range(0..=span / 2);
        let ask = self.mid + rng.random_range(0..=span / 2);
        let before = self.quote;
        self.quote = Quote {
            update_id: self.quote.update_id + rng.random_range(1..=4),
            bid: self.price(bid),
            bid_size: self.random_size(rng),
            ask: self.price(ask),
            ask_size: self.random_size(rng),
            time_us: now_us,
        };
        self.price_moved = (before.bid, before.ask) != (self.quote.bid, self.quote.ask);
        self.depth.follow(&self.quote, &self.instrument);
        self.quote
    }

    /// Lets a taker order of `fills` fills (≥ 1) happen at `now_us`. All fills get one time, which is never before the
    /// symbol's last and never after `now_us` unless the clock was set back.
    pub(crate) fn take(&mut self, now_us: u64, fills: u64, ids: &mut Ids, rng: &mut StdRng) -> Vec<Trade> {
        let time_us = now_us.saturating_sub(rng.random_range(0..1_500)).max(self.last_us);
        self.last_us = time_us;
        let taker = if rng.random_bool(0.5) { Side::Buy } else { Side::Sell };
        let taker_order = random_uuid(rng);
        let mut ticks = match taker {
            Side::Buy => self.quote.ask.units(),
            Side::Sell => self.quote.bid.units(),
        };
        let mut trades = Vec::new();
        for fill in 0..fills {
            if fill > 0 && rng.random_bool(0.3) {
                ticks = match taker {
                    Side::Buy => ticks + 1,
                    Side::Sell => (ticks - 1).max(1),
                };
                self.next_agg_id += 1;
            }
            self.sequence += rng.random_range(1..=60);
            let id = match ids {
                Ids::PerSymbol => self.next_trade_id,
                Ids::Global { last } => {
                    *last += rng.random_range(1..=3);
                    *last
                }
            };
            let trade = Trade {
                id,
                agg_id: self.next_agg_id,
                sequence: self.sequence,
                price: self.price(ticks),
                size: self.random_size(rng),
                taker,
                time_us,
                publish_us: now_us.max(time_us),
                maker_order: random_uuid(rng),
                taker_order,
                hidden: false,
            };
            self.next_trade_id += 1;
            self.remember(&trade);
            trades.push(trade);
        }
        self.next_agg_id += 1;
        trades
    }

    fn remember(&mut self, trade: &Trade) {
        let ticks = trade.price.units();
        self.stats.high = self.stats.high.max(ticks);
        self.stats.low = self.stats.low.min(ticks);
        self.stats.volume = self.stats.volume.saturating_add(trade.size.units());
        if self.history.len() == HISTORY_TRADES {
            self.history.pop_front();
        }
        self.history.push_back(trade.clone());
    }

    fn price(&self, ticks: u64) -> Decimal {
        Decimal::new(ticks, self.instrument.price_scale)
    }

    /// A size worth about 1 to 20,000 quote units, each magnitude equally likely; a third of them are round.
    fn random_size(&self, rng: &mut StdRng) -> Decimal {
        let worth = rng.random_range(0.0..20_000_f64.ln()).exp();
        let mut units = to_units(worth / self.instrument.start_price, self.instrument.size_scale).max(1);
        if rng.random_bool(0.33) {
            let magnitude = 10_u64.pow(units.ilog10());
            units = units / magnitude * magnitude;
        }
        Decimal::new(units, self.instrument.size_scale)
    }
}

fn to_units(value: f64, scale: u8) -> u64 {
    (value * 10_f64.powi(i32::from(scale))).round() as u64
}

fn random_uuid(rng: &mut StdRng) -> uuid::Uuid {
    Builder::from_random_bytes(rng.random()).into_uuid()
}
