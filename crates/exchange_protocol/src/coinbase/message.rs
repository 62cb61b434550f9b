//! What a frame of the feed holds.

use std::borrow::Cow;

use serde::Deserialize;

use crate::{
    Decimal, DecodeError, Level, Quote, Side, Trade,
    book::{BookSide, Change},
    lexeme::lexeme,
    scan::{Scanner, once},
    time,
};

/// Every field of the messages used here. One flat shape for all types keeps the frame borrowed and read once.
#[derive(Debug, Default, Deserialize, PartialEq)]
pub(super) struct Message<'f> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'f, str>,
    #[serde(borrow)]
    pub(super) product_id: Option<Cow<'f, str>>,
    sequence: Option<u64>,
    trade_id: Option<u64>,
    pub(super) last_trade_id: Option<u64>,
    #[serde(borrow)]
    time: Option<Cow<'f, str>>,
    #[serde(borrow)]
    price: Option<Cow<'f, str>>,
    #[serde(borrow)]
    size: Option<Cow<'f, str>>,
    #[serde(borrow)]
    side: Option<Cow<'f, str>>,
    #[serde(borrow)]
    maker_order_id: Option<Cow<'f, str>>,
    #[serde(borrow)]
    taker_order_id: Option<Cow<'f, str>>,
    #[serde(borrow)]
    best_bid: Option<Cow<'f, str>>,
    #[serde(borrow)]
    best_bid_size: Option<Cow<'f, str>>,
    #[serde(borrow)]
    best_ask: Option<Cow<'f, str>>,
    #[serde(borrow)]
    best_ask_size: Option<Cow<'f, str>>,
    /// Rows of a book, as they are written: they are read only where a book is kept.
    #[serde(borrow, default, deserialize_with = "lexeme")]
    bids: Option<&'f str>,
    #[serde(borrow, default, deserialize_with = "lexeme")]
    asks: Option<&'f str>,
    #[serde(borrow, default, deserialize_with = "lexeme")]
    changes: Option<&'f str>,
    #[serde(borrow, default)]
    pub(super) channels: Vec<Channel<'f>>,
    #[serde(borrow)]
    pub(super) message: Option<Cow<'f, str>>,
    #[serde(borrow)]
    pub(super) reason: Option<Cow<'f, str>>,
}

#[derive(Debug, Deserialize, PartialEq)]
pub(super) struct Channel<'f> {
    #[serde(borrow)]
    pub(super) name: Cow<'f, str>,
    #[serde(borrow, default)]
    pub(super) product_ids: Vec<Cow<'f, str>>,
}

impl<'f> Message<'f> {
    pub(super) fn read(frame: &'f str) -> Result<Message<'f>, DecodeError> {
        match Message::scan(frame) {
            Some(message) => Ok(message),
            None => serde_json::from_str(frame).map_err(|error| DecodeError::json(&error)),
        }
    }

    /// The plain form of the messages that come often.
    fn scan(frame: &'f str) -> Option<Message<'f>> {
        let mut message = Message::default();
        let mut kind = None;
        let mut scanner = Scanner::new(frame);
        let text = |scanner: &mut Scanner<'f>| scanner.string().map(Cow::Borrowed);
        scanner.object(|scanner, key| match key {
            "type" => once(&mut kind, text(scanner)?),
            "product_id" => once(&mut message.product_id, text(scanner)?),
            "sequence" => once(&mut message.sequence, scanner.integer()?),
            "trade_id" => once(&mut message.trade_id, scanner.integer()?),
            "last_trade_id" => once(&mut message.last_trade_id, scanner.integer()?),
            "time" => once(&mut message.time, text(scanner)?),
            "price" => once(&mut message.price, text(scanner)?),
            "size" => once(&mut message.size, text(scanner)?),
            "side" => once(&mut message.side, text(scanner)?),
            "maker_order_id" => once(&mut message.maker_order_id, text(scanner)?),
            "taker_order_id" => once(&mut message.taker_order_id, text(scanner)?),
            "best_bid" => once(&mut message.best_bid, text(scanner)?),
            "best_bid_size" => once(&mut message.best_bid_size, text(scanner)?),
            "best_ask" => once(&mut message.best_ask, text(scanner)?),
            "best_ask_size" => once(&mut message.best_ask_size, text(scanner)?),
            "bids" => once(&mut message.bids, scanner.rows()?),
            "asks" => once(&mut message.asks, scanner.rows()?),
            "changes" => once(&mut message.changes, scanner.rows()?),
            // Answers, which are rare.
            "channels" | "message" | "reason" => None,
            _ => scanner.skip(),
        })?;
        scanner.end()?;
        message.kind = kind?;
        Some(message)
    }

    pub(super) fn symbol(&self) -> Result<&str, DecodeError> {
        self.product_id.as_deref().ok_or(DecodeError::Missing("product_id"))
    }

    pub(super) fn event_ns(&self) -> u64 {
        self.time.as_deref().and_then(time::rfc3339).unwrap_or(0)
    }

    pub(super) fn trade(&self) -> Result<Trade<'_>, DecodeError> {
        let id = self.trade_id.ok_or(DecodeError::Missing("trade_id"))?;
        let maker = Side::named("side", self.side.as_deref())?;
        Ok(Trade {
            symbol: self.symbol()?,
            id,
            first_id: id,
            event_ns: self.event_ns(),
            price: positive("price", self.price.as_ref())?,
            size: positive("size", self.size.as_ref())?,
            taker: maker.opposite(),
            maker_order_id: order_id("maker_order_id", self.maker_order_id.as_ref())?,
            taker_order_id: order_id("taker_order_id", self.taker_order_id.as_ref())?,
            snapshot: self.kind == "last_match",
        })
    }

    pub(super) fn quote(&self) -> Result<Quote<'_>, DecodeError> {
        Ok(Quote {
            symbol: self.symbol()?,
            update_id: self.sequence.ok_or(DecodeError::Missing("sequence"))?,
            event_ns: self.event_ns(),
            bid: level("best_bid", self.best_bid.as_ref(), "best_bid_size", self.best_bid_size.as_ref())?,
            ask: level("best_ask", self.best_ask.as_ref(), "best_ask_size", self.best_ask_size.as_ref())?,
        })
    }

    /// All levels of a `snapshot`.
    pub(super) fn levels(&self) -> Result<Vec<Change>, DecodeError> {
        let mut levels = Vec::new();
        for (field, rows, side) in [("bids", self.bids, BookSide::Bid), ("asks", self.asks, BookSide::Ask)] {
            each_row(field, rows, |[price, size]| {
                levels.push(level_of(side, price, size)?);
                Ok(())
            })?;
        }
        Ok(levels)
    }

    /// The changes of an `l2update`; on an error some were handed over.
    pub(super) fn changes(&self, mut change: impl FnMut(Change)) -> Result<(), DecodeError> {
        each_row("changes", self.changes, |[side, price, size]| {
            let side = match side {
                "buy" => BookSide::Bid,
                "sell" => BookSide::Ask,
                other => return Err(DecodeError::value("side", other)),
            };
            change(level_of(side, price, size)?);
            Ok(())
        })
    }
}

fn level_of(side: BookSide, price: &str, size: &str) -> Result<Change, DecodeError> {
    let (price, size) = (Decimal::parse_unsigned("price", price)?, Decimal::parse_unsigned("size", size)?);
    Ok(Change { side, price, size, note: () })
}

/// The rows of an array of arrays of `N` strings.
fn each_row<const N: usize>(
    field: &'static str,
    rows: Option<&str>,
    mut row: impl FnMut([&str; N]) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let rows = rows.ok_or(DecodeError::Missing(field))?;
    let mut scanner = Scanner::new(rows);
    let mut result = Ok(());
    let mut done = 0;
    let plain = scanner
        .array(|scanner| {
            let cells = scanner.strings::<N>()?;
            if result.is_ok() {
                result = row(cells);
            }
            done += 1;
            Some(())
        })
        .and_then(|()| scanner.end());
    if plain.is_some() || result.is_err() {
        return result;
    }
    // From the first row that was not plain.
    let rows: Vec<Vec<Cow<'_, str>>> = serde_json::from_str(rows).map_err(|error| DecodeError::json(&error))?;
    for cells in rows.iter().skip(done) {
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        row(cells.as_slice().try_into().map_err(|_| DecodeError::value(field, &cells.join(",")))?)?;
    }
    Ok(())
}

fn positive(field: &'static str, text: Option<&Cow<'_, str>>) -> Result<Decimal, DecodeError> {
    Decimal::parse_unsigned(field, text.ok_or(DecodeError::Missing(field))?)
}

/// A side of the book is empty if its price is missing, empty or zero. Frames of before 2022 have no sizes.
fn level(
    price_field: &'static str,
    price: Option<&Cow<'_, str>>,
    size_field: &'static str,
    size: Option<&Cow<'_, str>>,
) -> Result<Option<Level>, DecodeError> {
    let Some(price) = price.filter(|price| !price.is_empty()) else { return Ok(None) };
    let price = Decimal::parse_unsigned(price_field, price)?;
    if price.value == 0.0 {
        return Ok(None);
    }
    Ok(Some(Level { price, size: size.map(|size| Decimal::parse_unsigned(size_field, size)).transpose()? }))
}

fn order_id(field: &'static str, text: Option<&Cow<'_, str>>) -> Result<[u8; 16], DecodeError> {
    match text {
        None => Ok([0; 16]),
        Some(text) => {
            uuid::Uuid::try_parse(text).map(uuid::Uuid::into_bytes).map_err(|_| DecodeError::value(field, text))
        }
    }
}
