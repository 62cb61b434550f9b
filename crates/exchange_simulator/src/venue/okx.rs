//! OKX V5: `wss://ws.okx.com:8443/ws/v5/public`, `/ws/v5/business`, and the REST service.

mod command;
mod message;
mod rest;

use std::time::Duration;

use crate::config::Limits;
use crate::hub::Close;
use crate::market::{Book, Habits, Happening, Ids, Market};
use crate::rest::{RestAnswer, RestRequest};
use crate::venue::{Command, Emit, Notice, Policy, Protocol, Reaction, Refusal, Session, Target};

use message::{BboFrame, TradeFrame};

/// Endpoints, each with the channels it has.
const ENDPOINTS: [(&str, &[&str]); 2] =
    [("/ws/v5/public", &["bbo-tbt", "trades"]), ("/ws/v5/business", &["trades-all"])];

/// A connection without a frame in either direction is closed after this.
const IDLE: Duration = Duration::from_secs(30);

/// A best bid and ask that did not change is sent again after this.
const REPEAT_US: u64 = 60_000_000;

/// How often it is looked for such. They all come a little late, but at most so much.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Handshakes of one address.
const CONNECTS: (usize, Duration) = (3, Duration::from_secs(1));

/// REST requests of one address; of the documented limits the strictest.
const REQUESTS: (usize, Duration) = (20, Duration::from_secs(2));

/// Seven of ten moves are quote changes, three are taker orders.
const QUOTE_PERCENT: u32 = 70;

/// The venue's wire: topics are `channel:instId`.
#[derive(Debug)]
pub(crate) struct Okx {
    symbols: Vec<String>,
}

impl Okx {
    pub(crate) fn new(symbols: &[String]) -> Self {
        Self { symbols: symbols.to_vec() }
    }
}

/// How a channel of an instrument is named among a session's topics and in the ledger's control lines.
fn topic(channel: &str, symbol: &str) -> String {
    format!("{channel}:{symbol}")
}

/// The `connId` of a connection.
fn conn_id(session: &Session) -> String {
    format!("{:08x}", session.id)
}

impl Protocol for Okx {
    fn policy(&self, limits: &Limits) -> Policy {
        Policy {
            heartbeat_every: Some(limits.heartbeat_interval.unwrap_or(LOOK_EVERY)),
            idle: Some((limits.idle_timeout.unwrap_or(IDLE), Close::NO_DATA)),
            connects: limits.per_address.then_some(CONNECTS),
            requests: limits.per_address.then_some(REQUESTS),
            ..Policy::default()
        }
    }

    fn open(&self, target: &Target) -> Result<Session, Refusal> {
        match ENDPOINTS.iter().find(|(path, _)| *path == target.path) {
            Some((path, _)) => Ok(Session { endpoint: path, ..Session::default() }),
            None => Err(Refusal::new(404, "the endpoints are /ws/v5/public and /ws/v5/business")),
        }
    }

    fn receive(&self, session: &mut Session, command: &Command<'_>) -> Reaction {
        command::receive(&self.symbols, session, command)
    }

    fn publish(&self, book: &Book, happening: &Happening, emit: Emit<'_>) {
        if let Happening::Order(trades) = happening {
            for trade in trades {
                emit(&TradeFrame::one(book, trade));
            }
            for fills in trades.chunk_by(|left, right| left.agg_id == right.agg_id) {
                emit(&TradeFrame::aggregated(book, fills));
            }
        }
        emit(&BboFrame::new(book, false));
    }

    fn snapshot(&self, topic: &str, market: &Market, emit: Emit<'_>) {
        if let Some(("bbo-tbt", symbol)) = topic.split_once(':')
            && let Some(book) = market.book(symbol)
        {
            emit(&BboFrame::new(book, true));
        }
    }

    fn heartbeat(&self, market: &Market, now_us: u64, emit: Emit<'_>) {
        for book in market.books() {
            let age_us = now_us.saturating_sub(book.quote().time_us);
            let period_us = u64::try_from(LOOK_EVERY.as_micros()).unwrap_or(u64::MAX);
            if age_us >= REPEAT_US && age_us % REPEAT_US < period_us {
                emit(&BboFrame::repeated(book));
            }
        }
    }

    fn notice(&self, notice: Notice, session: &Session, _now_us: u64) -> Option<String> {
        let text = "The connection will soon be closed for a service upgrade. Please reconnect.";
        (notice == Notice::End)
            .then(|| format!(r#"{{"event":"notice","code":"64008","msg":"{text}","connId":"{}"}}"#, conn_id(session)))
    }

    fn throttled(&self) -> RestAnswer {
        // The sheet names the code; that it comes with status 429 is how it is known from clients.
        rest::failed(429, "50011", "Too Many Requests")
    }

    fn rest(&self, request: &RestRequest, market: Option<&Market>) -> RestAnswer {
        rest::answer(&self.symbols, request, market)
    }

    fn habits(&self) -> Habits {
        Habits { quote_percent: QUOTE_PERCENT, ids: Ids::PerSymbol, levels: 0 }
    }
}
