//! Faults of single messages, at every venue: the client sees the fault, the ledger tells of it, and REST has what it may have.

use std::collections::BTreeMap;
use std::time::Duration;

use exchange_simulator::{
    Config, Fault, FaultKind, Limits, MessageEntry, MessageKind, Simulator, Stream, VenueKind, settle,
};

use crate::client::{start, until};
use crate::venue_client::{Fact, VenueClient};
use crate::venues::{backfill, five, told};

/// A client that has all symbols and has read what the subscription brought.
pub(crate) async fn ready(simulator: &Simulator, kind: VenueKind, connection: u64) -> VenueClient {
    let symbols = simulator.symbols(kind.name());
    let mut client = VenueClient::subscribed(simulator, kind, &symbols).await;
    until("subscribed", || {
        let ledger = simulator.ledger();
        let controls = ledger.iter().filter_map(|entry| entry.control());
        let topics = controls.filter(|entry| entry.connection == connection).map(|entry| entry.topics.len());
        topics.sum::<usize>() == symbols.len() * 2
    })
    .await;
    let count = told(simulator, connection).len();
    assert_eq!(client.facts(count).await, told(simulator, connection));
    client
}

/// Lets things happen, at Bitfinex until all is confirmed.
async fn happen(simulator: &Simulator, kind: VenueKind, events: u64) {
    simulator.emit_events(kind.name(), events);
    if kind == VenueKind::Bitfinex {
        until("every te has its tu", || {
            let messages = settle(&simulator.ledger());
            let count = |name| messages.iter().filter(|entry| entry.message == name).count();
            count("te") == count("tu")
        })
        .await;
    }
}

/// One frame as the ledger tells it: its facts, its subscription, and what befell it.
struct Told {
    facts: Vec<Fact>,
    topic: String,
    fault: Option<String>,
}

/// The frames that reached a connection after the ledger's line `after`.
fn frames(simulator: &Simulator, connection: u64, after: u64) -> Vec<Told> {
    let mut frames: BTreeMap<u64, Told> = BTreeMap::new();
    let messages = settle(&simulator.ledger());
    for entry in messages.iter().filter(|entry| entry.seq > after && entry.connections.contains(&connection)) {
        let channel = if entry.kind == MessageKind::Trade { "trades" } else { "quotes" };
        let told = frames.entry(entry.frame).or_insert_with(|| Told {
            facts: Vec::new(),
            topic: format!("{channel} {:?}", entry.symbol),
            fault: entry.fault.as_ref().map(ToString::to_string),
        });
        told.facts.extend(Fact::told(entry));
    }
    frames.into_values().collect()
}

/// The facts in the order in which the faults let them arrive.
fn arriving(frames: Vec<Told>) -> Vec<Fact> {
    let mut arriving = Vec::new();
    let mut held: BTreeMap<String, Vec<Fact>> = BTreeMap::new();
    for Told { facts, topic, fault } in frames {
        if fault.as_deref() == Some("out-of-order") {
            assert!(held.insert(topic, facts).is_none());
            continue;
        }
        let again = if fault.as_deref() == Some("duplicate") { facts.clone() } else { Vec::new() };
        arriving.extend(facts.into_iter().chain(again));
        arriving.extend(held.remove(&topic).unwrap_or_default());
    }
    assert!(held.is_empty(), "everything that was held back came");
    arriving
}

/// The newest connection so far.
fn last_connection(simulator: &Simulator) -> u64 {
    let ledger = simulator.ledger();
    ledger.iter().filter_map(|entry| entry.control()).map(|entry| entry.connection).max().unwrap_or(0)
}

fn last_seq(simulator: &Simulator) -> u64 {
    settle(&simulator.ledger()).last().map_or(0, |entry| entry.seq)
}

/// Those that a fault kept from a connection.
fn withheld(simulator: &Simulator, connection: u64) -> Vec<MessageEntry> {
    let mut messages = settle(&simulator.ledger());
    messages.retain(|entry| entry.withheld.contains(&connection));
    messages
}

const TIMES: u64 = 3;

/// Lets a fault strike three messages of one symbol at every venue; `look` is given what was kept from the client.
async fn at_every_venue(
    kind_of_fault: &FaultKind,
    look: impl AsyncFn(&Simulator, VenueKind, &VenueClient, Vec<MessageEntry>),
) {
    let limits = Limits { confirm_after: Duration::from_millis(10), ..Limits::default() };
    let simulator = start(Config { symbols: 2, limits, ..five() }).await;
    for kind in VenueKind::ALL {
        let connection = last_connection(&simulator) + 1;
        let mut client = ready(&simulator, kind, connection).await;
        let others = client.others.len();
        let after = last_seq(&simulator);
        let symbol = simulator.symbols(kind.name())[0].clone();
        let fault = Fault::new(kind_of_fault.clone()).at(kind).symbol(&symbol).times(TIMES).at_event(20);
        let id = simulator.inject(&fault).unwrap();
        happen(&simulator, kind, 300).await;
        assert_eq!(simulator.fault_hits(id), TIMES, "{kind}");
        let expected = arriving(frames(&simulator, connection, after));
        assert_eq!(client.facts(expected.len()).await, expected, "{kind}");
        let name = kind_of_fault.name();
        let struck: Vec<_> =
            settle(&simulator.ledger()).into_iter().filter(|entry| entry.fault.as_deref() == Some(name)).collect();
        let struck: Vec<_> = struck.into_iter().filter(|entry| entry.venue == kind).collect();
        assert!(struck.len() >= 3 && struck.iter().all(|entry| entry.symbol.as_ref() == Some(&symbol)), "{kind}");
        client.others.drain(..others);
        look(&simulator, kind, &client, withheld(&simulator, connection)).await;
    }
    simulator.shutdown().await.unwrap();
}

/// The trades of some messages, each id once.
fn ids(messages: &[MessageEntry]) -> Vec<u64> {
    let mut ids: Vec<u64> =
        messages.iter().flat_map(|entry| entry.first_id.or(entry.id).unwrap()..=entry.id.unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

async fn found_by_rest(simulator: &Simulator, kind: VenueKind, withheld: &[MessageEntry]) -> Vec<u64> {
    let lost = ids(withheld);
    let start_ms = withheld.iter().map(|entry| entry.event_ns.unwrap()).min().unwrap() / 1_000_000 - 1;
    let symbol = withheld[0].symbol.as_ref().unwrap();
    let range = lost[0]..=lost[lost.len() - 1];
    let found = backfill(simulator, kind, symbol, range, start_ms, 100).await;
    let can = simulator.rest_ids(kind.name(), symbol);
    assert!(found.keys().all(|id| can.contains(id)), "what REST gives is what it is said to give");
    lost.into_iter().filter(|id| found.contains_key(id)).collect()
}

#[tokio::test]
async fn a_gap_can_be_filled_by_rest() {
    at_every_venue(&FaultKind::Gap { rest: true }, async |simulator, kind, client, withheld| {
        assert!(client.others.iter().all(|other| !other.is_string()), "{kind}: nothing came instead");
        let ids = ids(&withheld);
        assert!(ids.len() >= 3 && withheld.iter().all(|entry| entry.rest), "{kind}");
        assert_eq!(found_by_rest(simulator, kind, &withheld).await, ids, "{kind}");
        if kind == VenueKind::Bitfinex {
            assert_eq!(withheld.iter().filter(|entry| entry.message == "tu").count(), 3, "no tu repairs a gap");
            let breaks = client.seqs.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
            assert!((1..=6).contains(&breaks), "the count of frames shows it: {breaks}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_gap_can_be_for_good() {
    at_every_venue(&FaultKind::Gap { rest: false }, async |simulator, kind, _, withheld| {
        assert!(withheld.iter().filter(|entry| entry.message != "tu").all(|entry| !entry.rest), "{kind}");
        assert_eq!(found_by_rest(simulator, kind, &withheld).await, [0; 0], "{kind}");
        // A client that comes later is not told of them either.
        let symbol = withheld[0].symbol.clone().unwrap();
        let next = last_connection(simulator) + 1;
        let last = last_seq(simulator);
        let mut later = VenueClient::subscribed(simulator, kind, &[symbol]).await;
        if !matches!(kind, VenueKind::Binance) {
            until("snapshots", || !told(simulator, next).is_empty()).await;
            until("both snapshots", || {
                frames(simulator, next, last).len() >= if kind == VenueKind::Okx { 1 } else { 2 }
            })
            .await;
            let facts = later.facts(told(simulator, next).len()).await;
            let lost = ids(&withheld);
            assert!(facts.iter().filter_map(Fact::id).all(|id| !lost.contains(&id)), "{kind}");
        }
        drop(later);
        until("it is gone", || simulator.connections(kind.name()) <= 1).await;
    })
    .await;
}

#[tokio::test]
async fn corrupt_frames_are_no_json() {
    at_every_venue(&FaultKind::Corrupt, async |_, kind, client, withheld| {
        let broken: Vec<_> = client.others.iter().filter_map(|other| other.as_str()).collect();
        assert_eq!(broken.len(), 3, "{kind}");
        assert!(withheld.iter().all(|entry| entry.fault.as_deref() == Some("corrupt") && entry.rest), "{kind}");
    })
    .await;
}

#[tokio::test]
async fn oversized_frames_have_their_length() {
    at_every_venue(&FaultKind::Oversized { bytes: 3_000_000 }, async |_, kind, client, withheld| {
        let long: Vec<_> = client.others.iter().filter_map(|other| other.as_str()).collect();
        assert_eq!(long.iter().map(|text| text.len()).collect::<Vec<_>>(), [3_000_000; 3], "{kind}");
        assert!(withheld.len() >= 3, "{kind}");
    })
    .await;
}

#[tokio::test]
async fn duplicates_come_twice() {
    at_every_venue(&FaultKind::Duplicate, async |_, kind, _, withheld| assert!(withheld.is_empty(), "{kind}")).await;
}

#[tokio::test]
async fn messages_overtake_each_other() {
    at_every_venue(&FaultKind::OutOfOrder, async |_, kind, _, withheld| assert!(withheld.is_empty(), "{kind}")).await;
}

#[tokio::test]
async fn a_te_alone_can_be_lost_and_its_tu_repairs_it() {
    let limits = Limits { confirm_after: Duration::from_millis(10), ..Limits::default() };
    let simulator = start(Config { symbols: 1, limits, ..five() }).await;
    let mut client = ready(&simulator, VenueKind::Bitfinex, 1).await;
    simulator.inject(&Fault::new(FaultKind::Corrupt).at(VenueKind::Bitfinex)).unwrap();
    happen(&simulator, VenueKind::Bitfinex, 100).await;
    let lost = withheld(&simulator, 1);
    assert_eq!((lost.len(), lost[0].message.as_ref()), (1, "te"));
    let facts = client.facts(told(&simulator, 1).len() - 30 - 1).await;
    let confirmed =
        |fact: &&Fact| matches!(fact, Fact::Trade { message, id, .. } if message == "tu" && Some(*id) == lost[0].id);
    assert_eq!(facts.iter().filter(confirmed).count(), 1);
    drop(client);
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_fault_can_be_of_one_connection_and_of_quotes() {
    let simulator = start(Config { symbols: 1, ..five() }).await;
    for (index, kind) in VenueKind::ALL.into_iter().enumerate() {
        let (one, two) = (index as u64 * 2 + 1, index as u64 * 2 + 2);
        let _clients = (ready(&simulator, kind, one).await, ready(&simulator, kind, two).await);
        let fault = Fault::new(FaultKind::Gap { rest: true }).at(kind).connection(two).stream(Stream::Quotes).times(5);
        simulator.inject(&fault).unwrap();
        simulator.emit_events(kind.name(), 100);
        assert!(withheld(&simulator, one).is_empty(), "{kind}");
        let lost = withheld(&simulator, two);
        assert_eq!(lost.len(), 5, "{kind}");
        assert!(lost.iter().all(|entry| entry.kind != MessageKind::Trade && entry.connections == [one]), "{kind}");
    }
    simulator.shutdown().await.unwrap();
}
