//! The core against a venue that knows all its trades: whatever is lost, filled, held or cut off by a crash, every trade is in
//! the files once, or in the record as missing.

mod stories;
mod world;

use proptest::prelude::*;

use world::{Step, World};

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let few = 1_u64..5;
    let step = prop_oneof![
        6 => few.clone().prop_map(Step::Trade),
        3 => few.clone().prop_map(Step::Miss),
        1 => Just(Step::Repeat),
        1 => few.prop_map(Step::Late),
        2 => Just(Step::Disconnect),
        3 => Just(Step::Connect),
        1 => Just(Step::Spare),
        3 => (0_usize..4, prop::bool::ANY).prop_map(|(trades, ends)| Step::Answer { trades, ends }),
        2 => Just(Step::Fail),
        2 => Just(Step::Heartbeat),
        1 => (1_u64..4).prop_map(Step::Forget),
        4 => (1_u64..6).prop_map(Step::Wait),
        1 => (10_u64..100).prop_map(Step::Wait),
        3 => Just(Step::Flush),
        2 => Just(Step::Kill),
        1 => Just(Step::Stop),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #[test]
    fn every_trade_is_recorded_once_or_missing_on_record(steps in steps()) {
        let mut world = World::of_ids();
        steps.into_iter().for_each(|step| world.step(step));
        world.settle();
        world.check();
    }

    #[test]
    fn trades_of_ids_that_prove_nothing_are_recorded_once_or_in_an_open_interval(steps in steps()) {
        let mut world = World::of_times();
        steps.into_iter().for_each(|step| world.step(step));
        world.settle();
        world.check();
    }
}
