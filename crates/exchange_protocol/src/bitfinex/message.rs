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
        // A channel, a tag, a body, a number and a time at most.
        let parts = cells::<5>(frame)?;
        let part = |at: usize, field| {
            parts.get(at).copied().filter(|part| !part.is_empty()).ok_or(DecodeError::Missing(field))
        };
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

/// The first elements of an array; those that are not there are empty.
fn cells<const N: usize>(text: &str) -> Result<[&str; N], DecodeError> {
    if let Some(cells) = scan::first_elements(text) {
        return Ok(cells);
    }
    let mut cells = [""; N];
    cells.iter_mut().zip(elements(text)?).for_each(|(cell, element)| *cell = element);
    Ok(cells)
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
    // White space may follow the bracket.
    let inner = body.get(1..).unwrap_or_default().trim_ascii_start();
    if inner.starts_with('[') || inner.starts_with(']') {
        elements(body).map(Rows::Snapshot)
    } else {
        Ok(Rows::One(body))
    }
}

fn whole(field: &'static str, text: &str) -> Result<u64, DecodeError> {
    let text = present(text).ok_or(DecodeError::Missing(field))?;
    text.parse().map_err(|_| DecodeError::value(field, text))
}

fn signed(text: &str) -> Result<i64, DecodeError> {
    text.parse().map_err(|_| DecodeError::value("cs", text))
}

/// A level of a book, `[PRICE, COUNT, AMOUNT]`: an amount below zero is an ask's; a count of zero deletes. Price and amount
/// are remembered as they are written.
pub(super) fn level(row: &str) -> Result<Change<String>, DecodeError> {
    let [price_text, count, amount_text] = cells(row)?;
    let price = unsigned("PRICE", present(price_text))?;
    let count = whole("COUNT", count)?;
    let amount = amount(amount_text)?;
    let side = if amount.value > 0.0 { BookSide::Bid } else { BookSide::Ask };
    let size = Decimal { value: if count == 0 { 0.0 } else { amount.value.abs() }, exact: amount.exact };
    // Only what stays in the book is asked for later.
    let note = if count == 0 { String::new() } else { format!("{price_text}:{amount_text}") };
    Ok(Change { side, price, size, note })
}

/// A trade, `[ID, MTS, AMOUNT, PRICE]`: an amount below zero is a taker's sale.
pub(super) fn trade<'s>(symbol: &'s str, row: &str, snapshot: bool) -> Result<Trade<'s>, DecodeError> {
    let [id, time, amount_text, price] = cells(row)?;
    let id = whole("ID", id)?;
    let amount = amount(amount_text)?;
    Ok(Trade {
        symbol,
        id,
        first_id: id,
        event_ns: time::millis_or_micros(whole("MTS", time)?).unwrap_or(0),
        price: unsigned("PRICE", present(price))?,
        size: Decimal { value: amount.value.abs(), exact: amount.exact },
        taker: if amount.value < 0.0 { Side::Sell } else { Side::Buy },
        maker_order_id: [0; 16],
        taker_order_id: [0; 16],
        snapshot,
    })
}

fn present(cell: &str) -> Option<&str> {
    Some(cell).filter(|cell| !cell.is_empty())
}

/// An amount tells a side by its sign, so zero is none.
fn amount(cell: &str) -> Result<Decimal, DecodeError> {
    let amount = number("AMOUNT", present(cell))?;
    if amount.value == 0.0 { Err(DecodeError::value("AMOUNT", cell)) } else { Ok(amount) }
}
