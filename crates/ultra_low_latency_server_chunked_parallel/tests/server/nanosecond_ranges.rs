//! `start_ns` and `end_ns`.

use tempfile::TempDir;

use crate::{
    DAY,
    running::Running,
    written::{quote, write_btc},
};

const SECOND: u64 = 1_000_000_000;

#[test]
fn a_range_ends_at_any_nanosecond() {
    let root = TempDir::new().unwrap();
    // Many at one instant, on both sides of midnight.
    let keys: Vec<(u32, u32)> = [
        vec![(DAY - 1, 999_999_999); 3],
        vec![(DAY, 0); 2],
        vec![(DAY, 5), (DAY, 5), (DAY, 7), (DAY + 1, 0), (DAY + 1, 1), (DAY + 9, 3)],
    ]
    .concat();
    let rows: Vec<_> = keys.iter().zip(0..).map(|((second, nanos), id)| quote(*second, *nanos, id)).collect();
    write_btc(root.path(), &rows);
    let server = Running::start(root.path());
    let instants: Vec<u64> =
        keys.iter().map(|(second, nanos)| u64::from(*second) * SECOND + u64::from(*nanos)).collect();
    let mut ends: Vec<u64> = instants.iter().flat_map(|ns| [ns - 1, *ns, ns + 1]).collect();
    ends.extend([0, u64::from(DAY + 100) * SECOND]);
    for start in &ends {
        for end in ends.iter().filter(|end| *end >= start && *end - start < 86_400 * SECOND) {
            let inside = instants.iter().filter(|ns| (start..=end).contains(ns)).count();
            let answer = server.data(&format!("type=MD&start_ns={start}&end_ns={end}&columns=event_ns"));
            let columns = answer.columns();
            let found: Vec<u8> =
                instants.iter().filter(|ns| (start..=end).contains(ns)).flat_map(|ns| ns.to_le_bytes()).collect();
            assert_eq!((columns[0].num_records, &columns[0].bytes), (inside as u64, &found), "{start}-{end}");
        }
    }
    // Evenly spaced rows count from the first one in the range.
    let (start, end) = (u64::from(DAY) * SECOND + 1, u64::from(DAY + 1) * SECOND);
    let query = format!("type=MD&start_ns={start}&end_ns={end}&columns=nanos,time&max_points=2");
    assert_eq!(server.data(&query).u32s(), [5, 7]);
}

#[test]
fn a_range_is_told_one_way() {
    let root = TempDir::new().unwrap();
    let server = Running::start(root.path());
    let check = |range: &str, expected: &str| {
        assert_eq!(server.data(&format!("type=MD&{range}&columns=time")).expect(400).text(), expected, "{range}");
    };
    let both = "is given too; a range has start and end, or start_ns and end_ns";
    check("start=1&end=2&start_ns=1&end_ns=2", &format!("Invalid start_ns: start {both}"));
    check("start=1&end_ns=2", &format!("Invalid end_ns: start {both}"));
    check("start_ns=1&end=2", &format!("Invalid start_ns: end {both}"));
    check("start_ns=1", "Missing end_ns");
    check("end_ns=1", "Missing start_ns");
    check("start_ns=x&end_ns=1", "Invalid start_ns: invalid digit found in string");
    check("start_ns=2&end_ns=1", "Invalid start_ns: 2 is after end_ns 1");
    check(
        "start_ns=1&end_ns=18446744073709551615",
        "Invalid end_ns: 18446744073709551615 lies beyond the year 2106, where seconds of 32 bits end",
    );
    let longest = server.data("type=MD&start_ns=0&end_ns=4294967295999999999&columns=time").expect(413);
    assert_eq!(longest.text(), "Invalid end: 49711 days from start, at most 366 are answered at once");
}
