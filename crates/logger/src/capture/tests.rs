//! Captures as they are written and read: everything comes back to the bit, and a torn end costs only itself.

use std::{fs, path::Path};

use column_store::Stream as Recorded;
use exchange_protocol::{Side, Stream, Subscription};
use proptest::prelude::*;

use super::*;
use crate::received::{Batch, ConnectionId, Fact, Fill, FillEnd, LostWhy, QuoteFact, Received, TradeFact};

fn trade(price: f64, id: u64) -> TradeFact {
    TradeFact {
        first_id: id.saturating_sub(1),
        id,
        event_ns: u64::MAX,
        price,
        size: f64::MIN_POSITIVE,
        taker: if id.is_multiple_of(2) { Side::Buy } else { Side::Sell },
        maker_order_id: [id as u8; 16],
        taker_order_id: [0; 16],
        snapshot: id.is_multiple_of(3),
    }
}

fn facts() -> Vec<Received> {
    let quote = QuoteFact { update_id: 9, event_ns: 0, bid: 0.1 + 0.2, bid_size: f64::NAN, ask: 1e300, ask_size: -0.0 };
    let whys = [LostWhy::Disconnected, LostWhy::Broken, LostWhy::Dead, LostWhy::Sequence, LostWhy::Ended];
    let ends = [None, Some(FillEnd::Answered), Some(FillEnd::Failed), Some(FillEnd::Unsupported)];
    let mut facts = vec![
        Fact::Trade(trade(64_000.125, 7)),
        Fact::Trade(trade(5e-324, 6)),
        Fact::Quote(quote),
        Fact::LastTrade { id: u64::MAX },
        Fact::Alive(Recorded::Trades),
        Fact::Renumbered,
        Fact::Live(Recorded::Quotes),
    ];
    facts.extend(whys.map(|why| Fact::Lost { stream: Recorded::Quotes, why, proven_ns: 5 }));
    let fill = |end| Fact::Fill(Fill { question: 3, trades: vec![trade(1.0 / 3.0, 2), trade(2.0, 5)], end });
    facts.extend(ends.map(fill));
    (0..).zip(facts).map(|(symbol, fact)| Received { symbol, receive_ns: 1_794_960_000_000_000_001, fact }).collect()
}

fn entries() -> Vec<Entry> {
    let mut wire = Wire::opened("kraken");
    wire.subscribe(&[
        Subscription { symbol: "BTC/USD".to_owned(), stream: Stream::Trades },
        Subscription { symbol: "ünï \"code\"".to_owned(), stream: Stream::Quotes },
    ]);
    wire.own();
    wire.frame(12, "{\"a\": 1}");
    wire.kept();
    wire.kept();
    wire.left();
    wire.own();
    wire.own();
    wire.kept();
    wire.frame(13, "two\r\nlines \\n \u{2028}");
    wire.frame(14, "");
    wire.left();
    wire.closed();
    wire.unsubscribe(&[Subscription { symbol: "B".to_owned(), stream: Stream::AggregatedTrades }]);
    let with_wire = Batch { sequence: Some(4), wire: Some(Box::new(wire)), ..Batch::new(ConnectionId(77), facts()) };
    let without = Batch::new(ConnectionId::REST, facts());
    vec![
        Entry::Tick(u64::MAX),
        Entry::Batch(with_wire, 8),
        Entry::Lost(3),
        Entry::Batch(without, 0),
        Entry::Batch(Batch { wire: Some(Box::default()), ..Batch::new(ConnectionId(1), Vec::new()) }, 9),
        Entry::Flush(10),
        Entry::Release(11),
        Entry::Resume(12),
    ]
}

fn written(entries: &[Entry]) -> String {
    let header = Header::new(3, serde_json::json!({"large_trade": 1}));
    let mut text = serde_json::to_string(&header).unwrap() + "\n";
    entries.iter().for_each(|entry| line::write(&mut text, entry).unwrap());
    text
}

fn read(path: &Path, bytes: &[u8]) -> (Vec<Entry>, bool) {
    fs::write(path, bytes).unwrap();
    let mut file = CaptureFile::open(path).unwrap();
    let entries = file.by_ref().map(Result::unwrap).collect();
    (entries, file.is_torn())
}

fn file() -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("capture");
    (directory, path)
}

#[test]
fn everything_comes_back() {
    let (_directory, path) = file();
    let (read, torn) = read(&path, written(&entries()).as_bytes());
    assert!(!torn);
    // The first three facts of the connection's batch come of its frames again; what is the feed's own is there.
    let Entry::Batch(batch, 8) = &read[1] else { panic!("{read:#?}") };
    assert_eq!((batch.connection, batch.sequence), (ConnectionId(77), Some(4)));
    let Entry::Batch(original, _) = &entries()[1] else { panic!() };
    assert_eq!(batch.wire, original.wire);
    let own: Vec<_> = [0, 3, 4].iter().map(|index| format!("{:?}", facts()[*index])).collect();
    assert_eq!(batch.facts.iter().map(|fact| format!("{fact:?}")).collect::<Vec<_>>(), own);
    let Entry::Batch(batch, _) = &read[3] else { panic!("{read:#?}") };
    assert_eq!(format!("{:?}", batch.facts), format!("{:?}", facts()));
    for at in [0, 2, 5, 6, 7] {
        assert_eq!(format!("{:?}", read[at]), format!("{:?}", entries()[at]));
    }
    assert!(matches!(&read[4], Entry::Batch(batch, 9) if batch.facts.is_empty()));
}

#[test]
fn a_file_cut_anywhere_is_read_as_far_as_it_goes() {
    let (_directory, path) = file();
    let text = written(&entries());
    let all: Vec<_> = read(&path, text.as_bytes()).0.iter().map(|entry| format!("{entry:?}")).collect();
    for cut in (0..text.len()).step_by(3) {
        let (entries, torn) = read(&path, &text.as_bytes()[..cut]);
        let entries: Vec<_> = entries.iter().map(|entry| format!("{entry:?}")).collect();
        assert_eq!(entries, all[..entries.len()], "cut at {cut}");
        // At the end of an entry nothing is torn, and nobody can tell that more followed.
        assert!(torn || cut == 0 || text[..cut].ends_with('\n'), "cut at {cut}");
    }
    let blocks: Vec<u8> =
        text.split_inclusive('\n').flat_map(|line| zstd::encode_all(line.as_bytes(), 1).unwrap()).collect();
    for cut in (0..blocks.len()).step_by(11) {
        let (entries, _) = read(&path, &blocks[..cut]);
        let entries: Vec<_> = entries.iter().map(|entry| format!("{entry:?}")).collect();
        assert_eq!(entries, all[..entries.len()], "cut at {cut}");
    }
    assert_eq!(read(&path, &blocks).0.len(), all.len());
}

#[test]
fn a_changed_byte_is_an_error() {
    let (_directory, path) = file();
    let mut compressor = zstd::bulk::Compressor::new(1).unwrap();
    compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true)).unwrap();
    let mut block = compressor.compress(written(&entries()).as_bytes()).unwrap();
    let middle = block.len() / 2;
    block[middle] ^= 0x10;
    fs::write(&path, block).unwrap();
    let mut entries = match CaptureFile::open(&path) {
        Ok(file) => file,
        Err(error) => return assert!(matches!(error, ReadError::Io { .. }), "{error}"),
    };
    assert!(entries.any(|entry| entry.is_err()));
}

#[test]
fn lines_that_say_nothing_are_named() {
    let (_directory, path) = file();
    let head = written(&[]);
    for (lines, expected) in [
        ("y 1\n", "line 2: there is no line of kind `y`"),
        ("t now\n", "line 2: `now` is not a number"),
        ("b 9 1 - 1\nt 4\n", "line 3: a batch has no line of kind `t`"),
        ("b 9 1 - 1\nf 4 1\n", "line 3: a frame without text"),
        ("b 9 1 - 1\ns [[\"A\",\"orders\"]]\n", "line 3: `orders` is not a stream"),
        ("b 9 1 - 1\nw [{\"symbol\":1}]\n", "line 3: missing field"),
        ("b 1 1\n", "line 2: a number is missing"),
    ] {
        fs::write(&path, format!("{head}{lines}")).unwrap();
        let error = CaptureFile::open(&path).unwrap().find_map(Result::err).unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
    for (text, expected) in [
        ("hello\n", "is no capture of this logger"),
        ("{\"a\":1}\n", "its first line does not say so"),
        ("{\"capture\":1}\n", "missing field"),
        ("{\"capture\":2}\n", "is a capture of version 2, this program knows up to 1"),
    ] {
        fs::write(&path, text).unwrap();
        let error = CaptureFile::open(&path).map(drop).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

proptest! {
    /// Whatever the frames and the floats are.
    #[test]
    fn any_batch_comes_back(texts in prop::collection::vec(any::<String>(), 0..5), bits in any::<[u64; 4]>()) {
        let [bid, bid_size, ask, ask_size] = bits.map(f64::from_bits);
        let quote = Fact::Quote(QuoteFact { update_id: bits[0], event_ns: bits[1], bid, bid_size, ask, ask_size });
        let mut wire = Wire::default();
        for (text, ns) in texts.iter().zip(bits) {
            wire.frame(ns, text);
        }
        wire.own();
        let facts = vec![Received { symbol: 0, receive_ns: bits[2], fact: quote }];
        let batch = Batch { wire: Some(Box::new(wire.clone())), ..Batch::new(ConnectionId(bits[3]), facts) };
        let (_directory, path) = file();
        let (read, _) = read(&path, written(&[Entry::Batch(batch, 1)]).as_bytes());
        let Entry::Batch(batch, _) = &read[0] else { panic!() };
        prop_assert_eq!(batch.wire.as_deref(), Some(&wire));
        let Fact::Quote(read) = &batch.facts[0].fact else { panic!() };
        for (was, is) in [(bid, read.bid), (bid_size, read.bid_size), (ask, read.ask), (ask_size, read.ask_size)] {
            prop_assert!(was.to_bits() == is.to_bits() || was.is_nan() && is.is_nan());
        }
    }
}
