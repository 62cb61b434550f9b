//! What the tables say, and which venues are where.

use exchange_protocol::venues;

use super::*;

#[test]
fn all_five_are_there() {
    let names = |venues: &[&dyn Venue]| -> Vec<_> { venues.iter().map(|venue| venue.facts().name).collect() };
    assert_eq!(names(&venues()), ["binance", "bitfinex", "coinbase", "kraken", "okx"]);
    assert!(exchange_protocol::venue("gemini").is_none());
}

#[test]
fn facts_agree_with_themselves() {
    for venue in venues() {
        let facts = venue.facts();
        assert!(facts.silence_limit > facts.keepalive_after, "{}", facts.name);
        assert!(facts.majors.len() * venue.streams().len() <= facts.streams_per_connection);
        let budget = facts.connect_budget;
        assert!(facts.connect_spacing * budget.count >= budget.per, "{}: spacing keeps the budget", facts.name);
        for symbol in facts.majors {
            assert_eq!(venue.spelling(symbol), *symbol);
            assert_eq!(venue.spelling(&symbol.to_lowercase()), *symbol);
            assert!(venue.quote_currency(symbol).is_some(), "{symbol}");
        }
        let rest = venue.rest().facts();
        assert!(rest.url.starts_with("https://") && rest.page_limit > 0 && rest.budget.count > 0);
        if let Some(budget) = facts.request_budget {
            // All of a connection, each asked for alone.
            assert!(budget.count as usize >= facts.streams_per_connection);
        }
    }
}

#[test]
fn names_of_symbols() {
    let kraken = venue("kraken").unwrap();
    for (symbol, stored) in [("BTC/USD", "XBT/USD"), ("ETH/BTC", "ETH/XBT"), ("ETH/USD", "ETH/USD"), ("BTC", "BTC")] {
        assert_eq!(kraken.stored_symbol(symbol), stored);
    }
    for (exchange, symbol, quote) in [
        ("kraken", "BTC/USD", Some("USD")),
        ("kraken", "BTCUSD", None),
        ("okx", "BTC-USDT", Some("USDT")),
        ("bitfinex", "tBTCUSD", Some("USD")),
        ("bitfinex", "tDUSK:USD", Some("USD")),
        ("bitfinex", "tBTC", None),
        ("bitfinex", "BTCUSD", None),
        ("bitfinex", "tÄÖÜX", None),
    ] {
        assert_eq!(venue(exchange).unwrap().quote_currency(symbol), quote, "{symbol}");
    }
}
