//! Trades: ids, values, gaps and claims.

use std::collections::{BTreeMap, BTreeSet};

use exchange_simulator::{MessageEntry, MessageKind, Side, VenueKind};

use super::{Crash, Verdict, bits};
use crate::files::{Claim, Series};

/// A frame that did not come was sent so long at most before the frame in front of it was read, which begins the interval.
const LAG_NS: u64 = 1_000_000_000;

/// The trades of one symbol, as they happened.
pub(super) struct Truth<'a> {
    /// Whether each id is the one before it and one.
    contiguous: bool,
    facts: BTreeMap<u64, &'a MessageEntry>,
    /// Those that some connection got.
    delivered: BTreeSet<u64>,
    /// The first of them that no crash can have taken. A logger that is killed before it wrote a first row knows of none.
    first_safe: Option<u64>,
    rest: &'a BTreeSet<u64>,
}

/// What a row of a trade must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Values {
    pub(super) price: u64,
    pub(super) size: u64,
    pub(super) side: u32,
}

impl Values {
    pub(super) fn of(fact: &MessageEntry) -> Values {
        let side = if fact.side == Some(Side::Buy) { 0 } else { 1 };
        Values { price: bits(fact.price.as_ref()), size: bits(fact.size.as_ref()), side }
    }
}

impl<'a> Truth<'a> {
    pub(super) fn of(
        venue: VenueKind,
        messages: &'a [MessageEntry],
        rest: &'a BTreeSet<u64>,
        crashes: &[Crash],
    ) -> Truth<'a> {
        // The other names are of sums of trades, which the logger does not ask for here.
        let each = messages.iter().filter(|message| {
            message.kind == MessageKind::Trade && !matches!(message.message.as_ref(), "aggTrade" | "trades")
        });
        let (mut facts, mut delivered, mut safe) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        for message in each {
            let id = message.id.unwrap();
            facts.entry(id).or_insert(message);
            if !message.connections.is_empty() {
                delivered.insert(id);
                if !crashes.iter().any(|crash| crash.takes(message.sent_ns)) {
                    safe.insert(id);
                }
            }
        }
        Truth { contiguous: venue != VenueKind::Bitfinex, facts, delivered, first_safe: safe.first().copied(), rest }
    }

    pub(super) fn fact(&self, id: u64) -> Option<&'a MessageEntry> {
        self.facts.get(&id).copied()
    }

    pub(super) fn judge(&self, table: &Series, claims: &[Claim], verdict: &mut Verdict) {
        let recorded = self.judge_rows(table, verdict);
        // From the first row on, nothing is lost where ids prove it.
        let first_row = recorded.intersection(&self.delivered).next().filter(|_| self.contiguous).copied();
        let Some(first) = self.first_safe.into_iter().chain(first_row).min() else { return };
        let (mut lost, mut untold) = (Vec::new(), Vec::new());
        for (id, fact) in self.facts.range(first..) {
            let deliverable = self.delivered.contains(id) || self.rest.contains(id);
            verdict.trades += u64::from(deliverable);
            verdict.undeliverable += u64::from(!deliverable);
            if recorded.contains(id) {
                continue;
            }
            if deliverable {
                lost.push(*id);
            } else if !self.is_told(*id, fact, verdict) {
                untold.push(*id);
            }
        }
        if !lost.is_empty() {
            verdict.find(format!("{} trades are lost that could be had: {}", lost.len(), some(&lost)));
        }
        if !untold.is_empty() {
            verdict.find(format!("{} missing trades are in no record of gaps: {}", untold.len(), some(&untold)));
        }
        self.judge_records(&recorded, claims, verdict);
    }

    /// Whether the records tell that a trade is missing.
    fn is_told(&self, id: u64, fact: &MessageEntry, verdict: &Verdict) -> bool {
        verdict.trade_gaps.iter().any(|gap| match gap.ids {
            Some((from, to)) => gap.is_missing() && (from..=to).contains(&id),
            // Where ids prove nothing, REST's answer is the venue's last word on the interval.
            None => (gap.is_missing() || !self.contiguous) && gap.meets((fact.sent_ns, fact.sent_ns), LAG_NS),
        })
    }

    fn judge_rows(&self, table: &Series, verdict: &mut Verdict) -> BTreeSet<u64> {
        let columns = &table.columns;
        if !columns.keys().is_sorted() {
            verdict.find("the search key of TRADES falls".to_owned());
        }
        let (ids, event_ns, side) = (columns.u64s("id"), columns.u64s("event_ns"), columns.u32s("side"));
        let [price, size] = ["price_f64", "size_f64"].map(|column| columns.f64_bits(column));
        let [maker, taker] = ["maker_order_id", "taker_order_id"].map(|column| columns.uuids(column));
        let mut recorded = BTreeSet::new();
        let oldest = self.facts.keys().next().copied().unwrap_or(u64::MAX);
        for (row, id) in ids.into_iter().enumerate() {
            if !recorded.insert(id) {
                verdict.find(format!("trade {id} is there twice, again in row {row}"));
                continue;
            }
            let Some(fact) = self.facts.get(&id) else {
                // REST knows one trade of before the simulator began.
                if id >= oldest || !self.rest.contains(&id) {
                    verdict.find(format!("trade {id} in row {row} never happened"));
                }
                continue;
            };
            if !self.delivered.contains(&id) && !self.rest.contains(&id) {
                verdict.find(format!("trade {id} in row {row} cannot have been had"));
            }
            let found = Values { price: price[row], size: size[row], side: side[row] };
            if found != Values::of(fact) {
                verdict.find(format!("trade {id} in row {row} is {found:?} and not {:?}", Values::of(fact)));
            }
            let event = fact.event_ns.unwrap_or(0);
            // REST tells some times in ms.
            let rounded = self.rest.contains(&id) && event_ns[row].abs_diff(event) < 1_000_000;
            if event_ns[row] != event && !rounded {
                verdict.find(format!("trade {id} in row {row} happened at {event} and not {}", event_ns[row]));
            }
            for (found, told) in [(&maker[row], &fact.maker_order_id), (&taker[row], &fact.taker_order_id)] {
                let nil = found.bytes().all(|digit| digit == b'0');
                let told = told.as_ref().map(|text| text.replace('-', ""));
                if !nil && Some(found) != told.as_ref() || nil && told.is_some() && !self.rest.contains(&id) {
                    verdict.find(format!("trade {id} in row {row} has the order {found} and not {told:?}"));
                }
            }
        }
        recorded
    }

    /// Records that are not true.
    fn judge_records(&self, recorded: &BTreeSet<u64>, claims: &[Claim], verdict: &mut Verdict) {
        for gap in verdict.trade_gaps.clone() {
            let Some((from, to)) = gap.ids else { continue };
            let there: Vec<u64> = recorded.range(from..=to).copied().collect();
            let count = there.len() as u64;
            if gap.is_missing() && count > 0 {
                verdict.find(format!("{} says {} though {} is there", gap.id, gap.state, some(&there)));
            }
            if !gap.is_missing() && count != to - from + 1 {
                verdict.find(format!("{} says filled with {count} of {from}..={to}", gap.id));
            }
        }
        for Claim { range: (from, to), .. } in claims.iter().filter(|claim| claim.by == "id") {
            let absent = self.facts.range(*from..=*to).map(|(id, _)| *id).filter(|id| !recorded.contains(id));
            let absent: Vec<u64> = absent.collect();
            if !absent.is_empty() {
                verdict.find(format!("{from}..={to} is claimed to be whole without {}", some(&absent)));
            }
        }
    }
}

/// A few of many.
fn some(ids: &[u64]) -> String {
    let shown: Vec<_> = ids.iter().take(5).map(ToString::to_string).collect();
    let more = if ids.len() > 5 { format!(" … {}", ids[ids.len() - 1]) } else { String::new() };
    format!("{}{more}", shown.join(" "))
}
