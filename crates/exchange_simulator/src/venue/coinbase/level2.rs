//! Coinbase's `level2_batch`: the whole book once, then what changed. The venue collects changes for 50 ms; here every move of
//! the market is a message, so that the ledger knows the best after each.

use super::topic;
use crate::clock::{NANOS_PER_MICRO, rfc3339_us};
use crate::decimal::Decimal;
use crate::frame::{Form, Frame};
use crate::ledger::{MessageEntry, MessageKind, Side};
use crate::market::Book;
use crate::venue::VenueKind;

/// Decimals of an amount.
const AMOUNT_PLACES: u8 = 8;

/// The name of the channel.
pub(super) const CHANNEL: &str = "level2_batch";

/// `snapshot` or `l2update`.
pub(super) struct BookFrame<'a> {
    topic: String,
    book: &'a Book,
    /// When it changed, µs; none in a snapshot.
    time_us: Option<u64>,
}

impl<'a> BookFrame<'a> {
    pub(super) fn snapshot(book: &'a Book) -> Self {
        Self { topic: topic(CHANNEL, &book.instrument().symbol), book, time_us: None }
    }

    /// What the last move of the book changed; None if nothing.
    pub(super) fn update(book: &'a Book) -> Option<Self> {
        if book.depth().changes().is_empty() {
            return None;
        }
        Some(Self { time_us: Some(book.quote().time_us), ..Self::snapshot(book) })
    }

    fn price(&self, ticks: u64) -> String {
        let scale = self.book.instrument().price_scale;
        Decimal::new(ticks, scale).padded(scale)
    }

    /// `0` for a level that is gone.
    fn size(&self, units: u64) -> String {
        if units == 0 { "0".to_owned() } else { self.amount(units) }
    }

    fn amount(&self, units: u64) -> String {
        Decimal::new(units, self.book.instrument().size_scale).padded(AMOUNT_PLACES)
    }
}

impl Frame for BookFrame<'_> {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn text(&self, _form: Form) -> String {
        let product = &self.book.instrument().symbol;
        let Some(time_us) = self.time_us else {
            let side = |side| {
                let levels = self.book.depth().levels().filter(|level| level.side == side);
                let levels =
                    levels.map(|level| format!(r#"["{}","{}"]"#, self.price(level.price), self.size(level.size)));
                levels.collect::<Vec<_>>().join(",")
            };
            let (bids, asks) = (side(Side::Buy), side(Side::Sell));
            return format!(r#"{{"type":"snapshot","product_id":"{product}","asks":[{asks}],"bids":[{bids}]}}"#);
        };
        let changes = self.book.depth().changes().iter().map(|change| {
            let level = change.level;
            format!(r#"["{}","{}","{}"]"#, level.side.name(), self.price(level.price), self.size(level.size))
        });
        format!(
            r#"{{"type":"l2update","product_id":"{product}","changes":[{}],"time":"{}"}}"#,
            changes.collect::<Vec<_>>().join(","),
            rfc3339_us(time_us),
        )
    }

    fn entry(&self, _form: Form) -> MessageEntry {
        let [bid, ask] = [Side::Buy, Side::Sell].map(|side| self.book.depth().best(side));
        MessageEntry {
            symbol: Some(self.book.instrument().symbol.clone()),
            event_ns: self.time_us.map(|us| us * NANOS_PER_MICRO),
            bid: bid.map(|(price, _)| self.price(price)),
            bid_size: bid.map(|(_, size)| self.amount(size)),
            ask: ask.map(|(price, _)| self.price(price)),
            ask_size: ask.map(|(_, size)| self.amount(size)),
            snapshot: self.time_us.is_none(),
            ..MessageEntry::new(
                VenueKind::Coinbase,
                MessageKind::Book,
                if self.time_us.is_none() { "snapshot" } else { "l2update" },
            )
        }
    }

    fn told_unheard(&self) -> bool {
        // A book nobody has cannot be kept: without its snapshot a change says nothing.
        false
    }
}
