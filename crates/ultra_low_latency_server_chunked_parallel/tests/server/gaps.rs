//! `/api/gaps`.

use column_store::{Covered, Gap, GapState, MdRow, Options, Proof, Store, Stream};
use tempfile::TempDir;
use ultra_low_latency_server_chunked_parallel::{ApiLimits, Limits};

use crate::{
    DAY,
    running::Running,
    written::{quotes, write_btc},
};

const SECOND: u64 = 1_000_000_000;

/// `DAY` and some seconds, ns.
fn ns(seconds: u64) -> u64 {
    (u64::from(DAY) + seconds) * SECOND
}

/// Three gaps and two ranges of coverage, one beyond midnight.
fn recorded() -> TempDir {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&[DAY]));
    let mut store = Store::open(root.path(), Options::default()).unwrap();
    let series = store.series::<MdRow>("coinbase", "BTC-USD").unwrap();
    for (from, to) in [(10, 20), (100, 200), (300, 400)] {
        store.gap(series, Gap::of_interval(Stream::Quotes, ns(from), ns(to), "disconnected")).unwrap();
    }
    let filled = Gap::of_interval(Stream::Quotes, ns(100), ns(200), "disconnected").with_state(GapState::Filled);
    store.gap(series, filled).unwrap();
    for (from, to) in [(0, 10), (86_000, 87_000)] {
        let range =
            Covered { by: Proof::Live, connection: None, from: ns(from), to: ns(to), from_ns: ns(from), to_ns: ns(to) };
        store.cover(series, range).unwrap();
    }
    store.flush(|_, _| ()).unwrap();
    store.finish().unwrap();
    root
}

#[test]
fn gaps_and_coverage_of_a_range() {
    let root = recorded();
    let server = Running::start(root.path());
    let ask = |range: &str| {
        let answer = server.get(&format!("/api/gaps?symbol=BTC-USD&type=MD&{range}")).expect(200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let states: Vec<_> =
            json["gaps"].as_array().unwrap().iter().map(|gap| gap["state"].as_str().unwrap().to_owned()).collect();
        (states, json["coverage"].as_array().unwrap().len())
    };
    let check = |range: (u64, u64), states: &[&str], covered: usize| {
        let (start, end) = (u64::from(DAY) + range.0, u64::from(DAY) + range.1);
        let states: Vec<_> = states.iter().map(|state| (*state).to_owned()).collect();
        assert_eq!(ask(&format!("start={start}&end={end}")), (states, covered), "{range:?}");
    };
    check((0, 86_399), &["open", "filled", "open"], 2);
    check((0, 9), &[], 1);
    check((20, 100), &["open", "filled"], 0);
    check((150, 160), &["filled"], 0);
    check((500, 600), &[], 0);
    check((86_300, 86_399), &[], 1);
    // To the nanosecond.
    assert_eq!(ask(&format!("start_ns={}&end_ns={}", ns(20) + 1, ns(100) - 1)), (vec![], 0));
    let whole = server.get(&format!("/api/gaps?symbol=BTC-USD&type=MD&start={DAY}&end={}", DAY + 20)).expect(200);
    assert_eq!(
        whole.text(),
        format!(
            r#"{{"coverage":[{{"by":"live","from":{0},"to":{1},"from_ns":{0},"to_ns":{1}}}],"damaged_lines":0,"gaps":[{{"id":"ns-{1}","exchange":"coinbase","symbol":"BTC-USD","stream":"quotes","from_id":null,"to_id":null,"from_ns":{1},"to_ns":{2},"missing":null,"reason":"disconnected","state":"open"}}],"truncated":false}}"#,
            ns(0),
            ns(10),
            ns(20)
        )
    );
}

#[test]
fn what_is_wrong_or_missing_is_told() {
    let root = recorded();
    let api = ApiLimits { gaps: 2, ..ApiLimits::default() };
    let server = Running::with_limits(root.path(), Limits { days: 3, api, ..Limits::default() });
    let check = |query: &str, status: u16, expected: &str| {
        assert_eq!(server.get(&format!("/api/gaps{query}")).expect(status).text(), expected, "{query}");
    };
    check("", 400, "Missing query string");
    check("?", 400, "Missing symbol");
    check("?symbol=A", 400, "Missing type");
    check("?symbol=A&type=MD", 400, "Missing start");
    check("?symbol=A&type=X&start=0&end=0", 400, "Invalid type: X is neither MD nor TRADES");
    check("?symbol=..&type=MD&start=0&end=0", 400, "Invalid symbol: it begins with a dot");
    let days = "Invalid end: 4 days from start, at most 3 are answered at once";
    check("?symbol=A&type=MD&start=0&end=259200", 413, days);
    assert_eq!(server.sample("gpu_charts_server_requests_refused_total{reason=\"days\"}"), 1.0);
    let nothing = r#"{"coverage":[],"damaged_lines":0,"gaps":[],"truncated":false}"#;
    check("?symbol=NONE&type=MD&start=0&end=0", 200, nothing);
    check("?symbol=BTC-USD&type=MD&start=0&end=0&strict=1", 200, nothing);
    check("?symbol=NONE&type=MD&start=0&end=0&strict=1", 404, "Not found: symbol coinbase/NONE");
    let answer = server.get("/api/gaps?symbol=NONE&type=MD&start=0&end=0").expect(200);
    assert_eq!(answer.header("x-missing"), Some("symbol coinbase/NONE"));
    let many = server.get(&format!("/api/gaps?symbol=BTC-USD&type=MD&start={DAY}&end={}", DAY + 400)).expect(200);
    assert!(many.text().ends_with(r#""truncated":true}"#) && many.text().matches("ns-").count() == 2);
    // Nothing at all yet.
    let empty = TempDir::new().unwrap();
    let server = Running::start(&empty.path().join("later"));
    assert_eq!(server.get("/api/gaps?symbol=A&type=MD&start=0&end=0").expect(200).text(), nothing);
}
