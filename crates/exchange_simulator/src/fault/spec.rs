//! Faults as text: `KIND[@VENUE][:key=value,…]`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Fault, FaultKind, HttpTarget, Start, Stream};
use crate::error::Error;

/// Kinds of faults, their keys and the defaults of these, for `--help`.
pub const FAULT_HELP: &str = "\
Faults: KIND[@VENUE][:key=value,...]
  Kinds, and their own keys with defaults:
    stall                     connections of that moment, or one symbol of them, fall silent
    ack-silence               what is subscribed meanwhile is acknowledged, then silent
    close:refuse=0s           Close frame; new connections are turned down for a time
    reset:refuse=0s           TCP RST
    ping-flood:pings=1000     that many ping frames at once
    corrupt                   a message is cut in half
    oversized:bytes=20000000  a message is cut in half and padded to a length
    out-of-order              a message comes after the next of its subscription
    duplicate                 a message comes twice
    gap:rest=yes              a message does not come; rest=no: REST does not have its trades either
    notice:lead=1s            announced end: Binance serverShutdown, OKX 64008, Bitfinex 20051
    maintenance:keeps=no      announced pause: Bitfinex 20060 and 20061, Kraken status; keeps=yes: subscriptions live on
    http:status=429,retry-after=1s,on=both   handshake, rest or both are answered with a status
    glued                     the first frame is in one TCP segment with the handshake's response
    bad-symbol:batch=no       a listed symbol is refused; batch=yes: with all in its request
    clock-skew:by=-5s         times of events are behind, or ahead
    slow-rest:delay=1s        REST takes longer
  Keys of all: symbol=NAME, connection=ID, after=DURATION or at=EVENTS, times=N, for=DURATION;
  of corrupt, oversized, out-of-order, duplicate and gap also stream=trades, quotes, heartbeats or all";

/// The keys of one text, each to be taken once.
struct Keys<'a> {
    text: &'a str,
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Keys<'a> {
    fn take(&mut self, key: &str) -> Option<&'a str> {
        let index = self.pairs.iter().position(|(found, _)| *found == key)?;
        Some(self.pairs.remove(index).1)
    }

    fn parse<T>(&mut self, key: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Error> {
        let Some(value) = self.take(key) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| wrong(self.text, &format!("{key}={value} makes no sense")))
    }

    fn duration(&mut self, key: &str) -> Result<Option<Duration>, Error> {
        self.parse(key, duration)
    }

    fn number<T: FromStr>(&mut self, key: &str) -> Result<Option<T>, Error> {
        self.parse(key, |value| value.parse().ok())
    }

    fn yes(&mut self, key: &str) -> Result<Option<bool>, Error> {
        self.parse(key, |value| match value {
            "yes" | "true" => Some(true),
            "no" | "false" => Some(false),
            _ => None,
        })
    }
}

fn wrong(text: &str, reason: &str) -> Error {
    Error::Setting { setting: "fault", reason: format!("{text:?}: {reason}") }
}

fn duration(value: &str) -> Option<Duration> {
    humantime::parse_duration(value).ok()
}

impl FromStr for Fault {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (head, tail) = text.split_once(':').unwrap_or((text, ""));
        let (name, venue) = match head.split_once('@') {
            Some((name, venue)) => (name, Some(venue.parse()?)),
            None => (head, None),
        };
        let mut keys = Keys { text, pairs: Vec::new() };
        for part in tail.split(',').filter(|part| !part.is_empty()) {
            keys.pairs.push(part.split_once('=').ok_or_else(|| wrong(text, &format!("{part} has no value")))?);
        }
        let kind = kind(name, &mut keys)?;
        let start = match (keys.duration("after")?, keys.number("at")?) {
            (None, None) => Start::Now,
            (Some(after), None) => Start::After(after),
            (None, Some(events)) => Start::AtEvent(events),
            (Some(_), Some(_)) => return Err(wrong(text, "after= and at= exclude each other")),
        };
        let stream = if kind.is_of_messages() { keys.parse("stream", stream)? } else { None };
        let fault = Self {
            kind,
            venue,
            symbol: keys.take("symbol").map(ToOwned::to_owned),
            connection: keys.number("connection")?,
            stream: stream.unwrap_or_default(),
            start,
            times: keys.number("times")?,
            lasting: keys.duration("for")?,
        };
        match keys.pairs.first() {
            Some((key, _)) => Err(wrong(text, &format!("{name} has no key {key}, or it stands there twice"))),
            None if venue.is_some_and(|venue| !fault.applies_to(venue)) => {
                Err(wrong(text, "the venue's protocol has no such thing"))
            }
            None => Ok(fault),
        }
    }
}

fn kind(name: &str, keys: &mut Keys<'_>) -> Result<FaultKind, Error> {
    let second = Duration::from_secs(1);
    Ok(match name {
        "stall" => FaultKind::Stall,
        "ack-silence" => FaultKind::AckThenSilence,
        "close" => FaultKind::Close { refuse: keys.duration("refuse")?.unwrap_or_default() },
        "reset" => FaultKind::Reset { refuse: keys.duration("refuse")?.unwrap_or_default() },
        "ping-flood" => FaultKind::PingFlood { pings: keys.number("pings")?.unwrap_or(1_000) },
        "corrupt" => FaultKind::Corrupt,
        "oversized" => FaultKind::Oversized { bytes: keys.number("bytes")?.unwrap_or(20_000_000) },
        "out-of-order" => FaultKind::OutOfOrder,
        "duplicate" => FaultKind::Duplicate,
        "gap" => FaultKind::Gap { rest: keys.yes("rest")?.unwrap_or(true) },
        "notice" => FaultKind::Notice { lead: keys.duration("lead")?.unwrap_or(second) },
        "maintenance" => FaultKind::Maintenance { keeps: keys.yes("keeps")?.unwrap_or(false) },
        "http" => FaultKind::Http {
            status: keys.parse("status", status)?.unwrap_or(429),
            retry_after: keys.parse("retry-after", retry_after)?.unwrap_or(Some(second)),
            on: keys.parse("on", target)?.unwrap_or_default(),
        },
        "glued" => FaultKind::Glued,
        "bad-symbol" => FaultKind::BadSymbol { whole_batch: keys.yes("batch")?.unwrap_or(false) },
        "clock-skew" => FaultKind::ClockSkew { ns: keys.parse("by", signed_ns)?.unwrap_or(-5_000_000_000) },
        "slow-rest" => FaultKind::SlowRest { delay: keys.duration("delay")?.unwrap_or(second) },
        _ => return Err(wrong(keys.text, &format!("there is no fault {name:?}"))),
    })
}

/// An HTTP status that is an error.
fn status(value: &str) -> Option<u16> {
    value.parse().ok().filter(|status| (400..600).contains(status))
}

fn retry_after(value: &str) -> Option<Option<Duration>> {
    if value == "none" { Some(None) } else { duration(value).map(Some) }
}

fn signed_ns(value: &str) -> Option<i64> {
    let (sign, text) = value.strip_prefix('-').map_or((1, value), |rest| (-1, rest));
    i64::try_from(duration(text)?.as_nanos()).ok().map(|ns| sign * ns)
}

fn stream(value: &str) -> Option<Stream> {
    [Stream::Trades, Stream::Quotes, Stream::Heartbeats, Stream::All].into_iter().find(|stream| stream.name() == value)
}

fn target(value: &str) -> Option<HttpTarget> {
    [HttpTarget::Both, HttpTarget::Handshake, HttpTarget::Rest].into_iter().find(|target| target.name() == value)
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Trades => "trades",
            Self::Quotes => "quotes",
            Self::Heartbeats => "heartbeats",
            Self::All => "all",
        }
    }
}

impl HttpTarget {
    fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Handshake => "handshake",
            Self::Rest => "rest",
        }
    }
}

fn compact(time: Duration) -> String {
    humantime::format_duration(time).to_string().replace(' ', "")
}

/// The keys that only this kind has, with their values.
fn own_keys(kind: &FaultKind) -> Vec<String> {
    let yes = |yes| if yes { "yes" } else { "no" };
    match kind {
        FaultKind::Close { refuse } | FaultKind::Reset { refuse } => vec![format!("refuse={}", compact(*refuse))],
        FaultKind::PingFlood { pings } => vec![format!("pings={pings}")],
        FaultKind::Oversized { bytes } => vec![format!("bytes={bytes}")],
        FaultKind::Gap { rest } => vec![format!("rest={}", yes(*rest))],
        FaultKind::Notice { lead } => vec![format!("lead={}", compact(*lead))],
        FaultKind::Maintenance { keeps } => vec![format!("keeps={}", yes(*keeps))],
        FaultKind::Http { status, retry_after, on } => vec![
            format!("status={status}"),
            format!("retry-after={}", retry_after.map_or_else(|| "none".to_owned(), compact)),
            format!("on={}", on.name()),
        ],
        FaultKind::BadSymbol { whole_batch } => vec![format!("batch={}", yes(*whole_batch))],
        FaultKind::ClockSkew { ns } => {
            let sign = if *ns < 0 { "-" } else { "" };
            vec![format!("by={sign}{}", compact(Duration::from_nanos(ns.unsigned_abs())))]
        }
        FaultKind::SlowRest { delay } => vec![format!("delay={}", compact(*delay))],
        _ => Vec::new(),
    }
}

impl fmt::Display for Fault {
    /// The text form, with the kind's own keys and those of all that are set.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut keys = own_keys(&self.kind);
        keys.extend(self.symbol.iter().map(|symbol| format!("symbol={symbol}")));
        keys.extend(self.connection.iter().map(|id| format!("connection={id}")));
        if self.stream != Stream::default() {
            keys.push(format!("stream={}", self.stream.name()));
        }
        match self.start {
            Start::Now => (),
            Start::After(after) => keys.push(format!("after={}", compact(after))),
            Start::AtEvent(events) => keys.push(format!("at={events}")),
        }
        keys.extend(self.times.iter().map(|times| format!("times={times}")));
        keys.extend(self.lasting.iter().map(|lasting| format!("for={}", compact(*lasting))));
        formatter.write_str(self.kind.name())?;
        if let Some(venue) = self.venue {
            write!(formatter, "@{venue}")?;
        }
        if keys.is_empty() { Ok(()) } else { write!(formatter, ":{}", keys.join(",")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::VenueKind;

    #[test]
    fn text_and_fault_are_the_same() {
        for text in [
            "stall",
            "stall@kraken:symbol=BTC/USD,for=2s",
            "ack-silence@okx:times=1",
            "close@binance:refuse=500ms,after=5s",
            "reset:refuse=0s,connection=3",
            "ping-flood:pings=5",
            "corrupt@coinbase:stream=all,at=1000,times=3",
            "oversized:bytes=70000000",
            "out-of-order",
            "duplicate:stream=quotes",
            "gap@bitfinex:rest=no,symbol=tLINK:USD,times=20",
            "notice@okx:lead=1m30s",
            "maintenance@kraken:keeps=no",
            "maintenance@bitfinex:keeps=yes,for=2s",
            "http:status=418,retry-after=2m,on=rest",
            "http:status=503,retry-after=none,on=handshake",
            "glued",
            "bad-symbol:batch=yes,symbol=BTC-USD",
            "clock-skew:by=-1h30m",
            "clock-skew:by=250ms",
            "slow-rest:delay=3s",
        ] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
        let gap: Fault = "gap@bitfinex:symbol=tLINK:USD".parse().unwrap();
        assert_eq!(gap, Fault::new(FaultKind::Gap { rest: true }).at(VenueKind::Bitfinex).symbol("tLINK:USD"));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (text, words) in [
            ("gasp", "no fault \\\"gasp\\\""),
            ("gap@krakatoa", "krakatoa"),
            ("gap:rest=perhaps", "rest=perhaps"),
            ("gap:rest", "rest has no value"),
            ("gap:refuse=1s", "no key refuse"),
            ("gap:times=1,times=2", "no key times, or it stands there twice"),
            ("stall:stream=quotes", "no key stream"),
            ("stall:after=1s,at=5", "exclude"),
            ("http:status=200", "status=200"),
            ("notice@coinbase", "no such thing"),
            ("maintenance@binance", "no such thing"),
        ] {
            let error = text.parse::<Fault>().unwrap_err();
            let words = words.replace('\\', "");
            assert!(error.to_string().contains(&words) && error.is_usage(), "{error}");
        }
    }
}
