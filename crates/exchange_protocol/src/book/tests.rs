use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn decimal(value: f64) -> Decimal {
    Decimal { value, exact: true }
}

fn level(price: f64, size: f64) -> Option<Level> {
    Some(Level { price: decimal(price), size: Some(decimal(size)) })
}

fn change(side: BookSide, price: f64, size: f64) -> Change {
    Change { side, price: decimal(price), size: decimal(size), note: () }
}

fn book(limit: usize, levels: &[(BookSide, f64, f64)]) -> Book {
    Book::new(limit, levels.iter().map(|(side, price, size)| change(*side, *price, *size)).collect())
}

use BookSide::{Ask, Bid};

#[test]
fn tells_the_best_once_and_again_when_its_size_changes() {
    let mut book = book(10, &[(Bid, 9.0, 1.0), (Bid, 10.0, 2.0), (Ask, 11.0, 3.0), (Ask, 12.0, 4.0)]);
    assert_eq!(book.best(), Best::New([level(10.0, 2.0), level(11.0, 3.0)]));
    assert_eq!(book.best(), Best::Same);
    book.set(change(Bid, 9.0, 5.0));
    assert_eq!(book.best(), Best::Same, "not the best");
    book.set(change(Ask, 11.0, 3.5));
    assert_eq!(book.best(), Best::New([level(10.0, 2.0), level(11.0, 3.5)]));
    book.set(change(Bid, 10.0, 0.0));
    assert_eq!(book.best(), Best::New([level(9.0, 5.0), level(11.0, 3.5)]));
}

#[test]
fn an_empty_side_is_told() {
    let mut book = book(10, &[(Bid, 9.0, 1.0)]);
    assert_eq!(book.best(), Best::New([level(9.0, 1.0), None]));
    book.set(change(Bid, 9.0, 0.0));
    assert_eq!(book.best(), Best::New([None, None]));
    assert_eq!(self::book(10, &[]).best(), Best::New([None, None]));
}

#[test]
fn nothing_is_told_while_it_is_crossed_and_a_crossing_that_lasts_is_a_fault() {
    let mut book = book(10, &[(Bid, 10.0, 1.0), (Ask, 11.0, 1.0)]);
    book.best();
    for turn in 0..3 {
        book.set(change(Bid, 11.0, 2.0));
        assert_eq!(book.best(), Best::Same, "turn {turn}");
        book.set(change(Bid, 11.0, 0.0));
        assert_eq!(book.best(), Best::Same, "as it was before");
    }
    book.set(change(Bid, 12.0, 2.0));
    let faults = (0..CROSSED_LIMIT * 2).filter(|_| book.best() == Best::Wrong(BookFault::Crossed)).count();
    assert_eq!(faults, 1);
}

#[test]
fn a_snapshot_with_a_price_twice_keeps_the_later() {
    let mut book = book(10, &[(Bid, 10.0, 1.0), (Ask, 11.0, 1.0), (Bid, 10.0, 7.0), (Ask, 11.0, 0.0)]);
    assert_eq!(book.best(), Best::New([level(10.0, 7.0), None]));
}

#[test]
fn levels_are_bounded_and_running_out_of_them_is_a_fault() {
    let many: Vec<_> = (1..=100).map(|price| (Bid, f64::from(price), 1.0)).collect();
    let mut book = book(8, &many);
    assert_eq!(book.notes(Bid).count(), 8);
    book.set(change(Bid, 50.0, 2.0));
    assert_eq!(book.notes(Bid).count(), 8, "what lies in the forgotten part stays forgotten");
    for price in (93..=100).rev() {
        assert!(matches!(book.best(), Best::New(_)));
        book.set(change(Bid, f64::from(price), 0.0));
    }
    assert_eq!(book.best(), Best::Wrong(BookFault::Exhausted));
}

#[test]
fn a_window_moves_with_the_best() {
    let mut book = book(100, &[(Bid, 10.0, 1.0), (Bid, 9.0, 1.0), (Bid, 8.0, 1.0)]);
    book.truncate(2);
    assert_eq!(book.notes(Bid).count(), 2);
    book.set(change(Bid, 10.0, 0.0));
    book.set(change(Bid, 8.0, 3.0));
    book.set(change(Bid, 9.0, 0.0));
    assert_eq!(book.best(), Best::New([level(8.0, 3.0), None]));
}

proptest! {
    /// Against two maps that keep everything: the best is theirs, or the book says that it does not know any more.
    #[test]
    fn is_what_a_naive_book_is(
        limit in 1_usize..20,
        snapshot in prop::collection::vec((any::<bool>(), 1_u32..40, 0_u32..3), 0..40),
        messages in prop::collection::vec(prop::collection::vec((any::<bool>(), 1_u32..40, 0_u32..3), 1..4), 0..60),
    ) {
        // Bids lie below 40 and asks above it, so that it is not crossed.
        let place = |is_bid: bool, price: u32| if is_bid { price } else { price + 40 };
        let side = |is_bid: bool| if is_bid { Bid } else { Ask };
        let mut naive = [BTreeMap::new(), BTreeMap::new()];
        let mut set = |is_bid: bool, price: u32, size: u32| {
            let of_side = &mut naive[usize::from(!is_bid)];
            if size == 0 { of_side.remove(&price) } else { of_side.insert(price, size) };
            let bid = naive[0].last_key_value().and_then(|(price, size)| level(f64::from(*price), f64::from(*size)));
            let ask = naive[1].first_key_value().and_then(|(price, size)| level(f64::from(*price), f64::from(*size)));
            [bid, ask]
        };
        let mut best = [None, None];
        let mut levels = Vec::new();
        for (is_bid, price, size) in snapshot {
            best = set(is_bid, place(is_bid, price), size);
            levels.push((side(is_bid), f64::from(place(is_bid, price)), f64::from(size)));
        }
        let mut book = book(limit, &levels);
        prop_assert_eq!(book.best(), Best::New(best));
        let mut told = best;
        for message in messages {
            for (is_bid, price, size) in message {
                best = set(is_bid, place(is_bid, price), size);
                book.set(change(side(is_bid), f64::from(place(is_bid, price)), f64::from(size)));
            }
            match book.best() {
                Best::New(new) => { prop_assert_eq!(new, best); prop_assert_ne!(new, told); told = new; }
                Best::Same => prop_assert_eq!(told, best),
                Best::Wrong(fault) => { prop_assert_eq!(fault, BookFault::Exhausted); return Ok(()); }
            }
            for of_side in [Bid, Ask] {
                prop_assert!(book.notes(of_side).count() <= limit + limit / 8);
            }
        }
    }
}
