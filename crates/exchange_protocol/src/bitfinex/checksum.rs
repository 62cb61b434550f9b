//! The checksum of a book: CRC-32 over `bid price:bid amount:ask price:ask amount:…`, level by level from the best on, amounts
//! of asks negative, a missing level left out (docs.bitfinex.com/docs/ws-websocket-checksum). Numbers are taken as the frames
//! had them: the venue prints some with more digits than the shortest that gives their double.

use crate::{
    book::{Book, BookSide},
    crc32::crc32,
};

/// The checksum of the best `levels` of both sides, signed as the venue sends it.
pub(super) fn of(book: &Book<String>, levels: usize) -> i64 {
    let (mut bids, mut asks) = (book.notes(BookSide::Bid), book.notes(BookSide::Ask));
    let mut text = String::with_capacity(1_024);
    for _ in 0..levels {
        for digits in [bids.next(), asks.next()].into_iter().flatten() {
            if !text.is_empty() {
                text.push(':');
            }
            text.push_str(digits);
        }
    }
    i64::from(crc32(text.as_bytes()).cast_signed())
}
