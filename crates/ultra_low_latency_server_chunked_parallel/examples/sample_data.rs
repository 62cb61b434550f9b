//! Writes a data directory to try the server with: a random walk of a few symbols, with gaps, the same for the same
//! arguments.
//!
//!     sample_data DIRECTORY [END [HOURS]] [--live]
//!
//! END is Unix seconds (default: now), HOURS how long before it the rows begin (default 2). With `--live` it goes on
//! writing a few rows a second until it is ended.
#![allow(clippy::print_stderr, reason = "a program for people")]

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use column_store::{
    Covered, Gap, GapState, MdKind, MdRow, Options, Proof, SeriesHandle, Side, Store, Stream, TimeRule, TradeRow,
};

const SECOND: u64 = 1_000_000_000;

/// Exchange, the venue's name of the symbol, base, quote, first price.
const SYMBOLS: [(&str, &str, &str, &str, f64); 6] = [
    ("coinbase", "BTC-USD", "BTC", "USD", 97_250.0),
    ("coinbase", "ETH-USD", "ETH", "USD", 3_310.0),
    ("coinbase", "SOL-USD", "SOL", "USD", 238.0),
    ("binance", "BTCUSDT", "BTC", "USDT", 97_262.0),
    ("binance", "ETHUSDT", "ETH", "USDT", 3_311.0),
    ("kraken", "XBT/USD", "BTC", "USD", 97_240.0),
];

/// A linear congruential generator: the same numbers everywhere, good enough for a picture.
struct Dice(u64);

impl Dice {
    /// From -1 to 1.
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

struct Market {
    quotes: SeriesHandle<MdRow>,
    trades: SeriesHandle<TradeRow>,
    dice: Dice,
    price: f64,
    drift: f64,
    last: (f64, f64, Side),
    id: u64,
}

impl Market {
    /// A quote, and now and then a trade.
    fn step(&mut self, store: &mut Store, ns: u64) -> Result<(), Box<dyn Error>> {
        let cents = |price: f64| (price * 100.0).round() / 100.0;
        self.drift = self.drift * 0.995 + self.dice.roll() * 0.000_004;
        self.price *= 1.0 + self.drift + self.dice.roll() * 0.000_05;
        let half_spread = self.price * 0.000_02;
        let is_trade = self.dice.roll() > 0.2;
        let side = if self.dice.roll() > 0.0 { Side::Buy } else { Side::Sell };
        if is_trade {
            self.id += 1;
            let price = cents(self.price + if side == Side::Buy { half_spread } else { -half_spread });
            let size = ((self.dice.roll() + 1.001) * 100_000.0).round() / 1e6;
            self.last = (price, size, side);
            let trade = TradeRow {
                id: self.id,
                event_ns: ns,
                receive_ns: ns + 9_000_000,
                price,
                size,
                side,
                maker_order_id: [0; 16],
                taker_order_id: u128::from(self.id).to_be_bytes(),
            };
            store.append(self.trades, &trade, TimeRule::Filled)?;
        }
        let quote = MdRow {
            kind: if is_trade { MdKind::Trade } else { MdKind::Quote },
            event_id: self.id,
            event_ns: ns,
            receive_ns: ns + 9_000_000,
            price: self.last.0,
            volume: self.last.1,
            side: self.last.2,
            best_bid: cents(self.price - half_spread),
            best_ask: cents(self.price + half_spread),
            bid_size: self.dice.roll().abs(),
            ask_size: self.dice.roll().abs(),
        };
        store.append(self.quotes, &quote, TimeRule::Filled)?;
        Ok(())
    }
}

/// Where nothing was received: from and to, as parts of the whole.
const GAPS: [(f64, f64); 2] = [(0.32, 0.36), (0.71, 0.72)];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_live = arguments.iter().any(|argument| argument == "--live");
    arguments.retain(|argument| argument != "--live");
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_nanos() as u64);
    let Some(root) = arguments.first().map(PathBuf::from) else {
        return Err("usage: sample_data DIRECTORY [END [HOURS]] [--live]".into());
    };
    let end = arguments.get(1).map(|end| end.parse::<u64>()).transpose()?.map_or_else(now, |end| Ok(end * SECOND))?;
    let hours: u64 = arguments.get(2).map_or(Ok(2), |hours| hours.parse())?;
    let start = end - hours * 3_600 * SECOND;

    let mut store = Store::open(&root, Options::default())?;
    let mut markets = Vec::new();
    for (seed, (exchange, symbol, _, _, price)) in (1..).zip(SYMBOLS) {
        let (quotes, trades) = (store.series(exchange, symbol)?, store.series(exchange, symbol)?);
        let last = (f64::NAN, f64::NAN, Side::Unknown);
        markets.push(Market { quotes, trades, dice: Dice(seed), price, drift: 0.0, last, id: 0 });
    }
    let gaps = GAPS
        .map(|(from, to)| (start + ((end - start) as f64 * from) as u64, start + ((end - start) as f64 * to) as u64));
    for market in &mut markets {
        let mut ns = start;
        while ns < end {
            if !gaps.iter().any(|(from, to)| (*from..*to).contains(&ns)) {
                market.step(&mut store, ns)?;
            }
            // Bursts within one second, and pauses of a few.
            ns += (((market.dice.roll() + 1.0) * 0.6).powi(3) * SECOND as f64) as u64 + 1;
        }
        for (from, to) in gaps {
            let state = if from == gaps[0].0 { GapState::Lost } else { GapState::Filled };
            store.gap(market.quotes, Gap::of_interval(Stream::Quotes, from, to, "disconnected").with_state(state))?;
        }
        for (from, to) in [(start, gaps[0].0), (gaps[0].1, gaps[1].0), (gaps[1].1, end)] {
            let live = Covered { by: Proof::Live, connection: None, from, to, from_ns: from, to_ns: to };
            store.cover(market.quotes, live)?;
        }
        store.flush(|_, _| ())?;
    }
    write_instruments(&root, end)?;
    store.finish()?;
    if !is_live {
        return Ok(());
    }
    loop {
        std::thread::sleep(Duration::from_millis(200));
        for market in &mut markets {
            market.step(&mut store, now()?)?;
        }
        store.flush(|_, _| ())?;
    }
}

/// What the logger's discovery of symbols leaves.
fn write_instruments(root: &Path, fetched_ns: u64) -> Result<(), Box<dyn Error>> {
    let mut by_exchange: BTreeMap<&str, Vec<serde_json::Value>> = BTreeMap::new();
    for (exchange, symbol, base, quote, _) in SYMBOLS {
        by_exchange.entry(exchange).or_default().push(serde_json::json!({
            "symbol": symbol, "stored": column_store::layout::symbol_directory(symbol)?, "base": base, "quote": quote,
            "tick_size": "0.01", "lot_size": "0.00000001", "status": "trading",
        }));
    }
    for (exchange, instruments) in by_exchange {
        let file = serde_json::json!({"exchange": exchange, "fetched_ns": fetched_ns, "instruments": instruments});
        fs::write(root.join(exchange).join("instruments.json"), serde_json::to_vec(&file)?)?;
    }
    Ok(())
}
