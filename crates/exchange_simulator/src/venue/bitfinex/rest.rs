//! Bitfinex' REST answers: the pairs, and a pair's trades by time.

use serde_json::{Value, json};

use crate::ledger::Side;
use crate::market::Market;
use crate::rest::{RestAnswer, RestRequest};

/// Most trades of one answer.
const MAX_LIMIT: usize = 10_000;

/// Trades of an answer without `limit`.
const DEFAULT_LIMIT: usize = 125;

pub(super) fn answer(symbols: &[String], request: &RestRequest, market: Option<&Market>) -> RestAnswer {
    match request.segments().as_slice() {
        ["v2", "conf", "pub:list:pair:exchange"] => {
            let pairs: Value = symbols.iter().map(|symbol| symbol.strip_prefix('t').unwrap_or(symbol)).collect();
            RestAnswer::json(200, &json!([pairs]))
        }
        ["v2", "trades", symbol, "hist"] => trades(symbols, symbol, request, market),
        _ => failed(404, 10_000, "unknown path"),
    }
}

fn failed(status: u16, code: u32, text: &str) -> RestAnswer {
    RestAnswer::json(status, &json!(["error", code, text]))
}

/// Newest first, or oldest first with `sort=1`; `start` and `end` are times in ms, both inclusive.
fn trades(symbols: &[String], symbol: &str, request: &RestRequest, market: Option<&Market>) -> RestAnswer {
    if !symbols.iter().any(|listed| listed == symbol) {
        return failed(500, 10_020, "symbol: invalid");
    }
    let number = |name: &str, default: u64| request.query(name).map_or(Some(default), |text| text.parse().ok());
    let limit = number("limit", DEFAULT_LIMIT as u64).and_then(|limit| usize::try_from(limit).ok());
    let Some(limit) = limit.filter(|limit| (1..=MAX_LIMIT).contains(limit)) else {
        return failed(500, 10_020, "limit: invalid");
    };
    let (Some(start), Some(end)) = (number("start", 0), number("end", u64::MAX)) else {
        return failed(500, 10_020, "time_interval: invalid");
    };
    let mut found: Vec<_> = market
        .and_then(|market| market.book(symbol))
        .into_iter()
        .flat_map(|book| book.shown())
        .filter(|trade| (start..=end).contains(&(trade.time_us / 1_000)))
        .collect();
    if request.query("sort") != Some("1") {
        found.reverse();
    }
    let rows: Vec<String> = found
        .into_iter()
        .take(limit)
        .map(|trade| {
            let sign = if trade.taker == Side::Sell { "-" } else { "" };
            let (size, price) = (trade.size.trimmed(), trade.price.trimmed());
            format!("[{},{},{sign}{size},{price}]", trade.id, trade.time_us / 1_000)
        })
        .collect();
    // Written by hand: the digits of the numbers count.
    RestAnswer { status: 200, headers: Vec::new(), body: format!("[{}]", rows.join(",")) }
}
