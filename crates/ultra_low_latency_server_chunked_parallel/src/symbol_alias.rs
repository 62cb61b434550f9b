//! Names of a symbol beside the one it is stored under.

/// The directory of a symbol that a client calls otherwise: Kraken's pairs are stored as `XBT_USD`, the name that chart
/// clients know, while Kraken's newer interface and people say BTC.
pub(crate) fn stored_symbol(exchange: &str, symbol: &str) -> Option<String> {
    if exchange != "kraken" {
        return None;
    }
    let (base, quote) = symbol.split_once('_')?;
    let stored = |asset: &str| if asset == "BTC" { "XBT" } else { asset }.to_owned();
    (base == "BTC" || quote == "BTC").then(|| format!("{}_{}", stored(base), stored(quote)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kraken_knows_bitcoin_by_two_names() {
        for (exchange, symbol, expected) in [
            ("kraken", "BTC_USD", Some("XBT_USD")),
            ("kraken", "ETH_BTC", Some("ETH_XBT")),
            ("kraken", "XBT_USD", None),
            ("kraken", "WBTC_USD", None),
            ("kraken", "BTC", None),
            ("coinbase", "BTC_USD", None),
        ] {
            assert_eq!(stored_symbol(exchange, symbol).as_deref(), expected, "{exchange} {symbol}");
        }
    }
}
