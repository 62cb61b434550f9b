//! Captures of other programs: text lines of what a client and an exchange said to each other, as the cryptofeed project
//! records them. `URL <-> T` connected; `URL <- T: FRAME` sent by the client; `URL -> T: …` a request over HTTP; `T: FRAME`
//! received. T is Unix seconds with a fraction.
//!
//! Such a capture does not say what its program knew. Every symbol that its frames tell of is recorded; a stream is live from
//! its first data, and lost at the end or when the same URL is connected to again.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs::File,
    io::{self, BufReader, Read as _},
    path::{Path, PathBuf},
};

use column_store::Stream as Recorded;
use exchange_protocol::{Event, Session, Stream, Subscription, Venue, coinbase};

use super::Entry;
use crate::received::{self, Batch, ConnectionId, Fact, LostWhy, Received, SymbolIndex, recorded};

/// The recorder is told the time this often, ns, as it is when it records.
const TICK_NS: u64 = 500_000_000;

/// Why such a capture cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForeignError {
    #[error("cannot read {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}, line {line}: {reason}")]
    Line { path: PathBuf, line: usize, reason: String },
    #[error("{path} has no trade and no quote in {frames} frames, {undecodable} of which were not understood")]
    Nothing { path: PathBuf, frames: u64, undecodable: u64 },
}

/// A capture as entries for the recorder.
#[derive(Debug)]
pub(crate) struct ForeignCapture {
    pub(crate) rules: serde_json::Value,
    pub(crate) entries: Vec<Entry>,
    pub(crate) begins_ns: u64,
    pub(crate) frames: u64,
    pub(crate) undecodable: u64,
    /// Bytes of the file.
    pub(crate) length: u64,
}

/// Whether a file is such a capture, by how it begins.
pub(crate) fn is_foreign(path: &Path) -> Result<bool, ForeignError> {
    let error = |source| ForeignError::Io { path: path.to_owned(), source };
    let mut head = Vec::new();
    File::open(path).map_err(error)?.take(8).read_to_end(&mut head).map_err(error)?;
    Ok([&b"ws://"[..], b"wss://", b"http://", b"https://"].iter().any(|scheme| head.starts_with(scheme)))
}

enum Line<'a> {
    Connected { url: &'a str },
    Sent(&'a str),
    Request,
    Received { at_ns: u64, frame: &'a str },
}

fn line(text: &str) -> Result<Line<'_>, String> {
    if ["ws://", "wss://", "http://", "https://"].iter().any(|scheme| text.starts_with(scheme)) {
        let (url, rest) = text.split_once(' ').ok_or("a URL alone")?;
        return match rest.split_once(' ') {
            Some(("<->", _)) => Ok(Line::Connected { url }),
            Some(("<-", sent)) => Ok(Line::Sent(sent.split_once(": ").map_or("", |(_, frame)| frame))),
            Some(("->", _)) => Ok(Line::Request),
            _ => Err("no arrow after the URL".to_owned()),
        };
    }
    let (time, frame) = text.split_once(": ").ok_or("neither a URL nor a time")?;
    let at_ns = seconds(time).ok_or_else(|| format!("`{time}` is no time in seconds"))?;
    Ok(Line::Received { at_ns, frame })
}

/// Unix seconds with up to nine digits behind the point, in ns, exactly.
fn seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    if fraction.len() > 9 || !is_digits(fraction) || whole.is_empty() || !is_digits(whole) {
        return None;
    }
    let nanos: u64 = format!("{fraction:0<9}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// The venue whose name is in the URL's host, with the source of quotes that the capture has.
fn venue_of(url: &str, text: &str) -> Option<&'static dyn Venue> {
    let host = url.split_once("://")?.1.split(['/', ':']).next()?;
    let venue = exchange_protocol::venues().into_iter().find(|venue| host.contains(venue.facts().name))?;
    let has_book = text.contains("\"l2update\"") || text.contains("\"snapshot\"");
    Some(if venue.facts().name == "coinbase" && !has_book { &coinbase::TICKER } else { venue })
}

impl ForeignCapture {
    pub(crate) fn read(path: &Path) -> Result<ForeignCapture, ForeignError> {
        let io_error = |source| ForeignError::Io { path: path.to_owned(), source };
        let mut text = String::new();
        BufReader::new(File::open(path).map_err(io_error)?).read_to_string(&mut text).map_err(io_error)?;
        let mut lines = Vec::new();
        for (index, each) in text.lines().enumerate().filter(|(_, each)| !each.trim().is_empty()) {
            let fail = |reason| ForeignError::Line { path: path.to_owned(), line: index + 1, reason };
            lines.push(line(each).map_err(fail)?);
        }
        let url = lines.iter().find_map(|line| if let Line::Connected { url } = line { Some(*url) } else { None });
        let venue = url.and_then(|url| venue_of(url, &text));
        let venue = venue.ok_or_else(|| {
            let reason = format!("{} is no exchange that this program knows", url.unwrap_or("nothing"));
            ForeignError::Line { path: path.to_owned(), line: 1, reason }
        })?;
        let names = names(&lines, venue);
        let mut reading = Reading::new(venue, &names);
        for line in &lines {
            reading.take(line);
        }
        reading.end();
        let Reading { entries, frames, undecodable, begins_ns, has_facts, .. } = reading;
        if !has_facts {
            return Err(ForeignError::Nothing { path: path.to_owned(), frames, undecodable });
        }
        let trades = if names.aggregates { "aggTrade" } else { "trade" };
        let symbols: Vec<_> = names.symbols.iter().collect();
        let name = venue.facts().name;
        let rules = serde_json::json!({"exchanges": {name: {"symbols": symbols, "trades": trades}}, "backfill": false});
        let length = text.len() as u64;
        Ok(ForeignCapture { rules, entries, begins_ns: begins_ns.unwrap_or(0), frames, undecodable, length })
    }
}

/// What a capture is about.
#[derive(Default)]
struct Names {
    /// That frames tell of, sorted.
    symbols: BTreeSet<String>,
    /// What the client may have subscribed to.
    asked: BTreeSet<String>,
    aggregates: bool,
}

fn names(lines: &[Line<'_>], venue: &'static dyn Venue) -> Names {
    let mut names = Names::default();
    for line in lines {
        if let Line::Sent(frame) = line
            && let Ok(value) = serde_json::from_str(frame)
        {
            strings(&value, &mut names.asked);
        }
    }
    let is_name = |name: &String| column_store::layout::symbol_directory(name).is_ok() && venue.spelling(name) == *name;
    names.asked.retain(is_name);
    let mut session = session(venue, &names.asked);
    for line in lines {
        if let Line::Received { frame, .. } = line {
            names.aggregates |= venue.facts().name == "binance" && frame.contains("\"aggTrade\"");
            _ = session.decode(frame, &mut |event| {
                if let Event::Trade(_) | Event::Quote(_) = event
                    && let Some((name, ..)) = received::to_record(&event)
                {
                    names.symbols.insert(name.to_owned());
                }
            });
        }
    }
    names.symbols.retain(is_name);
    names
}

/// All strings in a JSON value.
fn strings(value: &serde_json::Value, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::String(text) => _ = found.insert(text.clone()),
        serde_json::Value::Array(values) => values.iter().for_each(|value| strings(value, found)),
        serde_json::Value::Object(fields) => fields.values().for_each(|value| strings(value, found)),
        _ => {}
    }
}

/// A session that was asked for everything that may come.
fn session(venue: &'static dyn Venue, asked: &BTreeSet<String>) -> Box<dyn Session> {
    let mut session = venue.session();
    session.open();
    let subscription = |symbol: &String| {
        [Stream::Trades, Stream::Quotes].map(|stream| Subscription { symbol: symbol.clone(), stream })
    };
    session.subscribe(&asked.iter().flat_map(subscription).collect::<Vec<_>>());
    session
}

/// A capture on its way to entries.
struct Reading<'n> {
    venue: &'static dyn Venue,
    names: &'n Names,
    index: BTreeMap<&'n str, SymbolIndex>,
    session: Box<dyn Session>,
    connection: ConnectionId,
    /// Of this connection.
    live: HashSet<(SymbolIndex, Recorded)>,
    entries: Vec<Entry>,
    frames: u64,
    undecodable: u64,
    begins_ns: Option<u64>,
    now_ns: u64,
    next_tick_ns: u64,
    has_facts: bool,
    urls: HashSet<String>,
}

impl<'n> Reading<'n> {
    fn new(venue: &'static dyn Venue, names: &'n Names) -> Reading<'n> {
        Reading {
            venue,
            names,
            index: names.symbols.iter().map(String::as_str).zip(0..).collect(),
            session: session(venue, &names.asked),
            connection: ConnectionId(1),
            live: HashSet::new(),
            entries: Vec::new(),
            frames: 0,
            undecodable: 0,
            begins_ns: None,
            now_ns: 0,
            next_tick_ns: 0,
            has_facts: false,
            urls: HashSet::new(),
        }
    }

    fn take(&mut self, line: &Line<'_>) {
        match line {
            Line::Connected { url } if !self.urls.insert((*url).to_owned()) => {
                self.lose();
                self.session = session(self.venue, &self.names.asked);
                self.connection.0 += 1;
            }
            Line::Connected { .. } | Line::Sent(_) | Line::Request => {}
            Line::Received { at_ns, frame } => self.frame(*at_ns, frame),
        }
    }

    fn frame(&mut self, at_ns: u64, frame: &str) {
        self.frames += 1;
        // A clock that was set back does not set the recorder's back.
        self.now_ns = self.now_ns.max(at_ns);
        if self.begins_ns.is_none() {
            self.begins_ns = Some(at_ns);
            self.next_tick_ns = self.now_ns + TICK_NS;
        }
        if self.now_ns >= self.next_tick_ns {
            self.next_tick_ns = self.now_ns + TICK_NS;
            self.entries.extend([Entry::Tick(self.now_ns), Entry::Flush(self.now_ns)]);
        }
        let Reading { session, index, live, .. } = self;
        let mut facts = Vec::new();
        let result = session.decode(frame, &mut |event| {
            let stream = match event {
                Event::Trade(_) | Event::LastTrade { .. } => recorded(Stream::Trades),
                Event::Quote(_) | Event::Renumbered { .. } => recorded(Stream::Quotes),
                Event::Alive { stream, .. } => recorded(stream),
                _ => return,
            };
            let Some((name, fact, _)) = received::to_record(&event) else { return };
            let Some(symbol) = index.get(name).copied() else { return };
            let is_data = matches!(fact, Fact::Trade(_) | Fact::Quote(_));
            if is_data && live.insert((symbol, stream)) {
                facts.push(Received { symbol, receive_ns: at_ns, fact: Fact::Live(stream) });
            }
            if live.contains(&(symbol, stream)) {
                facts.push(Received { symbol, receive_ns: at_ns, fact });
            }
        });
        self.undecodable += u64::from(result.is_err());
        self.has_facts |= !facts.is_empty();
        self.batch(facts);
    }

    fn batch(&mut self, facts: Vec<Received>) {
        if !facts.is_empty() {
            self.entries.push(Entry::Batch(Batch::new(self.connection, facts), self.now_ns));
        }
    }

    /// The connection is gone.
    fn lose(&mut self) {
        let mut live: Vec<_> = self.live.drain().collect();
        live.sort_unstable();
        let receive_ns = self.now_ns;
        let lost = |(symbol, stream)| {
            let fact = Fact::Lost { stream, why: LostWhy::Disconnected, proven_ns: receive_ns };
            Received { symbol, receive_ns, fact }
        };
        self.batch(live.into_iter().map(lost).collect());
    }

    fn end(&mut self) {
        self.lose();
        let now_ns = self.now_ns;
        self.entries.extend([Entry::Tick(now_ns), Entry::Release(now_ns), Entry::Flush(now_ns)]);
    }
}
