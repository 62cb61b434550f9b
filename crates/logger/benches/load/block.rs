//! A round of frames, made once and sent again and again with new ids and times.

use crate::venue::{FIRST_ID, Template, Venue};

/// Frames of each symbol in a round: so many quotes, and one trade after the first of them.
pub(crate) const QUOTES: u64 = 4;
pub(crate) const TRADES: u64 = 1;

/// One round of all symbols of a connection, as bytes of the WebSocket protocol.
pub(crate) struct Block {
    bytes: Vec<u8>,
    frames: Vec<Frame>,
}

struct Frame {
    end: usize,
    id_at: usize,
    times_at: Vec<usize>,
    /// Its id in round `r` is `FIRST_ID + r * per_round + offset`.
    per_round: u64,
    offset: u64,
}

impl Block {
    pub(crate) fn new(venue: Venue, symbols: &[String]) -> Block {
        let mut block = Block { bytes: Vec::new(), frames: Vec::new() };
        for turn in 0..QUOTES {
            for (slot, symbol) in symbols.iter().enumerate() {
                let slot = slot * 8 + usize::try_from(turn).unwrap();
                block.push(venue.quote(symbol, slot), QUOTES, turn);
                if turn < TRADES {
                    block.push(venue.trade(symbol, slot), TRADES, turn);
                }
            }
        }
        block
    }

    fn push(&mut self, Template { text, id_at, times_at }: Template, per_round: u64, offset: u64) {
        // A text frame that is whole and, as a server's, not masked.
        self.bytes.push(0x81);
        match u16::try_from(text.len()).unwrap() {
            short @ ..126 => self.bytes.push(u8::try_from(short).unwrap()),
            long => {
                self.bytes.push(126);
                self.bytes.extend(long.to_be_bytes());
            }
        }
        let start = self.bytes.len();
        self.bytes.extend(text.as_bytes());
        self.frames.push(Frame {
            end: self.bytes.len(),
            id_at: start + id_at,
            times_at: times_at.iter().map(|at| start + at).collect(),
            per_round,
            offset,
        });
    }

    /// Frames of a round.
    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    /// The bytes of the frames `first..` of a round, `most` at most, with this time in them.
    pub(crate) fn part(&mut self, round: u64, first: usize, most: usize, time: &str) -> &[u8] {
        let start = first.checked_sub(1).map_or(0, |before| self.frames[before].end);
        let last = (first + most).min(self.frames.len());
        for frame in &self.frames[first..last] {
            digits(&mut self.bytes[frame.id_at..][..10], FIRST_ID + round * frame.per_round + frame.offset);
            for at in &frame.times_at {
                self.bytes[*at..][..time.len()].copy_from_slice(time.as_bytes());
            }
        }
        &self.bytes[start..self.frames[last - 1].end]
    }
}

fn digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap();
        number /= 10;
    }
}
