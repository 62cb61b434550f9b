//! Capture files: text lines of what a client and an exchange said to each other.
//!
//! `URL <-> T` connected; `URL <- T: FRAME` sent by the client; `URL -> T: …` an HTTP request; `T: FRAME` received.
//! T is Unix seconds with a fraction. Only received frames are replayed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{binance, coinbase};
use crate::error::{Error, Result};
use crate::frame::Form;
use crate::ledger::MessageEntry;
use crate::venue::VenueKind;

/// One received frame that can be sent again.
#[derive(Debug)]
pub(crate) struct CapturedFrame {
    /// Time since the first received frame of the capture.
    pub(crate) at: Duration,
    /// Subscriptions it belongs to: one of them is enough.
    pub(crate) topics: Vec<String>,
    /// The frame as a connection gets that did not ask for Binance's wrapping.
    pub(crate) plain: Utf8Bytes,
    /// The frame as a connection gets that did; the same at venues that wrap nothing.
    pub(crate) wrapped: Utf8Bytes,
    /// What the ledger says of it.
    pub(crate) entry: MessageEntry,
}

impl CapturedFrame {
    /// The text for a connection of this form; times stay as captured.
    pub(crate) fn text(&self, form: Form) -> Utf8Bytes {
        if form.wrapped { self.wrapped.clone() } else { self.plain.clone() }
    }
}

/// All that was captured of one venue.
#[derive(Debug)]
pub(crate) struct Capture {
    pub(crate) venue: VenueKind,
    /// In the order of their first frames.
    pub(crate) symbols: Vec<String>,
    pub(crate) frames: Vec<CapturedFrame>,
}

impl Capture {
    /// Whether its trades are Binance's aggTrades only.
    pub(crate) fn has_only_agg_trades(&self) -> bool {
        let has = |message| self.frames.iter().any(|frame| frame.entry.message == message);
        has("aggTrade") && !has("trade")
    }
}

/// Reads captures, one per venue; several files of a venue follow each other without a pause.
///
/// # Errors
///
/// [`Error::Read`] for an unreadable file, [`Error::Capture`] for a line of unknown form, a frame that is not JSON, a venue the
/// simulator does not have, or a file without any frame to send.
pub(crate) fn load(files: &[PathBuf]) -> Result<Vec<Capture>> {
    let mut captures: Vec<Capture> = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let mut loaded = parse(path, &text)?;
        match captures.iter_mut().find(|capture| capture.venue == loaded.venue) {
            None => captures.push(loaded),
            Some(capture) => {
                let start = capture.frames.last().map_or(Duration::ZERO, |frame| frame.at);
                loaded.frames.iter_mut().for_each(|frame| frame.at += start);
                capture.frames.append(&mut loaded.frames);
                loaded.symbols.retain(|symbol| !capture.symbols.contains(symbol));
                capture.symbols.append(&mut loaded.symbols);
            }
        }
    }
    Ok(captures)
}

/// One line.
#[derive(Debug, PartialEq)]
enum Line<'a> {
    /// Of a connection or request; only the URL matters.
    Url(&'a str),
    Received {
        at_ns: u64,
        frame: &'a str,
    },
}

fn parse(path: &Path, text: &str) -> Result<Capture> {
    let mut venue = None;
    let mut first_ns = None;
    let mut symbols: Vec<String> = Vec::new();
    let mut known: HashSet<String> = HashSet::new();
    let mut with_ticker: HashSet<String> = HashSet::new();
    let mut frames = Vec::new();
    let mut last_line = 1;
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        last_line = index + 1;
        let fail = |reason: String| Error::Capture { path: path.to_owned(), line: index + 1, reason };
        match parse_line(line).map_err(fail)? {
            Line::Url(url) => {
                let named = venue_of(url).ok_or_else(|| fail(format!("no venue of the simulator: {url}")))?;
                if *venue.get_or_insert(named) != named {
                    return Err(fail(format!("{named} in a capture of another venue")));
                }
            }
            Line::Received { at_ns, frame } => {
                let venue = venue.ok_or_else(|| fail("a frame before any URL".to_owned()))?;
                let first_ns = *first_ns.get_or_insert(at_ns);
                let at = Duration::from_nanos(at_ns.saturating_sub(first_ns));
                let value: Value = serde_json::from_str(frame).map_err(|error| fail(format!("no JSON: {error}")))?;
                let read = match venue {
                    VenueKind::Coinbase => coinbase::read(at, frame, &value),
                    VenueKind::Binance => binance::read(at, frame, &value).map_err(|error| fail(error.to_string()))?,
                    other => return Err(fail(format!("captures of {other} are not replayed"))),
                };
                let Some(mut captured) = read else { continue };
                if let Some(symbol) = &captured.entry.symbol {
                    if known.insert(symbol.clone()) {
                        symbols.push(symbol.clone());
                    }
                    // Coinbase's first ticker of a product answers the subscription.
                    captured.entry.snapshot |= captured.entry.message == "ticker" && with_ticker.insert(symbol.clone());
                }
                frames.push(captured);
            }
        }
    }
    let empty = || Error::Capture { path: path.to_owned(), line: last_line, reason: "no frame to send".to_owned() };
    let venue = venue.filter(|_| !frames.is_empty()).ok_or_else(empty)?;
    Ok(Capture { venue, symbols, frames })
}

fn parse_line(line: &str) -> Result<Line<'_>, String> {
    if ["ws://", "wss://", "http://", "https://"].iter().any(|scheme| line.starts_with(scheme)) {
        let (url, rest) = line.split_once(' ').ok_or("a URL alone")?;
        let known = ["<-> ", "<- ", "-> "].iter().any(|arrow| rest.starts_with(arrow));
        return if known { Ok(Line::Url(url)) } else { Err("no arrow after the URL".to_owned()) };
    }
    let (time, frame) = line.split_once(": ").ok_or("neither a URL nor a time")?;
    let at_ns = parse_seconds(time).ok_or_else(|| format!("{time:?} is no time in seconds"))?;
    Ok(Line::Received { at_ns, frame })
}

/// Unix seconds with up to nine fraction digits, in ns; without the detour over a float, which would round.
fn parse_seconds(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let nanos: u64 = format!("{fraction:0<9}").parse().ok()?;
    seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// The venue whose name is in the URL's host.
fn venue_of(url: &str) -> Option<VenueKind> {
    let (_, rest) = url.split_once("://")?;
    let host = rest.split('/').next()?;
    VenueKind::ALL.into_iter().find(|venue| host.contains(venue.name()))
}

/// The text of a field.
pub(super) fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().map(ToOwned::to_owned)
}

/// The whole number in a field.
pub(super) fn number(value: &Value, name: &str) -> Option<u64> {
    value.get(name)?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "wss://ws-feed.pro.coinbase.com <-> 1618677816.8434298\n";

    fn check_error(text: &str, line: usize, words: &str) {
        match parse(Path::new("some.capture"), text) {
            Err(error @ Error::Capture { line: named, .. }) => {
                assert_eq!(named, line, "{error}");
                assert!(error.to_string().starts_with(&format!("some.capture:{line}: ")), "{error}");
                assert!(error.to_string().contains(words), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn malformed_lines_are_named() {
        check_error("1.0: {}\n", 1, "before any URL");
        check_error(&format!("{HEAD}what\n"), 2, "neither a URL nor a time");
        check_error(&format!("{HEAD}\nx: {{}}\n"), 3, "no time");
        check_error(&format!("{HEAD}1.0: {{\n"), 2, "no JSON");
        check_error("wss://example.org <-> 1.0\n", 1, "no venue");
        check_error("wss://ws-feed.pro.coinbase.com 1.0\n", 1, "no arrow");
        check_error(&format!("{HEAD}wss://stream.binance.com:9443/ws <-> 1.0\n"), 2, "another venue");
        check_error(HEAD, 1, "no frame");
        check_error("", 1, "no frame");
    }

    #[test]
    fn seconds_are_exact() {
        assert_eq!(parse_seconds("1618677817.0618958"), Some(1_618_677_817_061_895_800));
        assert_eq!(parse_seconds("1618677817"), Some(1_618_677_817_000_000_000));
        assert_eq!(parse_seconds("1618677817.-1"), None);
        assert_eq!(parse_seconds("99999999999999999999.0"), None);
    }

    #[test]
    fn files_of_a_venue_follow_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let frame = |at: &str, product: &str| {
            format!(
                "{at}: {{\"type\":\"heartbeat\",\"sequence\":1,\"last_trade_id\":2,\"product_id\":\"{product}\"}}\n"
            )
        };
        let files =
            [("a", "100.0", "101.5", "A-USD"), ("b", "500.0", "501.0", "B-USD")].map(|(name, one, two, product)| {
                let path = directory.path().join(name);
                std::fs::write(&path, format!("{HEAD}{}{}", frame(one, product), frame(two, product))).unwrap();
                path
            });
        let captures = load(&files).unwrap();
        assert_eq!(captures.len(), 1);
        assert_eq!(captures[0].symbols, ["A-USD", "B-USD"]);
        let at: Vec<_> = captures[0].frames.iter().map(|frame| frame.at.as_millis()).collect();
        assert_eq!(at, [0, 1_500, 1_500, 2_500]);
    }
}
