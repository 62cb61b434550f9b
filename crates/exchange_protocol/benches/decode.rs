//! Nanoseconds per message: our decoder, its typed form alone, and a `serde_json::Value` with lookups, on frames that the
//! exchanges really sent, and, marked by a star, on frames of the documented shapes of venues without a capture.
//!
//! `cargo bench -p exchange_protocol`; the captures are those of `$CAPTURES`, or lie beside the project in
//! `../shared/captures`. Where `$SIMULATED` names a directory with frames of these venues as the simulator sends them, which
//! `scripts/bench-logger.sh` makes, these are measured too, in the order in which they came.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "../tests/decoding/frames.rs"]
mod frames;

use std::{collections::BTreeMap, env, fs, hint::black_box, path::PathBuf, time::Instant};

use exchange_protocol::{Session, Stream, Subscription, Venue, coinbase, venue};
use serde_json::Value;

/// Rounds, each of which measures all ways one after the other. The quickest round is told: what others do on the same
/// cores can only add.
const ROUNDS: usize = 31;
/// Messages of one kind in a round, at least.
const MESSAGES: usize = 4_000;

fn main() {
    let directory = env::var_os("CAPTURES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures"), PathBuf::from);
    println!("{:<34} {:>8} {:>7} {:>7} {:>7}   {:>6}", "ns per message", "messages", "ours", "typed", "Value", "ratio");
    let coinbase = [("ticker", true), ("match", true), ("last_match", true), ("l2update", false)];
    let binance = [("bookTicker", true), ("aggTrade", true)];
    measure("coinbase", &coinbase::TICKER, &directory.join("COINBASE.ws.28.0"), &coinbase[..3]);
    measure("coinbase level2", &coinbase::LEVEL2, &directory.join("COINBASE.ws.28.0"), &coinbase[1..]);
    measure("binance", venue("binance").unwrap(), &directory.join("BINANCE.ws.1.0"), &binance);
    for exchange in ["kraken", "okx", "bitfinex"] {
        documented(exchange);
        if let Some(directory) = env::var_os("SIMULATED") {
            simulated(exchange, &PathBuf::from(directory).join(exchange));
        }
    }
}

/// Prints a row for all frames of a simulated connection: a list of its symbols, then a frame a line.
fn simulated(exchange: &str, path: &PathBuf) {
    let text = fs::read_to_string(path).unwrap();
    let (symbols, frames) = text.split_once('\n').unwrap();
    let symbols: Vec<String> = serde_json::from_str(symbols).unwrap();
    let (frames, blank): (Vec<String>, Vec<String>) =
        frames.lines().map(|frame| (frame.to_owned(), format!(" {frame}"))).unzip();
    let venue = venue(exchange).unwrap();
    // What a session keeps follows from the frames before, so each round begins anew.
    let in_order = |frames: &[String]| {
        let mut session = venue.session();
        let of_symbol = |symbol: &String| {
            let subscription = |stream: &Stream| Subscription { symbol: symbol.clone(), stream: *stream };
            venue.streams().iter().map(subscription).collect::<Vec<_>>()
        };
        session.subscribe(&symbols.iter().flat_map(of_symbol).collect::<Vec<_>>());
        time(frames, 1, |frame| decode(session.as_mut(), frame))
    };
    let rounds = || (0..ROUNDS).map(|_| [in_order(&frames), in_order(&blank), time(&frames, 1, look_up)]);
    print(&format!("{exchange} simulated, all in order"), frames.len(), &rounds().collect::<Vec<_>>());
}

/// Prints a row for each kind of data frame that the tests have of a venue.
fn documented(exchange: &str) {
    for (_, frames) in frames::FRAMES.iter().filter(|(name, _)| *name == exchange) {
        let Some((frame, before)) = frames.split_last().filter(|(frame, _)| is_data(frame)) else { continue };
        let mut session = venue(exchange).unwrap().session();
        let of_symbols = ["BTC/USD", "BTC-USDT", "tBTCUSD"].iter().flat_map(|symbol| {
            [Stream::Trades, Stream::Quotes].map(|stream| Subscription { symbol: (*symbol).to_owned(), stream })
        });
        session.subscribe(&of_symbols.collect::<Vec<_>>());
        for frame in before {
            session.decode(frame, &mut |_| {}).unwrap();
        }
        let start: String = frame.chars().filter(|c| !matches!(c, '{' | '"' | '[')).take(22).collect();
        row(&format!("{exchange}* {start}…"), session.as_mut(), &[(*frame).to_owned()]);
    }
}

fn is_data(frame: &str) -> bool {
    frame.starts_with('[') || frame.contains("\"data\":[") && !frame.contains("\"status\"")
}

/// Prints a row for each kind, and one for those together that the logger subscribes to.
fn measure(name: &str, venue: &dyn Venue, path: &PathBuf, kinds: &[(&str, bool)]) {
    let Ok(capture) = fs::read_to_string(path) else {
        println!("skipped: {} is not here", path.display());
        return;
    };
    let mut by_kind: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut all = Vec::new();
    for line in capture.lines() {
        let Some((time, frame)) = line.split_once(": ") else { continue };
        if time.parse::<f64>().is_err() {
            continue;
        }
        let value: Value = serde_json::from_str(frame).unwrap();
        let kind = ["type", "stream"].iter().find_map(|key| value[*key].as_str()).unwrap();
        let kind = kind.rsplit('@').next().unwrap();
        by_kind.entry(kind.to_owned()).or_default().push(frame.to_owned());
        if kinds.contains(&(kind, true)) {
            all.push(frame.to_owned());
        }
    }
    let mut session = venue.session();
    let symbols: Vec<_> = by_kind.get("snapshot").into_iter().flatten().map(|frame| symbol(frame)).collect();
    session.subscribe(
        &symbols
            .iter()
            .map(|symbol| Subscription { symbol: symbol.clone(), stream: Stream::Quotes })
            .collect::<Vec<_>>(),
    );
    for snapshot in by_kind.get("snapshot").into_iter().flatten() {
        session.decode(snapshot, &mut |_| {}).unwrap();
    }
    for (kind, _) in kinds {
        row(&format!("{name} {kind}"), session.as_mut(), &by_kind[*kind]);
    }
    row(&format!("{name} together"), session.as_mut(), &all);
}

fn symbol(frame: &str) -> String {
    let value: Value = serde_json::from_str(frame).unwrap();
    value["product_id"].as_str().unwrap().to_owned()
}

fn row(name: &str, session: &mut dyn Session, frames: &[String]) {
    // A blank before a frame makes the scanner give up, so that the typed decoder reads it.
    let blank: Vec<String> = frames.iter().map(|frame| format!(" {frame}")).collect();
    let repeats = MESSAGES.div_ceil(frames.len());
    let round = |_| {
        [
            time(frames, repeats, |frame| decode(session, frame)),
            time(&blank, repeats, |frame| decode(session, frame)),
            time(frames, repeats, look_up),
        ]
    };
    let rounds: Vec<_> = (0..ROUNDS).map(round).collect();
    print(name, frames.len(), &rounds);
}

/// Prints the quickest rounds of our decoder, its typed form and `Value`.
fn print(name: &str, frames: usize, rounds: &[[f64; 3]]) {
    let quickest = |way: usize| rounds.iter().map(|round| round[way]).min_by(f64::total_cmp).unwrap();
    let [ours, typed, value] = [0, 1, 2].map(quickest);
    println!("{name:<34} {frames:>8} {ours:>7.0} {typed:>7.0} {value:>7.0}   {:>5.2}×", ours / value);
}

fn time(frames: &[String], repeats: usize, mut work: impl FnMut(&str)) -> f64 {
    let start = Instant::now();
    for _ in 0..repeats {
        for frame in frames {
            work(black_box(frame));
        }
    }
    start.elapsed().as_nanos() as f64 / (repeats * frames.len()) as f64
}

fn decode(session: &mut dyn Session, frame: &str) {
    session.decode(frame, &mut |event| _ = black_box(event)).unwrap();
}

/// What a program that reads frames as `Value` does at the least: names, numbers and texts of what is recorded.
fn look_up(frame: &str) {
    let value: Value = serde_json::from_str(frame).unwrap();
    let data = value.get("data").unwrap_or(&value);
    // Rows of a list; at Bitfinex they are lists themselves.
    if let Some(rows) = data.as_array() {
        for row in rows.iter().filter(|row| row.is_object() || row.is_array()) {
            for key in ["symbol", "side", "timestamp", "instId", "tradeId", "ts"] {
                black_box(row.get(key).and_then(Value::as_str));
            }
            for key in ["price", "qty", "bid", "bid_qty", "ask", "ask_qty", "trade_id", "seqId"] {
                black_box(row.get(key).and_then(Value::as_f64));
            }
            for key in ["px", "sz"] {
                black_box(row.get(key).and_then(Value::as_str).and_then(|text| text.parse::<f64>().ok()));
            }
            for at in 0..4 {
                black_box(row.get(at).and_then(Value::as_f64));
            }
        }
        return;
    }
    for key in ["type", "product_id", "side", "time", "e", "s"] {
        black_box(data.get(key).and_then(Value::as_str));
    }
    for key in ["sequence", "trade_id", "u", "f", "l", "T"] {
        black_box(data.get(key).and_then(Value::as_u64));
    }
    for key in ["price", "size", "best_bid", "best_ask", "b", "B", "a", "A", "p", "q"] {
        black_box(data.get(key).and_then(Value::as_str).and_then(|text| text.parse::<f64>().ok()));
    }
    for change in data.get("changes").and_then(Value::as_array).into_iter().flatten() {
        for cell in [1, 2] {
            black_box(change.get(cell).and_then(Value::as_str).and_then(|text| text.parse::<f64>().ok()));
        }
    }
}
