//! The table against its rules, with times of its own.

use exchange_protocol::{Stream, venue};

use super::*;

const S: Duration = Duration::from_secs(1);

struct Rig {
    table: Subscriptions,
    start: Instant,
}

impl Rig {
    fn new(exchange: &str, symbols: &[&str], streams: &[Stream]) -> Rig {
        let start = Instant::now();
        let each = |(index, name): (usize, &&str)| {
            let wanted = |stream: &Stream| Wanted {
                symbol: index,
                subscription: Subscription { symbol: (*name).to_owned(), stream: *stream },
            };
            streams.iter().map(wanted).collect::<Vec<_>>()
        };
        let wanted: Vec<_> = symbols.iter().enumerate().flat_map(each).collect();
        let timeouts = Timeouts { acknowledge: 10 * S, first_data: None, repeats: None };
        let opened = Arrival { at: start, receive_ns: 0 };
        Rig { table: Subscriptions::new(venue(exchange).unwrap(), &wanted, &timeouts, opened), start }
    }

    fn at(&self, seconds: u64) -> Arrival {
        Arrival { at: self.start + Duration::from_secs(seconds), receive_ns: seconds }
    }

    /// Checks at that second, and tells what is to be done.
    fn check(&mut self, seconds: u64) -> Vec<Effect> {
        let now = self.at(seconds);
        self.table.check(now.at);
        self.table.effects()
    }

    fn key(&self, name: &str, stream: Recorded) -> Key {
        self.table.key(name, stream).unwrap()
    }

    fn acknowledge(&mut self, key: Key, seconds: u64) -> Vec<Effect> {
        self.table.acknowledged(key, self.at(seconds));
        self.table.effects()
    }
}

fn lost(key: Key, why: LostWhy, proven_ns: u64) -> Effect {
    Effect::Lost { key, why, proven_ns }
}

#[test]
fn all_are_asked_for_together_and_live_when_acknowledged() {
    let mut rig = Rig::new("binance", &["A", "B"], &[Stream::Trades, Stream::Quotes]);
    let keys = ["A", "B"].map(|name| [Recorded::Trades, Recorded::Quotes].map(|stream| rig.key(name, stream)));
    assert_eq!(rig.check(0), [Effect::Ask(keys.concat())]);
    assert_eq!(rig.check(1), []);
    for key in keys.concat() {
        assert!(!rig.table.is_settled());
        assert_eq!(rig.acknowledge(key, 1), [Effect::Live(key)]);
        assert_eq!(rig.acknowledge(key, 1), [], "once");
    }
    assert!(rig.table.is_settled());
    // Nothing is promised, so silence proves nothing.
    assert_eq!(rig.check(1_000_000), []);
}

#[test]
fn data_of_a_first_request_acknowledges_it() {
    let mut rig = Rig::new("binance", &["A"], &[Stream::Trades]);
    let key = rig.key("A", Recorded::Trades);
    assert_eq!(rig.table.data("A", Recorded::Trades, rig.at(0)), Data::Uncarried(0), "nobody asked yet");
    rig.check(0);
    assert_eq!(rig.table.data("A", Recorded::Trades, rig.at(1)), Data::Carried(0));
    assert_eq!(rig.table.effects(), [Effect::Live(key)]);
    assert_eq!(rig.table.data("A", Recorded::Quotes, rig.at(1)), Data::Unknown);
    assert_eq!(rig.table.data("B", Recorded::Trades, rig.at(1)), Data::Unknown);
    // After it was renewed, data may still be that of before.
    rig.table.renew(key, LostWhy::Dead, rig.at(2).at);
    assert_eq!(rig.table.effects(), [lost(key, LostWhy::Dead, 1), Effect::End(key)]);
    assert_eq!(rig.table.data("A", Recorded::Trades, rig.at(2)), Data::Uncarried(0));
    rig.table.unsubscribed(key, rig.at(2));
    assert_eq!(rig.check(3), [Effect::Ask(vec![key])]);
    assert_eq!(rig.table.data("A", Recorded::Trades, rig.at(3)), Data::Uncarried(0));
    assert_eq!(rig.acknowledge(key, 3), [Effect::Live(key)]);
}

#[test]
fn a_kept_book_lives_once_it_came() {
    let mut rig = Rig::new("bitfinex", &["A"], &[Stream::Quotes]);
    let key = rig.key("A", Recorded::Quotes);
    rig.check(0);
    assert_eq!(rig.acknowledge(key, 1), []);
    assert_eq!(rig.table.alive("A", Recorded::Quotes, rig.at(2)), Data::Uncarried(0), "a heartbeat is no book");
    assert_eq!(rig.table.data("A", Recorded::Quotes, rig.at(3)), Data::Carried(0));
    assert_eq!(rig.table.effects(), [Effect::Live(key)]);
    rig.table.renew(key, LostWhy::Broken, rig.at(4).at);
    assert_eq!(rig.table.effects(), [lost(key, LostWhy::Broken, 3), Effect::End(key)]);
    rig.table.renew(key, LostWhy::Broken, rig.at(4).at);
    assert_eq!(rig.table.effects(), [], "it is being renewed");
    // The end is not confirmed.
    assert_eq!(rig.check(5), []);
    assert_eq!(rig.check(6), []);
    assert_eq!(rig.check(6), [Effect::Ask(vec![key])]);
}

#[test]
fn a_book_that_never_comes_and_a_channel_without_heartbeats_are_renewed() {
    let mut rig = Rig::new("bitfinex", &["A"], &[Stream::Trades, Stream::Quotes]);
    let [trades, quotes] = [Recorded::Trades, Recorded::Quotes].map(|stream| rig.key("A", stream));
    rig.check(0);
    assert_eq!(rig.acknowledge(trades, 1), [Effect::Live(trades)]);
    rig.acknowledge(quotes, 1);
    rig.table.alive("A", Recorded::Trades, rig.at(20));
    assert_eq!(rig.check(35), []);
    assert_eq!(rig.check(36), [Effect::End(quotes)], "35 s after it was acknowledged");
    assert_eq!(rig.check(54), [], "the other's end is not confirmed, which takes no answer");
    assert_eq!(rig.check(55), [lost(trades, LostWhy::Dead, 20), Effect::End(trades), Effect::Ask(vec![quotes])]);
}

#[test]
fn first_data_has_to_come_where_it_is_promised() {
    let mut rig = Rig::new("kraken", &["A", "B"], &[Stream::Trades]);
    let [a, b] = ["A", "B"].map(|name| rig.key(name, Recorded::Trades));
    rig.check(0);
    rig.acknowledge(a, 1);
    rig.acknowledge(b, 1);
    rig.table.data("A", Recorded::Trades, rig.at(2));
    assert_eq!(rig.check(10), []);
    assert_eq!(rig.check(11), [lost(b, LostWhy::Dead, 1), Effect::End(b)], "only the one that is silent");
    assert_eq!(rig.check(100_000), [], "a quiet market is quiet");
    assert_eq!(rig.check(100_001), [Effect::Ask(vec![b])]);
}

#[test]
fn a_time_when_nothing_was_read_is_no_silence() {
    let mut rig = Rig::new("bitfinex", &["A"], &[Stream::Trades]);
    let key = rig.key("A", Recorded::Trades);
    rig.check(0);
    rig.acknowledge(key, 0);
    rig.table.held_up(100 * S);
    assert_eq!(rig.check(134), []);
    assert_eq!(rig.check(135), [lost(key, LostWhy::Dead, 0), Effect::End(key)]);
}

#[test]
fn the_unanswered_are_asked_for_alone_later_and_later_and_hold_nothing_up() {
    let mut rig = Rig::new("binance", &["A", "B"], &[Stream::Trades]);
    let [a, b] = ["A", "B"].map(|name| rig.key(name, Recorded::Trades));
    rig.check(0);
    rig.table.delayed(a, 3 * S);
    rig.acknowledge(b, 1);
    assert_eq!(rig.check(12), [], "its request went out later");
    assert_eq!(rig.check(13), [Effect::Unanswered(a)]);
    assert_eq!(rig.check(13), [Effect::Ask(vec![a])]);
    assert_eq!(rig.check(23), [Effect::Unanswered(a)]);
    assert_eq!(rig.check(52), []);
    assert_eq!(rig.check(53), [Effect::Ask(vec![a])]);
    assert!(!rig.table.is_settled());
    assert_eq!(rig.check(63), [Effect::Unanswered(a), Effect::Refused(a)], "it is ignored");
    assert!(rig.table.is_settled());
    assert_eq!(rig.check(122), []);
    assert_eq!(rig.check(123), [Effect::Ask(vec![a])]);
    assert_eq!(rig.acknowledge(a, 124), [Effect::Live(a)]);
}

#[test]
fn a_refusal_of_one_is_of_that_one_and_one_of_many_is_of_none() {
    let mut rig = Rig::new("binance", &["A", "B", "C"], &[Stream::Trades]);
    let [a, b, c] = ["A", "B", "C"].map(|name| rig.key(name, Recorded::Trades));
    rig.check(0);
    // With one message or several.
    rig.table.refused(&[a, b], rig.at(1).at);
    rig.table.refused(&[c], rig.at(1).at);
    assert_eq!(rig.table.effects(), []);
    assert_eq!(rig.check(1), [Effect::Ask(vec![a]), Effect::Ask(vec![b]), Effect::Ask(vec![c])], "each alone");
    rig.table.refused(&[b], rig.at(2).at);
    assert_eq!(rig.table.effects(), [Effect::Refused(b)]);
    assert_eq!(rig.acknowledge(a, 2), [Effect::Live(a)]);
    assert_eq!(rig.check(3), []);
    // The bad one may have cancelled what came with it.
    assert_eq!(rig.check(4), [Effect::Unanswered(c)]);
    rig.acknowledge(c, 5);
    assert!(rig.table.is_settled(), "a refused one holds nothing up");
    let mut asked = Vec::new();
    for second in 5..20_000 {
        if rig.check(second).contains(&Effect::Ask(vec![b])) {
            asked.push(second);
            rig.table.refused(&[b], rig.at(second).at);
            rig.table.effects();
        }
    }
    let pauses: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(asked[0], 122, "2 minutes: it is its second failure");
    assert_eq!(pauses, [240, 480, 960, 1_920, 3_600, 3_600, 3_600, 3_600]);
    rig.table.refused(&[a], rig.at(20_000).at);
    assert_eq!(rig.table.effects(), [], "it lives");
}

#[test]
fn missing_frames_cost_each_stream_something_and_a_book_its_beginning() {
    let mut rig = Rig::new("bitfinex", &["A", "B"], &[Stream::Trades, Stream::Quotes]);
    let [trades, quotes] = [Recorded::Trades, Recorded::Quotes].map(|stream| rig.key("A", stream));
    rig.check(0);
    rig.acknowledge(trades, 1);
    rig.acknowledge(quotes, 1);
    rig.table.data("A", Recorded::Quotes, rig.at(1));
    rig.table.effects();
    rig.table.frames_missing(2, rig.at(3).at);
    let why = LostWhy::Sequence;
    let expected = [lost(trades, why, 2), Effect::Live(trades), lost(quotes, why, 2), Effect::End(quotes)];
    assert_eq!(rig.table.effects(), expected);
    rig.table.unsubscribed(quotes, rig.at(3));
    assert_eq!(rig.table.live().collect::<Vec<_>>(), [trades]);
    let asked = rig.check(4);
    assert_eq!(asked, [Effect::Ask(vec![quotes])]);
}

#[test]
fn maintenance_ends_all_and_its_end_begins_all() {
    let mut rig = Rig::new("kraken", &["A", "B"], &[Stream::Trades]);
    let [a, b] = ["A", "B"].map(|name| rig.key(name, Recorded::Trades));
    rig.check(0);
    rig.acknowledge(a, 1);
    rig.table.maintenance(rig.at(5));
    assert_eq!(rig.table.effects(), [lost(a, LostWhy::Ended, 5)]);
    assert!(rig.table.in_maintenance());
    assert_eq!(rig.check(5_000), []);
    assert_eq!(rig.table.data("A", Recorded::Trades, rig.at(4_999)), Data::Uncarried(0));
    rig.table.maintenance_over(rig.at(5_000));
    assert_eq!(rig.table.effects(), [Effect::Ask(vec![a, b])]);
    assert!(!rig.table.in_maintenance());
    assert_eq!(rig.table.data("A", Recorded::Trades, rig.at(5_000)), Data::Carried(0), "the venue kept it");
    assert_eq!(rig.table.effects(), [Effect::Live(a)]);
    rig.acknowledge(b, 5_001);
    assert_eq!(rig.check(5_001), []);
}

#[test]
fn one_that_fails_again_and_again_is_left_to_another_connection() {
    let mut rig = Rig::new("bitfinex", &["A"], &[Stream::Trades]);
    let key = rig.key("A", Recorded::Trades);
    let (mut now, mut pauses, mut replaced) = (0, Vec::new(), 0);
    rig.check(now);
    for failure in 1..=5 {
        rig.acknowledge(key, now);
        rig.table.data("A", Recorded::Trades, rig.at(now));
        rig.table.effects();
        now += 35;
        let effects = rig.check(now);
        assert_eq!(effects[0], lost(key, LostWhy::Dead, now - 35), "{failure}");
        replaced += effects.iter().filter(|effect| **effect == Effect::Replace).count();
        rig.table.unsubscribed(key, rig.at(now));
        let ended = now;
        while !rig.check(now).contains(&Effect::Ask(vec![key])) {
            now += 1;
        }
        pauses.push(now - ended);
    }
    assert_eq!(pauses, [0, 30, 60, 120, 240]);
    assert_eq!(replaced, 2, "from the fourth on");
    // A minute of life makes all good.
    rig.acknowledge(key, now);
    for _ in 0..7 {
        now += 10;
        rig.table.data("A", Recorded::Trades, rig.at(now));
        rig.check(now);
    }
    rig.check(now + 35);
    rig.table.unsubscribed(key, rig.at(now + 35));
    assert_eq!(rig.check(now + 35), [Effect::Ask(vec![key])]);
}

#[test]
fn suspicions_renew_what_lives_and_not_too_often() {
    let mut rig = Rig::new("binance", &["A"], &[Stream::Trades]);
    let key = rig.key("A", Recorded::Trades);
    rig.check(0);
    rig.acknowledge(key, 0);
    rig.table.suspect(key, rig.at(59).at);
    assert_eq!(rig.table.effects(), []);
    rig.table.suspect(key, rig.at(60).at);
    assert_eq!(rig.table.effects(), [lost(key, LostWhy::Dead, 0), Effect::End(key)]);
    rig.table.nothing_to_end(key);
    assert_eq!(rig.check(60), [Effect::Ask(vec![key])]);
    rig.table.data("A", Recorded::Trades, rig.at(61));
    assert!(!rig.table.is_silent(key, rig.at(61).at));
    assert!(rig.table.is_silent(key, rig.at(62).at));
}

#[test]
fn an_end_by_the_venue_is_told_and_the_stream_begun_anew() {
    let mut rig = Rig::new("coinbase", &["A"], &[Stream::Trades, Stream::Quotes]);
    let [trades, quotes] = [Recorded::Trades, Recorded::Quotes].map(|stream| rig.key("A", stream));
    rig.check(0);
    rig.acknowledge(trades, 1);
    rig.acknowledge(quotes, 1);
    rig.table.unsubscribed(trades, rig.at(4));
    rig.table.unsubscribed(quotes, rig.at(4));
    assert_eq!(rig.table.effects(), [lost(trades, LostWhy::Ended, 4)], "the book had not come");
    assert_eq!(rig.check(4), [Effect::Ask(vec![trades]), Effect::Ask(vec![quotes])]);
}
