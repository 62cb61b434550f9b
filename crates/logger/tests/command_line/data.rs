//! Data directories for the commands to look at.

use std::path::PathBuf;

use column_store::{
    Covered, Day, Gap, GapState, Options, Proof, SEAL_DELAY_NS, SealDraft, SeriesId, Side, Store, Stream, Table,
    TimeRule, TradeRow,
};

use super::*;

pub(crate) const S: u64 = 1_000_000_000;
/// 2026-11-18.
pub(crate) const DAY_START: u64 = 1_794_960_000 * S;
pub(crate) const DAY_NS: u64 = 86_400 * S;

pub(crate) fn open(root: &Path) -> Store {
    Store::open(root, Options::default()).unwrap()
}

pub(crate) fn trade(id: u64, ns: u64) -> TradeRow {
    TradeRow {
        id,
        event_ns: ns,
        receive_ns: ns,
        price: 1.5,
        size: 2.0,
        side: Side::Buy,
        maker_order_id: [0; 16],
        taker_order_id: [0; 16],
    }
}

/// Trades of a symbol, a second apart from the beginning of the day with that number.
pub(crate) fn trades(store: &mut Store, exchange: &str, symbol: &str, day: u64, ids: &[u64]) {
    let series = store.series::<TradeRow>(exchange, symbol).unwrap();
    for (at, id) in (0..).zip(ids) {
        store.append(series, &trade(*id, DAY_START + day * DAY_NS + at * S), TimeRule::Live).unwrap();
    }
    store.flush(|_, _| {}).unwrap();
}

/// Two venues, two days: Coinbase's trades whole and the first day sealed, Bitfinex' proven by sequence numbers.
pub(crate) fn recorded() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    trades(&mut store, "coinbase", "BTC-USD", 0, &[1, 2, 3]);
    trades(&mut store, "coinbase", "BTC-USD", 1, &[4, 5]);
    trades(&mut store, "bitfinex", "tBTCUSD", 0, &[70, 30]);
    let series = store.series::<TradeRow>("bitfinex", "tBTCUSD").unwrap();
    let (from_ns, to_ns) = (DAY_START, DAY_START + S);
    let connection = Some("c1".to_owned());
    store.cover(series, Covered { by: Proof::Sequence, connection, from: 1, to: 9, from_ns, to_ns }).unwrap();
    store.flush(|_, _| {}).unwrap();
    store.sync().unwrap();
    let id = SeriesId { exchange: "coinbase".to_owned(), symbol: "BTC-USD".to_owned(), table: Table::Trades };
    let day = Day::from_ns(DAY_START).unwrap();
    let draft = SealDraft::read(root.path(), &id, day, &mut |_| {}).unwrap().unwrap();
    store.seal(&draft, day.end_ns() + SEAL_DELAY_NS).unwrap();
    store.finish().unwrap();
    root
}

/// Notes a gap of Coinbase's trades.
pub(crate) fn gap(root: &Path, from_id: u64, to_id: u64, state: GapState) {
    let mut store = open(root);
    let series = store.series::<TradeRow>("coinbase", "BTC-USD").unwrap();
    let at = DAY_START + DAY_NS;
    store.gap(series, Gap::of_ids(Stream::Trades, from_id, to_id, at, at + S, "id jump").with_state(state)).unwrap();
    store.flush(|_, _| {}).unwrap();
    store.finish().unwrap();
}

/// A column of Coinbase's trades.
pub(crate) fn column(root: &Path, file: &str) -> PathBuf {
    root.join("coinbase/BTC-USD/TRADES").join(file)
}

/// A directory as the ancestor wrote it: one day of quotes without the exact columns.
pub(crate) fn ancestor() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("coinbase/BTC-USD/MD");
    fs::create_dir_all(&directory).unwrap();
    for name in ["time", "nanos", "price", "volume", "side", "best_bid", "best_ask"] {
        let cell = |row: u64| match name {
            "time" => ((DAY_START / S + row - 365 * 86_400) as u32).to_le_bytes(),
            _ => [0, 0, 0, 0],
        };
        let bytes: Vec<u8> = (0..10).flat_map(cell).collect();
        fs::write(directory.join(format!("{name}.18.11.25.bin")), bytes).unwrap();
    }
    root
}
