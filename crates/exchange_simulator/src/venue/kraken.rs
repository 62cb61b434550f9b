//! Kraken spot: `wss://ws.kraken.com/v2` and its REST service.

mod command;
mod message;
mod rest;

use std::time::Duration;

use crate::config::Limits;
use crate::frame::Frame;
use crate::hub::Close;
use crate::market::{Book, Habits, Happening, Ids, Market};
use crate::rest::{RestAnswer, RestRequest};
use crate::venue::{Command, Emit, Notice, Policy, Protocol, Reaction, Refusal, Session, Target};

use message::{HeartbeatFrame, TickerFrame, TradeFrame};

/// A heartbeat is due once a second when nothing else was sent.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);

/// A silent connection is closed after this; how is not published, so with an ordinary Close frame.
const IDLE: Duration = Duration::from_secs(60);

/// New connections of one address.
const CONNECTS: (usize, Duration) = (150, Duration::from_secs(600));

/// REST requests of one address.
const REQUESTS: (usize, Duration) = (1, Duration::from_secs(1));

/// Trades of a snapshot.
const SNAPSHOT_TRADES: usize = 50;

/// Added to connection ids, which exceed 2^63 on the real venue.
const FIRST_CONNECTION_ID: u64 = 1 << 63;

/// Six of ten moves are quote changes, four are taker orders.
const QUOTE_PERCENT: u32 = 60;

/// The venue's wire: topics are `trade:SYMBOL`, `ticker.bbo:SYMBOL` and `ticker.trades:SYMBOL`.
#[derive(Debug)]
pub(crate) struct Kraken {
    symbols: Vec<String>,
}

impl Kraken {
    pub(crate) fn new(symbols: &[String]) -> Self {
        Self { symbols: symbols.to_vec() }
    }
}

/// How a channel of a symbol is named among a session's topics and in the ledger's control lines.
fn topic(channel: &str, symbol: &str) -> String {
    format!("{channel}:{symbol}")
}

/// A `status` message. `connection` is the simulator's number of it.
fn status(system: &str, connection: u64) -> String {
    let id = FIRST_CONNECTION_ID + connection;
    format!(
        concat!(
            r#"{{"channel":"status","type":"update","data":[{{"version":"2.0.9","system":"{}","api_version":"v2","#,
            r#""connection_id":{}}}]}}"#
        ),
        system, id,
    )
}

impl Protocol for Kraken {
    fn policy(&self, limits: &Limits) -> Policy {
        Policy {
            heartbeat_every: Some(limits.heartbeat_interval.unwrap_or(HEARTBEAT_EVERY)),
            idle: Some((limits.idle_timeout.unwrap_or(IDLE), Close::IDLE)),
            connects: limits.per_address.then_some(CONNECTS),
            requests: limits.per_address.then_some(REQUESTS),
            ..Policy::default()
        }
    }

    fn open(&self, target: &Target) -> Result<Session, Refusal> {
        if target.path == "/v2" { Ok(Session::default()) } else { Err(Refusal::new(404, "version 2 is at /v2")) }
    }

    fn greeting(&self, session: &Session) -> Vec<String> {
        vec![status("online", session.id)]
    }

    fn receive(&self, session: &mut Session, command: &Command<'_>) -> Reaction {
        command::receive(&self.symbols, session, command)
    }

    fn publish(&self, book: &Book, happening: &Happening, emit: Emit<'_>) {
        if let Happening::Order(trades) = happening {
            emit(&TradeFrame::update(book, trades));
            emit(&TickerFrame::new(book, "ticker.trades", false));
        }
        if book.price_moved() {
            emit(&TickerFrame::new(book, "ticker.bbo", false));
        }
    }

    fn snapshot(&self, topic: &str, market: &Market, emit: Emit<'_>) {
        let Some((channel, symbol)) = topic.split_once(':') else { return };
        let Some(book) = market.book(symbol) else { return };
        match channel {
            "trade" => {
                let mut trades: Vec<_> = book.shown().rev().take(SNAPSHOT_TRADES).cloned().collect();
                trades.reverse();
                if !trades.is_empty() {
                    emit(&TradeFrame::snapshot(book, &trades));
                }
            }
            channel => emit(&TickerFrame::new(book, channel, true)),
        }
    }

    fn heartbeat(&self, _market: &Market, _now_us: u64, _emit: Emit<'_>) {}

    fn pulse(&self, session: &Session, quiet: bool) -> Vec<Box<dyn Frame>> {
        if quiet && !session.topics.is_empty() { vec![Box::new(HeartbeatFrame)] } else { Vec::new() }
    }

    fn notice(&self, notice: Notice, session: &Session, _now_us: u64) -> Option<String> {
        match notice {
            Notice::End => None,
            Notice::MaintenanceBegins => Some(status("maintenance", session.id)),
            Notice::MaintenanceEnds => Some(status("online", session.id)),
        }
    }

    fn throttled(&self) -> RestAnswer {
        // The status of the answer is not published: 200, as with every other error of this venue.
        rest::failed("EGeneral:Too many requests")
    }

    fn rest(&self, request: &RestRequest, market: Option<&Market>) -> RestAnswer {
        rest::answer(&self.symbols, request, market)
    }

    fn habits(&self) -> Habits {
        Habits { quote_percent: QUOTE_PERCENT, ids: Ids::PerSymbol, levels: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_comes_when_something_is_subscribed_and_nothing_was_sent() {
        let venue = Kraken::new(&[]);
        let mut session = Session::default();
        assert!(venue.pulse(&session, true).is_empty());
        session.topics.insert("trade:BTC/USD".to_owned());
        assert_eq!(venue.pulse(&session, true).len(), 1);
        assert!(venue.pulse(&session, false).is_empty());
    }
}
