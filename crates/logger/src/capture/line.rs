//! Entries as lines of text.

use std::fmt::Write as _;

use exchange_protocol::Subscription;

use super::{
    Entry, Wire, WireItem,
    fact::FactLine,
    wire::{stream, stream_name},
};
use crate::received::{Batch, ConnectionId, Received};

/// Appends an entry.
pub(super) fn write(out: &mut String, entry: &Entry) -> Result<(), serde_json::Error> {
    match entry {
        Entry::Batch(batch, now_ns) => return write_batch(out, batch, *now_ns),
        Entry::Resume(now_ns) => _ = writeln!(out, "r {now_ns}"),
        Entry::Tick(now_ns) => _ = writeln!(out, "t {now_ns}"),
        Entry::Flush(now_ns) => _ = writeln!(out, "p {now_ns}"),
        Entry::Release(now_ns) => _ = writeln!(out, "e {now_ns}"),
        Entry::Lost(count) => _ = writeln!(out, "x {count}"),
    }
    Ok(())
}

fn write_batch(out: &mut String, batch: &Batch, now_ns: u64) -> Result<(), serde_json::Error> {
    let start = out.len();
    let mut lines = 0;
    let mut facts = batch.facts.iter();
    let whole = [WireItem::Own(u32::try_from(batch.facts.len()).unwrap_or(u32::MAX))];
    let mut items = batch.wire.as_ref().map_or(&whole[..], |wire| wire.items()).iter().peekable();
    while let Some(item) = items.next() {
        lines += 1;
        match item {
            WireItem::Opened(exchange) => _ = writeln!(out, "o {exchange}"),
            WireItem::Closed => out.push_str("c\n"),
            WireItem::Subscribe(of) => _ = writeln!(out, "s {}", subscriptions(of)?),
            WireItem::Unsubscribe(of) => _ = writeln!(out, "u {}", subscriptions(of)?),
            WireItem::Frame { receive_ns, text } => {
                let kept = match items.peek() {
                    Some(WireItem::Kept(count)) => *count,
                    _ => 0,
                };
                if kept > 0 {
                    items.next();
                    facts.by_ref().take(kept as usize).for_each(drop);
                }
                if text.contains(['\n', '\r']) {
                    _ = writeln!(out, "q {receive_ns} {kept} {}", serde_json::to_string(text)?);
                } else {
                    _ = writeln!(out, "f {receive_ns} {kept} {text}");
                }
            }
            WireItem::Kept(count) => {
                facts.by_ref().take(*count as usize).for_each(drop);
                _ = writeln!(out, "k {count}");
            }
            WireItem::Left(count) => _ = writeln!(out, "l {count}"),
            WireItem::Own(count) => {
                let own: Vec<_> = facts.by_ref().take(*count as usize).map(FactLine::from).collect();
                _ = writeln!(out, "w {}", serde_json::to_string(&own)?);
            }
        }
    }
    let mut head = format!("b {now_ns} {} ", batch.connection.0);
    match batch.sequence {
        Some(sequence) => _ = write!(head, "{sequence}"),
        None => head.push('-'),
    }
    _ = writeln!(head, " {lines}");
    out.insert_str(start, &head);
    Ok(())
}

fn subscriptions(of: &[Subscription]) -> Result<String, serde_json::Error> {
    let pairs: Vec<_> = of.iter().map(|of| (of.symbol.as_str(), stream_name(of.stream))).collect();
    serde_json::to_string(&pairs)
}

/// A line that says nothing that this program understands, and why.
pub(super) type Misunderstood = String;

/// Puts lines together to entries.
#[derive(Debug, Default)]
pub(super) struct Lines {
    open: Option<Open>,
}

/// A batch of which lines are still to come.
#[derive(Debug)]
struct Open {
    now_ns: u64,
    connection: ConnectionId,
    sequence: Option<u64>,
    left: u64,
    items: Vec<WireItem>,
    own: Vec<Received>,
}

impl Lines {
    /// Whether lines are missing that were promised.
    pub(super) fn is_within_batch(&self) -> bool {
        self.open.is_some()
    }

    /// Takes a line without its end; an entry if it is complete with it.
    pub(super) fn take(&mut self, line: &str) -> Result<Option<Entry>, Misunderstood> {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let Some(mut open) = self.open.take() else { return self.outside(kind, rest) };
        match kind {
            "o" => open.items.push(WireItem::Opened(rest.to_owned())),
            "c" => open.items.push(WireItem::Closed),
            "s" => open.items.push(WireItem::Subscribe(read_subscriptions(rest)?)),
            "u" => open.items.push(WireItem::Unsubscribe(read_subscriptions(rest)?)),
            "f" | "q" => {
                let mut parts = rest.splitn(3, ' ');
                let (receive_ns, kept) = (number(parts.next())?, number(parts.next())?);
                let text = parts.next().ok_or("a frame without text")?;
                let text = match kind {
                    "f" => text.to_owned(),
                    _ => serde_json::from_str(text).map_err(|error| error.to_string())?,
                };
                open.items.push(WireItem::Frame { receive_ns, text });
                open.items.extend((kept > 0).then_some(WireItem::Kept(kept)));
            }
            "k" => open.items.push(WireItem::Kept(number(Some(rest))?)),
            "l" => open.items.push(WireItem::Left(number(Some(rest))?)),
            "w" => {
                let own: Vec<FactLine> = serde_json::from_str(rest).map_err(|error| error.to_string())?;
                open.items.push(WireItem::Own(u32::try_from(own.len()).map_err(|error| error.to_string())?));
                open.own.extend(own.into_iter().map(Received::from));
            }
            unknown => return Err(format!("a batch has no line of kind `{unknown}`")),
        }
        open.left -= 1;
        Ok(self.complete(open))
    }

    fn outside(&mut self, kind: &str, rest: &str) -> Result<Option<Entry>, Misunderstood> {
        Ok(Some(match kind {
            "b" => {
                let mut parts = rest.split(' ');
                let now_ns = number(parts.next())?;
                let connection = ConnectionId(number(parts.next())?);
                let sequence = match parts.next() {
                    Some("-") => None,
                    sequence => Some(number(sequence)?),
                };
                let left = number(parts.next())?;
                return Ok(self.complete(Open {
                    now_ns,
                    connection,
                    sequence,
                    left,
                    items: Vec::new(),
                    own: Vec::new(),
                }));
            }
            "r" => Entry::Resume(number(Some(rest))?),
            "t" => Entry::Tick(number(Some(rest))?),
            "p" => Entry::Flush(number(Some(rest))?),
            "e" => Entry::Release(number(Some(rest))?),
            "x" => Entry::Lost(number(Some(rest))?),
            unknown => return Err(format!("there is no line of kind `{unknown}`")),
        }))
    }

    fn complete(&mut self, open: Open) -> Option<Entry> {
        if open.left > 0 {
            self.open = Some(open);
            return None;
        }
        let Open { now_ns, connection, sequence, items, own, .. } = open;
        let batch = Batch { sequence, wire: Some(Box::new(Wire::of(items))), ..Batch::new(connection, own) };
        Some(Entry::Batch(batch, now_ns))
    }
}

fn number<N: std::str::FromStr>(text: Option<&str>) -> Result<N, Misunderstood> {
    let text = text.ok_or("a number is missing")?;
    text.parse().map_err(|_| format!("`{text}` is not a number"))
}

fn read_subscriptions(text: &str) -> Result<Vec<Subscription>, Misunderstood> {
    let pairs: Vec<(String, String)> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let subscription = |(symbol, name): (String, String)| match stream(&name) {
        Some(stream) => Ok(Subscription { symbol, stream }),
        None => Err(format!("`{name}` is not a stream")),
    };
    pairs.into_iter().map(subscription).collect()
}
