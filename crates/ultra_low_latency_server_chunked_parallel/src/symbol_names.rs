//! What the name of a symbol's directory says, where the venue itself says nothing.

/// What a symbol trades, as people call it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pair {
    /// What is traded.
    pub(crate) base: String,
    /// What it is paid with; empty if the name does not tell.
    pub(crate) quote: String,
}

/// What Binance's names end in, longer before shorter.
const BINANCE_QUOTES: [&str; 12] =
    ["FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD", "EUR", "TRY", "BRL", "BTC", "ETH", "BNB"];
/// What Bitfinex' names end in.
const BITFINEX_QUOTES: [&str; 7] = ["USD", "UST", "EUR", "GBP", "JPY", "BTC", "ETH"];

impl Pair {
    /// The pair by the assets' names at the venue: dollars of all issuers are dollars, and Kraken's own names are
    /// translated.
    pub(crate) fn new(base: &str, quote: &str) -> Pair {
        let base = match base {
            "XBT" => "BTC",
            "XDG" => "DOGE",
            other => other,
        };
        let quote = match quote {
            "USDT" | "USDC" | "UST" | "FDUSD" | "TUSD" | "BUSD" => "USD",
            "XBT" => "BTC",
            other => other,
        };
        Pair { base: base.to_uppercase(), quote: quote.to_uppercase() }
    }

    /// The pair that a directory's name tells; a name that tells nothing is a base without a quote.
    pub(crate) fn of_name(exchange: &str, symbol: &str) -> Pair {
        let split = match exchange {
            "binance" => by_suffix(symbol, &BINANCE_QUOTES),
            "bitfinex" => {
                let name = symbol.strip_prefix('t').unwrap_or(symbol);
                name.split_once(':').or_else(|| by_suffix(name, &BITFINEX_QUOTES))
            }
            _ => symbol.split_once(['-', '_', '/']),
        };
        let (base, quote) = split.unwrap_or((symbol, ""));
        Pair::new(base, quote)
    }

    /// `BASE/QUOTE`.
    pub(crate) fn id(&self) -> String {
        if self.quote.is_empty() { self.base.clone() } else { format!("{}/{}", self.base, self.quote) }
    }
}

fn by_suffix<'a>(name: &'a str, quotes: &[&'a str]) -> Option<(&'a str, &'a str)> {
    let base = |quote: &&'a str| name.strip_suffix(*quote).filter(|base| !base.is_empty()).map(|base| (base, *quote));
    quotes.iter().find_map(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_pairs() {
        for (exchange, symbol, expected) in [
            ("coinbase", "BTC-USD", "BTC/USD"),
            ("okx", "ETH-USDT", "ETH/USD"),
            ("kraken", "XBT_USD", "BTC/USD"),
            ("kraken", "ETH_XBT", "ETH/BTC"),
            ("binance", "BTCUSDT", "BTC/USD"),
            ("binance", "ETHBTC", "ETH/BTC"),
            ("binance", "USDT", "USDT"),
            ("bitfinex", "tBTCUSD", "BTC/USD"),
            ("bitfinex", "tDUSK:USD", "DUSK/USD"),
            ("elsewhere", "A_B", "A/B"),
            ("elsewhere", "WHAT", "WHAT"),
        ] {
            assert_eq!(Pair::of_name(exchange, symbol).id(), expected, "{exchange} {symbol}");
        }
    }
}
