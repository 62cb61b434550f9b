//! The instruments a simulated venue can list: real names, invented price levels.

/// One tradable pair of one venue.
#[derive(Clone, Debug)]
pub(crate) struct Instrument {
    /// The venue's name of the pair, e.g. `BTC-USD` or `BTCUSDT`.
    pub(crate) symbol: String,
    /// What is traded, e.g. `BTC`.
    pub(crate) base: &'static str,
    /// What it is paid with, e.g. `USD`.
    pub(crate) quote: &'static str,
    /// Decimals of a price; the tick is one unit of the last.
    pub(crate) price_scale: u8,
    /// Decimals of a size.
    pub(crate) size_scale: u8,
    /// Where the walk begins, in units of the quote currency.
    pub(crate) start_price: f64,
    /// Prices never walk above this many ticks.
    pub(crate) max_ticks: u64,
}

/// A row of the table: base, price to start from, then price and size decimals at Coinbase and at Binance.
pub(crate) struct Listing {
    pub(crate) base: &'static str,
    pub(crate) start_price: f64,
    pub(crate) coinbase_scales: (u8, u8),
    pub(crate) binance_scales: (u8, u8),
}

const fn row(base: &'static str, start_price: f64, coinbase: (u8, u8), binance: (u8, u8)) -> Listing {
    Listing { base, start_price, coinbase_scales: coinbase, binance_scales: binance }
}

/// How many symbols a venue can have at most.
pub const MAX_SYMBOLS: usize = LISTINGS.len();

/// In the order in which `--symbols` takes them: the first ten already span eight decimals and prices above 60,000.
pub(crate) const LISTINGS: [Listing; 64] = [
    row("BTC", 97_234.51, (2, 8), (2, 5)),
    row("ETH", 3_412.87, (2, 8), (2, 4)),
    row("SOL", 187.42, (2, 8), (2, 3)),
    row("SHIB", 0.000_012_34, (8, 0), (8, 0)),
    row("XRP", 2.1874, (4, 6), (4, 1)),
    row("DOGE", 0.321_45, (5, 1), (5, 0)),
    row("PEPE", 0.000_008_12, (8, 0), (8, 0)),
    row("WBTC", 97_105.22, (2, 8), (2, 5)),
    row("ADA", 0.8734, (4, 8), (4, 1)),
    row("LINK", 21.674, (3, 2), (2, 2)),
    row("AVAX", 36.91, (2, 8), (2, 2)),
    row("BONK", 0.000_021_47, (8, 0), (8, 0)),
    row("LTC", 103.55, (2, 8), (2, 3)),
    row("BCH", 452.18, (2, 8), (1, 3)),
    row("DOT", 7.213, (3, 8), (3, 2)),
    row("UNI", 13.284, (3, 6), (3, 2)),
    row("ATOM", 6.472, (3, 2), (3, 2)),
    row("ETC", 26.37, (2, 8), (2, 2)),
    row("XLM", 0.352_411, (6, 0), (4, 0)),
    row("NEAR", 5.163, (3, 3), (3, 1)),
    row("AAVE", 318.44, (2, 3), (2, 3)),
    row("ALGO", 0.3431, (4, 0), (4, 0)),
    row("FIL", 5.087, (3, 3), (3, 2)),
    row("ICP", 10.113, (3, 4), (3, 2)),
    row("HBAR", 0.271_83, (5, 1), (5, 0)),
    row("APT", 8.94, (2, 2), (3, 2)),
    row("ARB", 0.7214, (4, 2), (4, 1)),
    row("OP", 1.782, (3, 2), (3, 2)),
    row("INJ", 21.13, (2, 2), (2, 2)),
    row("SUI", 4.1274, (4, 1), (4, 1)),
    row("GRT", 0.2034, (4, 2), (4, 0)),
    row("STX", 1.4873, (4, 2), (4, 1)),
    row("MKR", 1_523.77, (2, 6), (0, 4)),
    row("SNX", 2.0412, (4, 3), (3, 1)),
    row("CRV", 0.8921, (4, 2), (3, 1)),
    row("COMP", 76.28, (2, 3), (2, 3)),
    row("YFI", 8_211.45, (2, 6), (0, 5)),
    row("SUSHI", 1.2417, (4, 2), (4, 1)),
    row("BAT", 0.2343, (4, 2), (4, 1)),
    row("ZRX", 0.484_127, (6, 5), (4, 0)),
    row("ENJ", 0.2291, (4, 2), (4, 1)),
    row("CHZ", 0.0842, (4, 1), (5, 0)),
    row("MANA", 0.4713, (4, 2), (4, 0)),
    row("SAND", 0.5524, (4, 2), (4, 0)),
    row("AXS", 6.213, (3, 3), (3, 2)),
    row("APE", 1.148, (3, 2), (4, 2)),
    row("LDO", 1.893, (3, 2), (4, 2)),
    row("IMX", 1.3094, (4, 2), (3, 2)),
    row("RNDR", 7.284, (3, 2), (3, 2)),
    row("FET", 1.2973, (4, 1), (3, 0)),
    row("QNT", 108.91, (2, 3), (1, 3)),
    row("EGLD", 33.62, (2, 3), (2, 2)),
    row("XTZ", 1.284, (3, 2), (3, 1)),
    row("EOS", 0.8042, (4, 1), (4, 1)),
    row("FLOW", 0.7214, (4, 3), (3, 2)),
    row("MINA", 0.5483, (4, 3), (4, 1)),
    row("ROSE", 0.083_47, (5, 1), (5, 1)),
    row("KSM", 33.71, (2, 4), (2, 3)),
    row("ZEC", 52.87, (2, 8), (2, 3)),
    row("DASH", 37.448, (3, 3), (2, 3)),
    row("LRC", 0.2187, (4, 6), (4, 0)),
    row("ANKR", 0.037_41, (5, 0), (5, 1)),
    row("SKL", 0.0634, (4, 1), (5, 1)),
    row("FLOKI", 0.000_171_43, (8, 0), (8, 0)),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_listing_is_distinct_and_has_room_to_walk() {
        let names: BTreeSet<_> = LISTINGS.iter().map(|listing| listing.base).collect();
        assert_eq!(names.len(), MAX_SYMBOLS);
        for listing in &LISTINGS {
            for (price_scale, size_scale) in [listing.coinbase_scales, listing.binance_scales] {
                assert!(listing.start_price * 10_f64.powi(i32::from(price_scale)) > 100.0, "{}", listing.base);
                assert!(size_scale <= 8 && price_scale <= 8, "{}", listing.base);
            }
        }
    }
}
