//! Which rows facts make, and which series they move.

use std::collections::HashSet;

use column_store::{Gap, GapState};
use metrics_server::{Exposition, Registry};

use super::*;
use crate::{
    clock::Clock,
    config::{Completeness, Config},
    metrics::{DropReason, Metrics},
    received::{Fill, FillEnd, LostWhy},
    symbols::Symbols,
    trade_ids::{REMEMBERED, TradeIds, UniqueIds},
};

const NOW: u64 = 1_794_960_000_000_000_000;
const S: u64 = 1_000_000_000;
const A: ConnectionId = ConnectionId(1);
const B: ConnectionId = ConnectionId(2);

/// One symbol's market with live series.
struct Bench {
    market: Market,
    now_ns: u64,
    questions: u64,
    asks: bool,
    files: NoRows,
    provability: Provability,
    metrics: Metrics,
    exposition: Exposition,
}

/// The rows that a fact made, and what else it asked for.
#[derive(Debug, Default)]
struct Rows {
    /// The last one.
    md: Option<MdRow>,
    /// Update ids and best bids of all.
    quotes: Vec<(u64, f64)>,
    trade: Option<TradeRow>,
    gaps: Vec<Gap>,
    /// Numbers of frames.
    covered: Vec<(u64, u64)>,
    /// Number of the question.
    asked: Option<u64>,
}

/// Files without rows.
struct NoRows {
    readable: bool,
}

impl Files for NoRows {
    fn known(&self, _: &HashSet<u64>, _: u64) -> Option<HashSet<u64>> {
        self.readable.then(HashSet::new)
    }
}

impl Bench {
    fn new(id_rule: IdRule, ids: &[u64]) -> Bench {
        let mut config = Config::load(&Default::default()).unwrap();
        config.exchanges.retain(|exchange| exchange.venue.facts().name == "coinbase");
        config.exchanges[0].symbols = vec!["BTC-USD".to_owned()];
        let mut registry = Registry::default();
        let symbols = Symbols::new(&config.exchanges, 10, Clock::system());
        let metrics = Metrics::register(&mut registry, &symbols).unwrap();
        let provability = Provability::new("coinbase", metrics.venues[0].completeness.provable.clone());
        let market = Market::new(id_rule, true);
        let exposition = Exposition::new(registry);
        let files = NoRows { readable: true };
        let mut bench =
            Bench { market, now_ns: NOW, questions: 0, asks: false, files, provability, metrics, exposition };
        if let Some(last) = ids.last() {
            let ids = TradeIds::resume(ids[0], false, Some(*last), []);
            bench.with(|market, context| market.trades.resume_ids(ids, Vec::new(), NOW - S, context));
        }
        bench.live(A);
        bench
    }

    fn with(&mut self, act: impl FnOnce(&mut Market, &mut Context<'_>)) -> Rows {
        let mut out = Vec::new();
        let mut context = Context {
            now_ns: self.now_ns,
            symbol: 0,
            rules: &Rules::new(&Completeness::default(), 100_000.0, self.asks),
            venue: &self.metrics.venues[0],
            metrics: &self.metrics.symbols[0],
            provability: &mut self.provability,
            questions: &mut self.questions,
            files: &self.files,
            out: &mut out,
        };
        act(&mut self.market, &mut context);
        let mut rows = Rows::default();
        for effect in out {
            match effect {
                Effect::Md(row) => {
                    rows.quotes.push((row.event_id, row.best_bid));
                    rows.md = Some(row);
                }
                Effect::Trade(row, _) => rows.trade = Some(row),
                Effect::Gap(gap) => rows.gaps.push(gap),
                Effect::Cover(_, range) => rows.covered.push((range.from, range.to)),
                Effect::Ask(question) => rows.asked = Some(question.number),
                Effect::Suspect(_) => {}
            }
        }
        rows
    }

    fn fact(&mut self, connection: ConnectionId, fact: Fact) -> Rows {
        let received = Received { symbol: 0, receive_ns: self.now_ns, fact };
        self.with(|market, context| market.take(connection, None, &received, context))
    }

    fn trade(&mut self, trade: TradeFact) -> Rows {
        self.fact(A, Fact::Trade(trade))
    }

    fn quote(&mut self, quote: QuoteFact) -> Rows {
        self.fact(A, Fact::Quote(quote))
    }

    /// The connection ends, and another takes its place.
    fn disconnected(&mut self) {
        for stream in [Stream::Trades, Stream::Quotes] {
            self.lost(A, stream);
        }
        self.live(A);
    }

    fn live(&mut self, connection: ConnectionId) {
        for stream in [Stream::Trades, Stream::Quotes] {
            self.fact(connection, Fact::Live(stream));
        }
    }

    /// A part of an answer, or its end.
    fn fill(&mut self, question: u64, ids: &[u64], end: Option<FillEnd>) -> Rows {
        let trades = ids.iter().map(|id| trade(*id)).collect();
        self.fact(ConnectionId::REST, Fact::Fill(Fill { question, trades, end }))
    }

    fn lost(&mut self, connection: ConnectionId, stream: Stream) -> Rows {
        self.fact(connection, Fact::Lost { stream, why: LostWhy::Disconnected, proven_ns: self.now_ns })
    }

    fn refresh(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
        self.with(|market, context| market.refresh(context));
    }

    /// The value of a series, as text; empty if it is not there.
    fn value(&self, series: &str) -> String {
        let text = self.exposition.encode().unwrap();
        text.lines().find_map(|line| line.strip_prefix(&format!("{series} "))).unwrap_or_default().to_owned()
    }
}

fn trade(id: u64) -> TradeFact {
    TradeFact {
        first_id: id,
        id,
        event_ns: NOW - 1_000_000,
        price: 100.0,
        size: 2.0,
        taker: Side::Sell,
        maker_order_id: [1; 16],
        taker_order_id: [2; 16],
        snapshot: false,
    }
}

fn quote(update_id: u64, bid: f64, ask: f64) -> QuoteFact {
    QuoteFact { update_id, event_ns: NOW - 2_000_000, bid, bid_size: 3.0, ask, ask_size: f64::NAN }
}

#[test]
fn md_rows_start_with_the_quote_and_trades_always_have_theirs() {
    let mut bench = Bench::new(IdRule::Contiguous, &[]);
    let rows = bench.trade(trade(1));
    assert!(rows.md.is_none(), "both sides of the quote must be known");
    assert_eq!(rows.trade.unwrap().side, RowSide::Sell);
    assert!(bench.quote(quote(4, f64::NAN, 101.0)).md.is_none(), "one side is not enough");

    let md = bench.quote(quote(5, 99.0, 101.0)).md.unwrap();
    assert_eq!((md.kind, md.event_id, md.best_bid, md.best_ask), (MdKind::Snapshot, 5, 99.0, 101.0));
    assert_eq!((md.price, md.volume, md.side), (100.0, 2.0, RowSide::Sell), "the last trade's");
    assert!(md.ask_size.is_nan());
    assert_eq!(bench.quote(quote(6, 99.5, 101.0)).md.unwrap().kind, MdKind::Quote);
    let md = bench.trade(trade(2)).md.unwrap();
    assert_eq!((md.kind, md.event_id, md.best_bid), (MdKind::Trade, 2, 99.5));
    // Two events with one timestamp are two rows.
    assert!(bench.trade(trade(3)).md.is_some());
    assert!(bench.quote(quote(7, 99.0, f64::NAN)).md.unwrap().best_ask.is_nan(), "a side that empties is a row");
}

#[test]
fn a_quote_before_any_trade_has_no_price() {
    let mut bench = Bench::new(IdRule::Contiguous, &[]);
    let md = bench.quote(quote(5, 99.0, 101.0)).md.unwrap();
    assert!(md.price.is_nan() && md.volume.is_nan());
    assert_eq!(md.side, RowSide::Unknown);
}

#[test]
fn a_disconnect_clears_the_quote_and_is_a_gap() {
    let mut bench = Bench::new(IdRule::Contiguous, &[]);
    let gaps = r#"gpu_charts_data_gaps_total{exchange="coinbase",symbol="BTC-USD"}"#;
    bench.disconnected();
    assert_eq!(bench.value(gaps), "0", "nothing was known yet");
    bench.quote(quote(5, 99.0, 101.0));
    bench.trade(trade(1));
    bench.disconnected();
    assert_eq!(bench.value(gaps), "1", "quotes are missing, nobody knows how many");
    assert_eq!(bench.value(r#"gpu_charts_bid_ask_spread{exchange="coinbase",symbol="BTC-USD"}"#), "NaN");
    assert!(bench.trade(trade(5)).md.is_none());
    assert_eq!(bench.value(gaps), "4", "and three trades");
    assert_eq!(bench.value(&gaps.replace("_total", "_detected_total")), "4");
    // Ids begin anew on another connection.
    assert_eq!(bench.quote(quote(2, 99.0, 101.0)).md.unwrap().kind, MdKind::Snapshot);
    assert!(bench.trade(trade(3)).trade.is_some(), "a late trade is recorded");
    assert_eq!(bench.value(&gaps.replace("_total", "_filled_total")), "1");
}

#[test]
fn ids_that_prove_nothing_make_the_interval_a_gap() {
    let mut bench = Bench::new(IdRule::Unique, &[]);
    bench.trade(trade(1));
    bench.trade(trade(90));
    let gaps = r#"gpu_charts_data_gaps_total{exchange="coinbase",symbol="BTC-USD"}"#;
    assert_eq!(bench.value(gaps), "0");
    bench.disconnected();
    assert_eq!(bench.value(gaps), "1");
}

#[test]
fn what_was_seen_before_makes_no_row() {
    let mut bench = Bench::new(IdRule::Contiguous, &[7]);
    let mut last_match = trade(7);
    last_match.snapshot = true;
    assert!(bench.trade(last_match).trade.is_none(), "it stands in the files already");
    assert_eq!(bench.value(r#"gpu_charts_duplicates_total{exchange="coinbase"}"#), "1");
    bench.quote(quote(5, 99.0, 101.0));
    assert!(bench.quote(quote(5, 98.0, 101.0)).md.is_none());
    assert!(bench.quote(quote(4, 98.0, 101.0)).md.is_none());
    let stale = r#"gpu_charts_exchange_errors_total{exchange="coinbase",error_type="stale_quote"}"#;
    assert_eq!(bench.value(stale), "2");
    assert!(bench.quote(quote(0, 98.0, 101.0)).md.is_some(), "0 is no update id");
}

#[test]
fn a_snapshot_trade_is_recorded_once_and_is_no_latency() {
    let mut bench = Bench::new(IdRule::Contiguous, &[]);
    bench.quote(quote(5, 99.0, 101.0));
    let mut last_match = trade(7);
    last_match.snapshot = true;
    let rows = bench.trade(last_match);
    assert_eq!((rows.md.unwrap().kind, rows.trade.unwrap().id), (MdKind::Snapshot, 7));
    let count = r#"gpu_charts_websocket_latency_seconds_count{exchange="coinbase"}"#;
    assert_eq!(bench.value(count), "0");
    bench.trade(trade(8));
    bench.quote(quote(6, 99.0, 101.0));
    assert_eq!(bench.value(count), "2");
}

#[test]
fn clocks_and_order_are_watched() {
    let mut bench = Bench::new(IdRule::Contiguous, &[]);
    let mut ahead = trade(1);
    ahead.event_ns = NOW + 5;
    bench.trade(ahead);
    assert_eq!(bench.value(r#"gpu_charts_clock_skew_total{exchange="coinbase"}"#), "1");
    assert_eq!(bench.value(r#"gpu_charts_websocket_latency_seconds_count{exchange="coinbase"}"#), "0");
    bench.trade(trade(2));
    assert_eq!(bench.value(r#"gpu_charts_rows_out_of_order_total{exchange="coinbase"}"#), "1");
    bench.quote(quote(1, 99.0, 101.0));
    bench.quote(quote(2, 99.0, 101.0));
    let out_of_order = bench.value(r#"gpu_charts_rows_out_of_order_total{exchange="coinbase"}"#);
    assert_eq!(out_of_order, "1", "trades and quotes apart");
    let mut timeless = trade(3);
    timeless.event_ns = 0;
    assert!(bench.trade(timeless).trade.is_some());
    let untimed = r#"gpu_charts_exchange_errors_total{exchange="coinbase",error_type="event_time"}"#;
    assert_eq!(bench.value(untimed), "1");
}

#[test]
fn values_are_counted() {
    let mut bench = Bench::new(IdRule::Contiguous, &[]);
    bench.quote(quote(5, 99.0, 101.0));
    bench.trade(trade(1));
    let mut large = trade(2);
    (large.price, large.size, large.taker) = (110.0, 1_000.0, Side::Buy);
    bench.trade(large);
    bench.refresh(NOW);
    for (series, expected) in [
        (r#"gpu_charts_trades_processed_total{exchange="coinbase",symbol="BTC-USD"}"#, "2"),
        (r#"gpu_charts_trade_volume_total{exchange="coinbase",symbol="BTC-USD",side="sell"}"#, "200"),
        (r#"gpu_charts_trade_volume_total{exchange="coinbase",symbol="BTC-USD",side="buy"}"#, "110000"),
        (r#"gpu_charts_trade_volume_usd_total{exchange="coinbase",symbol="BTC-USD",side="buy"}"#, "110000"),
        (r#"gpu_charts_large_trades_total{exchange="coinbase",symbol="BTC-USD"}"#, "1"),
        (r#"gpu_charts_bid_ask_spread{exchange="coinbase",symbol="BTC-USD"}"#, "0.02"),
    ] {
        assert_eq!(bench.value(series), expected, "{series}");
    }
    let average = (100.0 * 2.0 + 110.0 * 1_000.0) / 1_002.0;
    let vwap = r#"gpu_charts_vwap_price{exchange="coinbase",symbol="BTC-USD"}"#;
    assert!((bench.value(vwap).parse::<f64>().unwrap() - average).abs() < 1e-9);
    let deviation = bench.value(&vwap.replace("price", "deviation")).parse::<f64>().unwrap();
    assert!((deviation - (110.0 - average) / average).abs() < 1e-12);
    bench.refresh(NOW + 300 * S);
    assert_eq!(bench.value(vwap), "", "an average of nothing is not shown");
}

#[test]
fn lost_rows_are_counted_by_reason() {
    let bench = Bench::new(IdRule::Contiguous, &[]);
    bench.metrics.venues[0].dropped(DropReason::Clock, 1);
    bench.metrics.venues[0].dropped(DropReason::Shutdown, 3);
    assert_eq!(bench.value(r#"gpu_charts_rows_dropped_total{exchange="coinbase",reason="clock"}"#), "1");
    assert_eq!(bench.value(r#"gpu_charts_rows_dropped_total{exchange="coinbase",reason="shutdown"}"#), "3");
}

#[test]
fn symbols_beyond_the_limit_share_their_series() {
    let mut config = Config::load(&Default::default()).unwrap();
    config.exchanges.retain(|exchange| exchange.venue.facts().name == "coinbase");
    let mut registry = Registry::default();
    let symbols = Symbols::new(&config.exchanges, 1, Clock::system());
    let metrics = Metrics::register(&mut registry, &symbols).unwrap();
    metrics.symbols[1].trades.inc();
    metrics.symbols[2].trades.inc();
    assert!(metrics.symbols[0].prices.is_some() && metrics.symbols[1].prices.is_none());
    let text = Exposition::new(registry).encode().unwrap();
    let series = r#"gpu_charts_trades_processed_total{exchange="coinbase",symbol="other"} 2"#;
    assert!(text.contains(series), "{text}");
}

/// Of several connections the one that has carried the stream longest counts; when it is lost, the next takes over with what
/// it told last.
#[test]
fn quotes_are_the_primary_connections() {
    let mut bench = Bench::new(IdRule::Contiguous, &[]);
    bench.fact(A, Fact::Live(Stream::Quotes));
    bench.fact(B, Fact::Live(Stream::Quotes));
    assert!(bench.fact(B, Fact::Quote(quote(0, 90.0, 101.0))).md.is_none());
    assert_eq!(bench.fact(A, Fact::Quote(quote(0, 99.0, 101.0))).md.unwrap().kind, MdKind::Snapshot);
    assert!(bench.fact(B, Fact::Quote(quote(0, 98.0, 101.0))).md.is_none(), "B is the second");
    let rows = bench.lost(A, Stream::Quotes);
    let md = rows.md.unwrap();
    assert_eq!((md.kind, md.best_bid), (MdKind::Quote, 98.0), "what B told last");
    assert!(rows.gaps.is_empty(), "a connection is left");
    assert!(bench.fact(A, Fact::Quote(quote(0, 97.0, 101.0))).md.is_none(), "A was lost");
    assert!(bench.fact(B, Fact::Quote(quote(0, 97.0, 101.0))).md.is_some());

    bench.now_ns += 5 * S;
    let gaps = bench.lost(B, Stream::Quotes).gaps;
    assert_eq!((gaps.len(), gaps[0].state, gaps[0].from_ns), (1, GapState::Open, NOW + 5 * S));
    assert!(bench.fact(B, Fact::Trade(trade(1))).md.is_none(), "the quote is not known");
    bench.now_ns += S;
    bench.fact(A, Fact::Live(Stream::Quotes));
    assert!(bench.fact(A, Fact::Quote(quote(0, f64::NAN, 101.0))).gaps.is_empty());
    let gaps = bench.fact(A, Fact::Quote(quote(0, 97.0, 101.0))).gaps;
    assert_eq!((gaps.len(), gaps[0].state, gaps[0].to_ns), (1, GapState::Lost, NOW + 6 * S));
    assert_eq!((gaps[0].reason.as_str(), gaps[0].missing), ("disconnected", None));
}

#[test]
fn update_ids_make_one_stream_of_several_connections() {
    let mut bench = Bench::new(IdRule::Contiguous, &[]);
    bench.fact(A, Fact::Live(Stream::Quotes));
    bench.fact(B, Fact::Live(Stream::Quotes));
    assert!(bench.fact(A, Fact::Quote(quote(5, 99.0, 101.0))).md.is_some());
    assert!(bench.fact(B, Fact::Quote(quote(5, 99.0, 101.0))).md.is_none());
    assert!(bench.fact(B, Fact::Quote(quote(6, 98.0, 101.0))).md.is_some(), "whoever is first");
    assert!(bench.fact(A, Fact::Quote(quote(6, 98.0, 101.0))).md.is_none());
    let stale = r#"gpu_charts_exchange_errors_total{exchange="coinbase",error_type="stale_quote"}"#;
    assert_eq!(bench.value(stale), "0", "that is how two connections are");
    assert!(bench.lost(A, Stream::Quotes).md.is_none());
    // The venue numbers anew: what another connection still brings of before is old.
    bench.fact(A, Fact::Live(Stream::Quotes));
    bench.fact(B, Fact::Renumbered);
    assert!(bench.fact(B, Fact::Quote(quote(1, 97.0, 101.0))).md.is_some());
    assert!(bench.fact(A, Fact::Quote(quote(7, 96.0, 101.0))).md.is_none());
    assert!(bench.fact(B, Fact::Quote(quote(2, 96.5, 101.0))).md.is_some());
    bench.fact(A, Fact::Renumbered);
    assert!(bench.fact(A, Fact::Quote(quote(2, 96.5, 101.0))).md.is_none());
    assert!(bench.fact(A, Fact::Quote(quote(3, 96.0, 101.0))).md.is_some());
}

/// A connection that takes over begins with a state of the market: what led to it may still be on its way on the other one.
#[test]
fn a_connection_that_is_ahead_waits_for_the_others() {
    let mut bench = Bench::new(IdRule::Contiguous, &[]);
    bench.fact(A, Fact::Quote(quote(5, 99.0, 101.0)));
    bench.fact(B, Fact::Live(Stream::Quotes));
    assert!(bench.fact(B, Fact::Quote(quote(8, 95.0, 101.0))).md.is_none());
    assert!(bench.fact(B, Fact::Quote(quote(9, 94.0, 101.0))).md.is_none());
    assert_eq!(bench.fact(A, Fact::Quote(quote(6, 98.0, 101.0))).quotes, [(6, 98.0)]);
    assert_eq!(bench.fact(A, Fact::Quote(quote(7, 97.0, 101.0))).quotes, [(7, 97.0)]);
    assert_eq!(bench.fact(A, Fact::Quote(quote(8, 95.0, 101.0))).quotes, [(8, 95.0), (9, 94.0)]);
    assert_eq!(bench.fact(B, Fact::Quote(quote(10, 93.0, 101.0))).quotes, [(10, 93.0)], "whoever is first");
    assert!(bench.fact(A, Fact::Quote(quote(9, 94.0, 101.0))).md.is_none());
    let rows = bench.lost(A, Stream::Quotes);
    assert!(rows.gaps.is_empty() && rows.md.is_none());
}

#[test]
fn a_connection_that_was_never_caught_up_with_begins_after_an_interval() {
    let mut bench = Bench::new(IdRule::Contiguous, &[]);
    bench.fact(A, Fact::Quote(quote(5, 99.0, 101.0)));
    bench.fact(B, Fact::Live(Stream::Quotes));
    bench.now_ns += 2 * S;
    bench.fact(B, Fact::Quote(quote(8, 95.0, 101.0)));
    bench.fact(B, Fact::Quote(quote(9, 94.0, 101.0)));
    // A was dead from its first quote on.
    let lost = Fact::Lost { stream: Stream::Quotes, why: LostWhy::Dead, proven_ns: NOW };
    let rows = bench.fact(A, lost);
    assert_eq!(rows.quotes, [(8, 95.0), (9, 94.0)]);
    let gaps: Vec<_> = rows.gaps.iter().map(|gap| (gap.state, gap.from_ns, gap.to_ns)).collect();
    assert_eq!(gaps, [(GapState::Open, NOW, NOW), (GapState::Lost, NOW, NOW + 2 * S)]);
}

#[test]
fn without_update_ids_what_came_after_the_last_sign_of_the_lost_connection_is_not_lost() {
    let mut bench = Bench::new(IdRule::Contiguous, &[]);
    bench.fact(B, Fact::Live(Stream::Quotes));
    for bid in [99.0, 98.0] {
        bench.fact(A, Fact::Quote(quote(0, bid, 101.0)));
        bench.fact(B, Fact::Quote(quote(0, bid, 101.0)));
    }
    for bid in [97.0, 98.0, 96.0] {
        bench.now_ns += S;
        assert!(bench.fact(B, Fact::Quote(quote(0, bid, 101.0))).md.is_none());
    }
    let lost = |proven_ns| Fact::Lost { stream: Stream::Quotes, why: LostWhy::Dead, proven_ns };
    let rows = bench.fact(A, lost(NOW));
    assert_eq!(rows.quotes, [(0, 97.0), (0, 98.0), (0, 96.0)]);
    assert!(rows.gaps.is_empty());
    // A connection that began after the last sign of the other one leaves an interval.
    bench.now_ns += S;
    bench.fact(A, Fact::Live(Stream::Quotes));
    bench.fact(A, Fact::Quote(quote(0, 95.0, 101.0)));
    let rows = bench.fact(B, lost(NOW + 3 * S));
    assert_eq!((rows.quotes, rows.gaps.len()), (vec![(0, 95.0)], 2));
    assert_eq!((rows.gaps[1].from_ns, rows.gaps[1].to_ns), (NOW + 3 * S, NOW + 4 * S));
}

/// What waits is bounded; if some of it had to go, that is on record.
#[test]
fn a_connection_that_waits_too_long_leaves_an_interval() {
    let mut bench = Bench::new(IdRule::Contiguous, &[]);
    bench.fact(A, Fact::Quote(quote(0, 99.0, 101.0)));
    bench.fact(B, Fact::Live(Stream::Quotes));
    for at in 0..300 {
        bench.fact(B, Fact::Quote(quote(0, f64::from(at), 1_000.0)));
        bench.now_ns += S;
    }
    let rows = bench.fact(A, Fact::Lost { stream: Stream::Quotes, why: LostWhy::Dead, proven_ns: NOW });
    assert_eq!(rows.quotes.len(), 256);
    assert_eq!((rows.gaps[1].from_ns, rows.gaps[1].to_ns), (NOW, NOW + 44 * S));
}

#[test]
fn ids_that_count_anew_lose_nothing() {
    let mut bench = Bench::new(IdRule::Contiguous, &[1, 9]);
    bench.trade(trade(10));
    assert!(bench.trade(trade(5)).trade.is_none(), "a repetition");
    let mut anew = trade(5);
    bench.now_ns += 60 * S;
    anew.event_ns += 60 * S;
    let rows = bench.trade(anew);
    assert_eq!((rows.trade.unwrap().id, rows.gaps[0].state), (5, GapState::Lost));
    assert!(bench.trade(anew).trade.is_none(), "now this one is a repetition");
    let mut next = anew;
    (next.id, next.first_id) = (6, 6);
    let rows = bench.trade(next);
    assert!(rows.trade.is_some() && rows.gaps.is_empty());
}

#[test]
fn a_venue_that_breaks_its_rule_is_not_asked_any_more() {
    let mut bench = Bench::new(IdRule::Contiguous, &[]);
    let provable = r#"gpu_charts_trade_ids_provable{exchange="coinbase"}"#;
    for _ in 0..1_000 {
        bench.provability.traded();
    }
    (0..19).for_each(|_| bench.provability.broke());
    assert_eq!(bench.value(provable), "1", "too few to tell");
    bench.provability.broke();
    assert_eq!((bench.value(provable).as_str(), bench.provability.is_provable()), ("0", false));
    bench.trade(trade(1));
    assert_eq!(bench.trade(trade(5)).gaps[0].state, GapState::Lost, "counted and recorded, and not asked about");
    for _ in 0..40_000 {
        bench.provability.traded();
    }
    assert_eq!(bench.value(provable), "1", "it keeps to its rule again");
}

/// A part of an answer was not recorded: it is asked for again.
#[test]
fn an_answer_that_was_recorded_in_part_fills_nothing() {
    for readable in [true, false] {
        let mut bench = Bench::new(IdRule::Unique, &[]);
        bench.asks = true;
        let remembered: Vec<u64> = (1_000..1_000 + REMEMBERED as u64).collect();
        bench.with(|market, context| {
            market.trades.resume_times(UniqueIds::resume(&remembered), Vec::new(), (0, 0), context);
        });
        bench.lost(A, Stream::Trades);
        let question = bench.fact(A, Fact::Live(Stream::Trades)).asked.unwrap();
        bench.fill(question, &[], Some(FillEnd::Answered));
        bench.now_ns += 20 * S;
        let question = bench.with(|market, context| market.tick(context)).asked.unwrap();
        if readable {
            let piece = Fill { question, trades: vec![trade(7)], end: None };
            bench.with(|market, context| market.trades.fill_refused(&piece, context));
        } else {
            bench.files.readable = false;
            assert!(bench.fill(question, &[7], None).trade.is_none());
            bench.files.readable = true;
        }
        assert!(bench.fill(question, &[8], None).trade.is_some());
        assert!(bench.fill(question, &[], Some(FillEnd::Answered)).gaps.is_empty());
        bench.now_ns += 2 * S;
        let question = bench.with(|market, context| market.tick(context)).asked.unwrap();
        assert!(bench.fill(question, &[7], None).trade.is_some());
        let gaps = bench.fill(question, &[], Some(FillEnd::Answered)).gaps;
        assert_eq!((gaps.len(), gaps[0].state), (1, GapState::Filled));
    }
}

/// No connection helps against a full memory.
#[test]
fn what_is_dropped_for_want_of_memory_is_missing_until_it_is_recorded_again() {
    let mut bench = Bench::new(IdRule::Unique, &[]);
    let covered = |bench: &mut Bench, connection, to| {
        bench.with(|market, context| market.trades.cover_sequence(connection, to, NOW, context)).covered
    };
    assert!(covered(&mut bench, A, 5).is_empty());
    assert_eq!(covered(&mut bench, A, 8), [(5, 8)]);
    let now_ns = bench.now_ns;
    let gaps = bench.with(|market, context| market.trades.cut("memory full", now_ns, context)).gaps;
    assert_eq!((gaps.len(), gaps[0].from_ns), (1, NOW));
    assert!(covered(&mut bench, A, 10).is_empty());
    bench.now_ns += 5 * S;
    assert!(bench.lost(A, Stream::Trades).gaps.is_empty());
    assert!(bench.fact(B, Fact::Live(Stream::Trades)).gaps.is_empty(), "it is dropped still");
    assert!(covered(&mut bench, B, 1).is_empty());
    assert!(covered(&mut bench, B, 4).is_empty());
    bench.now_ns += 5 * S;
    let gaps = bench.with(|market, context| market.trades.restored(context)).gaps;
    assert_eq!((gaps.len(), gaps[0].from_ns, gaps[0].to_ns), (1, NOW, NOW + 10 * S));
    assert!(covered(&mut bench, B, 6).is_empty(), "frames before that were dropped");
    assert_eq!(covered(&mut bench, B, 9), [(6, 9)]);
}
