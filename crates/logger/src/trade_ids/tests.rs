use proptest::prelude::*;

use super::{Seen::*, *};

fn new() -> Seen {
    New { missing: [None; 2] }
}

fn jump(from: u64, to: u64) -> Seen {
    New { missing: [None, Some((from, to))] }
}

fn check(steps: &[((u64, u64), Seen)]) {
    let mut ids = TradeIds::default();
    for ((first, last), expected) in steps {
        assert_eq!(ids.observe(*first, *last), *expected, "{first}..={last}");
    }
}

#[test]
fn contiguous_ids_are_new() {
    check(&[((7, 7), new()), ((8, 8), new()), ((9, 12), new())]);
}

#[test]
fn a_jump_is_a_gap_and_late_trades_fill_it() {
    check(&[
        ((1, 1), new()),
        ((5, 5), jump(2, 4)),
        ((3, 3), Late { filled: 1 }),
        ((3, 3), Duplicate),
        ((2, 4), Late { filled: 2 }),
        ((4, 4), Duplicate),
        ((5, 5), Duplicate),
    ]);
}

#[test]
fn an_aggregate_that_overlaps_is_new() {
    check(&[((1, 4), new()), ((3, 6), new()), ((8, 9), jump(7, 7)), ((7, 10), new()), ((7, 7), Duplicate)]);
}

#[test]
fn the_record_begins_with_what_came_before_the_first() {
    let earlier = |missing| Earlier { missing };
    check(&[
        ((10, 10), new()),
        ((9, 9), earlier(None)),
        ((5, 6), earlier(Some((7, 8)))),
        ((6, 6), Duplicate),
        ((9, 9), Duplicate),
        ((7, 7), Late { filled: 1 }),
        ((8, 8), Late { filled: 1 }),
        ((11, 11), new()),
    ]);
    // One wrong id must not make millions missing, here either.
    check(&[((9_000_000, 9_000_000), new()), ((1, 1), Late { filled: 0 }), ((1, 1), Late { filled: 0 })]);
    let mut ids = TradeIds::resume(97, true, Some(100), []);
    assert_eq!(ids.observe(95, 95), earlier(Some((96, 96))));
    assert_eq!(ids.bring(96, 96), Brought::Filled(1));
}

#[test]
fn resumes_after_the_files() {
    let mut ids = TradeIds::resume(97, false, Some(100), [(99, 99), (5, 6)]);
    assert_eq!(ids.observe(100, 100), Duplicate);
    assert_eq!(ids.observe(104, 104), jump(101, 103));
    assert_eq!(ids.observe(101, 101), Late { filled: 1 });
    assert_eq!(ids.observe(99, 99), Late { filled: 1 }, "a gap in the files can still be filled");
    assert_eq!(ids.bring(5, 5), Brought::Filled(1), "also one from before what is known");
    assert_eq!(ids.bring(7, 7), Brought::Known, "that nobody asked for");
    assert_eq!(ids.observe(7, 7), Late { filled: 0 }, "a venue that counts anew loses nothing");
    assert_eq!(ids.bring(105, 105), Brought::Ahead);
    assert_eq!(ids.claim(106), Some([None, Some((105, 106))]));
    assert_eq!(ids.claim(106), None);
    assert_eq!(ids.missing_within(0, 105).collect::<Vec<_>>(), [(6, 6), (102, 103), (105, 105)]);
    assert_eq!(ids.missing_within(103, 103).collect::<Vec<_>>(), [(103, 103)]);
}

#[test]
fn one_wrong_id_makes_nothing_missing_and_nothing_double() {
    let far = 90_000_000;
    let mut ids = TradeIds::default();
    assert_eq!(ids.observe(1, 1), new());
    assert_eq!(ids.observe(far, far), Doubted);
    assert_eq!(ids.observe(far, far), Duplicate);
    for id in 2..10 {
        assert_eq!(ids.observe(id, id), new());
        assert_eq!(ids.observe(id, id), Duplicate);
    }
    // The same from another place confirms nothing; one that goes on from there does.
    assert_eq!(ids.observe(2 * far, 2 * far), Doubted);
    assert_eq!(
        ids.observe(2 * far + 3, 2 * far + 3),
        New { missing: [Some((10, 2 * far - 1)), Some((2 * far + 1, 2 * far + 2))] }
    );
    assert_eq!(ids.observe(u64::MAX, u64::MAX), Doubted);
}

#[test]
fn what_was_doubted_is_not_missing_once_the_ids_pass_it() {
    let far = 200_000;
    let mut ids = TradeIds::default();
    ids.observe(1, 1);
    assert_eq!(ids.observe(far, far + 1), Doubted);
    assert_eq!(ids.claim(150_000), Some([None, Some((2, 150_000))]));
    assert_eq!(ids.claim(far), Some([Some((150_001, far - 1)), None]));
    assert_eq!((ids.bring(far, far), ids.bring(far + 1, far + 1)), (Brought::Known, Brought::Known));
    assert_eq!(ids.observe(far + 2, far + 2), new());
    let mut ids = TradeIds::default();
    ids.observe(1, 1);
    assert_eq!(ids.observe(far, far), Doubted);
    ids.claim(far - 5);
    assert_eq!(ids.observe(far + 3, far + 3), New { missing: [Some((far - 4, far - 1)), Some((far + 1, far + 2))] });
}

#[test]
fn memory_is_bounded_and_nothing_is_called_a_duplicate_for_it() {
    let mut ids = TradeIds::resume(0, false, Some(0), []);
    for id in 1..=3_000 {
        ids.observe(id * 2, id * 2);
    }
    assert_eq!(ids.missing.len(), REMEMBERED_GAPS);
    assert_eq!(ids.observe(1, 1), Late { filled: 0 });
    assert_eq!(ids.observe(5_999, 5_999), Late { filled: 1 });
    assert_eq!(ids.observe(6_000, 6_000), Duplicate);
}

#[test]
fn unique_ids_are_remembered_so_far() {
    let mut ids = UniqueIds::resume(&[10, 30]);
    assert_eq!((ids.look(10), ids.look(20), ids.look(40)), (Looked::Seen, Looked::New, Looked::New));
    for id in 0..REMEMBERED as u64 {
        ids.insert(100 + id * 2);
    }
    assert_eq!((ids.look(10), ids.look(101), ids.look(102)), (Looked::Unknown, Looked::Unknown, Looked::Seen));
    assert_eq!(ids.look(100 + REMEMBERED as u64 * 2), Looked::New);
    assert_eq!(ids.live.recent.len(), REMEMBERED);
    assert_eq!(ids.live.seen.len(), REMEMBERED);
}

proptest! {
    /// Every id is new once, and what is missing is what a set says.
    #[test]
    fn equals_a_set(steps in prop::collection::vec((1_u64..80, 0_u64..4, prop::bool::ANY), 1..60)) {
        let mut ids = TradeIds::resume(1, false, Some(1), []);
        let (mut seen, mut last) = (std::collections::BTreeSet::from([1_u64]), 1);
        for (first, more, live) in steps {
            let end = first + more;
            let range = first..=end;
            let fresh = range.clone().filter(|id| !seen.contains(id)).count() as u64;
            if live {
                match ids.observe(first, end) {
                    New { .. } => prop_assert!(end > last),
                    Late { filled } => prop_assert!(end <= last && filled == fresh && fresh > 0),
                    Duplicate => prop_assert!(end <= last && fresh == 0),
                    Doubted | Earlier { .. } => prop_assert!(false),
                }
                last = last.max(end);
                seen.extend(range);
            } else {
                match ids.bring(first, end) {
                    Brought::Ahead => prop_assert!(end > last),
                    Brought::Filled(filled) => prop_assert!(end <= last && filled == fresh),
                    Brought::Known => prop_assert!(end <= last && fresh == 0),
                }
                if end <= last {
                    seen.extend(range);
                }
            }
            let missing: Vec<u64> = ids.missing_within(0, last).flat_map(|(from, to)| from..=to).collect();
            let expected: Vec<u64> = (1..last).filter(|id| !seen.contains(id)).collect();
            prop_assert_eq!(missing, expected);
        }
    }
}
