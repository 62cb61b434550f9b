//! Query strings of which somebody made nonsense; `cargo fuzz` goes on where this ends.

use proptest::{collection::vec, prelude::*, sample::select};

use super::entry;

const PARTS: [&str; 48] = [
    "symbol=",
    "type=",
    "start=",
    "end=",
    "columns=",
    "exchange=",
    "max_points=",
    "start_ns=",
    "end_ns=",
    "reduce=",
    "reduce_column=",
    "format=",
    "strict=",
    "&",
    "&",
    "&",
    "=",
    ",",
    "+",
    "%",
    "%2F",
    "..",
    "/",
    "%00",
    "MD",
    "TRADES",
    "BTC-USD",
    "kraken",
    "BTC_USD",
    "time",
    "nanos",
    "price_f64",
    "taker_order_id",
    "time,price,side",
    "0",
    "1",
    "86400",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "-1",
    "1.5",
    "minmax",
    "lttb",
    "csv",
    "jsonl",
    "binary",
    "é",
];

/// A query that is taken, in which parts are then changed.
const TAKEN: [&str; 4] = [
    "symbol=A&type=MD&start=1&end=9&columns=time,price",
    "exchange=kraken&symbol=BTC_USD&type=TRADES&start_ns=1&end_ns=4294967295999999999&columns=id&format=csv",
    "symbol=A&type=MD&start=%2B5&end=86400&columns=+time+,best_bid&max_points=7&reduce=minmax&strict=1",
    "symbol=%41&type=MD&start=0&end=0&columns=time&%66ormat=jsonl&max_points=0",
];

#[derive(Clone, Debug)]
enum Change {
    Put(&'static str),
    Cut(usize),
    Bytes(Vec<u8>),
}

fn change() -> impl Strategy<Value = (prop::sample::Index, Change)> {
    let put = select(&PARTS[..]).prop_map(Change::Put);
    let change = prop_oneof![3 => put, 1 => (1..9_usize).prop_map(Change::Cut), 1 => vec(any::<u8>(), 1..4).prop_map(Change::Bytes)];
    (any::<prop::sample::Index>(), change)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_query_is_taken_consistently(taken in select(&TAKEN[..]), changes in vec(change(), 0..6)) {
        let mut bytes = taken.as_bytes().to_vec();
        for (at, change) in changes {
            let at = at.index(bytes.len() + 1);
            match change {
                Change::Put(part) => drop(bytes.splice(at..at, part.bytes())),
                Change::Cut(length) => drop(bytes.drain(at..(at + length).min(bytes.len()))),
                Change::Bytes(more) => drop(bytes.splice(at..at, more)),
            }
        }
        entry::query_is_consistent(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_parts_are_taken_consistently(parts in vec(select(&PARTS[..]), 0..24)) {
        entry::query_is_consistent(&parts.concat());
    }
}
