//! Kraken's REST answers: the pairs, and a pair's trades from a time on.

use serde_json::{Map, Value, json};

use crate::decimal::Decimal;
use crate::ledger::Side;
use crate::market::{Book, Market};
use crate::rest::{RestAnswer, RestRequest};

/// Most trades of one answer, also the number without `count`.
const MAX_COUNT: usize = 1_000;

/// REST still uses the old codes of two assets.
const OLD_CODES: [(&str, &str); 2] = [("BTC", "XBT"), ("DOGE", "XDG")];

/// A pair as REST names it.
struct Pair {
    /// Key of results, e.g. `XXBTZUSD`. Only Bitcoin's has the X and Z of the oldest pairs here; others are like `altname`.
    key: String,
    /// E.g. `XBTUSD`.
    altname: String,
    /// E.g. `XBT/USD`: the name of WebSocket version 1.
    wsname: String,
    base: String,
    quote: String,
}

fn pair(symbol: &str) -> Pair {
    let (base, quote) = symbol.split_once('/').unwrap_or((symbol, ""));
    let base = OLD_CODES.iter().find(|(new, _)| *new == base).map_or(base, |(_, old)| old);
    let altname = format!("{base}{quote}");
    let key = if altname == "XBTUSD" { "XXBTZUSD".to_owned() } else { altname.clone() };
    Pair { key, altname, wsname: format!("{base}/{quote}"), base: base.to_owned(), quote: quote.to_owned() }
}

pub(super) fn answer(symbols: &[String], request: &RestRequest, market: Option<&Market>) -> RestAnswer {
    match request.segments().as_slice() {
        ["0", "public", "AssetPairs"] => done(&pairs(symbols, market)),
        ["0", "public", "Trades"] => trades(symbols, request, market),
        _ => failed("EGeneral:Unknown method"),
    }
}

fn done(result: &Value) -> RestAnswer {
    RestAnswer::json(200, &json!({"error": [], "result": result}))
}

/// Errors come with status 200.
pub(super) fn failed(error: &str) -> RestAnswer {
    RestAnswer::json(200, &json!({"error": [error]}))
}

fn pairs(symbols: &[String], market: Option<&Market>) -> Value {
    let row = |symbol: &String| {
        let pair = pair(symbol);
        let instrument = market.and_then(|market| market.book(symbol)).map(Book::instrument);
        let (price_scale, size_scale) =
            instrument.map_or((8, 8), |instrument| (instrument.price_scale, instrument.size_scale));
        let value = json!({
            "altname": pair.altname,
            "wsname": pair.wsname,
            "base": pair.base,
            "quote": pair.quote,
            "pair_decimals": price_scale,
            "lot_decimals": size_scale,
            "tick_size": Decimal::new(1, price_scale).trimmed(),
            "status": "online",
        });
        (pair.key, value)
    };
    Value::Object(symbols.iter().map(row).collect::<Map<_, _>>())
}

/// Trades of one microsecond get cursors of their own: the nanoseconds count them.
fn cursors(book: &Book) -> impl Iterator<Item = (u64, &crate::market::Trade)> {
    let mut last = (0, 0);
    book.history().iter().map(move |trade| {
        last = if trade.time_us == last.0 { (last.0, (last.1 + 1).min(999)) } else { (trade.time_us, 0) };
        (trade.time_us * 1_000 + last.1, trade)
    })
}

/// Oldest first, later than `since`, which is a cursor in ns or a time in s.
fn trades(symbols: &[String], request: &RestRequest, market: Option<&Market>) -> RestAnswer {
    let asked = request.query("pair").unwrap_or_default();
    let found = symbols.iter().map(|symbol| (symbol, pair(symbol)));
    let named = |pair: &Pair| [&pair.key, &pair.altname, &pair.wsname].into_iter().any(|name| name == asked);
    let Some((symbol, pair)) = found.into_iter().find(|(_, pair)| named(pair)) else {
        return failed("EQuery:Unknown asset pair");
    };
    let number = |name, default: u64| request.query(name).map_or(Some(default), |text| text.parse().ok());
    let (Some(since), Some(count)) = (number("since", 0), number("count", MAX_COUNT as u64)) else {
        return failed("EGeneral:Invalid arguments");
    };
    let count = usize::try_from(count).unwrap_or(MAX_COUNT);
    if !(1..=MAX_COUNT).contains(&count) {
        return failed("EGeneral:Invalid arguments");
    }
    // Seconds until the year 5138 have at most 11 digits, and nanoseconds since 1973 more.
    let since_ns = if since < 100_000_000_000 { since.saturating_mul(1_000_000_000) } else { since };
    let (mut rows, mut last) = (Vec::new(), since_ns);
    let book = market.and_then(|market| market.book(symbol));
    let all: Vec<_> =
        book.into_iter().flat_map(cursors).filter(|(cursor, trade)| !trade.hidden && *cursor > since_ns).collect();
    // Without `since` the latest.
    let skipped = if request.query("since").is_none() { all.len().saturating_sub(count) } else { 0 };
    for (cursor, trade) in all.into_iter().skip(skipped).take(count) {
        let side = if trade.taker == Side::Buy { "b" } else { "s" };
        rows.push(format!(
            r#"["{}","{}",{},"{side}","m","",{}]"#,
            trade.price.padded(8),
            trade.size.padded(8),
            Decimal::new(trade.time_us, 6).padded(6),
            trade.id
        ));
        last = cursor;
    }
    // Written by hand: the time is a JSON number whose digits count.
    let body = format!(r#"{{"error":[],"result":{{"{}":[{}],"last":"{last}"}}}}"#, pair.key, rows.join(","));
    RestAnswer { status: 200, headers: Vec::new(), body }
}
