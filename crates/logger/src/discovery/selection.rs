//! Which symbols of a listing the configuration asks for.

use std::collections::BTreeSet;

use super::{
    listing::{Listing, Status},
    pattern::Pattern,
};

/// The names and patterns of the configuration.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    names: Vec<String>,
    patterns: Vec<Pattern>,
    excluded: Vec<Pattern>,
}

impl Selection {
    pub(super) fn new(symbols: &[String], exclude: &[String]) -> Selection {
        let (patterns, names): (Vec<&String>, Vec<&String>) =
            symbols.iter().partition(|symbol| Pattern::is_one(symbol));
        Selection {
            names: names.into_iter().cloned().collect(),
            patterns: patterns.into_iter().map(|pattern| Pattern::new(pattern)).collect(),
            excluded: exclude.iter().map(|pattern| Pattern::new(pattern)).collect(),
        }
    }

    pub(super) fn has_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// The names as they stand, whatever the listing says of them, and then what the patterns match: instruments that
    /// trade, and those with limits if they are `known` by their directory. Some venues keep the dead in limits for years.
    pub(super) fn symbols(&self, listing: Option<&Listing>, known: impl Fn(&str) -> bool) -> Vec<String> {
        let is_excluded = |symbol: &str| self.excluded.iter().any(|pattern| pattern.matches(symbol));
        let mut symbols: Vec<String> = self.names.iter().filter(|name| !is_excluded(name)).cloned().collect();
        let named: BTreeSet<&String> = self.names.iter().collect();
        let instruments = listing.map_or(&[][..], |listing| &listing.instruments);
        let matched = instruments.iter().filter(|listed| {
            let is_alive = match listed.status {
                Status::Trading => true,
                Status::Limited => known(&listed.stored),
                Status::Gone => false,
            };
            self.patterns.iter().any(|pattern| pattern.matches(&listed.symbol))
                && is_alive
                && !named.contains(&listed.symbol)
                && !is_excluded(&listed.symbol)
        });
        symbols.extend(matched.map(|listed| listed.symbol.clone()));
        symbols
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::listing::Listed;

    fn listing(instruments: &[(&str, Status)]) -> Listing {
        let listed = |(symbol, status): &(&str, Status)| Listed {
            symbol: (*symbol).to_owned(),
            stored: symbol.replace('/', "_"),
            base: String::new(),
            quote: String::new(),
            tick_size: None,
            lot_size: None,
            status: *status,
        };
        Listing { exchange: "x".to_owned(), fetched_ns: 0, instruments: instruments.iter().map(listed).collect() }
    }

    #[test]
    fn names_stay_and_patterns_take_what_lives() {
        use Status::{Gone, Limited, Trading};
        let listing = listing(&[
            ("ADA/USD", Limited),
            ("BTC/EUR", Trading),
            ("BTC/USD", Trading),
            ("DOT/USD", Limited),
            ("ETH/USD", Trading),
            ("OLD/USD", Gone),
            ("UP/USD", Trading),
        ]);
        let check = |symbols: &[&str], exclude: &[&str], expected: &[&str]| {
            let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            let selection = Selection::new(&owned(symbols), &owned(exclude));
            let known = |stored: &str| stored == "DOT_USD";
            assert_eq!(selection.symbols(Some(&listing), known), expected, "{symbols:?} {exclude:?}");
            let names: Vec<_> = expected.iter().filter(|name| symbols.contains(name)).collect();
            assert_eq!(selection.symbols(None, known), owned(&names.into_iter().copied().collect::<Vec<_>>()));
        };
        check(&["ETH/USD", "NOT/USD"], &[], &["ETH/USD", "NOT/USD"]);
        check(&["ETH/USD", "*/usd"], &["UP*"], &["ETH/USD", "BTC/USD", "DOT/USD"]);
        check(&["OLD/USD", "B*"], &["BTC/EUR"], &["OLD/USD", "BTC/USD"]);
        check(&["*"], &["*"], &[]);
        check(&["ETH/USD"], &["eth/*"], &[]);
    }
}
