//! What a frame of the V5 protocol holds.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    Decimal, DecodeError, Level, Quote, Side, Trade,
    lexeme::lexeme,
    scan::{Scanner, once},
    time,
};

/// A frame: rows of a channel, or an event.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Frame<'f> {
    #[serde(borrow)]
    pub(super) arg: Option<Arg<'f>>,
    /// The rows as they are written, where they were not scanned.
    #[serde(borrow, default, deserialize_with = "lexeme")]
    data: Option<&'f str>,
    #[serde(skip)]
    scanned: Option<Vec<Row<'f>>>,
    #[serde(borrow)]
    pub(super) event: Option<Cow<'f, str>>,
    #[serde(borrow)]
    id: Option<Cow<'f, str>>,
    #[serde(borrow)]
    pub(super) code: Option<Cow<'f, str>>,
    #[serde(borrow)]
    pub(super) msg: Option<Cow<'f, str>>,
}

/// What a subscription is of.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Arg<'f> {
    #[serde(borrow)]
    pub(super) channel: Cow<'f, str>,
    #[serde(borrow, default, rename = "instId")]
    pub(super) symbol: Cow<'f, str>,
}

/// Every field of the rows used here: of a trade or of a quote.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row<'f> {
    #[serde(borrow)]
    inst_id: Option<Cow<'f, str>>,
    #[serde(borrow)]
    trade_id: Option<Cow<'f, str>>,
    #[serde(borrow)]
    px: Option<Cow<'f, str>>,
    #[serde(borrow)]
    sz: Option<Cow<'f, str>>,
    #[serde(borrow)]
    side: Option<Cow<'f, str>>,
    #[serde(borrow)]
    count: Option<Cow<'f, str>>,
    #[serde(borrow)]
    ts: Option<Cow<'f, str>>,
    /// Levels: price, size, and two that say nothing here.
    #[serde(borrow)]
    asks: Option<Vec<Vec<Cow<'f, str>>>>,
    #[serde(borrow)]
    bids: Option<Vec<Vec<Cow<'f, str>>>>,
    /// A negative one, as the order book has, is none.
    seq_id: Option<i64>,
}

impl<'f> Frame<'f> {
    pub(super) fn read(text: &'f str) -> Result<Frame<'f>, DecodeError> {
        match Frame::scan(text) {
            Some(frame) => Ok(frame),
            None => serde_json::from_str(text).map_err(|error| DecodeError::json(&error)),
        }
    }

    /// The plain form of a channel's rows.
    fn scan(text: &'f str) -> Option<Frame<'f>> {
        let mut frame = Frame::default();
        let mut scanner = Scanner::new(text);
        scanner.object(|scanner, key| match key {
            "arg" => {
                let (mut channel, mut symbol) = (None, None);
                scanner.object(|scanner, key| match key {
                    "channel" => once(&mut channel, scanner.string()?),
                    "instId" => once(&mut symbol, scanner.string()?),
                    _ => scanner.skip(),
                })?;
                once(&mut frame.arg, Arg { channel: channel?.into(), symbol: symbol?.into() })
            }
            "data" => {
                let mut rows = Vec::with_capacity(1);
                scanner.array(|scanner| {
                    rows.push(Row::scan(scanner)?);
                    Some(())
                })?;
                once(&mut frame.scanned, rows)
            }
            _ => None,
        })?;
        scanner.end()?;
        (frame.arg.is_some() && frame.scanned.is_some()).then_some(frame)
    }

    /// The id of the request that this answers, if it was one of ours.
    pub(super) fn request_id(&self) -> Option<u64> {
        self.id.as_deref()?.parse().ok()
    }

    /// Hands over each row.
    ///
    /// # Errors
    /// The first row that was not understood; the others were handed over.
    pub(super) fn each_row(
        &self,
        mut work: impl FnMut(&Row<'f>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        if let Some(scanned) = &self.scanned {
            return scanned.iter().map(work).fold(Ok(()), Result::and);
        }
        let data = self.data.ok_or(DecodeError::Missing("data"))?;
        let data: Vec<&'f RawValue> = serde_json::from_str(data).map_err(|error| DecodeError::json(&error))?;
        let read = |row: &&'f RawValue| serde_json::from_str(row.get()).map_err(|error| DecodeError::json(&error));
        data.iter().map(|row| read(row).and_then(|row| work(&row))).fold(Ok(()), Result::and)
    }
}

impl<'f> Row<'f> {
    fn scan(scanner: &mut Scanner<'f>) -> Option<Row<'f>> {
        let mut row = Row::default();
        scanner.object(|scanner, key| match key {
            "instId" => once(&mut row.inst_id, scanner.string()?.into()),
            "tradeId" => once(&mut row.trade_id, scanner.string()?.into()),
            "px" => once(&mut row.px, scanner.string()?.into()),
            "sz" => once(&mut row.sz, scanner.string()?.into()),
            "side" => once(&mut row.side, scanner.string()?.into()),
            "count" => once(&mut row.count, scanner.string()?.into()),
            "ts" => once(&mut row.ts, scanner.string()?.into()),
            "asks" => once(&mut row.asks, levels(scanner)?),
            "bids" => once(&mut row.bids, levels(scanner)?),
            "seqId" => once(&mut row.seq_id, i64::try_from(scanner.integer()?).ok()?),
            _ => scanner.skip(),
        })?;
        Some(row)
    }

    fn event_ns(&self) -> u64 {
        let millis = self.ts.as_deref().and_then(|ts| ts.parse().ok());
        millis.and_then(time::millis_or_micros).unwrap_or(0)
    }

    pub(super) fn trade(&self) -> Result<Trade<'_>, DecodeError> {
        let id = whole("tradeId", self.trade_id.as_deref())?.ok_or(DecodeError::Missing("tradeId"))?;
        // Without a count it is one.
        let count = whole("count", self.count.as_deref())?.unwrap_or(1);
        let before_first = id.checked_sub(count).filter(|_| count > 0);
        let text = |field, text: Option<&Cow<'_, str>>| -> Result<Decimal, DecodeError> {
            Decimal::parse_unsigned(field, text.ok_or(DecodeError::Missing(field))?)
        };
        Ok(Trade {
            symbol: self.inst_id.as_deref().ok_or(DecodeError::Missing("instId"))?,
            id,
            first_id: before_first.ok_or_else(|| DecodeError::value("count", &count.to_string()))? + 1,
            event_ns: self.event_ns(),
            price: text("px", self.px.as_ref())?,
            size: text("sz", self.sz.as_ref())?,
            taker: Side::named("side", self.side.as_deref())?,
            maker_order_id: [0; 16],
            taker_order_id: [0; 16],
            snapshot: false,
        })
    }

    pub(super) fn quote<'s>(&self, symbol: &'s str) -> Result<Quote<'s>, DecodeError> {
        Ok(Quote {
            symbol,
            update_id: self.seq_id.and_then(|id| u64::try_from(id).ok()).unwrap_or(0),
            event_ns: self.event_ns(),
            bid: best("bids", self.bids.as_ref())?,
            ask: best("asks", self.asks.as_ref())?,
        })
    }
}

fn levels<'f>(scanner: &mut Scanner<'f>) -> Option<Vec<Vec<Cow<'f, str>>>> {
    let mut levels = Vec::with_capacity(1);
    scanner.array(|scanner| {
        let mut level = Vec::with_capacity(4);
        scanner.array(|scanner| {
            level.push(scanner.string()?.into());
            Some(())
        })?;
        levels.push(level);
        Some(())
    })?;
    Some(levels)
}

/// An empty side is an empty list.
fn best(field: &'static str, levels: Option<&Vec<Vec<Cow<'_, str>>>>) -> Result<Option<Level>, DecodeError> {
    let Some(level) = levels.ok_or(DecodeError::Missing(field))?.first() else { return Ok(None) };
    let (Some(price), Some(size)) = (level.first(), level.get(1)) else {
        return Err(DecodeError::value(field, &level.join(",")));
    };
    Ok(Some(Level { price: Decimal::parse_unsigned(field, price)?, size: Some(Decimal::parse_unsigned(field, size)?) }))
}

fn whole(field: &'static str, text: Option<&str>) -> Result<Option<u64>, DecodeError> {
    let Some(text) = text else { return Ok(None) };
    // `parse` would take a plus sign.
    let is_whole = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_whole).map(Some).ok_or_else(|| DecodeError::value(field, text))
}
