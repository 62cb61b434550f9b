//! Kraken over REST: pairs, and trades by time.
//!
//! Source: docs.kraken.com/api. A trade's seventh element is its id, the same as on the WebSocket. The REST interface names
//! Bitcoin and Dogecoin XBT and XDG.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    Answer, BackfillBy, Budget, Decimal, DecodeError, Instrument, InstrumentStatus, Missing, Page, Request, Rest,
    RestError, RestFacts, Side, Trade,
    lexeme::{number_or_text, text_of},
    rest::encode,
    time,
};

/// The REST side of the venue.
#[derive(Debug)]
pub struct KrakenRest;

static FACTS: RestFacts = RestFacts {
    url: "https://api.kraken.com",
    // About one a second.
    budget: Budget { count: 1, per: Duration::from_secs(1) },
    // The body of a refusal names no time; that of a ban is 10 minutes.
    wait: Duration::from_secs(10),
    by: BackfillBy::Time,
    page_limit: 1_000,
    reach: None,
};

/// The envelope of every answer.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    error: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Pair {
    /// `XBT/USD`; pairs without one are not on the WebSocket.
    wsname: Option<String>,
    lot_decimals: Option<u32>,
    tick_size: Option<String>,
    status: Option<String>,
}

fn result<'a>(answer: &Answer<'a>) -> Result<&'a RawValue, RestError> {
    answer.check(&FACTS)?;
    let envelope: Envelope<'a> = serde_json::from_slice(answer.body).map_err(|error| DecodeError::json(&error))?;
    if let Some(error) = envelope.error.first() {
        let is_limit = error.contains("Too many requests") || error.contains("Rate limit exceeded");
        return Err(if is_limit { answer.rate_limited(&FACTS) } else { answer.refused(error) });
    }
    Ok(envelope.result.ok_or(DecodeError::Missing("result"))?)
}

fn from_rest(asset: &str) -> &str {
    match asset {
        "XBT" => "BTC",
        "XDG" => "DOGE",
        other => other,
    }
}

/// The pair's name for requests: `XBTUSD` for `BTC/USD`.
fn pair(symbol: &str) -> String {
    let to_rest = |asset: &str| match asset {
        "BTC" => "XBT".to_owned(),
        "DOGE" => "XDG".to_owned(),
        other => other.to_owned(),
    };
    symbol.split('/').map(to_rest).collect()
}

fn page(symbol: &str, since_ns: u64) -> Request {
    let pair = pair(symbol);
    let target = format!("/0/public/Trades?pair={}&since={since_ns}&count={}", encode(&pair), FACTS.page_limit);
    Request::get(target, 1).from(since_ns)
}

fn trade<'a>(symbol: &'a str, row: &[&'a RawValue]) -> Result<Trade<'a>, DecodeError> {
    let cell = |at: usize, field| row.get(at).map(|cell| cell.get()).ok_or(DecodeError::Missing(field));
    let id_text = cell(6, "trade_id")?;
    let id = id_text.parse().map_err(|_| DecodeError::value("trade_id", id_text))?;
    let taker = match text_of(cell(3, "side")?).as_deref() {
        Some("b") => Side::Buy,
        Some("s") => Side::Sell,
        _ => return Err(DecodeError::value("side", cell(3, "side")?)),
    };
    Ok(Trade {
        symbol,
        id,
        first_id: id,
        event_ns: time::seconds(cell(2, "time")?).unwrap_or(0),
        price: number_or_text("price", cell(0, "price")?)?,
        size: number_or_text("volume", cell(1, "volume")?)?,
        taker,
        maker_order_id: [0; 16],
        taker_order_id: [0; 16],
        snapshot: false,
    })
}

impl Rest for KrakenRest {
    fn facts(&self) -> &'static RestFacts {
        &FACTS
    }

    fn instruments(&self) -> Request {
        Request::get("/0/public/AssetPairs".to_owned(), 1)
    }

    fn read_instruments(&self, answer: &Answer<'_>) -> Result<Vec<Instrument>, RestError> {
        let pairs: BTreeMap<String, Pair> =
            serde_json::from_str(result(answer)?.get()).map_err(|error| DecodeError::json(&error))?;
        let mut instruments = Vec::new();
        for pair in pairs.into_values() {
            let Some((base, quote)) = pair.wsname.as_deref().and_then(|name| name.split_once('/')) else { continue };
            let (base, quote) = (from_rest(base), from_rest(quote));
            let size = |text: &str| Decimal::parse_unsigned("tick_size", text);
            let lot = |decimals: u32| Decimal::parse("lot_decimals", &format!("1e-{decimals}"));
            instruments.push(Instrument {
                symbol: format!("{base}/{quote}"),
                base: base.to_owned(),
                quote: quote.to_owned(),
                tick_size: pair.tick_size.as_deref().map(size).transpose()?,
                lot_size: pair.lot_decimals.map(lot).transpose()?,
                status: match pair.status.as_deref() {
                    Some("online") => InstrumentStatus::Trading,
                    _ => InstrumentStatus::Limited,
                },
            });
        }
        Ok(instruments)
    }

    fn trades(&self, missing: &Missing<'_>) -> Option<Request> {
        let possible = missing.times.0 <= missing.times.1 && missing.ids.is_none_or(|(first, last)| first <= last);
        // `since` is taken for exclusive.
        possible.then(|| page(missing.symbol, missing.times.0.saturating_sub(1)))
    }

    fn read_trades(
        &self,
        missing: &Missing<'_>,
        request: &Request,
        answer: &Answer<'_>,
        sink: &mut dyn FnMut(Trade<'_>),
    ) -> Result<Page, RestError> {
        let parts: BTreeMap<String, &RawValue> =
            serde_json::from_str(result(answer)?.get()).map_err(|error| DecodeError::json(&error))?;
        let last = parts.get("last").map(|last| last.get()).ok_or(DecodeError::Missing("last"))?;
        let last: u64 =
            text_of(last).as_deref().unwrap_or(last).parse().map_err(|_| DecodeError::value("last", last))?;
        let rows = parts.iter().find(|(name, _)| *name != "last").map(|(_, rows)| rows.get());
        let rows: Vec<Vec<&RawValue>> = serde_json::from_str(rows.ok_or(DecodeError::Missing("trades"))?)
            .map_err(|error| DecodeError::json(&error))?;
        let mut is_past = false;
        for row in &rows {
            let trade = trade(missing.symbol, row)?;
            is_past |= match missing.ids {
                Some((_, last)) => trade.id >= last,
                None => trade.event_ns > missing.times.1,
            };
            if missing.includes(&trade) {
                sink(trade);
            }
        }
        let leads_on = !rows.is_empty() && last > request.cursor() && !is_past;
        Ok(if leads_on { Page::More(page(missing.symbol, last)) } else { Page::Last })
    }
}
