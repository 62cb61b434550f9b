//! Bitfinex: `wss://api-pub.bitfinex.com/ws/2` and its REST service.

mod command;
mod message;
mod rest;

use std::time::Duration;

use crate::config::Limits;
use crate::frame::Frame;
use crate::hub::Close;
use crate::market::{Book, Habits, Happening, Ids, Market, Trade};
use crate::rest::{RestAnswer, RestRequest};
use crate::venue::{Channels, Command, Emit, Notice, Policy, Protocol, Reaction, Refusal, Session, Target};

use message::{BookFrame, BookUpdateFrame, HeartbeatFrame, TradeFrame, TradesFrame};

/// A heartbeat is due on every channel, busy or not.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);

/// A connection without subscription and without a frame of the client's is closed after this.
const IDLE: Duration = Duration::from_secs(60);

/// New connections of one address.
const CONNECTS: (usize, Duration) = (20, Duration::from_secs(60));

/// REST requests of one address, as other clients assume.
const REQUESTS: (usize, Duration) = (90, Duration::from_secs(60));

/// Levels of a book (`len`) on each side. Longer ones can be asked for and have no more.
const BOOK_LEVELS: usize = 25;

/// Trades of a snapshot.
const SNAPSHOT_TRADES: usize = 30;

/// The first trade id is above this.
const FIRST_TRADE_ID: u64 = 1_200_000_000;

/// Six of ten moves are quote changes, four are taker orders.
const QUOTE_PERCENT: u32 = 60;

/// Prices have five significant digits.
pub(crate) const MAX_TICKS: u64 = 99_999;

/// The venue's name of a base currency against the dollar.
pub(crate) fn symbol(base: &str) -> String {
    if base.len() == 3 { format!("t{base}USD") } else { format!("t{base}:USD") }
}

/// How many decimals leave a price five significant digits. A price that can grow a digit gets one less.
pub(crate) fn price_scale(price: f64) -> u8 {
    let exponent = price.log10().floor();
    let room = if price / 10_f64.powf(exponent) > 5.0 { 3.0 } else { 4.0 };
    (room - exponent).clamp(0.0, 8.0) as u8
}

/// The venue's wire: topics are `trades:SYMBOL` and `book:SYMBOL`.
#[derive(Debug)]
pub(crate) struct Bitfinex {
    symbols: Vec<String>,
}

impl Bitfinex {
    pub(crate) fn new(symbols: &[String]) -> Self {
        Self { symbols: symbols.to_vec() }
    }
}

/// How a channel of a symbol is named among a session's topics and in the ledger's control lines.
fn topic(channel: &str, symbol: &str) -> String {
    format!("{channel}:{symbol}")
}

impl Protocol for Bitfinex {
    fn policy(&self, limits: &Limits) -> Policy {
        Policy {
            heartbeat_every: Some(limits.heartbeat_interval.unwrap_or(HEARTBEAT_EVERY)),
            // One subscription keeps it open: heartbeats come more often.
            idle: Some((limits.idle_timeout.unwrap_or(IDLE), Close::UNUSED)),
            confirm_after: Some(limits.confirm_after),
            connects: limits.per_address.then_some(CONNECTS),
            requests: limits.per_address.then_some(REQUESTS),
            ..Policy::default()
        }
    }

    fn open(&self, target: &Target) -> Result<Session, Refusal> {
        if target.path == "/ws/2" {
            Ok(Session { channels: Some(Channels::default()), ..Session::default() })
        } else {
            Err(Refusal::new(404, "version 2 is at /ws/2"))
        }
    }

    fn greeting(&self, session: &Session) -> Vec<String> {
        let server = uuid::Builder::from_u128(u128::from(session.id)).into_uuid();
        vec![format!(r#"{{"event":"info","version":2,"serverId":"{server}","platform":{{"status":1}}}}"#)]
    }

    fn receive(&self, session: &mut Session, command: &Command<'_>) -> Reaction {
        command::receive(&self.symbols, session, command)
    }

    fn publish(&self, book: &Book, happening: &Happening, emit: Emit<'_>) {
        let symbol = &book.instrument().symbol;
        if let Happening::Order(trades) = happening {
            for trade in trades {
                emit(&TradeFrame::new(symbol, trade, "te"));
            }
        }
        for change in book.depth().changes() {
            emit(&BookUpdateFrame::new(book, *change));
        }
    }

    fn confirm(&self, symbol: &str, trade: &Trade, emit: Emit<'_>) {
        emit(&TradeFrame::new(symbol, trade, "tu"));
    }

    fn snapshot(&self, topic: &str, market: &Market, emit: Emit<'_>) {
        let Some((channel, symbol)) = topic.split_once(':') else { return };
        let Some(book) = market.book(symbol) else { return };
        match channel {
            "trades" => {
                let trades: Vec<_> = book.shown().rev().take(SNAPSHOT_TRADES).cloned().collect();
                if !trades.is_empty() {
                    emit(&TradesFrame::new(symbol, &trades));
                }
            }
            _ => emit(&BookFrame::new(book)),
        }
    }

    fn heartbeat(&self, _market: &Market, _now_us: u64, _emit: Emit<'_>) {}

    fn pulse(&self, session: &Session, _quiet: bool) -> Vec<Box<dyn Frame>> {
        let frame = |topic: &String| -> Box<dyn Frame> { Box::new(HeartbeatFrame::new(topic)) };
        session.topics.iter().map(frame).collect()
    }

    fn notice(&self, notice: Notice, _session: &Session, _now_us: u64) -> Option<String> {
        let (code, text) = match notice {
            Notice::End => (20_051, "Stopping. Please try to reconnect"),
            Notice::MaintenanceBegins => (20_060, "Entering in Maintenance mode"),
            Notice::MaintenanceEnds => (20_061, "Maintenance ended"),
        };
        Some(format!(r#"{{"event":"info","code":{code},"msg":"{text}"}}"#))
    }

    fn forgets_in_maintenance(&self) -> bool {
        true
    }

    fn throttled(&self) -> RestAnswer {
        RestAnswer::json(429, &serde_json::json!(["error", 11_010, "ratelimit: error"]))
    }

    fn rest(&self, request: &RestRequest, market: Option<&Market>) -> RestAnswer {
        rest::answer(&self.symbols, request, market)
    }

    fn habits(&self) -> Habits {
        Habits { quote_percent: QUOTE_PERCENT, ids: Ids::Global { last: FIRST_TRADE_ID }, levels: BOOK_LEVELS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::instrument::LISTINGS;

    #[test]
    fn prices_have_five_significant_digits_and_room() {
        for listing in &LISTINGS {
            let scale = price_scale(listing.start_price);
            let ticks = (listing.start_price * 10_f64.powi(i32::from(scale))).round() as u64;
            // Bitcoin begins within a few per cent of the limit, which holds it.
            assert!((100..=MAX_TICKS).contains(&ticks), "{} {ticks}", listing.base);
        }
        assert_eq!((symbol("BTC"), symbol("LINK")), ("tBTCUSD".to_owned(), "tLINK:USD".to_owned()));
    }
}
