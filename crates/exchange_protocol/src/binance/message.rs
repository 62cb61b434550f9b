//! What a frame of the combined streams holds.

use std::borrow::Cow;

use serde::{Deserialize, de::IgnoredAny};

use crate::{
    Decimal, DecodeError, Event, Level, MessageType, Notice, Quote, Side, Trade,
    lexeme::{lexeme, text_of},
    scan::{Scanner, once},
    time,
};

/// A frame: a payload with its stream's name around it, or the answer to a request.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Frame<'f> {
    #[serde(borrow)]
    pub(super) data: Option<Payload<'f>>,
    pub(super) id: Option<u64>,
    #[serde(borrow)]
    pub(super) error: Option<Complaint<'f>>,
    /// The complaint without an `error` around it.
    #[serde(borrow)]
    pub(super) msg: Option<Cow<'f, str>>,
    /// Present in frames that carry a payload without a wrapper.
    pub(super) s: Option<IgnoredAny>,
    pub(super) e: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Complaint<'f> {
    #[serde(borrow)]
    pub(super) msg: Cow<'f, str>,
}

/// Every field of the payloads used here. `a` and `b` are prices in one and ids in another, so their text is kept.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Payload<'f> {
    #[serde(borrow)]
    e: Option<Cow<'f, str>>,
    #[serde(borrow)]
    s: Option<Cow<'f, str>>,
    u: Option<u64>,
    #[serde(borrow, default, deserialize_with = "lexeme")]
    b: Option<&'f str>,
    #[serde(borrow, default, rename = "B", deserialize_with = "lexeme")]
    bid_size: Option<&'f str>,
    #[serde(borrow, default, deserialize_with = "lexeme")]
    a: Option<&'f str>,
    #[serde(borrow, default, rename = "A", deserialize_with = "lexeme")]
    ask_size: Option<&'f str>,
    t: Option<u64>,
    f: Option<u64>,
    l: Option<u64>,
    #[serde(borrow)]
    p: Option<Cow<'f, str>>,
    #[serde(borrow)]
    q: Option<Cow<'f, str>>,
    #[serde(rename = "T")]
    trade_time: Option<u64>,
    m: Option<bool>,
}

impl<'f> Frame<'f> {
    pub(super) fn read(text: &'f str) -> Result<Frame<'f>, DecodeError> {
        match Frame::scan(text) {
            Some(frame) => Ok(frame),
            None => serde_json::from_str(text).map_err(|error| DecodeError::json(&error)),
        }
    }

    /// The plain form of a payload in its stream's wrapper.
    fn scan(text: &'f str) -> Option<Frame<'f>> {
        let mut frame = Frame::default();
        let mut scanner = Scanner::new(text);
        scanner.object(|scanner, key| match key {
            "stream" => scanner.string().map(drop),
            "data" => once(&mut frame.data, Payload::scan(scanner)?),
            _ => None,
        })?;
        scanner.end()?;
        frame.data.is_some().then_some(frame)
    }
}

impl<'f> Payload<'f> {
    /// A payload without a wrapper.
    pub(super) fn read(text: &'f str) -> Result<Payload<'f>, DecodeError> {
        serde_json::from_str(text).map_err(|error| DecodeError::json(&error))
    }

    fn scan(scanner: &mut Scanner<'f>) -> Option<Payload<'f>> {
        let mut payload = Payload::default();
        let text = |scanner: &mut Scanner<'f>| scanner.string().map(Cow::Borrowed);
        scanner.object(|scanner, key| match key {
            "e" => once(&mut payload.e, text(scanner)?),
            "s" => once(&mut payload.s, text(scanner)?),
            "u" => once(&mut payload.u, scanner.integer()?),
            "b" => once(&mut payload.b, scanner.lexeme()?),
            "B" => once(&mut payload.bid_size, scanner.lexeme()?),
            "a" => once(&mut payload.a, scanner.lexeme()?),
            "A" => once(&mut payload.ask_size, scanner.lexeme()?),
            "t" => once(&mut payload.t, scanner.integer()?),
            "f" => once(&mut payload.f, scanner.integer()?),
            "l" => once(&mut payload.l, scanner.integer()?),
            "p" => once(&mut payload.p, text(scanner)?),
            "q" => once(&mut payload.q, text(scanner)?),
            "T" => once(&mut payload.trade_time, scanner.integer()?),
            "m" => once(&mut payload.m, scanner.boolean()?),
            _ => scanner.skip(),
        })?;
        Some(payload)
    }

    pub(super) fn decode(&self, sink: &mut dyn FnMut(Event<'_>)) -> Result<MessageType, DecodeError> {
        match self.e.as_deref() {
            // A bookTicker is the only payload without a type.
            None => {
                sink(Event::Quote(self.quote()?));
                Ok(MessageType::Quote)
            }
            Some("trade") => {
                let id = self.t.ok_or(DecodeError::Missing("t"))?;
                sink(Event::Trade(self.trade(id, id)?));
                Ok(MessageType::Trade)
            }
            Some("aggTrade") => {
                let first = self.f.ok_or(DecodeError::Missing("f"))?;
                let last = self.l.ok_or(DecodeError::Missing("l"))?;
                if last < first {
                    return Err(DecodeError::value("l", &last.to_string()));
                }
                sink(Event::Trade(self.trade(first, last)?));
                Ok(MessageType::Trade)
            }
            Some("serverShutdown") => {
                sink(Event::Notice(Notice::Reconnect { within: None }));
                Ok(MessageType::Notice)
            }
            // Known, and not asked for.
            Some("depthUpdate" | "kline") => Ok(MessageType::Other),
            Some(unknown) => Err(DecodeError::unknown_type(unknown)),
        }
    }

    fn symbol(&self) -> Result<&str, DecodeError> {
        self.s.as_deref().ok_or(DecodeError::Missing("s"))
    }

    fn trade(&self, first_id: u64, id: u64) -> Result<Trade<'_>, DecodeError> {
        let text = |field, text: Option<&Cow<'_, str>>| -> Result<Decimal, DecodeError> {
            Decimal::parse_unsigned(field, text.ok_or(DecodeError::Missing(field))?)
        };
        Ok(Trade {
            symbol: self.symbol()?,
            id,
            first_id,
            event_ns: self.trade_time.and_then(time::millis_or_micros).unwrap_or(0),
            price: text("p", self.p.as_ref())?,
            size: text("q", self.q.as_ref())?,
            taker: if self.m.ok_or(DecodeError::Missing("m"))? { Side::Sell } else { Side::Buy },
            maker_order_id: [0; 16],
            taker_order_id: [0; 16],
            snapshot: false,
        })
    }

    fn quote(&self) -> Result<Quote<'_>, DecodeError> {
        Ok(Quote {
            symbol: self.symbol()?,
            update_id: self.u.ok_or(DecodeError::Missing("u"))?,
            event_ns: 0,
            bid: level("b", self.b, "B", self.bid_size)?,
            ask: level("a", self.a, "A", self.ask_size)?,
        })
    }
}

/// A side of the book that is empty is sent with the price zero.
fn level(
    price_field: &'static str,
    price: Option<&str>,
    size_field: &'static str,
    size: Option<&str>,
) -> Result<Option<Level>, DecodeError> {
    let parse = |field, raw: Option<&str>| -> Result<Decimal, DecodeError> {
        let raw = raw.ok_or(DecodeError::Missing(field))?;
        Decimal::parse_unsigned(field, &text_of(raw).ok_or_else(|| DecodeError::value(field, raw))?)
    };
    let (price, size) = (parse(price_field, price)?, parse(size_field, size)?);
    Ok((price.value != 0.0).then_some(Level { price, size: Some(size) }))
}
