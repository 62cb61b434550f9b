//! OKX' REST answers: the instruments, and an instrument's trades by id.

use serde_json::{Value, json};

use crate::decimal::Decimal;
use crate::market::{Book, Market};
use crate::rest::{RestAnswer, RestRequest};

/// Most trades of `trades`, and how many without `limit`.
const LATEST: (usize, usize) = (500, 100);

/// Most trades of `history-trades`, also the number without `limit`.
const HISTORY: (usize, usize) = (100, 100);

pub(super) fn answer(symbols: &[String], request: &RestRequest, market: Option<&Market>) -> RestAnswer {
    match request.segments().as_slice() {
        ["api", "v5", "public", "instruments"] => instruments(symbols, request, market),
        ["api", "v5", "market", "trades"] => trades(symbols, request, market, LATEST, false),
        ["api", "v5", "market", "history-trades"] => trades(symbols, request, market, HISTORY, true),
        _ => failed(404, "50404", "Not found"),
    }
}

/// An error answer.
pub(super) fn failed(status: u16, code: &str, text: &str) -> RestAnswer {
    RestAnswer::json(status, &json!({"code": code, "msg": text, "data": []}))
}

fn done(data: &Value) -> RestAnswer {
    RestAnswer::json(200, &json!({"code": "0", "msg": "", "data": data}))
}

fn wrong(parameter: &str) -> RestAnswer {
    failed(400, "51000", &format!("Parameter {parameter} error"))
}

fn instruments(symbols: &[String], request: &RestRequest, market: Option<&Market>) -> RestAnswer {
    if request.query("instType") != Some("SPOT") {
        return wrong("instType");
    }
    let row = |(index, symbol): (usize, &String)| {
        let (base, quote) = symbol.split_once('-').unwrap_or((symbol, ""));
        let instrument = market.and_then(|market| market.book(symbol)).map(Book::instrument);
        let (price_scale, size_scale) =
            instrument.map_or((8, 8), |instrument| (instrument.price_scale, instrument.size_scale));
        let lot = Decimal::new(1, size_scale).trimmed();
        json!({
            "instType": "SPOT",
            "instId": symbol,
            "instIdCode": index,
            "baseCcy": base,
            "quoteCcy": quote,
            "tickSz": Decimal::new(1, price_scale).trimmed(),
            "lotSz": lot,
            "minSz": lot,
            "state": "live",
            "listTime": "1500000000000",
            "expTime": "",
        })
    };
    let asked = request.query("instId");
    let rows = symbols.iter().enumerate().filter(|(_, symbol)| asked.is_none_or(|asked| asked == symbol.as_str()));
    done(&rows.map(row).collect())
}

/// Newest first; `pages` by trade id (`type=1`) with `after`: older than, and `before`: newer than.
fn trades(
    symbols: &[String],
    request: &RestRequest,
    market: Option<&Market>,
    (most, without): (usize, usize),
    pages: bool,
) -> RestAnswer {
    let symbol = request.query("instId").unwrap_or_default();
    if !symbols.iter().any(|listed| listed == symbol) {
        return failed(400, "51001", "Instrument ID doesn't exist.");
    }
    if pages && !matches!(request.query("type"), None | Some("1")) {
        // Paging by time is not simulated.
        return wrong("type");
    }
    let limit = request.query("limit").map_or(Some(without), |text| text.parse().ok());
    let Some(limit) = limit.filter(|limit| (1..=most).contains(limit)) else { return wrong("limit") };
    let cursor = |name| request.query(name).filter(|_| pages).map(str::parse::<u64>).transpose();
    let (Ok(after), Ok(before)) = (cursor("after"), cursor("before")) else { return wrong("after") };
    let rows: Value = market
        .and_then(|market| market.book(symbol))
        .into_iter()
        .flat_map(|book| book.shown().rev())
        .filter(|trade| after.is_none_or(|after| trade.id < after) && before.is_none_or(|before| trade.id > before))
        .take(limit)
        .map(|trade| {
            json!({
                "instId": symbol,
                "side": trade.taker.name(),
                "sz": trade.size.trimmed(),
                "px": trade.price.trimmed(),
                "source": "0",
                "tradeId": trade.id.to_string(),
                "ts": (trade.time_us / 1_000).to_string(),
            })
        })
        .collect();
    done(&rows)
}
