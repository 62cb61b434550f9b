//! The checksum of a book: CRC-32 over `bid price:bid amount:ask price:ask amount:…`, level by level from the best on, amounts
//! of asks negative, a missing level left out (docs.bitfinex.com/docs/ws-websocket-checksum).

use std::fmt::Write as _;

use crate::book::{Book, BookSide};

/// The checksum of the best `levels` of both sides, signed as the venue sends it.
pub(super) fn of(book: &Book, levels: usize) -> i64 {
    let (mut bids, mut asks) = (book.top(BookSide::Bid), book.top(BookSide::Ask));
    let mut text = String::with_capacity(1_024);
    for _ in 0..levels {
        for (price, amount) in [bids.next(), asks.next().map(|(price, size)| (price, -size))].into_iter().flatten() {
            push(&mut text, price);
            push(&mut text, amount);
        }
    }
    text.pop();
    i64::from(crc32(text.as_bytes()).cast_signed())
}

/// A number as JavaScript prints it, which is how the venue writes it both here and in frames.
fn push(text: &mut String, number: f64) {
    let plain = number == 0.0 || (1e-6..1e21).contains(&number.abs());
    // Writing to a `String` cannot fail.
    _ = if plain { write!(text, "{number}:") } else { write!(text, "{number:e}:") };
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

    #[test]
    fn numbers_as_javascript_prints_them() {
        let mut text = String::new();
        for number in [6000.0, 0.5, -0.5, 0.000001, 0.0000001, -1.5e-7, 19403.244049780002] {
            push(&mut text, number);
        }
        assert_eq!(text, "6000:0.5:-0.5:0.000001:1e-7:-1.5e-7:19403.244049780002:");
    }
}
