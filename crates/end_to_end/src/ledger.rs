//! What the files must hold, worked out from the simulator's ledger by the rules of `docs/format.md` and by nothing else.

use std::collections::BTreeSet;

use exchange_simulator::{MessageEntry, MessageKind, Side, VenueKind};

use crate::data::Columns;

/// A row that must be there: table column → cell. Floats as bits.
#[derive(Debug, PartialEq, Eq)]
pub struct MdExpected {
    kind: u32,
    event_id: u64,
    event_ns: u64,
    price: u64,
    volume: u64,
    side: u32,
    bid: u64,
    ask: u64,
    bid_size: u64,
    ask_size: u64,
}

/// A trade that must be there.
#[derive(Debug, PartialEq, Eq)]
pub struct TradeExpected {
    id: u64,
    event_ns: u64,
    price: u64,
    size: u64,
    side: u32,
    maker: String,
    taker: String,
}

/// What one symbol's tables must hold.
#[derive(Debug, Default)]
pub struct Expected {
    /// Rows of `MD`, in order.
    pub md: Vec<MdExpected>,
    /// Rows of `TRADES`, in order.
    pub trades: Vec<TradeExpected>,
    /// Trades that happened between the first and the last delivered one, and were not delivered.
    pub missing_trades: u64,
    /// Trades that were delivered once more, and must not be recorded again.
    pub duplicates: u64,
    /// Times at which a known quote was lost with its connection.
    pub lost_quotes: u64,
}

fn bits(decimal: Option<&String>) -> u64 {
    decimal.map_or(f64::NAN, |text| text.parse().unwrap()).to_bits()
}

fn uuid(text: Option<&String>) -> String {
    text.map_or_else(|| "0".repeat(32), |text| text.replace('-', ""))
}

/// Works out one symbol's rows from all messages, which are in the order in which they were sent.
pub fn expected(messages: &[MessageEntry], venue: VenueKind, symbol: &str) -> Expected {
    let mut expected = Expected::default();
    let mut ids = BTreeSet::new();
    let mut connection = 0;
    let mut quote: Option<[u64; 4]> = None;
    let unknown = f64::NAN.to_bits();
    let mut last_trade = (unknown, unknown, 2);
    let ours = messages.iter().filter(|message| message.venue == venue && message.symbol.as_deref() == Some(symbol));
    for message in ours.filter(|message| !message.connections.is_empty()) {
        assert_eq!(message.connections.len(), 1, "the logger has one connection for a symbol");
        if message.connections[0] != connection {
            expected.lost_quotes += u64::from(quote.take().is_some());
            connection = message.connections[0];
        }
        let event_ns = message.event_ns.unwrap_or(0);
        let kind = match message.kind {
            MessageKind::Quote => {
                let first = quote.is_none();
                let [bid, bid_size] = [&message.bid, &message.bid_size].map(|text| bits(text.as_ref()));
                let [ask, ask_size] = [&message.ask, &message.ask_size].map(|text| bits(text.as_ref()));
                quote = Some([bid, bid_size, ask, ask_size]);
                if first { 2 } else { 0 }
            }
            MessageKind::Trade => {
                // What was seen before is recorded once.
                if !ids.insert(message.id.unwrap()) {
                    expected.duplicates += 1;
                    continue;
                }
                let side = if message.side == Some(Side::Buy) { 0 } else { 1 };
                last_trade = (bits(message.price.as_ref()), bits(message.size.as_ref()), side);
                expected.trades.push(TradeExpected {
                    id: message.id.unwrap(),
                    event_ns,
                    price: last_trade.0,
                    size: last_trade.1,
                    side,
                    maker: uuid(message.maker_order_id.as_ref()),
                    taker: uuid(message.taker_order_id.as_ref()),
                });
                if message.snapshot { 2 } else { 1 }
            }
            _ => continue,
        };
        // Rows start when both sides are known.
        let Some([bid, bid_size, ask, ask_size]) = quote else { continue };
        let (price, volume, side) = last_trade;
        let event_id = message.id.unwrap();
        expected.md.push(MdExpected { kind, event_id, event_ns, price, volume, side, bid, ask, bid_size, ask_size });
    }
    if let (Some(first), Some(last)) = (ids.first(), ids.last()) {
        expected.missing_trades = last - first + 1 - ids.len() as u64;
    }
    expected
}

/// The rows of an `MD` answer in the form of what is expected.
pub fn md_rows(columns: &Columns) -> Vec<MdExpected> {
    let (kind, side) = (columns.u32s("kind"), columns.u32s("side"));
    let [event_id, event_ns] = ["event_id", "event_ns"].map(|column| columns.u64s(column));
    let names = ["price_f64", "volume_f64", "best_bid_f64", "best_ask_f64", "bid_size_f64", "ask_size_f64"];
    let [price, volume, bid, ask, bid_size, ask_size] = names.map(|column| columns.f64_bits(column));
    (0..kind.len())
        .map(|row| MdExpected {
            kind: kind[row],
            event_id: event_id[row],
            event_ns: event_ns[row],
            price: price[row],
            volume: volume[row],
            side: side[row],
            bid: bid[row],
            ask: ask[row],
            bid_size: bid_size[row],
            ask_size: ask_size[row],
        })
        .collect()
}

/// The rows of a `TRADES` answer in the form of what is expected.
pub fn trade_rows(columns: &Columns) -> Vec<TradeExpected> {
    let [id, event_ns] = ["id", "event_ns"].map(|column| columns.u64s(column));
    let [price, size] = ["price_f64", "size_f64"].map(|column| columns.f64_bits(column));
    let side = columns.u32s("side");
    let [maker, taker] = ["maker_order_id", "taker_order_id"].map(|column| columns.uuids(column));
    let rows = id.into_iter().zip(maker).zip(taker).enumerate();
    rows.map(|(row, ((id, maker), taker))| TradeExpected {
        id,
        event_ns: event_ns[row],
        price: price[row],
        size: size[row],
        side: side[row],
        maker,
        taker,
    })
    .collect()
}

/// The rules of time that hold for every answer: the key never falls, is the event's time where that is believable and
/// else the receive time, and the 4-byte floats are the exact ones rounded.
pub fn check_rules(columns: &Columns, rounded: &[(&str, &str)]) {
    let (keys, receive) = (columns.keys(), columns.u64s("receive_ns"));
    let mut last = 0;
    for ((key, receive), event) in keys.iter().zip(receive).zip(columns.u64s("event_ns")) {
        let believable = event + 60_000_000_000 >= receive && event <= receive + 1_000_000_000;
        let time = if event != 0 && believable { event } else { receive };
        assert_eq!(*key, time.max(last), "key of a row with event {event} and receive {receive} after {last}");
        last = *key;
    }
    for (short, exact) in rounded {
        for (short, exact) in columns.f32s(short).into_iter().zip(columns.f64_bits(exact)) {
            assert_eq!(short.to_bits(), (f64::from_bits(exact) as f32).to_bits());
        }
    }
}
