//! What travels from the feeds to the recorder.

use exchange_protocol::{Event, Level, Side};

/// Index into the [`Symbols`](crate::symbols::Symbols) of this run.
pub(crate) type SymbolIndex = usize;

/// One fact about one symbol, with the time at which its frame arrived.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) symbol: SymbolIndex,
    /// Our clock, ns since the Unix epoch.
    pub(crate) receive_ns: u64,
    pub(crate) fact: Fact,
}

#[derive(Debug)]
pub(crate) enum Fact {
    Trade(TradeFact),
    Quote(QuoteFact),
    /// The connection that carried the symbol ended: its quote is unknown from here on.
    Disconnected,
}

/// A trade, as [`exchange_protocol::Trade`] without what borrows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TradeFact {
    pub(crate) first_id: u64,
    pub(crate) id: u64,
    pub(crate) event_ns: u64,
    pub(crate) price: f64,
    pub(crate) size: f64,
    pub(crate) taker: Side,
    pub(crate) maker_order_id: [u8; 16],
    pub(crate) taker_order_id: [u8; 16],
    pub(crate) snapshot: bool,
}

/// A quote, as [`exchange_protocol::Quote`] without what borrows; NaN where a side is empty or a size unknown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QuoteFact {
    pub(crate) update_id: u64,
    pub(crate) event_ns: u64,
    pub(crate) bid: f64,
    pub(crate) bid_size: f64,
    pub(crate) ask: f64,
    pub(crate) ask_size: f64,
}

/// What of an event is to be recorded: the symbol's name, the fact, and how many of its decimals an `f64` cannot give back.
pub(crate) fn to_record<'e>(event: &Event<'e>) -> Option<(&'e str, Fact, u64)> {
    match event {
        Event::Trade(trade) => {
            let inexact = u64::from(!trade.price.exact) + u64::from(!trade.size.exact);
            let fact = TradeFact {
                first_id: trade.first_id,
                id: trade.id,
                event_ns: trade.event_ns,
                price: trade.price.value,
                size: trade.size.value,
                taker: trade.taker,
                maker_order_id: trade.maker_order_id,
                taker_order_id: trade.taker_order_id,
                snapshot: trade.snapshot,
            };
            Some((trade.symbol, Fact::Trade(fact), inexact))
        }
        Event::Quote(quote) => {
            let sides = [quote.bid, quote.ask];
            let decimals = sides.iter().flatten().flat_map(|level| [Some(level.price), level.size]).flatten();
            let inexact = decimals.filter(|decimal| !decimal.exact).count() as u64;
            let price = |side: Option<Level>| side.map_or(f64::NAN, |level| level.price.value);
            let size = |side: Option<Level>| side.and_then(|level| level.size).map_or(f64::NAN, |size| size.value);
            let fact = QuoteFact {
                update_id: quote.update_id,
                event_ns: quote.event_ns,
                bid: price(quote.bid),
                bid_size: size(quote.bid),
                ask: price(quote.ask),
                ask_size: size(quote.ask),
            };
            Some((quote.symbol, Fact::Quote(fact), inexact))
        }
        _ => None,
    }
}
