//! What captured Coinbase frames are about.

use std::time::Duration;

use serde_json::Value;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::CapturedFrame;
use super::capture::{number, text};
use crate::clock::parse_rfc3339_ns;
use crate::ledger::{MessageEntry, MessageKind, Side};
use crate::venue::VenueKind;
use crate::venue::coinbase::topic;

/// Reads a frame; None for acks, errors and what no channel of the simulator feeds.
pub(super) fn read(at: Duration, frame: &str, value: &Value) -> Option<CapturedFrame> {
    let product = text(value, "product_id")?;
    let message = text(value, "type")?;
    let (kind, channels): (_, &[&str]) = match message.as_str() {
        "ticker" => (MessageKind::Quote, &["ticker"]),
        "match" | "last_match" => (MessageKind::Trade, &["matches"]),
        "heartbeat" => (MessageKind::Heartbeat, &["heartbeat"]),
        "snapshot" | "l2update" => (MessageKind::Book, &["level2", "level2_batch"]),
        _ => return None,
    };
    let topics = channels.iter().map(|channel| topic(channel, &product)).collect();
    let shown_side = match text(value, "side").as_deref() {
        Some("buy") => Some(Side::Buy),
        Some("sell") => Some(Side::Sell),
        _ => None,
    };
    let base = MessageEntry {
        symbol: Some(product),
        sequence: number(value, "sequence"),
        event_ns: text(value, "time").and_then(|time| parse_rfc3339_ns(&time)),
        price: text(value, "price"),
        snapshot: matches!(message.as_str(), "last_match" | "snapshot"),
        ..MessageEntry::new(VenueKind::Coinbase, kind, message)
    };
    let entry = match kind {
        MessageKind::Quote => MessageEntry {
            id: base.sequence,
            trade_id: number(value, "trade_id"),
            size: text(value, "last_size"),
            bid: text(value, "best_bid"),
            bid_size: text(value, "best_bid_size"),
            ask: text(value, "best_ask"),
            ask_size: text(value, "best_ask_size"),
            side: shown_side,
            ..base
        },
        MessageKind::Trade => MessageEntry {
            id: number(value, "trade_id"),
            size: text(value, "size"),
            // A match shows the maker's.
            side: shown_side.map(Side::opposite),
            maker_order_id: text(value, "maker_order_id"),
            taker_order_id: text(value, "taker_order_id"),
            ..base
        },
        MessageKind::Heartbeat => MessageEntry { id: number(value, "last_trade_id"), ..base },
        MessageKind::Book | MessageKind::Other => base,
    };
    let bytes = Utf8Bytes::from(frame);
    Some(CapturedFrame { at, topics, plain: bytes.clone(), wrapped: bytes, entry })
}
