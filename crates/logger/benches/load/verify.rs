//! Compares the files with what was sent.

use std::{fs, path::Path};

use crate::{
    blaster::Sent,
    block::{QUOTES, TRADES},
    venue::FIRST_ID,
    watcher::column_file,
};

/// Rows that are missing, and rows that are wrong or too many.
#[derive(Default)]
pub(crate) struct Difference {
    pub(crate) missing: u64,
    pub(crate) wrong: u64,
}

/// Looks at every row's id in both tables of every symbol: of each round a quote, a trade, and the other quotes, in this order.
pub(crate) fn verify(exchange: &Path, sent: &[Sent], directory: impl Fn(&str) -> String) -> Difference {
    let mut difference = Difference::default();
    for Sent { symbols, rounds, .. } in sent {
        let trades: Vec<u64> = (0..rounds * TRADES).map(|id| FIRST_ID + id).collect();
        let states: Vec<u64> = (0..*rounds)
            .flat_map(|round| {
                let quote = move |turn| FIRST_ID + round * QUOTES + turn;
                [quote(0), FIRST_ID + round].into_iter().chain((1..QUOTES).map(quote))
            })
            .collect();
        for symbol in symbols {
            let of_symbol = exchange.join(directory(symbol));
            difference.compare(&of_symbol.join("TRADES"), "id", &trades);
            difference.compare(&of_symbol.join("MD"), "event_id", &states);
        }
    }
    difference
}

impl Difference {
    fn compare(&mut self, table: &Path, column: &str, expected: &[u64]) {
        let path = column_file(table, column);
        let bytes = path.map_or(Vec::new(), |path| fs::read(path).unwrap());
        let found: Vec<u64> = bytes.chunks_exact(8).map(|cell| u64::from_le_bytes(cell.try_into().unwrap())).collect();
        let same = found.iter().zip(expected).filter(|(found, expected)| found == expected).count();
        self.missing += expected.len().saturating_sub(found.len()) as u64;
        self.wrong += (found.len() - same) as u64;
    }
}
