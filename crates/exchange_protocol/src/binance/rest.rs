//! Binance spot over REST: symbols, and trades by id.
//!
//! Source: github.com/binance/binance-spot-api-docs, rest-api.md.

use std::time::Duration;

use serde::Deserialize;

use crate::{
    Answer, BackfillBy, Budget, Decimal, DecodeError, Instrument, InstrumentStatus, Missing, Page, Request, Rest,
    RestError, RestFacts, Side, Trade, rest::encode, time,
};

/// The REST side of the venue.
#[derive(Debug)]
pub struct BinanceRest;

static FACTS: RestFacts = RestFacts {
    // `historicalTrades` is not on the mirror of market data.
    url: "https://api.binance.com",
    budget: Budget { count: 6_000, per: Duration::from_secs(60) },
    wait: Duration::from_secs(60),
    by: BackfillBy::Ids,
    page_limit: 1_000,
    reach: None,
};

const INSTRUMENTS_WEIGHT: u32 = 20;
const TRADES_WEIGHT: u32 = 25;
const HEADERS: [(&str, &str); 1] = [("X-MBX-TIME-UNIT", "MICROSECOND")];

#[derive(Deserialize)]
struct ExchangeInfo {
    symbols: Vec<Symbol>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Symbol {
    symbol: String,
    status: String,
    base_asset: String,
    quote_asset: String,
    #[serde(default)]
    filters: Vec<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    filter_type: String,
    tick_size: Option<String>,
    step_size: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: u64,
    price: String,
    qty: String,
    time: u64,
    is_buyer_maker: bool,
}

impl Symbol {
    fn instrument(self) -> Result<Instrument, DecodeError> {
        let of_filter = |kind: &str, field, size: fn(&Filter) -> Option<&String>| {
            let filter = self.filters.iter().find(|filter| filter.filter_type == kind);
            filter.and_then(size).map(|text| Decimal::parse_unsigned(field, text)).transpose()
        };
        Ok(Instrument {
            tick_size: of_filter("PRICE_FILTER", "tickSize", |filter| filter.tick_size.as_ref())?,
            lot_size: of_filter("LOT_SIZE", "stepSize", |filter| filter.step_size.as_ref())?,
            status: match self.status.as_str() {
                "TRADING" => InstrumentStatus::Trading,
                _ => InstrumentStatus::Limited,
            },
            symbol: self.symbol,
            base: self.base_asset,
            quote: self.quote_asset,
        })
    }
}

fn page(symbol: &str, first: u64, last: u64) -> Request {
    let limit = (last - first).saturating_add(1).min(FACTS.page_limit);
    let target = format!("/api/v3/historicalTrades?symbol={}&fromId={first}&limit={limit}", encode(symbol));
    Request::get(target, TRADES_WEIGHT).with_headers(&HEADERS).from(first)
}

impl Rest for BinanceRest {
    fn facts(&self) -> &'static RestFacts {
        &FACTS
    }

    fn instruments(&self) -> Request {
        Request::get("/api/v3/exchangeInfo".to_owned(), INSTRUMENTS_WEIGHT)
    }

    fn read_instruments(&self, answer: &Answer<'_>) -> Result<Vec<Instrument>, RestError> {
        answer.check(&FACTS)?;
        let info: ExchangeInfo = answer.json()?;
        Ok(info.symbols.into_iter().map(Symbol::instrument).collect::<Result<_, _>>()?)
    }

    fn trades(&self, missing: &Missing<'_>) -> Option<Request> {
        let (first, last) = missing.ids?;
        (first <= last).then(|| page(missing.symbol, first, last))
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
        for row in &rows {
            let trade = Trade {
                symbol: missing.symbol,
                id: row.id,
                first_id: row.id,
                event_ns: time::millis_or_micros(row.time).unwrap_or(0),
                price: Decimal::parse_unsigned("price", &row.price)?,
                size: Decimal::parse_unsigned("qty", &row.qty)?,
                taker: if row.is_buyer_maker { Side::Sell } else { Side::Buy },
                maker_order_id: [0; 16],
                taker_order_id: [0; 16],
                snapshot: false,
            };
            if missing.includes(&trade) {
                sink(trade);
            }
        }
        let last = missing.ids.map_or(0, |(_, last)| last);
        Ok(match rows.iter().map(|row| row.id).max() {
            Some(highest) if highest < last && highest >= request.cursor() => {
                Page::More(page(missing.symbol, highest + 1, last))
            }
            _ => Page::Last,
        })
    }
}
