//! The symbols of this run: names, labels, and when each was last heard of.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use exchange_protocol::{Stream, Venue};
use metrics_server::{CallbackKind, RegisterError, Registry};

use crate::{clock::Clock, config::Exchange, received::SymbolIndex};

/// Label of the symbols beyond the limit, which share their series.
pub(crate) const OTHER: &str = "other";

/// One symbol of one venue.
pub(crate) struct Symbol {
    pub(crate) venue: &'static dyn Venue,
    pub(crate) name: String,
    /// Whether its trades may be aggregates, of several ids each.
    pub(crate) aggregates: bool,
    /// Value of the `symbol` label: the name, or [`OTHER`].
    pub(crate) label: String,
    /// Our clock when a trade or quote of it last arrived, ns since the Unix epoch; 0 before the first.
    last_update_ns: AtomicU64,
}

impl std::fmt::Debug for Symbol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.exchange(), self.name)
    }
}

impl Symbol {
    pub(crate) fn exchange(&self) -> &'static str {
        self.venue.facts().name
    }

    pub(crate) fn heard(&self, receive_ns: u64) {
        self.last_update_ns.store(receive_ns, Ordering::Relaxed);
    }

    /// Whether it has series of its own.
    pub(crate) fn is_labelled(&self) -> bool {
        self.label != OTHER
    }
}

/// All symbols of this run. At scrape time it tells how fresh each is, so that a stalled feed shows even though nothing
/// happens.
#[derive(Debug)]
pub(crate) struct Symbols {
    clock: Clock,
    started_ns: u64,
    symbols: Vec<Symbol>,
}

impl Symbols {
    /// Numbers the symbols of all exchanges; those beyond `label_limit` share the label [`OTHER`].
    pub(crate) fn new(exchanges: &[Exchange], label_limit: usize, clock: Clock) -> Symbols {
        let all = exchanges.iter().flat_map(|exchange| exchange.symbols.iter().map(move |name| (exchange, name)));
        let symbols = all
            .enumerate()
            .map(|(index, (exchange, name))| Symbol {
                venue: exchange.venue,
                aggregates: exchange.streams.contains(&Stream::AggregatedTrades),
                name: name.clone(),
                label: if index < label_limit { name.clone() } else { OTHER.to_owned() },
                last_update_ns: AtomicU64::new(0),
            })
            .collect();
        Symbols { clock, started_ns: clock.now_ns(), symbols }
    }

    pub(crate) fn get(&self, index: SymbolIndex) -> Option<&Symbol> {
        self.symbols.get(index)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SymbolIndex, &Symbol)> {
        self.symbols.iter().enumerate()
    }

    /// Registers what tells at each scrape how fresh each symbol is.
    pub(crate) fn register(self: &Arc<Symbols>, registry: &mut Registry) -> Result<(), RegisterError> {
        let mut gauge = |name, help, value: fn(&Symbols, u64) -> u64| {
            let symbols = Arc::clone(self);
            registry.callback(CallbackKind::Gauge, name, help, ["exchange", "symbol"], move |samples| {
                for (labels, updated_ns) in symbols.oldest_updates() {
                    samples.push(labels, value(&symbols, updated_ns) as f64 / 1e9);
                }
            })
        };
        gauge(
            "gpu_charts_data_freshness_seconds",
            "Time since a trade or quote of the symbol last arrived, since the start before the first",
            |symbols, updated_ns| {
                let since = if updated_ns == 0 { symbols.started_ns } else { updated_ns };
                symbols.clock.now_ns().saturating_sub(since)
            },
        )?;
        gauge(
            "gpu_charts_last_update_timestamp",
            "Unix time in seconds at which a trade or quote of the symbol last arrived, 0 before the first",
            |_, updated_ns| updated_ns,
        )
    }

    /// The oldest update behind each pair of labels; 0 if one of its symbols has had none.
    fn oldest_updates(&self) -> BTreeMap<[&str; 2], u64> {
        let mut oldest = BTreeMap::new();
        for symbol in &self.symbols {
            let updated = symbol.last_update_ns.load(Ordering::Relaxed);
            let labels = [symbol.exchange(), symbol.label.as_str()];
            oldest.entry(labels).and_modify(|oldest: &mut u64| *oldest = updated.min(*oldest)).or_insert(updated);
        }
        oldest
    }
}
