//! Coinbase's REST answers: the products and a product's trades, paged by trade id.

use serde_json::{Value, json};

use super::Coinbase;
use crate::clock::rfc3339_us;
use crate::decimal::Decimal;
use crate::market::{Book, Market};
use crate::rest::{RestAnswer, RestRequest};

/// Most trades of one page, also the number without `limit`.
const MAX_LIMIT: u64 = 1_000;

pub(super) fn answer(venue: &Coinbase, request: &RestRequest, market: Option<&Market>) -> RestAnswer {
    match request.segments().as_slice() {
        ["products"] => RestAnswer::json(200, &products(venue, market)),
        ["products", id] if !venue.products.contains(*id) => not_found(),
        ["products", id] => RestAnswer::json(200, &product(id, market.and_then(|market| market.book(id)))),
        ["products", id, "trades"] if !venue.products.contains(*id) => not_found(),
        ["products", id, "trades"] => trades(request, market.and_then(|market| market.book(id))),
        _ => RestAnswer::json(404, &json!({"message": "Route not found"})),
    }
}

fn not_found() -> RestAnswer {
    RestAnswer::json(404, &json!({"message": "NotFound"}))
}

fn products(venue: &Coinbase, market: Option<&Market>) -> Value {
    venue.product_order.iter().map(|id| product(id, market.and_then(|market| market.book(id)))).collect()
}

fn product(id: &str, book: Option<&Book>) -> Value {
    let (base, quote) = id.split_once('-').unwrap_or((id, ""));
    // A capture does not tell increments: the finest there is.
    let (price_scale, size_scale) =
        book.map_or((8, 8), |book| (book.instrument().price_scale, book.instrument().size_scale));
    json!({
        "id": id,
        "base_currency": base,
        "quote_currency": quote,
        "base_increment": Decimal::new(1, size_scale).trimmed(),
        "quote_increment": Decimal::new(1, price_scale).trimmed(),
        "display_name": id,
        "min_market_funds": "1",
        "margin_enabled": false,
        "post_only": false,
        "limit_only": false,
        "cancel_only": false,
        "status": "online",
        "status_message": "",
        "trading_disabled": false,
        "fx_stablecoin": false,
        "auction_mode": false,
    })
}

fn trades(request: &RestRequest, book: Option<&Book>) -> RestAnswer {
    let cursor = |name| match request.query(name) {
        None => Ok(None),
        Some(text) => text.parse::<u64>().map(Some).map_err(|_| invalid(name)),
    };
    let (limit, after, before) = match (cursor("limit"), cursor("after"), cursor("before")) {
        (Ok(limit), Ok(after), Ok(before)) => (limit, after, before),
        (Err(answer), _, _) | (_, Err(answer), _) | (_, _, Err(answer)) => return answer,
    };
    let limit = limit.unwrap_or(MAX_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return invalid("limit");
    }
    let page: Vec<_> = book
        .into_iter()
        .flat_map(|book| book.shown().rev())
        .filter(|trade| after.is_none_or(|after| trade.id < after) && before.is_none_or(|before| trade.id > before))
        .take(usize::try_from(limit).unwrap_or(usize::MAX))
        .collect();
    let rows: Value = page
        .iter()
        .map(|trade| {
            json!({
                "trade_id": trade.id,
                // The maker's, as in a match.
                "side": trade.taker.opposite().name(),
                "size": trade.size.padded(8),
                "price": trade.price.padded(8),
                "time": rfc3339_us(trade.time_us),
            })
        })
        .collect();
    let mut answer = RestAnswer::json(200, &rows);
    if let (Some(newest), Some(oldest)) = (page.first(), page.last()) {
        answer.headers.push(("cb-before", newest.id.to_string()));
        answer.headers.push(("cb-after", oldest.id.to_string()));
    }
    answer
}

fn invalid(parameter: &str) -> RestAnswer {
    RestAnswer::json(400, &json!({"message": format!("Invalid {parameter}")}))
}
