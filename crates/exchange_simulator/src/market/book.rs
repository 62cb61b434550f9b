//! One symbol's market: a price that walks on the tick grid, the quote around it, the trades it made.

use std::collections::VecDeque;

use rand::Rng;
use rand::rngs::StdRng;
use uuid::Builder;

use crate::decimal::Decimal;
use crate::ledger::Side;
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
    next_trade_id: u64,
    next_agg_id: u64,
    sequence: u64,
    stats: DayStats,
    history: VecDeque<Trade>,
}

impl Book {
    /// A market with one trade already behind it, made between 1 s and 30 s before `now_us`.
    pub(crate) fn open(instrument: Instrument, now_us: u64, rng: &mut StdRng) -> Self {
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
            },
            next_trade_id: rng.random_range(10_000..100_000_000),
            next_agg_id: rng.random_range(10_000..50_000_000),
            sequence: rng.random_range(1_000_000..10_000_000_000),
            stats: DayStats { open: origin, high: origin, low: origin, volume: 0 },
            history: VecDeque::new(),
        };
        book.move_quote(rng);
        let age_us = rng.random_range(1_000_000..30_000_000);
        book.take(now_us.saturating_sub(age_us), 1, rng);
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

    /// The trades it remembers, oldest first, ids without holes; never empty.
    pub(crate) fn history(&self) -> &VecDeque<Trade> {
        &self.history
    }

    /// Lets the price walk one step and sets a new quote around it.
    pub(crate) fn move_quote(&mut self, rng: &mut StdRng) -> Quote {
        let span = (self.mid / 10_000).max(1);
        // The farther from where it began, the likelier the way back: a long run neither starves nor explodes.
        let drift = (self.mid as f64 - self.origin as f64) / self.origin as f64;
        let up = rng.random_bool((0.5 - 0.5 * drift).clamp(0.05, 0.95));
        let step = rng.random_range(0..=span);
        self.mid = if up { self.mid + step } else { self.mid.saturating_sub(step) }.max(MIN_TICKS);
        let bid = self.mid - 1 - rng.random_range(0..=span / 2);
        let ask = self.mid + rng.random_range(0..=span / 2);
        self.quote = Quote {
            update_id: self.quote.update_id + rng.random_range(1..=4),
            bid: self.price(bid),
            bid_size: self.random_size(rng),
            ask: self.price(ask),
            ask_size: self.random_size(rng),
        };
        self.quote
    }

    /// Lets a taker order of `fills` fills (≥ 1) happen at `now_us`. All fills get one time, which is never before the
    /// symbol's last and never after `now_us` unless the clock was set back.
    pub(crate) fn take(&mut self, now_us: u64, fills: u64, rng: &mut StdRng) -> Vec<Trade> {
        let last_us = self.history.back().map_or(0, |trade| trade.time_us);
        let time_us = now_us.saturating_sub(rng.random_range(0..1_500)).max(last_us);
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
            let trade = Trade {
                id: self.next_trade_id,
                agg_id: self.next_agg_id,
                sequence: self.sequence,
                price: self.price(ticks),
                size: self.random_size(rng),
                taker,
                time_us,
                publish_us: now_us.max(time_us),
                maker_order: random_uuid(rng),
                taker_order,
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
