//! Bitfinex over REST: pairs, and trades by time.
//!
//! Source: docs.bitfinex.com. Pages overlap by a millisecond, so trades at their seams come twice.

use std::time::Duration;

use serde_json::value::RawValue;

use super::message;
use crate::{
    Answer, BackfillBy, Budget, DecodeError, Instrument, InstrumentStatus, Missing, Page, Request, Rest, RestError,
    RestFacts, Trade, Venue as _, bitfinex::Bitfinex, rest::encode,
};

/// The REST side of the venue.
#[derive(Debug)]
pub struct BitfinexRest;

static FACTS: RestFacts = RestFacts {
    url: "https://api-pub.bitfinex.com",
    // "10 to 90 a minute, depending on the endpoint"; which has which is not said.
    budget: Budget { count: 10, per: Duration::from_secs(60) },
    wait: Duration::from_secs(60),
    by: BackfillBy::Time,
    page_limit: 10_000,
    reach: None,
};

/// The parts of an answer that is a list; a refusal is `{"error":"ERR_RATE_LIMIT"}` or `["error",11010,"ratelimit: error"]`.
fn list<'a>(answer: &Answer<'a>) -> Result<Vec<&'a RawValue>, RestError> {
    let list: Result<Vec<&'a RawValue>, _> = serde_json::from_slice(answer.body);
    let first = list.as_ref().ok().and_then(|list| list.first()).map(|first| first.get());
    let text = String::from_utf8_lossy(answer.body);
    if first == Some("\"error\"") || text.trim_start().starts_with('{') {
        let is_limit = text.contains("11010") || text.contains("ERR_RATE_LIMIT");
        return Err(if is_limit { answer.rate_limited(&FACTS) } else { answer.refused(&text) });
    }
    answer.check(&FACTS)?;
    Ok(list.map_err(|error| DecodeError::json(&error))?)
}

fn page(missing: &Missing<'_>, start_ms: u64) -> Request {
    let symbol = encode(missing.symbol);
    let limit = FACTS.page_limit;
    let mut target = format!("/v2/trades/{symbol}/hist?limit={limit}&start={start_ms}&sort=1");
    if missing.times.1 < u64::MAX {
        target.push_str(&format!("&end={}", missing.times.1.div_ceil(1_000_000)));
    }
    Request::get(target, 1).from(start_ms)
}

impl Rest for BitfinexRest {
    fn facts(&self) -> &'static RestFacts {
        &FACTS
    }

    fn instruments(&self) -> Request {
        Request::get("/v2/conf/pub:list:pair:exchange".to_owned(), 1)
    }

    fn read_instruments(&self, answer: &Answer<'_>) -> Result<Vec<Instrument>, RestError> {
        let lists = list(answer)?;
        let pairs = lists.first().ok_or(DecodeError::Missing("pairs"))?.get();
        let pairs: Vec<String> = serde_json::from_str(pairs).map_err(|error| DecodeError::json(&error))?;
        let instrument = |pair: String| {
            let symbol = format!("t{pair}");
            let quote = Bitfinex.quote_currency(&symbol).unwrap_or_default();
            let base = pair.strip_suffix(quote).map(|base| base.trim_end_matches(':')).unwrap_or_default();
            // Paper trading.
            let is_test = pair.starts_with("TEST");
            Instrument {
                base: base.to_owned(),
                quote: quote.to_owned(),
                tick_size: None,
                lot_size: None,
                status: if is_test { InstrumentStatus::Gone } else { InstrumentStatus::Trading },
                symbol,
            }
        };
        Ok(pairs.into_iter().map(instrument).collect())
    }

    fn trades(&self, missing: &Missing<'_>) -> Option<Request> {
        (missing.times.0 <= missing.times.1).then(|| page(missing, missing.times.0 / 1_000_000))
    }

    fn read_trades(
        &self,
        missing: &Missing<'_>,
        request: &Request,
        answer: &Answer<'_>,
        sink: &mut dyn FnMut(Trade<'_>),
    ) -> Result<Page, RestError> {
        let rows = list(answer)?;
        let mut newest_ms = 0;
        for row in &rows {
            let trade = message::trade(missing.symbol, row.get(), false)?;
            newest_ms = newest_ms.max(trade.event_ns / 1_000_000);
            if missing.includes(&trade) {
                sink(trade);
            }
        }
        let is_full = rows.len() as u64 >= FACTS.page_limit;
        // A page full of one millisecond would lead nowhere.
        let leads_on = is_full && newest_ms > request.cursor();
        Ok(if leads_on { Page::More(page(missing, newest_ms)) } else { Page::Last })
    }
}
