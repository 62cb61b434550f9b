//! The checksum of a book: CRC-32 over `bid price:bid amount:ask price:ask amount:…`, level by level from the best on, amounts
//! of asks negative, a missing level left out (docs.bitfinex.com/docs/ws-websocket-checksum). Numbers are taken as the frames
//! had them: the venue prints some with more digits than the shortest that gives their double.

use crate::book::{Book, BookSide};

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

/// CRC-32 of IEEE 802.3.
fn crc32(bytes: &[u8]) -> u32 {
    let mut table = [0_u32; 256];
    for (byte, entry) in (0_u32..).zip(&mut table) {
        *entry = (0..8).fold(byte, |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 });
    }
    let step = |crc: u32, byte: &u8| {
        let [low, ..] = crc.to_le_bytes();
        crc >> 8 ^ table.get(usize::from(low ^ byte)).copied().unwrap_or_default()
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }
}
