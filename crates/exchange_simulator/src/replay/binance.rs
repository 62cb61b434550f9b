//! What captured Binance frames are about.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::CapturedFrame;
use super::capture::{number, text};
use crate::ledger::{MessageEntry, MessageKind, Side};
use crate::venue::VenueKind;
use crate::venue::binance::stream;

/// Times from here on are microseconds, below milliseconds: it is the year 5138 in ms and 1973 in µs.
const FIRST_MICROS: u64 = 100_000_000_000_000;

/// A frame of `/stream`; the data keeps its bytes.
#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Reads a frame; None for acks and for frames that tell neither their stream nor an event the simulator knows.
pub(super) fn read(at: Duration, frame: &str, value: &Value) -> serde_json::Result<Option<CapturedFrame>> {
    let (name, data, plain, wrapped): (String, &Value, Utf8Bytes, Utf8Bytes) =
        match (text(value, "stream"), value.get("data")) {
            (Some(name), Some(data)) => {
                let inner: Wrapped<'_> = serde_json::from_str(frame)?;
                (name, data, inner.data.get().into(), frame.into())
            }
            _ => {
                let Some(name) = stream_of(value) else { return Ok(None) };
                let wrapped = format!(r#"{{"stream":"{name}","data":{frame}}}"#);
                (name, value, frame.into(), wrapped.into())
            }
        };
    let entry = entry(&name, data);
    Ok(Some(CapturedFrame { at, topics: vec![name], plain, wrapped, entry }))
}

/// The stream of an unwrapped frame, where the frame tells it.
fn stream_of(data: &Value) -> Option<String> {
    let symbol = text(data, "s")?;
    match data.get("e").map(Value::as_str) {
        Some(Some(event @ ("trade" | "aggTrade"))) => Some(stream(&symbol, event)),
        None if data.get("B").is_some() && data.get("u").is_some() => Some(stream(&symbol, "bookTicker")),
        _ => None,
    }
}

fn entry(name: &str, data: &Value) -> MessageEntry {
    let (prefix, channel) = name.split_once('@').unwrap_or((name, name));
    let message = text(data, "e").unwrap_or_else(|| channel.to_owned());
    let kind = match message.as_str() {
        "trade" | "aggTrade" => MessageKind::Trade,
        "bookTicker" => MessageKind::Quote,
        "depthUpdate" => MessageKind::Book,
        _ if channel.starts_with("depth") => MessageKind::Book,
        _ => MessageKind::Other,
    };
    let aggregated = message == "aggTrade";
    let base = MessageEntry {
        symbol: Some(text(data, "s").unwrap_or_else(|| prefix.to_uppercase())),
        publish_ns: number(data, "E").map(to_ns),
        ..MessageEntry::new(VenueKind::Binance, kind, message)
    };
    match kind {
        MessageKind::Trade => MessageEntry {
            id: number(data, if aggregated { "l" } else { "t" }),
            first_id: number(data, "f"),
            agg_id: number(data, "a").filter(|_| aggregated),
            event_ns: number(data, "T").map(to_ns),
            price: text(data, "p"),
            size: text(data, "q"),
            side: data
                .get("m")
                .and_then(Value::as_bool)
                .map(|maker_bought| if maker_bought { Side::Sell } else { Side::Buy }),
            ..base
        },
        MessageKind::Quote => MessageEntry {
            id: number(data, "u"),
            bid: text(data, "b"),
            bid_size: text(data, "B"),
            ask: text(data, "a"),
            ask_size: text(data, "A"),
            ..base
        },
        _ => MessageEntry { id: number(data, "u"), ..base },
    }
}

fn to_ns(time: u64) -> u64 {
    time.saturating_mul(if time >= FIRST_MICROS { 1_000 } else { 1_000_000 })
}
