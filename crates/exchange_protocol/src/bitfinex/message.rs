//! What a frame of the protocol's second version holds: an object, or an array of a channel.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    Decimal, DecodeError, Side, Trade,
    book::{BookSide, Change},
    lexeme::{number, text_of, unsigned},
    scan, time,
};

/// An object: an answer, or a word about the connection.
#[derive(Debug, Deserialize)]
pub(super) struct Info<'f> {
    #[serde(borrow)]
    pub(super) event: Cow<'f, str>,
    #[serde(borrow)]
    pub(super) channel: Option<Cow<'f, str>>,
    #[serde(rename = "chanId")]
    pub(super) channel_id: Option<u64>,
    #[serde(borrow)]
    pub(super) symbol: Option<Cow<'f, str>>,
    #[serde(borrow)]
    pub(super) msg: Option<Cow<'f, str>>,
    pub(super) code: Option<u64>,
    #[serde(borrow)]
    pub(super) status: Option<Cow<'f, str>>,
    pub(super) platform: Option<Platform>,
    pub(super) ts: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Platform {
    /// 0 in maintenance.
    pub(super) status: u64,
}

/// An array: what a channel says.
#[derive(Debug)]
pub(super) struct Data<'f> {
    pub(super) channel: u64,
    pub(super) content: Result<Content<'f>, DecodeError>,
    /// The frame's number on the connection.
    pub(super) sequence: Option<u64>,
    /// The venue's time, ns; 0 if it gives none.
    pub(super) event_ns: u64,
}

#[derive(Debug)]
pub(super) enum Content<'f> {
    Heartbeat,
    Checksum(i64),
    /// A snapshot of trades or of a book, or a change of a book.
    Rows(Rows<'f>),
    /// A trade, when it happens or when it is confirmed.
    Trade(&'f str),
}

/// Rows as they are written.
#[derive(Debug)]
pub(super) enum Rows<'f> {
    One(&'f str),
    Snapshot(Vec<&'f str>),
}

impl<'f> Rows<'f> {
    pub(super) fn is_snapshot(&self) -> bool {
        matches!(self, Rows::Snapshot(_))
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, &'f str> {
        match self {
            Rows::One(row) => std::slice::from_ref(row).iter(),
            Rows::Snapshot(rows) => rows.iter(),
        }
    }

    pub(super) fn into_iter(self) -> std::vec::IntoIter<&'f str> {
        match self {
            Rows::One(row) => vec![row].into_iter(),
            Rows::Snapshot(rows) => rows.into_iter(),
        }
    }
}

/// A number is a frame's number below this and a time in milliseconds above it, which lies in the year 2001.
const FIRST_TIME: u64 = 1_000_000_000_000;

impl<'f> Data<'f> {
    pub(super) fn read(frame: &'f str) -> Result<Data<'f>, DecodeError> {
        let parts = elements(frame)?;
        let part = |at: usize, field| parts.get(at).copied().ok_or(DecodeError::Missing(field));
        let channel = whole("chanId", part(0, "chanId")?)?;
        let body = part(1, "body")?;
        // What follows a body: the frame's number and the venue's time, each only if its flag is set.
        let (content, rest) = match text_of(body).as_deref() {
            Some("hb") => (Ok(Content::Heartbeat), 2),
            Some("cs") => (part(2, "cs").and_then(signed).map(Content::Checksum), 3),
            Some("te" | "tu") => (part(2, "trade").map(Content::Trade), 3),
            Some(unknown) => (Err(DecodeError::unknown_type(unknown)), 3),
            None => (rows(body).map(Content::Rows), 2),
        };
        let (mut sequence, mut event_ns) = (None, 0);
        for number in parts.iter().skip(rest).filter_map(|part| part.parse::<u64>().ok()) {
            if number < FIRST_TIME {
                sequence = sequence.or(Some(number));
            } else {
                event_ns = time::millis_or_micros(number).unwrap_or(0);
            }
        }
        Ok(Data { channel, content, sequence, event_ns })
    }
}

fn elements(text: &str) -> Result<Vec<&str>, DecodeError> {
    if let Some(elements) = scan::elements(text) {
        return Ok(elements);
    }
    let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| DecodeError::json(&error))?;
    Ok(elements.into_iter().map(RawValue::get).collect())
}

/// A list of rows is a snapshot; one row alone is a change.
fn rows(body: &str) -> Result<Rows<'_>, DecodeError> {
    if !body.starts_with('[') {
        return Err(DecodeError::value("body", body));
    }
    let rows = elements(body)?;
    Ok(match rows.first() {
        Some(first) if !first.starts_with('[') => Rows::One(body),
        _ => Rows::Snapshot(rows),
    })
}

fn whole(field: &'static str, text: &str) -> Result<u64, DecodeError> {
    text.parse().map_err(|_| DecodeError::value(field, text))
}

fn signed(text: &str) -> Result<i64, DecodeError> {
    text.parse().map_err(|_| DecodeError::value("cs", text))
}

/// A level of a book, `[PRICE, COUNT, AMOUNT]`: an amount below zero is an ask's; a count of zero deletes. Price and amount
/// are remembered as they are written.
pub(super) fn level(row: &str) -> Result<Change<String>, DecodeError> {
    let cells = elements(row)?;
    let cell = |at: usize, field| cells.get(at).copied().ok_or(DecodeError::Missing(field));
    let price = unsigned("PRICE", cells.first().copied())?;
    let count = whole("COUNT", cell(1, "COUNT")?)?;
    let amount = number("AMOUNT", cells.get(2).copied())?;
    if amount.value == 0.0 {
        return Err(DecodeError::value("AMOUNT", cell(2, "AMOUNT")?));
    }
    let side = if amount.value > 0.0 { BookSide::Bid } else { BookSide::Ask };
    let size = Decimal { value: if count == 0 { 0.0 } else { amount.value.abs() }, exact: amount.exact };
    Ok(Change { side, price, size, note: format!("{}:{}", cell(0, "PRICE")?, cell(2, "AMOUNT")?) })
}

/// A trade, `[ID, MTS, AMOUNT, PRICE]`: an amount below zero is a taker's sale.
pub(super) fn trade<'s>(symbol: &'s str, row: &str, snapshot: bool) -> Result<Trade<'s>, DecodeError> {
    let cells = elements(row)?;
    let id = whole("ID", cells.first().copied().ok_or(DecodeError::Missing("ID"))?)?;
    let time = whole("MTS", cells.get(1).copied().ok_or(DecodeError::Missing("MTS"))?)?;
    let amount = number("AMOUNT", cells.get(2).copied())?;
    if amount.value == 0.0 {
        return Err(DecodeError::value("AMOUNT", "0"));
    }
    Ok(Trade {
        symbol,
        id,
        first_id: id,
        event_ns: time::millis_or_micros(time).unwrap_or(0),
        price: unsigned("PRICE", cells.get(3).copied())?,
        size: Decimal { value: amount.value.abs(), exact: amount.exact },
        taker: if amount.value < 0.0 { Side::Sell } else { Side::Buy },
        maker_order_id: [0; 16],
        taker_order_id: [0; 16],
        snapshot,
    })
}
