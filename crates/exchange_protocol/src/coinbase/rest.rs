//! Coinbase Exchange over REST: products, and trades by id.
//!
//! Source: docs.cdp.coinbase.com/exchange/rest-api. Trades come newest first and hold no order ids; `side` is the maker's.

use std::time::Duration;

use serde::Deserialize;

use crate::{
    Answer, BackfillBy, Budget, Decimal, DecodeError, Instrument, InstrumentStatus, Missing, Page, Request, Rest,
    RestError, RestFacts, Side, Trade, rest::encode, time,
};

/// The REST side of the venue.
#[derive(Debug)]
pub struct CoinbaseRest;

static FACTS: RestFacts = RestFacts {
    url: "https://api.exchange.coinbase.com",
    // Bursts of 15 are allowed; they are not counted on.
    budget: Budget { count: 10, per: Duration::from_secs(1) },
    wait: Duration::from_secs(1),
    by: BackfillBy::Ids,
    page_limit: 1_000,
    reach: None,
};

#[derive(Deserialize)]
struct Product {
    id: String,
    base_currency: String,
    quote_currency: String,
    base_increment: Option<String>,
    quote_increment: Option<String>,
    status: String,
    #[serde(default)]
    trading_disabled: bool,
    #[serde(default)]
    cancel_only: bool,
    #[serde(default)]
    post_only: bool,
    #[serde(default)]
    limit_only: bool,
    #[serde(default)]
    auction_mode: bool,
}

#[derive(Deserialize)]
struct Row {
    trade_id: u64,
    side: String,
    size: String,
    price: String,
    time: String,
}

impl Product {
    fn instrument(self) -> Result<Instrument, DecodeError> {
        let limited =
            self.trading_disabled || self.cancel_only || self.post_only || self.limit_only || self.auction_mode;
        let size = |field, text: Option<String>| text.map(|text| Decimal::parse_unsigned(field, &text)).transpose();
        Ok(Instrument {
            status: match self.status.as_str() {
                "online" if limited => InstrumentStatus::Limited,
                "online" => InstrumentStatus::Trading,
                "offline" => InstrumentStatus::Limited,
                _ => InstrumentStatus::Gone,
            },
            symbol: self.id,
            base: self.base_currency,
            quote: self.quote_currency,
            tick_size: size("quote_increment", self.quote_increment)?,
            lot_size: size("base_increment", self.base_increment)?,
        })
    }
}

/// The page of trades older than an id; the newest if that is the greatest there is.
fn page(symbol: &str, older_than: u64) -> Request {
    let mut target = format!("/products/{}/trades?limit={}", encode(symbol), FACTS.page_limit);
    if older_than < u64::MAX {
        target.push_str(&format!("&after={older_than}"));
    }
    Request::get(target, 1).from(older_than)
}

impl Rest for CoinbaseRest {
    fn facts(&self) -> &'static RestFacts {
        &FACTS
    }

    fn instruments(&self) -> Request {
        Request::get("/products".to_owned(), 1)
    }

    fn read_instruments(&self, answer: &Answer<'_>) -> Result<Vec<Instrument>, RestError> {
        answer.check(&FACTS)?;
        let products: Vec<Product> = answer.json()?;
        Ok(products.into_iter().map(Product::instrument).collect::<Result<_, _>>()?)
    }

    fn trades(&self, missing: &Missing<'_>) -> Option<Request> {
        let (first, last) = missing.ids?;
        (first <= last).then(|| page(missing.symbol, last.saturating_add(1)))
    }

    fn read_trades(
        &self,
        missing: &Missing<'_>,
        request: &Request,
        answer: &Answer<'_>,
        sink: &mut dyn FnMut(Trade<'_>),
    ) -> Result<Page, RestError> {
        answer.check(&FACTS)?;
        let rows: Vec<Row> = answer.json()?;
        let lowest = rows.iter().map(|row| row.trade_id).min();
        for row in rows.iter().rev() {
            let trade = Trade {
                symbol: missing.symbol,
                id: row.trade_id,
                first_id: row.trade_id,
                event_ns: time::rfc3339(&row.time).unwrap_or(0),
                price: Decimal::parse_unsigned("price", &row.price)?,
                size: Decimal::parse_unsigned("size", &row.size)?,
                taker: Side::named("side", Some(&row.side))?.opposite(),
                maker_order_id: [0; 16],
                taker_order_id: [0; 16],
                snapshot: false,
            };
            if missing.includes(&trade) {
                sink(trade);
            }
        }
        let first = missing.ids.map_or(0, |(first, _)| first);
        Ok(match lowest {
            Some(lowest) if lowest > first && lowest < request.cursor() => Page::More(page(missing.symbol, lowest)),
            _ => Page::Last,
        })
    }
}
