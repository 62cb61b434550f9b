//! Checksums of rows that are known for good.

use sha2::{Digest as _, Sha256};

use crate::data::Columns;

/// Columns without a time.
const TIMELESS_TRADES: [&str; 8] =
    ["id", "price", "size", "side", "maker_order_id", "taker_order_id", "price_f64", "size_f64"];
const TIMELESS_MD: [&str; 13] = [
    "kind",
    "event_id",
    "price",
    "volume",
    "side",
    "best_bid",
    "best_ask",
    "price_f64",
    "volume_f64",
    "best_bid_f64",
    "best_ask_f64",
    "bid_size_f64",
    "ask_size_f64",
];

/// The first 16 hexadecimal digits of the SHA-256 of the columns without a time, one after the other, of one series after the
/// other.
pub fn checksum<'a>(all: impl IntoIterator<Item = &'a Columns>, table: &str) -> String {
    let timeless: &[&str] = if table == "MD" { &TIMELESS_MD } else { &TIMELESS_TRADES };
    let mut sum = Sha256::new();
    for columns in all {
        timeless.iter().for_each(|column| sum.update(columns.bytes(column)));
    }
    sum.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
