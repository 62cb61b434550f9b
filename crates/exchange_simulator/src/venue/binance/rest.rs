//! Binance's REST answers: the symbols and their trades, by id or the latest.

use serde_json::{Value, json};

use crate::decimal::Decimal;
use crate::market::{Book, Market};
use crate::rest::{RestAnswer, RestRequest};

/// Most trades of one answer.
const MAX_LIMIT: u64 = 1_000;

/// Trades of an answer without `limit`.
const DEFAULT_LIMIT: u64 = 500;

pub(super) fn answer(symbols: &[String], request: &RestRequest, market: Option<&Market>) -> RestAnswer {
    let answered = match request.segments().as_slice() {
        ["api", "v3", "exchangeInfo"] => exchange_info(symbols, request, market),
        ["api", "v3", "trades"] => trades(symbols, request, market, None),
        ["api", "v3", "historicalTrades"] => {
            number(request, "fromId").and_then(|from_id| trades(symbols, request, market, from_id))
        }
        _ => return RestAnswer::json(404, &json!({"code": -1000, "msg": "Path not found."})),
    };
    match answered {
        Ok(body) => RestAnswer::json(200, &body),
        Err((code, text)) => RestAnswer::json(400, &json!({"code": code, "msg": text})),
    }
}

/// Code and text of an error answer.
type Fault = (i32, String);

fn listed<'a>(symbols: &[String], symbol: &'a str) -> Result<&'a str, Fault> {
    if symbols.iter().any(|listed| listed == symbol) { Ok(symbol) } else { Err((-1121, "Invalid symbol.".to_owned())) }
}

fn number(request: &RestRequest, name: &str) -> Result<Option<u64>, Fault> {
    let illegal = |_| {
        let text = format!("Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.");
        (-1100, text)
    };
    request.query(name).map(|text| text.parse().map_err(illegal)).transpose()
}

fn exchange_info(symbols: &[String], request: &RestRequest, market: Option<&Market>) -> Result<Value, Fault> {
    let asked = request.query("symbol").map(|symbol| listed(symbols, symbol)).transpose()?;
    let rows: Value = symbols
        .iter()
        .filter(|symbol| asked.is_none_or(|asked| asked == symbol.as_str()))
        .map(|symbol| symbol_info(symbol, market.and_then(|market| market.book(symbol))))
        .collect();
    Ok(json!({"timezone": "UTC", "rateLimits": [], "exchangeFilters": [], "symbols": rows}))
}

fn symbol_info(symbol: &str, book: Option<&Book>) -> Value {
    // A capture tells neither assets nor increments: the finest there is.
    let (base, quote, price_scale, size_scale) = book.map(Book::instrument).map_or((symbol, "", 8, 8), |instrument| {
        (instrument.base, instrument.quote, instrument.price_scale, instrument.size_scale)
    });
    let increment = |scale| Decimal::new(1, scale).padded(8);
    json!({
        "symbol": symbol,
        "status": "TRADING",
        "baseAsset": base,
        "baseAssetPrecision": 8,
        "quoteAsset": quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "isSpotTradingAllowed": true,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": increment(price_scale), "maxPrice": "1000000.00000000",
             "tickSize": increment(price_scale)},
            {"filterType": "LOT_SIZE", "minQty": increment(size_scale), "maxQty": "9000000000.00000000",
             "stepSize": increment(size_scale)},
        ],
    })
}

/// Ascending by id: from `from_id` (or the oldest remembered after it), or the latest without it.
fn trades(
    symbols: &[String],
    request: &RestRequest,
    market: Option<&Market>,
    from_id: Option<u64>,
) -> Result<Value, Fault> {
    let symbol = request.query("symbol").filter(|symbol| !symbol.is_empty()).ok_or_else(|| {
        (-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.".to_owned())
    })?;
    let symbol = listed(symbols, symbol)?;
    let limit = number(request, "limit")?.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err((-1130, "Data sent for parameter 'limit' is not valid.".to_owned()));
    }
    let Some(book) = market.and_then(|market| market.book(symbol)) else { return Ok(json!([])) };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let start = match from_id {
        Some(_) => 0,
        None => book.shown().count().saturating_sub(limit),
    };
    let from_id = from_id.unwrap_or(0);
    let unit = if request.wants_micros() { 1 } else { 1_000 };
    let row = |trade: &crate::market::Trade| {
        json!({
            "id": trade.id,
            "price": trade.price.padded(8),
            "qty": trade.size.padded(8),
            "quoteQty": trade.price.times(trade.size).padded(8),
            "time": trade.time_us / unit,
            "isBuyerMaker": trade.taker == crate::ledger::Side::Sell,
            "isBestMatch": true,
        })
    };
    Ok(book.shown().filter(|trade| trade.id >= from_id).skip(start).take(limit).map(row).collect())
}
