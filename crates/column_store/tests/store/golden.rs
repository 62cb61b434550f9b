//! The bytes on disk, spelled out: a change here breaks every reader there is.

use super::*;

/// 2026-11-18 00:00:00 UTC, ns.
const DAY_START: u64 = 1_794_960_000 * S;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check(root: &Path, table: Table, expected: &[(&str, &str)]) {
    let directory = root.join(id(table).path());
    for (column, cells) in expected {
        let file = directory.join(format!("{column}.18.11.26.bin"));
        assert_eq!(hex(&fs::read(&file).unwrap()), *cells, "{}", file.display());
    }
    assert_eq!(expected.len(), table.columns().len(), "every column has golden bytes");
    assert_eq!(fs::read_dir(directory).unwrap().count(), expected.len(), "and there is no other file");
}

#[test]
fn md_row() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    append(
        &mut store,
        &[MdRow {
            kind: MdKind::Trade,
            event_id: 0x0102_0304_0506_0708,
            event_ns: DAY_START + 1_234_567_890,
            receive_ns: DAY_START + 1_300_000_000,
            price: 210.1,
            volume: 0.00000001,
            side: Side::Sell,
            best_bid: 210.0,
            best_ask: 210.5,
            bid_size: f64::NAN,
            ask_size: 3.0,
        }],
    );
    flush(&mut store);
    check(
        root.path(),
        Table::Md,
        &[
            ("time", "81eafc6a"),
            ("nanos", "d238fb0d"),
            ("price", "9a195243"),
            ("volume", "77cc2b32"),
            ("side", "01000000"),
            ("best_bid", "00005243"),
            ("best_ask", "00805243"),
            ("kind", "01000000"),
            ("event_id", "0807060504030201"),
            ("event_ns", "d2029f6b9cfae818"),
            ("receive_ns", "006d856f9cfae818"),
            ("price_f64", "3333333333436a40"),
            ("volume_f64", "3a8c30e28e79453e"),
            ("best_bid_f64", "0000000000406a40"),
            ("best_ask_f64", "0000000000506a40"),
            ("bid_size_f64", "000000000000f87f"),
            ("ask_size_f64", "0000000000000840"),
        ],
    );
    assert_eq!(fs::read_to_string(root.path().join("FORMAT")).unwrap(), "1\n");
}

#[test]
fn trade_row() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    append(
        &mut store,
        &[TradeRow {
            id: 370_843_401,
            event_ns: DAY_START,
            receive_ns: DAY_START + 1,
            price: 1285.22,
            size: 11.4396987,
            side: Side::Buy,
            maker_order_id: std::array::from_fn(|i| i as u8),
            taker_order_id: [0; 16],
        }],
    );
    flush(&mut store);
    check(
        root.path(),
        Table::Trades,
        &[
            ("time", "80eafc6a"),
            ("nanos", "00000000"),
            ("id", "099f1a1600000000"),
            ("price", "0aa7a044"),
            ("size", "02093741"),
            ("side", "00000000"),
            ("maker_order_id", "000102030405060708090a0b0c0d0e0f"),
            ("taker_order_id", "00000000000000000000000000000000"),
            ("event_ns", "000009229cfae818"),
            ("receive_ns", "010009229cfae818"),
            ("price_f64", "7b14ae47e1149440"),
            ("size_f64", "fb2f213020e12640"),
        ],
    );
}
