//! `/api/symbol-search`: pairs that are on disk, by what people type.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::symbol_names::Pair;

/// Results at most.
const RESULTS_MAX: usize = 20;
/// Characters of a query that are looked at.
const QUERY_CHARACTERS_MAX: usize = 128;

/// A pair, and where it is traded.
#[derive(Debug, PartialEq)]
struct Entry {
    id: String,
    pair: Pair,
    display: String,
    description: String,
    /// Sorted by exchange and symbol.
    listed: Vec<Listed>,
    lower: Lower,
}

/// What is searched in, in lower case.
#[derive(Debug, PartialEq)]
struct Lower {
    id: String,
    base: String,
    quote: String,
    display: String,
    /// Names at the venues.
    tags: Vec<String>,
    tokens: Vec<String>,
    all: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Listed {
    exchange: String,
    symbol: String,
}

/// All pairs, sorted by id.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct SymbolSearch {
    entries: Vec<Entry>,
}

/// A symbol on disk as the search knows it.
pub(crate) struct Known<'a> {
    pub(crate) exchange: &'a str,
    /// The directory.
    pub(crate) stored: &'a str,
    /// The venue's own name.
    pub(crate) symbol: &'a str,
    pub(crate) pair: Pair,
}

/// The order of the fields is the order of the keys.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a str>,
    results: Vec<Found<'a>>,
}

#[derive(Serialize)]
struct Found<'a> {
    base: &'a str,
    category: &'static str,
    description: &'a str,
    display_name: &'a str,
    exchanges: &'a [Listed],
    normalized_id: &'a str,
    quote: &'a str,
    relevance_score: f64,
}

impl SymbolSearch {
    pub(crate) fn new<'a>(symbols: impl Iterator<Item = Known<'a>>) -> SymbolSearch {
        let mut by_id: BTreeMap<String, (Pair, BTreeSet<Listed>, BTreeSet<String>)> = BTreeMap::new();
        for Known { exchange, stored, symbol, pair } in symbols {
            let (_, listed, tags) = by_id.entry(pair.id()).or_insert_with(|| (pair, BTreeSet::new(), BTreeSet::new()));
            listed.insert(Listed { exchange: exchange.to_owned(), symbol: stored.to_owned() });
            tags.extend([stored.to_lowercase(), symbol.to_lowercase()]);
        }
        let entries = by_id.into_iter().map(|(id, (pair, listed, tags))| Entry::new(id, pair, listed, tags));
        SymbolSearch { entries: entries.collect() }
    }

    /// The answer to a query, as JSON.
    ///
    /// # Errors
    /// It cannot be written as JSON, which does not happen to strings and finite numbers.
    pub(crate) fn answer(&self, query: &str) -> serde_json::Result<Vec<u8>> {
        let needle: String = query.trim().chars().take(QUERY_CHARACTERS_MAX).collect::<String>().to_lowercase();
        if needle.is_empty() {
            let message = Some("Please provide a search query");
            return serde_json::to_vec(&Answer { message, query: None, results: Vec::new() });
        }
        let mut found: Vec<(u16, &Entry)> = self
            .entries
            .iter()
            .map(|entry| (entry.lower.score(&needle), entry))
            .filter(|(score, _)| *score > 0)
            .collect();
        // Stable: equals stay sorted by id.
        found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        found.truncate(RESULTS_MAX);
        if found.is_empty() {
            let message = Some("No matching symbols found");
            return serde_json::to_vec(&Answer { message, query: Some(query), results: Vec::new() });
        }
        let results = found.into_iter().map(|(score, entry)| entry.found(score)).collect();
        serde_json::to_vec(&Answer { message: None, query: None, results })
    }
}

impl Entry {
    fn new(id: String, pair: Pair, listed: BTreeSet<Listed>, tags: BTreeSet<String>) -> Entry {
        let description = format!("{id} spot");
        let display = id.clone();
        let (lower_id, lower_description) = (id.to_lowercase(), description.to_lowercase());
        let (base, quote) = (pair.base.to_lowercase(), pair.quote.to_lowercase());
        let texts = format!("{lower_id} {lower_description}");
        let tokens: BTreeSet<&str> =
            texts.split(|c: char| !c.is_alphanumeric()).filter(|token| !token.is_empty()).collect();
        let lower = Lower {
            all: format!("{lower_id} {base} {quote} {lower_id} {lower_description}"),
            tokens: tokens.into_iter().map(str::to_owned).collect(),
            id: lower_id.clone(),
            base,
            quote,
            display: lower_id,
            tags: tags.into_iter().collect(),
        };
        Entry { id, pair, display, description, listed: listed.into_iter().collect(), lower }
    }

    fn found(&self, score: u16) -> Found<'_> {
        Found {
            base: &self.pair.base,
            category: "spot",
            description: &self.description,
            display_name: &self.display,
            exchanges: &self.listed,
            normalized_id: &self.id,
            quote: &self.pair.quote,
            relevance_score: f64::from(score),
        }
    }
}

impl Lower {
    /// How well a needle in lower case fits, 0 if not at all: the best of all rules.
    fn score(&self, needle: &str) -> u16 {
        let terms: Vec<&str> = needle.split([' ', '/']).filter(|term| !term.is_empty()).collect();
        let rules: &[(u16, bool)] = match terms[..] {
            [a, b] => {
                let is_id = [(a, b), (b, a)].into_iter().any(|(base, quote)| self.id == format!("{base}/{quote}"));
                let is_pair = (self.base == a && self.quote == b) || (self.base == b && self.quote == a);
                &[(150, is_id), (140, is_pair), (100, self.all.contains(a) && self.all.contains(b))]
            }
            _ => &[
                (150, self.id == needle),
                (120, self.id.contains(needle)),
                (100, self.base == needle),
                (90, self.quote == needle),
                (80, self.tags.iter().any(|tag| tag == needle)),
                (70, self.display.contains(needle)),
                (60, self.tags.iter().any(|tag| tag.contains(needle))),
                (50, self.tokens.iter().any(|token| token == needle)),
                (40, self.tokens.iter().any(|token| token.contains(needle))),
            ],
        };
        // The rules stand in falling order.
        rules.iter().find(|(_, fits)| *fits).map_or(0, |(score, _)| *score)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search() -> SymbolSearch {
        let known = |(exchange, stored, symbol): &(&'static str, &'static str, &'static str)| Known {
            exchange,
            stored,
            symbol,
            pair: Pair::of_name(exchange, stored),
        };
        let symbols = [
            ("okx", "BTC-USDT", "BTC-USDT"),
            ("coinbase", "BTC-USD", "BTC-USD"),
            ("kraken", "XBT_USD", "BTC/USD"),
            ("coinbase", "ETH-BTC", "ETH-BTC"),
            ("bitfinex", "tETHUSD", "tETHUSD"),
            ("coinbase", "WBTC-EUR", "WBTC-EUR"),
        ];
        SymbolSearch::new(symbols.iter().map(known))
    }

    #[test]
    fn scores_and_their_order() {
        let search = search();
        let check = |query: &str, expected: &[(&str, f64)]| {
            let answer: serde_json::Value = serde_json::from_slice(&search.answer(query).unwrap()).unwrap();
            let results = answer["results"].as_array().unwrap();
            let found: Vec<_> = results
                .iter()
                .map(|r| (r["normalized_id"].as_str().unwrap(), r["relevance_score"].as_f64().unwrap()))
                .collect();
            assert_eq!(found, expected, "{query}");
        };
        check("btc/usd", &[("BTC/USD", 150.0)]);
        check("USD BTC", &[("BTC/USD", 150.0)]);
        check("btc eur", &[("WBTC/EUR", 100.0)]);
        check("btc", &[("BTC/USD", 120.0), ("ETH/BTC", 120.0), ("WBTC/EUR", 120.0)]);
        check("eur", &[("WBTC/EUR", 120.0)]);
        check("xbt_usd", &[("BTC/USD", 80.0)]);
        check("xbt", &[("BTC/USD", 60.0)]);
        check("tethusd", &[("ETH/USD", 80.0)]);
        check("spot", &[("BTC/USD", 50.0), ("ETH/BTC", 50.0), ("ETH/USD", 50.0), ("WBTC/EUR", 50.0)]);
        check("po", &[("BTC/USD", 40.0), ("ETH/BTC", 40.0), ("ETH/USD", 40.0), ("WBTC/EUR", 40.0)]);
        check("nothing like it", &[]);
    }

    #[test]
    fn answers_to_the_byte() {
        let search = search();
        let text = |query: &str| String::from_utf8(search.answer(query).unwrap()).unwrap();
        assert_eq!(text(" "), r#"{"message":"Please provide a search query","results":[]}"#);
        assert_eq!(text("Zz\""), r#"{"message":"No matching symbols found","query":"Zz\"","results":[]}"#);
        assert_eq!(
            text("BTC/USD"),
            r#"{"results":[{"base":"BTC","category":"spot","description":"BTC/USD spot","display_name":"BTC/USD","exchanges":[{"exchange":"coinbase","symbol":"BTC-USD"},{"exchange":"kraken","symbol":"XBT_USD"},{"exchange":"okx","symbol":"BTC-USDT"}],"normalized_id":"BTC/USD","quote":"USD","relevance_score":150.0}]}"#
        );
    }
}
