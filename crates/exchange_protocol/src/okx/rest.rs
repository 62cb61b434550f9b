//! OKX over REST: instruments, and trades by id.
//!
//! Source: the V5 API documentation of okx.com. `after` asks for what is older than an id; trades come newest first.

use std::{borrow::Cow, time::Duration};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    Answer, BackfillBy, Budget, Decimal, DecodeError, Instrument, InstrumentStatus, Missing, Page, Request, Rest,
    RestError, RestFacts, Side, Trade, rest::encode, time,
};

/// The REST side of the venue.
#[derive(Debug)]
pub struct OkxRest;

static FACTS: RestFacts = RestFacts {
    url: "https://www.okx.com",
    budget: Budget { count: 20, per: Duration::from_secs(2) },
    wait: Duration::from_secs(2),
    by: BackfillBy::Ids,
    page_limit: 100,
    // Three months.
    reach: Some(Duration::from_secs(90 * 24 * 3_600)),
};

/// Trades of the page of the newest at most.
const NEWEST_LIMIT: u32 = 500;

/// The envelope of every answer.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    code: Cow<'a, str>,
    #[serde(borrow, default)]
    msg: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    inst_id: String,
    base_ccy: String,
    quote_ccy: String,
    tick_sz: Option<String>,
    lot_sz: Option<String>,
    state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    trade_id: String,
    px: String,
    sz: String,
    side: String,
    ts: String,
}

fn data<'a, T: Deserialize<'a>>(answer: &Answer<'a>) -> Result<Vec<T>, RestError> {
    let envelope: Result<Envelope<'a>, _> = serde_json::from_slice(answer.body);
    // A refusal may come with any status.
    if let Ok(Envelope { code, msg, .. }) = &envelope
        && !matches!(code.as_ref(), "0" | "")
    {
        return Err(if code == "50011" {
            answer.rate_limited(&FACTS)
        } else {
            answer.refused(&format!("{code} {msg}"))
        });
    }
    answer.check(&FACTS)?;
    let envelope = envelope.map_err(|error| DecodeError::json(&error))?;
    let data = envelope.data.ok_or(DecodeError::Missing("data"))?;
    Ok(serde_json::from_str(data.get()).map_err(|error| DecodeError::json(&error))?)
}

impl Listed {
    fn instrument(self) -> Result<Instrument, DecodeError> {
        let size = |field, text: Option<String>| {
            text.filter(|text| !text.is_empty()).map(|text| Decimal::parse_unsigned(field, &text)).transpose()
        };
        Ok(Instrument {
            tick_size: size("tickSz", self.tick_sz)?,
            lot_size: size("lotSz", self.lot_sz)?,
            status: match self.state.as_str() {
                "live" => InstrumentStatus::Trading,
                "suspend" => InstrumentStatus::Limited,
                _ => InstrumentStatus::Gone,
            },
            symbol: self.inst_id,
            base: self.base_ccy,
            quote: self.quote_ccy,
        })
    }
}

/// The page of trades older than an id; the newest if that is the greatest there is.
fn page(symbol: &str, older_than: u64) -> Request {
    let symbol = encode(symbol);
    let target = if older_than == u64::MAX {
        format!("/api/v5/market/trades?instId={symbol}&limit={NEWEST_LIMIT}")
    } else {
        let limit = FACTS.page_limit;
        format!("/api/v5/market/history-trades?instId={symbol}&type=1&after={older_than}&limit={limit}")
    };
    Request::get(target, 1).from(older_than)
}

impl Rest for OkxRest {
    fn facts(&self) -> &'static RestFacts {
        &FACTS
    }

    fn instruments(&self) -> Request {
        Request::get("/api/v5/public/instruments?instType=SPOT".to_owned(), 1)
    }

    fn read_instruments(&self, answer: &Answer<'_>) -> Result<Vec<Instrument>, RestError> {
        let listed: Vec<Listed> = data(answer)?;
        Ok(listed.into_iter().map(Listed::instrument).collect::<Result<_, _>>()?)
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
        let rows: Vec<Row> = data(answer)?;
        let mut lowest = None;
        for row in rows.iter().rev() {
            let id: u64 = row.trade_id.parse().map_err(|_| DecodeError::value("tradeId", &row.trade_id))?;
            lowest = Some(lowest.unwrap_or(id).min(id));
            let trade = Trade {
                symbol: missing.symbol,
                id,
                first_id: id,
                event_ns: row.ts.parse().ok().and_then(time::millis_or_micros).unwrap_or(0),
                price: Decimal::parse_unsigned("px", &row.px)?,
                size: Decimal::parse_unsigned("sz", &row.sz)?,
                taker: Side::named("side", Some(&row.side))?,
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
