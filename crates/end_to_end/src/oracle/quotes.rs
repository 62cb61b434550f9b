//! The market's state after each event: which quotes must be rows, in which order, and what stands beside each.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use exchange_simulator::{ControlEntry, ControlMessage, MessageEntry, MessageKind};

use super::{Crash, SLACK_NS, Verdict, bits, trades};
use crate::files::Series;

/// A connection that is reset takes what was on its way with it, and a subscription is asked for anew soon after it was found to
/// be hurt, a few requests a second; ns of the system's clock.
const HASTE_NS: u64 = 5_000_000_000;

/// What the venue said of the best bid and ask, and who heard it.
struct Line<'a> {
    message: &'a MessageEntry,
    /// Bid, its size, ask, its size; bits.
    best: [u64; 4],
    need: Need,
    /// Until when it could have arrived: when it left, when it was given up with its connection, or when the logger noticed
    /// that its subscription was hurt.
    until_ns: u64,
}

/// What must become of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Nothing: it says what was said before, or a second connection says it.
    Nothing,
    /// A row, or an interval on record: it came while the subscription was hurt, or just before the logger was killed.
    Told,
    /// A row.
    Row,
}

/// The quotes of one symbol, in the order in which they left.
pub(super) struct Truth<'a> {
    lines: Vec<Line<'a>>,
    slack_ns: u64,
}

/// A row of `MD`, as far as quotes go.
struct Row {
    kind: u32,
    event_id: u64,
    event_ns: u64,
    receive_ns: u64,
    best: [u64; 4],
    trade: trades::Values,
}

/// Channels by which the logger asks for quotes.
fn is_quote(message: &MessageEntry) -> bool {
    match message.kind {
        MessageKind::Book => true,
        // Coinbase's and one of Kraken's two come with trades only; nobody subscribes to them.
        MessageKind::Quote => message.venue.name() != "coinbase",
        _ => false,
    }
}

fn is_about(topic: &str, symbol: &str) -> bool {
    let quotes = ["level2_batch:", "ticker.bbo:", "bbo-tbt:", "book:"];
    match topic.split_once('@') {
        Some((name, channel)) => channel == "bookTicker" && name.eq_ignore_ascii_case(symbol),
        None => quotes.iter().any(|channel| topic.strip_prefix(channel) == Some(symbol)),
    }
}

/// One connection's life with the symbol's quotes.
#[derive(Default)]
struct Carrier {
    /// What it was last told; none before its first quote.
    told: Option<[u64; 4]>,
    last_id: u64,
}

impl<'a> Truth<'a> {
    /// `speed` is how many times as fast as the system's clock the market's runs.
    pub(super) fn of(
        symbol: &str,
        messages: &'a [MessageEntry],
        controls: &[&ControlEntry],
        crashes: &[Crash],
        speed: u64,
    ) -> Truth<'a> {
        let given_up = controls.iter().filter(|control| control.message == ControlMessage::Undelivered);
        let given_up: HashMap<u64, u64> =
            given_up.flat_map(|control| control.seqs.iter().map(|seq| (*seq, control.at_ns))).collect();
        let mut lines: Vec<Line<'a>> = messages
            .iter()
            .filter(|message| is_quote(message))
            .map(|message| {
                let [bid, bid_size] = [&message.bid, &message.bid_size].map(|text| bits(text.as_ref()));
                let [ask, ask_size] = [&message.ask, &message.ask_size].map(|text| bits(text.as_ref()));
                let until_ns = given_up.get(&message.seq).map_or(message.sent_ns, |at_ns| message.sent_ns.max(*at_ns));
                Line { message, best: [bid, bid_size, ask, ask_size], need: Need::Nothing, until_ns }
            })
            .collect();
        late_ones_later(&mut lines);
        let doubts = doubts(symbol, &lines, controls, HASTE_NS * speed);
        need(symbol, &mut lines, controls, &doubts, SLACK_NS * speed);
        for line in lines.iter_mut().filter(|line| line.need == Need::Row) {
            if crashes.iter().any(|crash| crash.takes(line.message.sent_ns)) {
                line.need = Need::Told;
            }
        }
        Truth { lines, slack_ns: SLACK_NS * speed }
    }

    pub(super) fn judge(&self, table: &Series, trades: &trades::Truth<'_>, verdict: &mut Verdict) {
        if !table.columns.keys().is_sorted() {
            verdict.find("the search key of MD falls".to_owned());
        }
        let rows = rows(table);
        let mut matched: BTreeMap<usize, usize> = BTreeMap::new();
        let mut next = 0;
        let mut state: Option<[u64; 4]> = None;
        let mut shown: Option<trades::Values> = None;
        let mut seen_trades = BTreeSet::new();
        for (number, row) in rows.iter().enumerate() {
            let fact = trades.fact(row.event_id).filter(|fact| trades::Values::of(fact) == row.trade);
            let of_trade = row.kind == 1 || row.kind == 2 && fact.is_some() && state == Some(row.best);
            if of_trade {
                if fact.is_none() {
                    verdict.find(format!("MD row {number} tells of trade {}, which was otherwise", row.event_id));
                }
                if !seen_trades.insert(row.event_id) {
                    verdict.find(format!("MD row {number} tells of trade {} again", row.event_id));
                }
                if state.is_some_and(|state| state != row.best) {
                    verdict.find(format!("MD row {number} of a trade has another quote than the row before"));
                }
                shown = Some(row.trade.clone());
                state = Some(row.best);
                continue;
            }
            // While no quote was known trades made no rows; a logger that starts knows none.
            if row.kind == 2 {
                shown = None;
            }
            if shown.as_ref().is_some_and(|shown| *shown != row.trade) {
                verdict.find(format!("MD row {number} of a quote has another trade than the row before"));
            }
            shown = Some(row.trade.clone());
            // A snapshot says once more what had happened while nobody listened: only what somebody got can be a row.
            let fits = |line: &Line<'_>| {
                !line.message.connections.is_empty()
                    && line.is(row)
                    && line.message.sent_ns <= row.receive_ns + self.slack_ns
            };
            match (next..self.lines.len()).find(|index| fits(&self.lines[*index])) {
                Some(index) => {
                    matched.insert(index, number);
                    next = index + 1;
                }
                // What a second connection had told before is told again when the first one is lost.
                None if row.kind == 2 && self.lines[..next].iter().any(fits) => {}
                None => verdict.find(format!(
                    "MD row {number} of {} rows tells a quote that was not sent then: kind {} id {} event {} {:?}",
                    rows.len(),
                    row.kind,
                    row.event_id,
                    row.event_ns,
                    row.best.map(f64::from_bits)
                )),
            }
            state = Some(row.best);
        }
        self.prefer_needed(&mut matched, &rows);
        verdict.quotes = matched.len() as u64;
        self.judge_lost(&matched, verdict);
    }

    /// A row may tell any of several quotes that are alike, of which only some had to be rows: then it tells those. The rows
    /// before it, up to one that tells a quote which need not be a row, each tell the next one.
    fn prefer_needed(&self, matched: &mut BTreeMap<usize, usize>, rows: &[Row]) {
        for (index, _) in self.lines.iter().enumerate().filter(|(_, line)| line.need == Need::Row) {
            if matched.contains_key(&index) {
                continue;
            }
            let (mut moves, mut onto) = (Vec::new(), index);
            for (&before, &number) in matched.range(..index).rev() {
                let fits = |row: &Row| {
                    let line = &self.lines[onto];
                    line.is(row) && line.message.sent_ns <= row.receive_ns + self.slack_ns
                };
                if !rows.get(number).is_some_and(fits) {
                    break;
                }
                moves.push((before, onto, number));
                if self.lines[before].need != Need::Row {
                    for (before, ..) in &moves {
                        matched.remove(before);
                    }
                    matched.extend(moves.iter().map(|(_, onto, number)| (*onto, *number)));
                    break;
                }
                onto = before;
            }
        }
    }

    /// Quotes that are no rows.
    fn judge_lost(&self, matched: &BTreeMap<usize, usize>, verdict: &mut Verdict) {
        let absent = |need: Need| {
            let lines = self.lines.iter().enumerate();
            lines.filter(move |(index, line)| line.need == need && !matched.contains_key(index))
        };
        let lost: Vec<_> = absent(Need::Row).map(|(_, line)| line.message).collect();
        if let Some(first) = lost.first() {
            verdict.find(format!(
                "{} quotes are lost that a live subscription got, first {} sent at {} to {:?}, id {:?}",
                lost.len(),
                first.seq,
                first.sent_ns,
                first.connections,
                first.id
            ));
        }
        let Some(((first, _), (last, _))) = matched.first_key_value().zip(matched.last_key_value()) else { return };
        let unheard = self.lines.iter().enumerate().filter(|(_, line)| line.is_unheard());
        let told = |line: &Line<'_>| {
            let times = (line.message.sent_ns, line.until_ns);
            verdict.quote_gaps.iter().any(|gap| gap.meets(times, self.slack_ns))
        };
        let untold: Vec<_> = absent(Need::Told)
            .chain(unheard)
            .filter(|(index, line)| first < index && index < last && !told(line))
            .map(|(_, line)| line.message)
            .collect();
        if let Some(first) = untold.first() {
            verdict.find(format!(
                "{} quotes were not recorded and are in no interval of the records, first {} sent at {} to {:?} ({})",
                untold.len(),
                first.seq,
                first.sent_ns,
                first.connections,
                first.fault.as_deref().unwrap_or("no fault"),
            ));
        }
    }
}

impl Line<'_> {
    fn is(&self, row: &Row) -> bool {
        let numbered = self.message.kind == MessageKind::Quote;
        self.best == row.best
            && (!numbered || self.message.id.unwrap_or(0) == row.event_id)
            // Bitfinex stamps each connection's copy; the ledger does not tell those times.
            && self.message.event_ns.is_none_or(|event| event == row.event_ns)
    }

    /// Whether nobody got it, for longer than one message: then a subscription was not live.
    fn is_unheard(&self) -> bool {
        let single = ["gap", "corrupt", "oversized", "out-of-order", "duplicate"];
        self.message.connections.is_empty()
            && !self.message.fault.as_deref().is_some_and(|fault| single.contains(&fault))
    }

    /// What a kept book that is crossed for a moment says is nothing yet.
    fn is_crossed(&self) -> bool {
        self.message.kind == MessageKind::Book && f64::from_bits(self.best[0]) >= f64::from_bits(self.best[2])
    }
}

/// A message that was held back left after the next one of its subscription.
fn late_ones_later(lines: &mut [Line<'_>]) {
    for index in 1..lines.len() {
        if lines[index - 1].message.fault.as_deref() == Some("out-of-order") {
            lines.swap(index - 1, index);
        }
    }
}

/// Spans of the ledger in which a connection's subscription to the quotes was hurt and not begun anew yet: whether what came in
/// between is recorded is the logger's choice.
fn doubts(symbol: &str, lines: &[Line<'_>], controls: &[&ControlEntry], haste_ns: u64) -> Vec<(u64, u64, u64)> {
    let mut doubts: Vec<(u64, u64, u64)> = Vec::new();
    let begun = controls.iter().filter(|control| {
        matches!(control.message, ControlMessage::Unsubscribe | ControlMessage::Subscribe | ControlMessage::Disconnect)
    });
    for control in begun {
        let ended = control.message == ControlMessage::Disconnect;
        if !ended && !control.topics.iter().any(|topic| is_about(topic, symbol)) {
            continue;
        }
        // The first thing that was withheld from this connection since it last began.
        let hurt = lines.iter().map(|line| line.message).filter(|message| message.sent_ns <= control.at_ns);
        let hurt = hurt.filter(|message| message.withheld.contains(&control.connection));
        let since = doubts.iter().filter(|(connection, ..)| *connection == control.connection);
        let since = since.map(|(_, _, to)| *to).max().unwrap_or(0);
        if let Some(message) = hurt.into_iter().find(|message| message.sent_ns > since) {
            doubts.push((control.connection, message.sent_ns, control.at_ns));
        } else if control.message == ControlMessage::Unsubscribe {
            // Whatever made the logger ask for it anew, it did so at once.
            doubts.push((control.connection, control.at_ns.saturating_sub(haste_ns), control.at_ns));
        } else if ended && control.reason.as_deref().is_some_and(|reason| reason.contains("reset")) {
            doubts.push((control.connection, control.at_ns.saturating_sub(haste_ns), control.at_ns));
        }
    }
    doubts
}

/// Says which lines must be rows: those that the connection got which had carried the quotes longest at that moment.
fn need(symbol: &str, lines: &mut [Line<'_>], controls: &[&ControlEntry], doubts: &[(u64, u64, u64)], slack_ns: u64) {
    let ends: Vec<(u64, u64)> = controls
        .iter()
        .filter(|control| match control.message {
            ControlMessage::Disconnect => true,
            ControlMessage::Unsubscribe => control.topics.iter().any(|topic| is_about(topic, symbol)),
            _ => false,
        })
        .map(|control| (control.at_ns, control.connection))
        .collect();
    let mut ends = ends.into_iter().peekable();
    // In the order in which they began.
    let mut carriers: Vec<(u64, Carrier)> = Vec::new();
    for line in lines {
        while let Some((_, ended)) = ends.next_if(|(at_ns, _)| *at_ns <= line.message.sent_ns) {
            carriers.retain(|(connection, _)| *connection != ended);
        }
        for connection in &line.message.connections {
            if !carriers.iter().any(|(known, _)| known == connection) {
                carriers.push((*connection, Carrier::default()));
            }
        }
        let crossed = line.is_crossed();
        let oldest = carriers.first().map(|(connection, _)| *connection);
        for (connection, carrier) in &mut carriers {
            if !line.message.connections.contains(connection) || crossed {
                continue;
            }
            let id = line.message.id.unwrap_or(0);
            let again = carrier.told == Some(line.best) || id != 0 && id <= carrier.last_id;
            let doubt = doubts.iter().find(|(hurt, from, to)| {
                hurt == connection && (*from..=*to + slack_ns).contains(&line.message.sent_ns)
            });
            if Some(*connection) == oldest && !again {
                line.need = if doubt.is_some() { Need::Told } else { Need::Row };
                line.until_ns = line.until_ns.max(doubt.map_or(0, |(.., begun_ns)| *begun_ns));
            }
            carrier.told = Some(line.best);
            carrier.last_id = carrier.last_id.max(id);
        }
    }
}

fn rows(table: &Series) -> Vec<Row> {
    let columns = &table.columns;
    let [event_id, event_ns, receive_ns] = ["event_id", "event_ns", "receive_ns"].map(|column| columns.u64s(column));
    let (kind, side) = (columns.u32s("kind"), columns.u32s("side"));
    let names = ["best_bid_f64", "bid_size_f64", "best_ask_f64", "ask_size_f64", "price_f64", "volume_f64"];
    let [bid, bid_size, ask, ask_size, price, size] = names.map(|column| columns.f64_bits(column));
    (0..kind.len())
        .map(|row| Row {
            kind: kind[row],
            event_id: event_id[row],
            event_ns: event_ns[row],
            receive_ns: receive_ns[row],
            best: [bid[row], bid_size[row], ask[row], ask_size[row]],
            trade: trades::Values { price: price[row], size: size[row], side: side[row] },
        })
        .collect()
}
