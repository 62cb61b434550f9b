//! Data directories, written by the column store as the logger does.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use column_store::{
    Day, MdKind, MdRow, Options, Row, SEAL_DELAY_NS, SealDraft, Sealing, SeriesId, Side, Store, StoreError, Table,
    TimeRule, TradeRow,
};

use crate::wait_until;

/// A quote at a time, s and ns, whose numbers all come from `id`.
pub(crate) fn quote(seconds: u32, nanos: u32, id: u64) -> MdRow {
    let event_ns = u64::from(seconds) * 1_000_000_000 + u64::from(nanos);
    MdRow {
        kind: MdKind::Quote,
        event_id: id,
        event_ns,
        receive_ns: event_ns + 1_000,
        price: 100.25 + id as f64,
        volume: 0.5,
        side: Side::Sell,
        best_bid: 210.0,
        best_ask: 210.5,
        bid_size: 1.0 + id as f64,
        ask_size: 2.0,
    }
}

pub(crate) fn trade(seconds: u32, id: u64) -> TradeRow {
    let event_ns = u64::from(seconds) * 1_000_000_000;
    TradeRow {
        id,
        event_ns,
        receive_ns: event_ns + 1_000,
        price: 100.25,
        size: 0.5,
        side: Side::Buy,
        maker_order_id: [7; 16],
        taker_order_id: u128::from(id).to_be_bytes(),
    }
}

/// Appends rows and flushes them.
pub(crate) fn write<R: Row>(root: &Path, exchange: &str, symbol: &str, rows: &[R]) {
    let mut store = open(root);
    let series = store.series::<R>(exchange, symbol).unwrap();
    for row in rows {
        store.append(series, row, TimeRule::Filled).unwrap();
    }
    store.flush(|_, _| ()).unwrap();
}

/// Opens a store that this test alone writes. A process that another test is just starting holds copies of all open files
/// until it becomes its program, and with them the lock of a store that was closed meanwhile.
fn open(root: &Path) -> Store {
    let mut store = None;
    wait_until("the lock is free", || match Store::open(root, Options::default()) {
        Err(StoreError::Locked { .. }) => false,
        opened => store.insert(opened.unwrap()).pending_bytes() == 0,
    });
    store.unwrap()
}

/// [`write`] for coinbase's BTC-USD.
pub(crate) fn write_btc<R: Row>(root: &Path, rows: &[R]) {
    write(root, "coinbase", "BTC-USD", rows);
}

/// One quote per given second.
pub(crate) fn quotes(seconds: &[u32]) -> Vec<MdRow> {
    seconds.iter().zip(0..).map(|(seconds, id)| quote(*seconds, 0, id)).collect()
}

/// The path of a column file of coinbase's BTC-USD.
pub(crate) fn column_file(root: &Path, table: &str, column: &str, day: &str) -> PathBuf {
    root.join("coinbase/BTC-USD").join(table).join(format!("{column}.{day}.bin"))
}

/// A day of `rows` rows, all at the second `time`, whose `price` is a file of zeros that takes no room.
pub(crate) fn write_large_day(root: &Path, time: u32, day: &str, rows: u64) {
    let time_file = column_file(root, "MD", "time", day);
    fs::create_dir_all(time_file.parent().unwrap()).unwrap();
    fs::write(time_file, time.to_le_bytes().repeat(rows as usize)).unwrap();
    let price = File::create(column_file(root, "MD", "price", day)).unwrap();
    price.set_len(rows * 4).unwrap();
}

/// The bytes of a column of rows, as [`Row`] makes them; the time is that of the event.
pub(crate) fn cells<R: Row>(root: &Path, column: &str, day: &str) -> Vec<u8> {
    fs::read(column_file(root, R::TABLE.name(), column, day)).unwrap()
}

/// Marks a day of coinbase's BTC-USD as over.
pub(crate) fn seal_btc(root: &Path, day: &str) {
    let id = SeriesId { exchange: "coinbase".to_owned(), symbol: "BTC-USD".to_owned(), table: Table::Md };
    let mut store = open(root);
    let day: Day = day.parse().unwrap();
    let draft = SealDraft::read(root, &id, day, &mut |_| {}).unwrap().unwrap();
    assert_eq!(store.seal(&draft, day.end_ns() + SEAL_DELAY_NS).unwrap(), Sealing::Sealed);
}
