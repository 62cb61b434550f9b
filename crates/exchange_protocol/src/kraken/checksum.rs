//! The checksum of a book: CRC-32 over the digits of the best ten asks, then of the best ten bids, each a price and a size as
//! received, without the point and leading zeros (docs.kraken.com, book checksum of version 2).

use crate::{
    book::{Book, BookSide},
    crc32::crc32,
};

/// Levels of a side that count.
const LEVELS: usize = 10;

/// The checksum of a book whose notes are the [`digits`] of its levels.
pub(super) fn of(book: &Book<String>) -> u64 {
    let asks = book.notes(BookSide::Ask).take(LEVELS);
    let digits: String = asks.chain(book.notes(BookSide::Bid).take(LEVELS)).map(String::as_str).collect();
    crc32(digits.as_bytes()).into()
}

/// What of a number counts.
pub(super) fn digits(number: Option<&str>) -> String {
    let digits: String = number.unwrap_or_default().chars().filter(|c| *c != '.').collect();
    digits.trim_start_matches('0').to_owned()
}
