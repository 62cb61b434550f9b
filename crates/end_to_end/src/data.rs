//! Decodes answers of `GET /api/data`, knowing only the documented wire format.

use std::{collections::BTreeMap, net::SocketAddr};

use crate::http;

/// Columns of `MD`, as documented, in any order.
pub const MD: [&str; 17] = [
    "time",
    "nanos",
    "price",
    "volume",
    "side",
    "best_bid",
    "best_ask",
    "kind",
    "event_id",
    "event_ns",
    "receive_ns",
    "price_f64",
    "volume_f64",
    "best_bid_f64",
    "best_ask_f64",
    "bid_size_f64",
    "ask_size_f64",
];
/// Columns of `TRADES`, as documented, in any order.
pub const TRADES: [&str; 12] = [
    "id",
    "time",
    "nanos",
    "price",
    "size",
    "side",
    "maker_order_id",
    "taker_order_id",
    "event_ns",
    "receive_ns",
    "price_f64",
    "size_f64",
];

/// The columns of an answer.
pub struct Columns(BTreeMap<String, Vec<u8>>);

impl Columns {
    /// Asks for columns between two Unix times in seconds, both inclusive.
    pub async fn get(
        server: SocketAddr,
        exchange: &str,
        symbol: &str,
        table: &str,
        columns: &[&str],
        (start, end): (u64, u64),
    ) -> Columns {
        let columns_list = columns.join(",");
        let path = format!(
            "/api/data?exchange={exchange}&symbol={symbol}&type={table}&start={start}&end={end}&columns={columns_list}"
        );
        let answer = http::get(server, &path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(answer.header("content-length").is_some(), "the length is known before the first byte");
        let line_end = answer.body.iter().position(|byte| *byte == b'\n').unwrap();
        let header: serde_json::Value = serde_json::from_slice(&answer.body[..line_end]).unwrap();
        let mut rest = &answer.body[line_end + 1..];
        let described = header["columns"].as_array().unwrap();
        assert_eq!(described.iter().map(|column| column["name"].as_str().unwrap()).collect::<Vec<_>>(), columns);
        let mut found = BTreeMap::new();
        for column in described {
            let [length, width, rows] =
                ["data_length", "record_size", "num_records"].map(|key| column[key].as_u64().unwrap());
            assert_eq!(length, width * rows);
            assert_eq!(rows, described[0]["num_records"], "all columns have the same rows");
            let (bytes, after) = rest.split_at(usize::try_from(length).unwrap());
            found.insert(column["name"].as_str().unwrap().to_owned(), bytes.to_vec());
            rest = after;
        }
        assert!(rest.is_empty(), "the header describes all bytes");
        Columns(found)
    }

    /// The columns of a table that was read otherwise.
    pub(crate) fn from_cells(cells: BTreeMap<String, Vec<u8>>) -> Columns {
        Columns(cells)
    }

    /// The bytes of a column.
    pub fn bytes(&self, column: &str) -> &[u8] {
        &self.0[column]
    }

    fn cells<const N: usize>(&self, column: &str) -> Vec<[u8; N]> {
        let bytes = self.0.get(column).unwrap_or_else(|| panic!("{column} was not asked for"));
        assert_eq!(bytes.len() % N, 0);
        bytes.chunks(N).map(|cell| cell.try_into().unwrap()).collect()
    }

    /// A column of 4-byte unsigned integers.
    pub fn u32s(&self, column: &str) -> Vec<u32> {
        self.cells(column).into_iter().map(u32::from_le_bytes).collect()
    }

    /// A column of 8-byte unsigned integers.
    pub fn u64s(&self, column: &str) -> Vec<u64> {
        self.cells(column).into_iter().map(u64::from_le_bytes).collect()
    }

    /// A column of 4-byte floats.
    pub fn f32s(&self, column: &str) -> Vec<f32> {
        self.cells(column).into_iter().map(f32::from_le_bytes).collect()
    }

    /// A column of 8-byte floats, as bits: NaN equals NaN, and nothing equals what only looks like it.
    pub fn f64_bits(&self, column: &str) -> Vec<u64> {
        self.u64s(column)
    }

    /// A column of UUIDs, as hexadecimal digits without dashes.
    pub fn uuids(&self, column: &str) -> Vec<String> {
        let hex = |cell: [u8; 16]| cell.iter().map(|byte| format!("{byte:02x}")).collect();
        self.cells(column).into_iter().map(hex).collect()
    }

    /// The search key in nanoseconds, from `time` and `nanos`.
    pub fn keys(&self) -> Vec<u64> {
        let nanos = self.u32s("nanos");
        self.u32s("time").into_iter().zip(nanos).map(|(s, ns)| u64::from(s) * 1_000_000_000 + u64::from(ns)).collect()
    }

    /// The rules of time that hold for every answer: the key never falls, is the event's time where that is believable and
    /// else the receive time, and the 4-byte floats are the exact ones rounded.
    pub fn check_rules(&self, rounded: &[(&str, &str)]) {
        let (keys, receive) = (self.keys(), self.u64s("receive_ns"));
        let mut last = 0;
        for ((key, receive), event) in keys.iter().zip(receive).zip(self.u64s("event_ns")) {
            let believable = event + 60_000_000_000 >= receive && event <= receive + 1_000_000_000;
            let time = if event != 0 && believable { event } else { receive };
            assert_eq!(*key, time.max(last), "key of a row with event {event} and receive {receive} after {last}");
            last = *key;
        }
        for (short, exact) in rounded {
            for (short, exact) in self.f32s(short).into_iter().zip(self.f64_bits(exact)) {
                assert_eq!(short.to_bits(), (f64::from_bits(exact) as f32).to_bits());
            }
        }
    }
}
