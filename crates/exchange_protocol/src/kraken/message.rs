//! What a frame of the protocol's second version holds.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::checksum;
use crate::{
    DecodeError, Level, Quote, Side, Trade,
    book::{BookSide, Change},
    lexeme::{lexeme, unsigned},
    scan::{Scanner, once},
    time,
};

/// A frame: rows of a channel, or the answer to a request.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Frame<'f> {
    #[serde(borrow)]
    pub(super) channel: Option<Cow<'f, str>>,
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Cow<'f, str>>,
    /// The rows as they are written, where they were not scanned.
    #[serde(borrow, default, deserialize_with = "lexeme")]
    data: Option<&'f str>,
    #[serde(skip)]
    scanned: Option<Vec<Row<'f>>>,
    #[serde(borrow)]
    pub(super) method: Option<Cow<'f, str>>,
    #[serde(borrow)]
    result: Option<Outcome<'f>>,
    success: Option<bool>,
    #[serde(borrow)]
    error: Option<Cow<'f, str>>,
    /// `{"Error":"Exceeded msg rate"}`
    #[serde(borrow, rename = "Error")]
    capital_error: Option<Cow<'f, str>>,
    #[serde(borrow)]
    symbol: Option<Cow<'f, str>>,
    pub(super) req_id: Option<u64>,
    #[serde(borrow)]
    pub(super) time_out: Option<Cow<'f, str>>,
}

#[derive(Debug, Deserialize)]
struct Outcome<'f> {
    #[serde(borrow)]
    channel: Option<Cow<'f, str>>,
    #[serde(borrow)]
    symbol: Option<Cow<'f, str>>,
}

/// Every field of the rows used here: of a trade, a ticker, a book or a status.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Row<'f> {
    #[serde(borrow)]
    symbol: Option<Cow<'f, str>>,
    #[serde(borrow)]
    side: Option<Cow<'f, str>>,
    #[serde(borrow, default, deserialize_with = "lexeme")]
    price: Option<&'f str>,
    #[serde(borrow, default, deserialize_with = "lexeme")]
    qty: Option<&'f str>,
    trade_id: Option<u64>,
    #[serde(borrow, default, deserialize_with = "lexeme")]
    bid: Option<&'f str>,
    #[serde(borrow, default, deserialize_with = "lexeme")]
    bid_qty: Option<&'f str>,
    #[serde(borrow, default, deserialize_with = "lexeme")]
    ask: Option<&'f str>,
    #[serde(borrow, default, deserialize_with = "lexeme")]
    ask_qty: Option<&'f str>,
    #[serde(borrow)]
    timestamp: Option<Cow<'f, str>>,
    #[serde(borrow)]
    pub(super) system: Option<Cow<'f, str>>,
    #[serde(borrow)]
    bids: Option<Vec<Priced<'f>>>,
    #[serde(borrow)]
    asks: Option<Vec<Priced<'f>>>,
    /// Of the book after the row.
    checksum: Option<u64>,
}

/// A level of a book.
#[derive(Debug, Default, Deserialize)]
struct Priced<'f> {
    #[serde(borrow, default, deserialize_with = "lexeme")]
    price: Option<&'f str>,
    #[serde(borrow, default, deserialize_with = "lexeme")]
    qty: Option<&'f str>,
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
        let mut rows = None;
        let mut scanner = Scanner::new(text);
        scanner.object(|scanner, key| match key {
            "channel" => once(&mut frame.channel, scanner.string()?.into()),
            "type" => once(&mut frame.kind, scanner.string()?.into()),
            "data" => {
                let mut of_frame = Vec::with_capacity(1);
                scanner.array(|scanner| {
                    of_frame.push(Row::scan(scanner)?);
                    Some(())
                })?;
                once(&mut rows, of_frame)
            }
            _ => None,
        })?;
        scanner.end()?;
        frame.scanned = Some(rows?);
        Some(frame)
    }

    /// Hands over each row, by rising trade id if `sorted`.
    ///
    /// # Errors
    /// The first row that was not understood; the others were handed over.
    pub(super) fn each_row(
        &self,
        sorted: bool,
        mut work: impl FnMut(&Row<'f>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let mut result = Ok(());
        let read: Vec<Row<'f>>;
        let mut rows: Vec<&Row<'f>> = match (&self.scanned, self.data) {
            (Some(scanned), _) => scanned.iter().collect(),
            (None, None) => return Err(DecodeError::Missing("data")),
            (None, Some(data)) => {
                let data: Vec<&'f RawValue> = serde_json::from_str(data).map_err(|error| DecodeError::json(&error))?;
                let mut understood = Vec::with_capacity(data.len());
                for row in data {
                    match serde_json::from_str(row.get()) {
                        Ok(row) => understood.push(row),
                        Err(error) => result = result.and(Err(DecodeError::json(&error))),
                    }
                }
                read = understood;
                read.iter().collect()
            }
        };
        if sorted {
            rows.sort_by_key(|row| row.trade_id);
        }
        for row in rows {
            result = result.and(work(row));
        }
        result
    }

    pub(super) fn symbol(&self) -> Option<&str> {
        self.symbol.as_deref().or_else(|| self.result.as_ref()?.symbol.as_deref())
    }

    pub(super) fn result_channel(&self) -> Option<&str> {
        self.result.as_ref()?.channel.as_deref()
    }

    /// What the venue complains about, if it does.
    pub(super) fn complaint(&self) -> Option<&str> {
        let unexplained = (self.success == Some(false)).then_some("refused without a reason");
        self.error.as_deref().or(self.capital_error.as_deref()).or(unexplained)
    }
}

impl<'f> Row<'f> {
    fn scan(scanner: &mut Scanner<'f>) -> Option<Row<'f>> {
        let mut row = Row::default();
        scanner.object(|scanner, key| match key {
            "symbol" => once(&mut row.symbol, scanner.string()?.into()),
            "side" => once(&mut row.side, scanner.string()?.into()),
            "price" => once(&mut row.price, scanner.lexeme()?),
            "qty" => once(&mut row.qty, scanner.lexeme()?),
            "trade_id" => once(&mut row.trade_id, scanner.integer()?),
            "bid" => once(&mut row.bid, scanner.lexeme()?),
            "bid_qty" => once(&mut row.bid_qty, scanner.lexeme()?),
            "ask" => once(&mut row.ask, scanner.lexeme()?),
            "ask_qty" => once(&mut row.ask_qty, scanner.lexeme()?),
            "timestamp" => once(&mut row.timestamp, scanner.string()?.into()),
            "system" => once(&mut row.system, scanner.string()?.into()),
            "bids" => once(&mut row.bids, Priced::scan(scanner)?),
            "asks" => once(&mut row.asks, Priced::scan(scanner)?),
            "checksum" => once(&mut row.checksum, scanner.integer()?),
            _ => scanner.skip(),
        })?;
        Some(row)
    }

    pub(super) fn named(&self) -> Result<&str, DecodeError> {
        self.symbol.as_deref().ok_or(DecodeError::Missing("symbol"))
    }

    pub(super) fn event_ns(&self) -> u64 {
        self.timestamp.as_deref().and_then(time::rfc3339).unwrap_or(0)
    }

    pub(super) fn trade(&self, snapshot: bool) -> Result<Trade<'_>, DecodeError> {
        let id = self.trade_id.ok_or(DecodeError::Missing("trade_id"))?;
        Ok(Trade {
            symbol: self.named()?,
            id,
            first_id: id,
            event_ns: self.event_ns(),
            price: unsigned("price", self.price)?,
            size: unsigned("qty", self.qty)?,
            taker: Side::named("side", self.side.as_deref())?,
            maker_order_id: [0; 16],
            taker_order_id: [0; 16],
            snapshot,
        })
    }

    pub(super) fn quote(&self) -> Result<Quote<'_>, DecodeError> {
        Ok(Quote {
            symbol: self.named()?,
            update_id: 0,
            event_ns: self.event_ns(),
            bid: level("bid", self.bid, "bid_qty", self.bid_qty)?,
            ask: level("ask", self.ask, "ask_qty", self.ask_qty)?,
        })
    }
}

impl<'f> Row<'f> {
    /// The levels of a book, or changes of them, with the digits that count for its checksum.
    pub(super) fn levels(&self) -> Result<Vec<Change<String>>, DecodeError> {
        let mut levels = Vec::new();
        for (field, rows, side) in [("bids", &self.bids, BookSide::Bid), ("asks", &self.asks, BookSide::Ask)] {
            for level in rows.as_ref().ok_or(DecodeError::Missing(field))? {
                let (price, size) = (unsigned("price", level.price)?, unsigned("qty", level.qty)?);
                let note = checksum::digits(level.price) + &checksum::digits(level.qty);
                levels.push(Change { side, price, size, note });
            }
        }
        Ok(levels)
    }

    /// Of the book after this row. A change has one; for a snapshot it is not promised.
    pub(super) fn checksum(&self, is_snapshot: bool) -> Result<Option<u64>, DecodeError> {
        if self.checksum.is_none() && !is_snapshot {
            return Err(DecodeError::Missing("checksum"));
        }
        Ok(self.checksum)
    }
}

impl<'f> Priced<'f> {
    fn scan(scanner: &mut Scanner<'f>) -> Option<Vec<Priced<'f>>> {
        let mut levels = Vec::new();
        scanner.array(|scanner| {
            let mut level = Priced::default();
            scanner.object(|scanner, key| match key {
                "price" => once(&mut level.price, scanner.lexeme()?),
                "qty" => once(&mut level.qty, scanner.lexeme()?),
                _ => scanner.skip(),
            })?;
            levels.push(level);
            Some(())
        })?;
        Some(levels)
    }
}

/// How an empty side looks is not documented: a missing price, or zero, is taken for one.
fn level(
    price_field: &'static str,
    price: Option<&str>,
    size_field: &'static str,
    size: Option<&str>,
) -> Result<Option<Level>, DecodeError> {
    let Some(price) = price else { return Ok(None) };
    let price = unsigned(price_field, Some(price))?;
    if price.value == 0.0 {
        return Ok(None);
    }
    Ok(Some(Level { price, size: Some(unsigned(size_field, size)?) }))
}
