//! Compares a logger's files with what the simulator's ledger says they must hold, whatever went wrong between the two.
//!
//! - Every trade that a connection got or that REST can still deliver is a row, once, with the exact values.
//! - Every other trade is in the records of gaps.
//! - Every quote that reached a live subscription is a row, in order; what did not lies in the records' intervals.
//! - Nothing else is there, and nothing is claimed to be whole that is not.

mod quotes;
mod trades;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use exchange_simulator::{ControlEntry, Entry, MessageEntry, Simulator, VenueKind, settle};

use crate::files::{self, GapRecord};

/// Clocks of both programs are the same, but a mark is set a little after what it marks; ns of the system's clock.
const SLACK_NS: u64 = 50_000_000;

/// All that a simulator knows at one moment, best when its market rests.
pub struct Oracle {
    messages: BTreeMap<(VenueKind, String), Vec<MessageEntry>>,
    controls: Vec<ControlEntry>,
    rest: BTreeMap<(VenueKind, String), BTreeSet<u64>>,
    crashes: Vec<Crash>,
    speed: u64,
}

/// A violent end of the logger; ns since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub struct Crash {
    /// What arrived before this was safe.
    pub safe_ns: u64,
    /// When it came.
    pub at_ns: u64,
}

impl Crash {
    /// Whether it may have taken what was sent then; the crash is noted a little after it.
    fn takes(&self, sent_ns: u64) -> bool {
        (self.safe_ns..=self.at_ns.saturating_add(SLACK_NS)).contains(&sent_ns)
    }
}

/// How one symbol's files compare.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What is wrong, in words; empty if all is well.
    pub findings: Vec<String>,
    /// Trades that must be there.
    pub trades: u64,
    /// Trades of the market between the first that must be there and the last of all that nobody can deliver.
    pub undeliverable: u64,
    /// Rows of quotes that were matched with the ledger.
    pub quotes: u64,
    /// Gaps of trades on record.
    pub trade_gaps: Vec<GapRecord>,
    /// Gaps of quotes on record.
    pub quote_gaps: Vec<GapRecord>,
}

impl Verdict {
    /// What `gpu_charts_data_gaps_total` must say of a run that began with an empty directory: missing ids, and 1 for each
    /// interval.
    pub fn gaps_total(&self) -> u64 {
        self.trade_gaps.iter().chain(&self.quote_gaps).map(|gap| gap.missing.unwrap_or(1)).sum()
    }

    fn find(&mut self, words: String) {
        // One mistake can show in thousands of rows.
        if self.findings.len() < 8 {
            self.findings.push(words);
        }
    }
}

impl Oracle {
    /// Asks a simulator, which must keep its ledger in memory, about these venues.
    pub fn of(simulator: &Simulator, venues: &[VenueKind]) -> Oracle {
        Oracle::read(simulator, venues, &simulator.ledger())
    }

    fn read(simulator: &Simulator, venues: &[VenueKind], ledger: &[Entry]) -> Oracle {
        let mut messages: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for message in settle(ledger) {
            if let Some(symbol) = message.symbol.clone() {
                messages.entry((message.venue, symbol)).or_default().push(message);
            }
        }
        let mut rest = BTreeMap::new();
        for venue in venues {
            for symbol in simulator.symbols(venue.name()) {
                let ids = simulator.rest_ids(venue.name(), &symbol).into_iter().collect();
                messages.entry((*venue, symbol.clone())).or_default();
                rest.insert((*venue, symbol), ids);
            }
        }
        let controls = ledger.iter().filter_map(Entry::control).cloned().collect();
        Oracle { messages, controls, rest, crashes: Vec::new(), speed: 1 }
    }

    /// The logger was ended like this: what was not safe may be missing if the records tell.
    #[must_use]
    pub fn with_crashes(self, crashes: &[Crash]) -> Oracle {
        Oracle { crashes: crashes.to_vec(), ..self }
    }

    /// Both clocks ran so many times as fast as the system's.
    #[must_use]
    pub fn at_speed(self, speed: u32) -> Oracle {
        Oracle { speed: u64::from(speed), ..self }
    }

    /// Compares all symbols; the findings of all, each with its symbol.
    pub fn judge_all(&self, data: &Path) -> (BTreeMap<(VenueKind, String), Verdict>, Vec<String>) {
        let mut findings = Vec::new();
        let mut verdicts = BTreeMap::new();
        for (venue, symbol) in self.rest.keys() {
            let verdict = self.judge(data, *venue, symbol);
            findings.extend(verdict.findings.iter().map(|finding| format!("{venue} {symbol}: {finding}")));
            verdicts.insert((*venue, symbol.clone()), verdict);
        }
        (verdicts, findings)
    }

    /// Compares one symbol.
    pub fn judge(&self, data: &Path, venue: VenueKind, symbol: &str) -> Verdict {
        let key = (venue, symbol.to_owned());
        let (messages, rest) = (&self.messages[&key], &self.rest[&key]);
        let mut verdict = Verdict {
            trade_gaps: files::gaps(data, venue.name(), symbol, "TRADES"),
            quote_gaps: files::gaps(data, venue.name(), symbol, "MD"),
            ..Verdict::default()
        };
        let table = files::table(data, venue.name(), symbol, "TRADES");
        let truth = trades::Truth::of(venue, messages, rest, &self.crashes);
        truth.judge(&table, &files::coverage(data, venue.name(), symbol, "TRADES"), &mut verdict);
        let controls: Vec<_> = self.controls.iter().filter(|control| control.venue == venue).collect();
        let quotes = quotes::Truth::of(symbol, messages, &controls, &self.crashes, self.speed);
        quotes.judge(&files::table(data, venue.name(), symbol, "MD"), &truth, &mut verdict);
        verdict
    }
}

/// A decimal's digits as the bits of the nearest double; NaN for none.
fn bits(decimal: Option<&String>) -> u64 {
    decimal.map_or(f64::NAN, |text| text.parse().unwrap()).to_bits()
}
