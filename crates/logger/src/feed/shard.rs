//! Which connection carries what.

use exchange_protocol::{Stream, Subscription, Venue};

use crate::received::SymbolIndex;

/// A subscription, and the number of its symbol in this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) symbol: SymbolIndex,
    pub(crate) subscription: Subscription,
}

/// One connection's worth of subscriptions.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Path and query of the endpoint.
    pub(crate) path: &'static str,
    pub(crate) wanted: Vec<Wanted>,
}

/// Spreads symbols over as few connections as the venue's limits allow, evenly; a symbol's streams of one path stay
/// together.
pub(crate) fn shards(venue: &dyn Venue, streams: &[Stream], symbols: &[(SymbolIndex, String)]) -> Vec<Shard> {
    let mut paths: Vec<&'static str> = Vec::new();
    for path in streams.iter().map(|stream| venue.path(*stream)) {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    let mut shards = Vec::new();
    for path in paths {
        let of_path: Vec<Stream> = streams.iter().filter(|stream| venue.path(**stream) == path).copied().collect();
        let most = (venue.facts().streams_per_connection / of_path.len().max(1)).max(1);
        let connections = symbols.len().div_ceil(most).max(1);
        for symbols in symbols.chunks(symbols.len().div_ceil(connections).max(1)) {
            let both = |(symbol, name): &(SymbolIndex, String)| {
                let wanted = |stream: &Stream| Wanted {
                    symbol: *symbol,
                    subscription: Subscription { symbol: name.clone(), stream: *stream },
                };
                of_path.iter().map(wanted).collect::<Vec<_>>()
            };
            shards.push(Shard { path, wanted: symbols.iter().flat_map(both).collect() });
        }
    }
    shards
}

#[cfg(test)]
mod tests {
    use exchange_protocol::venue;

    use super::*;

    fn sizes(exchange: &str, symbols: usize) -> Vec<(&'static str, usize)> {
        let venue = venue(exchange).unwrap();
        let symbols: Vec<_> = (0..symbols).map(|index| (index, format!("S{index}"))).collect();
        let shards = shards(venue, venue.streams(), &symbols);
        for stream in venue.streams() {
            let of_stream = shards.iter().flat_map(|shard| &shard.wanted);
            let mut seen: Vec<_> = of_stream.filter(|wanted| wanted.subscription.stream == *stream).collect();
            seen.sort_by_key(|wanted| wanted.symbol);
            let named: Vec<_> = seen.iter().map(|wanted| (wanted.symbol, wanted.subscription.symbol.clone())).collect();
            assert_eq!(named, symbols, "each once");
        }
        shards.iter().map(|shard| (shard.path, shard.wanted.len())).collect()
    }

    #[test]
    fn limits_are_of_subscriptions_and_paths_are_kept_apart() {
        assert_eq!(sizes("bitfinex", 12), [("/ws/2", 24)]);
        assert_eq!(sizes("bitfinex", 13), [("/ws/2", 14), ("/ws/2", 12)]);
        let (business, public) = ("/ws/v5/business", "/ws/v5/public");
        assert_eq!(sizes("okx", 200), [(business, 200), (public, 200)]);
        assert_eq!(sizes("okx", 201), [(business, 101), (business, 100), (public, 101), (public, 100)]);
        assert_eq!(sizes("binance", 1_001).iter().map(|(_, size)| size).sum::<usize>(), 2_002);
        assert!(sizes("binance", 1_001).iter().all(|(_, size)| *size <= 1_000));
        assert_eq!(sizes("coinbase", 51), [("", 52), ("", 50)]);
    }
}
