//! Every fault of the simulator at every venue it can happen to: the logger loses nothing that the venue can still deliver,
//! records nothing twice, tells what is missing, and its metrics say what is happening.
//!
//! `FAULT_MATRIX=text` runs only the cases whose name has the text; `FAULT_MATRIX_KEEP=directory` keeps the files and the ledger of
//! those that fail.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod case;
mod observer;
mod table;

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Instant};

use exchange_simulator::{FAULT_HELP, Fault, VenueKind};
use table::{Cell, KINDS, cell};
use tokio::{sync::Semaphore, task::JoinSet};

/// Cases of one venue at once: they wait for time-outs most of the time.
const AT_ONCE: usize = 6;

/// Kinds are known here if and only if they are known to the simulator, and only what it refuses is left out.
#[test]
fn the_matrix_is_complete() {
    let names = FAULT_HELP.lines().filter_map(|line| line.strip_prefix("    ")).filter(|line| !line.starts_with(' '));
    let names: BTreeSet<&str> = names.filter_map(|line| line.split([' ', ':']).next()).collect();
    assert_eq!(names, KINDS.iter().copied().collect());
    for kind in KINDS {
        for venue in VenueKind::ALL {
            let possible = format!("{kind}@{venue}").parse::<Fault>().is_ok();
            match cell(kind, venue) {
                Cell::Runs(plans) => assert!(possible && !plans.is_empty(), "{kind} at {venue}"),
                Cell::Never(why) => assert!(!possible && !why.is_empty(), "{kind} at {venue} cannot happen: {why}"),
            }
        }
    }
}

async fn venue_stands(venue: VenueKind) {
    let wanted = std::env::var("FAULT_MATRIX").unwrap_or_default();
    let keep = std::env::var_os("FAULT_MATRIX_KEEP");
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut cases = JoinSet::new();
    for kind in KINDS {
        let Cell::Runs(plans) = cell(kind, venue) else { continue };
        for plan in plans {
            let name = format!("{venue} {kind} {}", plan.name).trim_end().to_owned();
            if !name.contains(&wanted) {
                continue;
            }
            let room = Arc::clone(&room);
            let keep = keep.as_ref().map(|directory| Path::new(directory).join(name.replace(' ', "-")));
            cases.spawn(async move {
                let _room = room.acquire_owned().await.unwrap();
                let started = Instant::now();
                // A task of its own, so that a panic is a failure of this case only.
                let outcome = tokio::spawn(case::run(venue, plan, keep)).await;
                let outcome = outcome.unwrap_or_else(|error| Err(vec![panic_text(error)]));
                (name, started.elapsed(), outcome)
            });
        }
    }
    let mut failed = Vec::new();
    while let Some(ended) = cases.join_next().await {
        let (name, took, outcome) = ended.unwrap();
        match outcome {
            Ok(summary) => println!("{name}: {summary} ({:.1} s)", took.as_secs_f64()),
            Err(findings) => {
                println!("{name}: FAILED ({:.1} s)\n    {}", took.as_secs_f64(), findings.join("\n    "));
                failed.push(name);
            }
        }
    }
    failed.sort();
    assert!(failed.is_empty(), "{} cases failed: {failed:?}", failed.len());
}

fn panic_text(error: tokio::task::JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "it was cancelled".to_owned() };
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn coinbase_stands_every_fault() {
    venue_stands(VenueKind::Coinbase).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn binance_stands_every_fault() {
    venue_stands(VenueKind::Binance).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kraken_stands_every_fault() {
    venue_stands(VenueKind::Kraken).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn okx_stands_every_fault() {
    venue_stands(VenueKind::Okx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bitfinex_stands_every_fault() {
    venue_stands(VenueKind::Bitfinex).await;
}
