//! What happened once, or may happen to anybody.

use column_store::{GapState, Proof, Stream, Table};

use super::world::{NOW, S, Step, World};
use crate::received::{ConnectionId, Fact, FillEnd, LostWhy};

/// A world with trades 100 to 102 in the files.
fn begun() -> World {
    let mut world = World::of_ids();
    world.step(Step::Connect);
    world.step(Step::Trade(3));
    world
}

fn states(world: &World) -> Vec<(u64, u64, GapState)> {
    let gaps = world.gaps(Table::Trades).into_iter();
    gaps.map(|gap| (gap.from_id.unwrap(), gap.to_id.unwrap(), gap.state)).collect()
}

#[test]
fn a_gap_is_on_record_before_the_rows_behind_it_and_these_wait_for_the_fill() {
    let mut world = begun();
    world.step(Step::Miss(2));
    world.step(Step::Trade(2));
    let question = world.question.clone().unwrap();
    assert_eq!(question.ids, Some((103, 104)));
    assert!(question.times.0 <= world.trades[&102] && question.times.1 >= world.trades[&105]);
    assert_eq!(
        (world.value("gpu_charts_data_gaps_total"), world.value("gpu_charts_data_gaps_filled_total")),
        (2.0, 0.0)
    );
    world.flush();
    assert_eq!(world.ids(), [100, 101, 102], "105 and 106 wait");
    assert_eq!(states(&world), [(103, 104, GapState::Open)]);
    assert_eq!(world.gaps(Table::Trades)[0].reason, "id jump");
    world.answer(0, Some(FillEnd::Answered));
    assert_eq!(world.value("gpu_charts_data_gaps_filled_total"), 2.0);
    world.step(Step::Trade(1));
    world.flush();
    assert_eq!(world.ids(), [100, 101, 102, 103, 104, 105, 106, 107], "in the order of events");
    assert_eq!(states(&world), [(103, 104, GapState::Filled)]);
    // The last claims are written at the end, or once a minute.
    world.stop();
    let covered = world.coverage(Table::Trades);
    assert_eq!(covered.iter().map(|range| (range.from, range.to)).collect::<Vec<_>>(), [(100, 107)]);
}

#[test]
fn nobody_waits_longer_than_ten_seconds() {
    let mut world = begun();
    world.step(Step::Miss(1));
    world.step(Step::Trade(1));
    world.wait(9);
    world.step(Step::Trade(1));
    world.flush();
    assert_eq!(world.ids(), [100, 101, 102]);
    world.wait(1);
    world.flush();
    assert_eq!(world.ids(), [100, 101, 102, 104, 105]);
    world.step(Step::Trade(1));
    world.answer(0, Some(FillEnd::Answered));
    world.flush();
    assert_eq!(world.ids(), [100, 101, 102, 104, 105, 106, 103], "a late fill is appended");
    world.check();
}

#[test]
fn what_the_venue_does_not_have_is_lost_after_the_last_retry() {
    let mut world = begun();
    world.step(Step::Miss(2));
    world.step(Step::Forget(1));
    world.step(Step::Miss(2));
    world.step(Step::Trade(1));
    for pause in [2, 10, 60] {
        world.answer(0, Some(FillEnd::Answered));
        for _ in 0..pause {
            assert!(world.question.is_none());
            world.wait(1);
            // The symbol is quiet, too.
            if world.question.as_ref().is_some_and(|question| question.ids.unwrap().1 == u64::MAX) {
                world.answer(0, Some(FillEnd::Answered));
            }
        }
        assert_eq!(world.question.as_ref().unwrap().ids.unwrap().0, 104, "what is still missing");
    }
    world.flush();
    assert_eq!(states(&world), [(103, 106, GapState::Open)]);
    world.answer(0, Some(FillEnd::Answered));
    world.flush();
    let pieces = [(103, 103, GapState::Filled), (104, 104, GapState::Lost), (105, 106, GapState::Filled)];
    assert_eq!(states(&world), pieces);
    world.wait(100);
    assert!(world.question.is_none(), "it is lost");
    world.check();
    // A trade that arrives after all is recorded, and its gap is filled.
    world.arrive(104);
    world.flush();
    assert_eq!(states(&world)[1], (104, 104, GapState::Filled));
    world.check();
}

#[test]
fn a_venue_that_cannot_be_asked_leaves_a_gap_open_also_over_a_restart() {
    let mut world = begun();
    world.step(Step::Miss(1));
    world.step(Step::Trade(1));
    for pause in [2, 4, 8, 16] {
        world.step(Step::Fail);
        world.wait(pause - 1);
        assert!(world.question.is_none(), "after {pause} s");
        world.wait(1);
        assert!(world.question.is_some(), "after {pause} s");
    }
    world.stop();
    assert_eq!(states(&world), [(103, 103, GapState::Open)]);
    world.wait(1);
    assert_eq!(world.question.as_ref().unwrap().ids, Some((103, 103)));
    world.settle();
    assert_eq!(states(&world), [(103, 103, GapState::Filled)]);
    world.check();
}

#[test]
fn a_kill_takes_what_waits_and_the_next_start_asks_for_it() {
    let mut world = begun();
    world.step(Step::Miss(2));
    world.step(Step::Trade(5));
    world.answer(1, None);
    world.flush();
    assert_eq!(world.ids(), [100, 101, 102, 104], "the fill came in part");
    world.step(Step::Kill);
    world.connect();
    assert_eq!(world.question.as_ref().unwrap().ids, Some((103, 104)), "of the gap one is left");
    world.answer(0, Some(FillEnd::Answered));
    world.wait(1);
    assert_eq!(world.question.as_ref().unwrap().ids, Some((105, u64::MAX)));
    world.answer(0, Some(FillEnd::Answered));
    world.wait(2);
    world.flush();
    assert_eq!(world.ids(), [100, 101, 102, 104, 103, 105, 106, 107, 108, 109]);
    let gaps = world.gaps(Table::Trades);
    assert_eq!((gaps.len(), gaps[1].reason.as_str(), gaps[1].state), (2, "restart", GapState::Filled));
    world.check();
}

/// At the start of all, trades may come in another order than their ids': the record begins with the lowest.
#[test]
fn a_trade_from_before_the_first_leaves_no_hole_that_is_not_on_record() {
    let mut world = World::of_ids();
    world.step(Step::Connect);
    world.step(Step::Miss(4));
    world.step(Step::Trade(1));
    world.step(Step::Late(3));
    assert_eq!(world.value("gpu_charts_data_gaps_total"), 2.0);
    world.wait(1);
    assert_eq!(world.question.as_ref().unwrap().ids, Some((102, 103)));
    world.stop();
    assert_eq!(world.ids(), [104, 101]);
    assert_eq!(states(&world), [(102, 103, GapState::Open)]);
    world.settle();
    assert_eq!(states(&world), [(102, 103, GapState::Filled)]);
    world.check();
    // Where the record begins is known also after a start.
    world.stop();
    world.connect();
    world.arrive(100);
    world.flush();
    assert_eq!(world.ids().last(), Some(&100));
    world.check();
}

/// The fill is older than what the files hold behind the gap: what is repeated then is no trade of a venue that counts anew.
#[test]
fn a_trade_of_before_a_restart_that_comes_again_after_a_fill_is_known() {
    let mut world = begun();
    world.step(Step::Miss(1));
    world.wait(1);
    world.step(Step::Trade(5));
    world.stop();
    world.connect();
    world.answer(1, None);
    world.step(Step::Repeat);
    world.flush();
    assert_eq!(world.ids(), [100, 101, 102, 104, 105, 106, 107, 108, 103]);
    world.settle();
    world.check();
}

/// Rows that a power loss took behind a gap that is on record.
#[test]
fn holes_that_the_record_does_not_know_are_found_at_the_start() {
    let mut world = begun();
    world.flush();
    world.step(Step::Trade(2));
    world.step(Step::Miss(1));
    world.step(Step::Trade(1));
    world.flush();
    for column in Table::Trades.columns() {
        let directory = world.root().join("coinbase/BTC-USD/TRADES");
        let file = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let of_column = |path: &std::path::PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            name.starts_with(&format!("{}.", column.name)) && name.ends_with(".bin")
        };
        let file = std::fs::OpenOptions::new().write(true).open(file.into_iter().find(of_column).unwrap()).unwrap();
        file.set_len(3 * column.kind.width() as u64).unwrap();
    }
    std::fs::remove_file(world.root().join("checkpoint")).unwrap();
    // The claims of these rows were not written yet.
    world.step(Step::Kill);
    world.settle();
    world.check();
}

#[test]
fn trades_that_rest_has_and_a_live_stream_did_not_bring_make_it_suspect() {
    let mut world = begun();
    world.wait(30);
    world.step(Step::Miss(3));
    world.wait(29);
    assert!(world.question.is_none());
    world.wait(2);
    assert_eq!(world.question.as_ref().unwrap().ids, Some((103, u64::MAX)), "the symbol is quiet");
    world.answer(0, Some(FillEnd::Answered));
    world.wait(1);
    assert_eq!(world.suspected, 0, "they may be under way");
    world.wait(1);
    assert_eq!(world.suspected, 1);
    world.flush();
    assert_eq!(world.ids(), [100, 101, 102, 103, 104, 105]);
    assert_eq!(states(&world), [(103, 105, GapState::Filled)]);
    assert_eq!(world.gaps(Table::Trades)[0].reason, "not sent");
    assert_eq!(world.value("gpu_charts_data_gaps_total"), 3.0);
    assert_eq!(world.value("gpu_charts_data_gaps_filled_total"), 3.0);
}

#[test]
fn trades_that_rest_is_quicker_with_are_no_gap() {
    let mut world = begun();
    world.wait(61);
    world.step(Step::Miss(2));
    world.answer(0, Some(FillEnd::Answered));
    world.wait(1);
    world.arrive(103);
    world.arrive(104);
    world.wait(5);
    world.flush();
    assert_eq!(world.ids(), [100, 101, 102, 103, 104]);
    assert_eq!(world.value("gpu_charts_data_gaps_total"), 0.0);
    assert_eq!(world.suspected, 0);
}

#[test]
fn a_quiet_symbol_is_asked_about_less_and_less_often() {
    let mut world = begun();
    let mut waits = Vec::new();
    for _ in 0..8 {
        let before_ns = world.now_ns;
        while world.question.is_none() {
            world.wait(1);
        }
        waits.push((world.now_ns - before_ns) / S);
        world.answer(0, Some(FillEnd::Answered));
    }
    assert_eq!(waits, [60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
}

/// Of what never traded nothing can be asked.
#[test]
fn a_stream_that_never_brought_anything_is_suspected_less_and_less_often() {
    let mut world = World::of_ids();
    world.step(Step::Connect);
    let mut waits = Vec::new();
    for suspicion in 1..=8 {
        let before_ns = world.now_ns;
        while world.suspected < suspicion {
            world.wait(1);
        }
        waits.push((world.now_ns - before_ns) / S);
    }
    assert_eq!(waits, [60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
    assert_eq!(world.asked, 0);
    world.step(Step::Trade(1));
    while world.asked == 0 {
        world.wait(1);
    }
    assert_eq!(world.suspected, 8, "now it can be asked about");
}

#[test]
fn the_venues_word_on_its_last_trade_shows_a_loss_at_the_end() {
    let mut world = begun();
    world.step(Step::Miss(2));
    world.step(Step::Heartbeat);
    world.wait(1);
    world.step(Step::Heartbeat);
    assert_eq!(world.value("gpu_charts_data_gaps_total"), 0.0, "it may be under way");
    world.wait(1);
    assert_eq!(world.value("gpu_charts_data_gaps_total"), 2.0);
    assert_eq!(world.question.as_ref().unwrap().ids, Some((103, 104)));
    world.answer(0, Some(FillEnd::Answered));
    assert_eq!(world.suspected, 0, "one message may be lost");
    world.step(Step::Miss(1));
    world.step(Step::Heartbeat);
    world.wait(2);
    assert_eq!(world.suspected, 1, "two without a trade between them");
    world.settle();
    world.check();
}

#[test]
fn quotes_are_missing_from_the_last_proof_to_the_first_new_one() {
    let mut world = begun();
    world.wait(5);
    let connection = world.connections[0];
    world.fact(connection, Fact::Alive(Stream::Quotes));
    let alive_ns = world.now_ns;
    world.wait(5);
    let lost = Fact::Lost { stream: Stream::Quotes, why: LostWhy::Dead, proven_ns: alive_ns + S };
    world.fact(connection, lost);
    world.flush();
    let gaps = world.gaps(Table::Md);
    assert_eq!((gaps[0].state, gaps[0].from_ns, gaps[0].reason.as_str()), (GapState::Open, alive_ns + S, "silent"));
    world.step(Step::Disconnect);
    world.wait(5);
    world.connect();
    let back_ns = world.now_ns;
    world.stop();
    world.flush();
    let gaps = world.gaps(Table::Md);
    assert_eq!((gaps[0].state, gaps[0].to_ns), (GapState::Lost, back_ns));
    let live: Vec<_> = world.coverage(Table::Md).iter().map(|range| (range.by, range.from, range.to)).collect();
    assert_eq!(live, [(Proof::Live, NOW, alive_ns + S)], "the second time proved nothing but its one quote");
    assert_eq!((gaps.len(), gaps[1].reason.as_str(), gaps[1].from_ns), (2, "restart", back_ns));
}

/// They may have come over another connection.
#[test]
fn rows_of_trades_do_not_prove_that_quotes_came() {
    let mut world = begun();
    world.wait(5);
    world.step(Step::Trade(1));
    world.flush();
    world.step(Step::Kill);
    world.flush();
    let gaps = world.gaps(Table::Md);
    assert_eq!((gaps.len(), gaps[0].reason.as_str(), gaps[0].from_ns), (1, "restart", NOW));
}

/// What frames prove where ids do not.
#[test]
fn counted_frames_are_the_coverage_of_trades_whose_ids_only_rise() {
    let mut world = World::of_times();
    world.step(Step::Connect);
    world.step(Step::Trade(3));
    world.wait(6);
    world.flush();
    let covered = world.coverage(Table::Trades);
    let connection = Some(world.connections[0].0.to_string());
    assert_eq!((covered.len(), covered[0].by, &covered[0].connection), (1, Proof::Sequence, &connection));
    assert_eq!((covered[0].from, covered[0].to), (1, 6));
    world.step(Step::Miss(2));
    assert_eq!(world.value("gpu_charts_data_gaps_total"), 2.0, "of trades and of quotes one each");
    world.step(Step::Trade(1));
    world.flush();
    assert_eq!(world.ids().len(), 3, "it waits");
    world.answer(0, Some(FillEnd::Answered));
    world.flush();
    assert_eq!(world.ids().len(), 6);
    assert_eq!(world.gaps(Table::Trades)[0].state, GapState::Open, "the venue may not know all of it yet");
    world.wait(11);
    world.answer(0, Some(FillEnd::Answered));
    world.flush();
    assert_eq!(world.gaps(Table::Trades)[0].state, GapState::Filled);
    assert_eq!(world.value("gpu_charts_data_gaps_total") - world.value("gpu_charts_data_gaps_filled_total"), 1.0);
    let before = covered[0].to;
    assert!(world.coverage(Table::Trades).iter().all(|range| range.to == before || range.from > before + 1));
}

/// They waited for the fill of one interval when the next one began.
#[test]
fn trades_that_waited_when_a_kill_came_are_in_an_interval() {
    let mut world = World::of_times();
    world.step(Step::Connect);
    world.step(Step::Trade(1));
    world.step(Step::Miss(1));
    world.step(Step::Trade(2));
    world.step(Step::Forget(2));
    world.wait(9);
    world.step(Step::Disconnect);
    world.flush();
    assert_eq!(world.ids().len(), 1, "they wait");
    world.step(Step::Kill);
    world.settle();
    world.check();
}

/// Frames prove that nothing happened, too: what happens while nobody records is missing from there on.
#[test]
fn an_interval_begins_where_frames_ended_that_brought_no_trade() {
    let mut world = World::of_times();
    world.step(Step::Connect);
    let proven_ns = world.now_ns;
    world.stop();
    let gaps = world.gaps(Table::Trades);
    assert!(gaps.is_empty(), "it is written with the next flush");
    world.flush();
    let gaps = world.gaps(Table::Trades);
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].from_ns, gaps[0].state, gaps[0].reason.as_str()), (proven_ns, GapState::Open, "restart"));
    world.step(Step::Trade(3));
    world.step(Step::Forget(2));
    world.settle();
    world.check();
}

#[test]
fn a_burst_of_missing_frames_is_asked_about_as_one() {
    let mut world = World::of_times();
    world.step(Step::Connect);
    world.step(Step::Trade(3));
    for _ in 0..10 {
        world.step(Step::Miss(2));
        world.step(Step::Trade(1));
        world.wait(1);
    }
    assert_eq!(world.asked, 1, "about the first");
    world.answer(0, Some(FillEnd::Answered));
    world.wait(1);
    let (last, question) = (world.trades.last_key_value().unwrap(), world.question.clone().unwrap());
    assert!(question.times.0 < NOW && question.times.1 > *last.1, "{question:?}");
    world.answer(0, Some(FillEnd::Failed));
    world.wait(3);
    assert_eq!(world.asked, 3, "a failure is one for all");
    world.answer(0, Some(FillEnd::Answered));
    world.wait(20);
    assert_eq!(world.asked, 4, "when the last is settled");
    world.answer(0, Some(FillEnd::Answered));
    world.wait(60);
    world.flush();
    assert_eq!((world.asked, world.ids().len()), (4, 33));
    let gaps = world.gaps(Table::Trades);
    assert!(gaps.len() == 10 && gaps.iter().all(|gap| gap.state == GapState::Filled), "{gaps:?}");
    // Twenty trades, and the ten intervals without quotes.
    assert_eq!(world.value("gpu_charts_data_gaps_total"), 30.0);
    assert_eq!(world.value("gpu_charts_data_gaps_filled_total"), 20.0);
    world.check();
}

#[test]
fn trades_of_nobody_in_particular_are_recorded() {
    let mut world = begun();
    world.step(Step::Disconnect);
    let id = *world.trades.last_key_value().unwrap().0;
    world.trades.insert(id + 1, world.now_ns);
    world.connections.push(ConnectionId(7));
    world.arrive(id + 1);
    world.connections.clear();
    world.settle();
    world.check();
}

/// They stand in no file while they wait.
#[test]
fn live_trades_are_known_after_a_long_answer() {
    let mut world = World::of_times();
    world.step(Step::Connect);
    world.step(Step::Trade(1));
    world.flush();
    world.step(Step::Disconnect);
    world.step(Step::Trade(5_000));
    world.step(Step::Connect);
    world.step(Step::Trade(3));
    let pieces: Vec<u64> = world.trades.keys().copied().collect();
    for piece in pieces.chunks(1_000) {
        world.piece(piece, None);
    }
    world.piece(&[], Some(FillEnd::Answered));
    world.flush();
    assert_eq!(world.ids().len(), 5_004);
    world.settle();
    world.check();
}

/// Two connections fall silent at once, and one of them is noticed, and replaced, before the other.
#[test]
fn what_began_later_does_not_prove_what_was_before() {
    for ends_first in [false, true] {
        let mut world = World::of_times();
        world.step(Step::Connect);
        world.step(Step::Spare);
        world.step(Step::Trade(1));
        let (proven_ns, silent) = (world.now_ns, std::mem::take(&mut world.connections));
        let lost = |proven_ns| Fact::Lost { stream: Stream::Trades, why: LostWhy::Dead, proven_ns };
        (0..3).for_each(|_| _ = world.happen());
        world.wait(24);
        world.fact(silent[1], lost(proven_ns));
        world.connect();
        let back_ns = world.now_ns;
        world.step(Step::Trade(1));
        world.wait(1);
        if ends_first {
            world.step(Step::Disconnect);
        }
        world.fact(silent[0], lost(proven_ns));
        world.flush();
        let gaps = world.gaps(Table::Trades);
        assert_eq!((gaps.len(), gaps[0].from_ns), (1, proven_ns));
        assert_eq!(gaps[0].to_ns, if ends_first { proven_ns } else { back_ns }, "none carries it, or the new one");
        world.settle();
        assert_eq!(world.ids().len(), 7);
        world.check();
    }
}

/// It ends, too, before the silent one is noticed.
#[test]
fn what_went_on_proves_what_a_silent_one_did_not_bring() {
    let mut world = World::of_times();
    world.step(Step::Connect);
    world.step(Step::Spare);
    let (silent, silent_ns) = (world.connections.remove(0), world.now_ns);
    world.step(Step::Trade(3));
    world.wait(30);
    let proven_ns = world.now_ns;
    world.step(Step::Disconnect);
    world.wait(1);
    world.fact(silent, Fact::Lost { stream: Stream::Trades, why: LostWhy::Dead, proven_ns: silent_ns });
    world.flush();
    assert_eq!(world.gaps(Table::Trades)[0].from_ns, proven_ns);
}

/// No other trade confirmed it before REST did.
#[test]
fn a_trade_far_ahead_that_rest_confirms_is_recorded_once() {
    let far = 200_200;
    let mut world = begun();
    world.trades.insert(far, world.now_ns);
    world.arrive(far);
    world.wait(1);
    assert_eq!(world.question.as_ref().unwrap().ids, Some((103, u64::MAX)));
    world.answer(0, Some(FillEnd::Answered));
    world.wait(3);
    world.flush();
    assert_eq!(world.ids(), [100, 101, 102, far]);
    assert_eq!(states(&world), [(103, far - 1, GapState::Open)]);
    assert_eq!(world.value("gpu_charts_data_gaps_total"), (far - 103) as f64);
}

#[test]
fn a_trade_far_ahead_that_the_ids_come_near_to_is_recorded_once() {
    let (near, far) = (150_000, 200_200);
    let mut world = begun();
    for id in [near, far, far + 1] {
        world.trades.insert(id, world.now_ns);
    }
    world.arrive(far);
    world.wait(1);
    world.piece(&[near], None);
    world.wait(3);
    world.arrive(far + 1);
    world.piece(&[far], None);
    world.wait(10);
    world.flush();
    assert_eq!(world.ids(), [100, 101, 102, far, near, far + 1]);
    let mut gaps = states(&world);
    gaps.sort_by_key(|gap| gap.0);
    assert_eq!(gaps, [(103, near, GapState::Open), (near + 1, far - 1, GapState::Open)]);
}

/// More ranges are missing than are remembered.
#[test]
fn a_gap_whose_ids_are_forgotten_holds_no_other_up() {
    let mut world = begun();
    world.step(Step::Miss(1));
    world.step(Step::Trade(1));
    world.step(Step::Miss(2_100));
    world.step(Step::Trade(1));
    let every_second: Vec<u64> = (105..2_205).step_by(2).collect();
    world.piece(&every_second, None);
    world.step(Step::Miss(1));
    world.step(Step::Trade(1));
    assert_eq!(world.question.as_ref().unwrap().ids, Some((103, 103)));
    world.step(Step::Fail);
    world.wait(3);
    assert_eq!(world.question.as_ref().unwrap().ids.unwrap().0, 106);
    world.flush();
    assert_eq!(states(&world)[0], (103, 103, GapState::Open), "the next start finds what is missing of it");
}
