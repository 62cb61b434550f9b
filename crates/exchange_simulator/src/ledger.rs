//! The ledger: what the simulator sent, to whom, and what happened while nobody listened. It is the oracle of the tests.

mod entry;

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::MarketClock;
use crate::error::{Error, Result};
use crate::venue::VenueKind;

pub use entry::{ControlEntry, ControlKind, ControlMessage, Entry, MessageEntry, MessageKind, Side, settle};

/// Most lines a ledger kept in memory can have (about 1 GB); beyond it the simulator fails, as a truncated oracle would lie.
pub const MAX_LINES_IN_MEMORY: usize = 2_000_000;

/// Bytes collected before a write to the file.
const BUFFER_BYTES: usize = 1 << 20;

/// What became of one message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delivery {
    /// Who it was handed to.
    pub(crate) connections: Vec<u64>,
    /// Their own counts of it, at venues that have such.
    pub(crate) socket_seqs: Vec<u64>,
    /// Who it was kept from.
    pub(crate) withheld: Vec<u64>,
    /// By which fault, or what else a fault did to it.
    pub(crate) fault: Option<&'static str>,
    /// REST does not show it either.
    pub(crate) hidden: bool,
}

/// The one ledger of a simulator, shared by its venues.
#[derive(Debug)]
pub(crate) struct Ledger {
    clock: MarketClock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last_seq: u64,
    file: Option<(PathBuf, BufWriter<File>)>,
    memory: Option<Vec<Entry>>,
    /// The first failure; reported by every flush from then on.
    failure: Option<Failure>,
}

#[derive(Clone, Debug)]
enum Failure {
    Write(io::ErrorKind, String),
    Full,
}

impl Ledger {
    /// A ledger written to `path` (created or truncated), kept in memory, both, or neither.
    pub(crate) fn create(path: Option<&Path>, in_memory: bool, clock: MarketClock) -> Result<Self> {
        let file = match path {
            None => None,
            Some(path) => {
                let fail = |error| Error::Setting { setting: "ledger", reason: format!("{}: {error}", path.display()) };
                let file = File::create(path).map_err(fail)?;
                Some((path.to_owned(), BufWriter::with_capacity(BUFFER_BYTES, file)))
            }
        };
        let memory = in_memory.then(Vec::new);
        Ok(Self { clock, state: Mutex::new(State { last_seq: 0, file, memory, failure: None }) })
    }

    /// Numbers the `lines` lines of one market message, lets `deliver` hand it to connections under these numbers and writes
    /// the lines that name them. `describe` is only called if somebody reads the ledger; it gives as many entries.
    pub(crate) fn message(
        &self,
        lines: u64,
        describe: impl FnOnce() -> Vec<MessageEntry>,
        deliver: impl FnOnce(Range<u64>) -> Delivery,
    ) {
        let mut state = self.lock();
        let seqs = state.last_seq + 1..state.last_seq + 1 + lines;
        state.last_seq += lines;
        let sent_ns = self.clock.now_ns();
        let delivery = deliver(seqs.clone());
        if !state.is_read() {
            return;
        }
        for (seq, described) in seqs.clone().zip(describe()) {
            let Delivery { connections, socket_seqs, withheld, fault, hidden } = delivery.clone();
            let entry = MessageEntry {
                seq,
                frame: seqs.start,
                sent_ns,
                connections,
                socket_seqs,
                withheld,
                rest: described.rest && !hidden,
                fault: fault.map(Cow::Borrowed),
                ..described
            };
            state.append(Entry::Message(Box::new(entry)));
        }
    }

    /// Writes a control line about a connection; `fill` adds what is special to it.
    pub(crate) fn control(
        &self,
        message: ControlMessage,
        venue: VenueKind,
        connection: u64,
        fill: impl FnOnce(&mut ControlEntry),
    ) {
        let mut state = self.lock();
        if state.is_read() {
            let at_ns = self.clock.now_ns();
            let mut entry = ControlEntry {
                kind: ControlKind::Control,
                message,
                venue,
                connection,
                at_ns,
                reason: None,
                topics: Vec::new(),
                count: None,
                seqs: Vec::new(),
            };
            fill(&mut entry);
            state.append(Entry::Control(entry));
        }
    }

    /// Takes the claim back that `seqs` were delivered to `connection`.
    pub(crate) fn undelivered(&self, venue: VenueKind, connection: u64, seqs: Vec<u64>) {
        if !seqs.is_empty() {
            self.control(ControlMessage::Undelivered, venue, connection, |entry| {
                entry.count = Some(seqs.len() as u64);
                entry.seqs = seqs;
            });
        }
    }

    /// A copy of the lines kept in memory, in order; empty if none are kept.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.lock().memory.clone().unwrap_or_default()
    }

    /// Brings every line to the file.
    ///
    /// # Errors
    ///
    /// [`Error::Ledger`] if this or an earlier write failed, [`Error::LedgerFull`] if the memory is full.
    pub(crate) fn flush(&self) -> Result<()> {
        let mut guard = self.lock();
        let state = &mut *guard;
        if let (None, Some((_, file))) = (&state.failure, &mut state.file)
            && let Err(error) = file.flush()
        {
            state.failure = Some(Failure::Write(error.kind(), error.to_string()));
        }
        match (&state.failure, &state.file) {
            (None, _) => Ok(()),
            (Some(Failure::Write(kind, text)), Some((path, _))) => {
                Err(Error::Ledger { path: path.clone(), source: io::Error::new(*kind, text.clone()) })
            }
            (Some(_), _) => Err(Error::LedgerFull { limit: MAX_LINES_IN_MEMORY }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere is reported by its task; the lines themselves are whole at every point where one can occur.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_read(&self) -> bool {
        self.failure.is_none() && (self.file.is_some() || self.memory.is_some())
    }

    fn append(&mut self, entry: Entry) {
        if let Some((_, file)) = &mut self.file {
            let written =
                serde_json::to_writer(&mut *file, &entry).map_err(io::Error::from).and_then(|()| file.write_all(b"\n"));
            if let Err(error) = written {
                self.failure = Some(Failure::Write(error.kind(), error.to_string()));
            }
        }
        if let Some(memory) = &mut self.memory {
            if memory.len() == MAX_LINES_IN_MEMORY {
                self.failure = Some(Failure::Full);
            } else {
                memory.push(entry);
            }
        }
    }
}

/// Reads a ledger file.
///
/// # Errors
///
/// [`Error::Read`] if it cannot be read or a line is no ledger line; the reason then names the line's number.
pub fn read_ledger(path: &Path) -> Result<Vec<Entry>> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let mut entries = Vec::new();
    for (index, line) in BufReader::new(File::open(path).map_err(failed)?).lines().enumerate() {
        let entry = serde_json::from_str(&line.map_err(failed)?).map_err(|error| {
            failed(io::Error::new(io::ErrorKind::InvalidData, format!("line {}: {error}", index + 1)))
        })?;
        entries.push(entry);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ClockPace;

    #[test]
    fn file_and_memory_agree_and_settle_takes_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.jsonl");
        let ledger = Ledger::create(Some(&path), true, MarketClock::new(0, ClockPace::default())).unwrap();
        for _ in 0..2 {
            let entry = || vec![MessageEntry::new(VenueKind::Binance, MessageKind::Quote, "bookTicker")];
            ledger.message(1, entry, |_| Delivery { connections: vec![5, 6], ..Delivery::default() });
        }
        ledger.undelivered(VenueKind::Binance, 6, vec![2]);
        ledger.undelivered(VenueKind::Binance, 5, Vec::new());
        ledger.flush().unwrap();
        let entries = read_ledger(&path).unwrap();
        assert_eq!(entries, ledger.entries());
        assert_eq!(entries.len(), 3, "nothing undelivered, no line");
        let connections: Vec<_> = settle(&entries).into_iter().map(|message| message.connections).collect();
        assert_eq!(connections, [vec![5, 6], vec![5]]);
    }

    #[test]
    fn a_failed_write_fails_the_flush() {
        let ledger =
            Ledger::create(Some(Path::new("/dev/full")), false, MarketClock::new(0, ClockPace::default())).unwrap();
        ledger.control(ControlMessage::Connect, VenueKind::Coinbase, 1, |_| ());
        assert!(matches!(ledger.flush(), Err(Error::Ledger { .. })));
        assert!(matches!(ledger.flush(), Err(Error::Ledger { .. })), "and every later one");
    }
}
