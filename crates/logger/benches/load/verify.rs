//! Compares the files with what was sent.

use std::{fs, path::Path};

use crate::{
    blaster::Sent,
    block::{QUOTES, TRADES},
    venue::{FIRST_ID, Venue},
    watcher::column_file,
};

/// Rows that are missing, and rows that are wrong or too many.
#[derive(Default)]
pub(crate) struct Difference {
    pub(crate) missing: u64,
    pub(crate) wrong: u64,
}

/// Looks at every row that was made while sending, by its id: in both tables of every symbol, trades and quotes each in the
/// order in which they were sent.
pub(crate) fn verify(venue: Venue, exchange: &Path, sent: &[Sent]) -> Difference {
    let mut difference = Difference::default();
    for Sent { symbols, rounds, .. } in sent {
        let ids = |per_round| (0..rounds * per_round).map(|id| FIRST_ID + id).collect::<Vec<u64>>();
        let (trades, quotes) = (ids(TRADES), ids(QUOTES));
        for symbol in symbols {
            let of_symbol = exchange.join(venue.directory(symbol));
            difference.compare(&u64s(&of_symbol.join("TRADES"), "id"), &trades);
            let md = of_symbol.join("MD");
            let kinds = cells(&md, "kind");
            let of_trade = |row: usize| kinds[4 * row] == 1;
            let event_ids = u64s(&md, "event_id");
            let of_kind = |ids: &[u64], trade| -> Vec<u64> {
                ids.iter().enumerate().filter(|(row, _)| of_trade(*row) == trade).map(|(_, id)| *id).collect()
            };
            difference.compare(&of_kind(&event_ids, true), &trades);
            let quote_ids = match venue {
                Venue::Binance => event_ids,
                Venue::Kraken => {
                    u64s(&md, "best_bid_f64").into_iter().map(|bits| f64::from_bits(bits) as u64).collect()
                }
            };
            difference.compare(&of_kind(&quote_ids, false), &quotes);
        }
    }
    difference
}

fn cells(table: &Path, column: &str) -> Vec<u8> {
    column_file(table, column).map_or(Vec::new(), |path| fs::read(path).unwrap())
}

fn u64s(table: &Path, column: &str) -> Vec<u64> {
    cells(table, column).chunks_exact(8).map(|cell| u64::from_le_bytes(cell.try_into().unwrap())).collect()
}

impl Difference {
    fn compare(&mut self, found: &[u64], expected: &[u64]) {
        // What was sent as the state at the beginning has an id below all others.
        let found: Vec<u64> = found.iter().copied().filter(|id| *id >= FIRST_ID).collect();
        let same = found.iter().zip(expected).filter(|(found, expected)| found == expected).count();
        self.missing += expected.len().saturating_sub(found.len()) as u64;
        self.wrong += (found.len() - same) as u64;
    }
}
