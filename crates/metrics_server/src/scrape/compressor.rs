//! Compression of a document as it is written.

use super::limits::PIECE_BYTES_MIN;
use crate::negotiation::Coding;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Write};
use std::mem;
use zstd::stream::write::Encoder as ZstdEncoder;

/// The fastest level of both: expositions are so repetitive that it takes 90 % and more away, while the best level
/// costs ten times the processor for a fifth of the bytes that are left.
const GZIP_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 1;

/// Takes a document in parts and gives it back as pieces to send.
pub(super) enum Compressor {
    Identity(Vec<u8>),
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(ZstdEncoder<'static, Vec<u8>>),
    /// After [`finish`](Self::finish): what is left to take.
    Finished(Vec<u8>),
}

impl Compressor {
    pub(super) fn new(coding: Coding) -> io::Result<Self> {
        Ok(match coding {
            Coding::Identity => Self::Identity(Vec::new()),
            Coding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL))),
            Coding::Zstd => Self::Zstd(ZstdEncoder::new(Vec::new(), ZSTD_LEVEL)?),
        })
    }

    /// Takes a part of the document. The buffer comes back empty, maybe without its memory.
    pub(super) fn write(&mut self, part: &mut Vec<u8>) -> io::Result<()> {
        match self {
            // Most parts are taken one by one, and then need not be copied.
            Self::Identity(out) if out.is_empty() => mem::swap(out, part),
            Self::Identity(out) | Self::Finished(out) => out.append(part),
            Self::Gzip(encoder) => encoder.write_all(part)?,
            Self::Zstd(encoder) => encoder.write_all(part)?,
        }
        part.clear();
        Ok(())
    }

    /// Writes what the format has at its end.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let rest = match mem::replace(self, Self::Finished(Vec::new())) {
            Self::Identity(out) | Self::Finished(out) => out,
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Zstd(encoder) => encoder.finish()?,
        };
        *self = Self::Finished(rest);
        Ok(())
    }

    /// What can be sent by now, if that is worth a piece; everything, however little, with `all`.
    pub(super) fn take(&mut self, all: bool) -> Option<Bytes> {
        let out = match self {
            Self::Identity(out) | Self::Finished(out) => out,
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        };
        let is_worth_it = out.len() >= PIECE_BYTES_MIN || (all && !out.is_empty());
        is_worth_it.then(|| Bytes::from(mem::take(out)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn every_coding_gives_the_document_back() {
        // Digits without a pattern, so that something is left to send.
        let lines = (0..100_000_u32).map(|number| format!("line {}\n", number.wrapping_mul(2_654_435_761)));
        let document: Vec<u8> = lines.flat_map(String::into_bytes).collect();
        for coding in [Coding::Identity, Coding::Gzip, Coding::Zstd] {
            let (mut compressor, mut sent, mut pieces) = (Compressor::new(coding).unwrap(), Vec::new(), 0);
            for part in document.chunks(10_000) {
                compressor.write(&mut part.to_vec()).unwrap();
                while let Some(piece) = compressor.take(false) {
                    assert!(piece.len() >= PIECE_BYTES_MIN);
                    pieces += 1;
                    sent.extend_from_slice(&piece);
                }
            }
            compressor.finish().unwrap();
            sent.extend_from_slice(&compressor.take(true).unwrap());
            assert_eq!(compressor.take(true), None);
            assert!(pieces > 0, "it streams: {coding:?}");
            let mut plain = Vec::new();
            match coding {
                Coding::Identity => plain.clone_from(&sent),
                Coding::Gzip => {
                    flate2::read::GzDecoder::new(&*sent).read_to_end(&mut plain).unwrap();
                }
                Coding::Zstd => plain = zstd::decode_all(&*sent).unwrap(),
            }
            assert!(plain == document, "{coding:?}");
            assert!(coding == Coding::Identity || sent.len() < document.len() * 3 / 4, "{}", sent.len());
        }
    }
}
