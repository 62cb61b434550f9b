//! Coinbase Exchange: `wss://ws-feed.exchange.coinbase.com` and its REST service.

mod command;
mod level2;
mod message;
mod rest;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::config::Limits;
use crate::market::{Book, Habits, Happening, Ids, Market};
use crate::rest::{RestAnswer, RestRequest};
use crate::venue::{Command, Emit, Policy, Protocol, Reaction, Refusal, Session, Target};

use message::{HeartbeatFrame, MatchFrame, TickerFrame};

/// Public channels that the simulated market feeds. Acks name channels in this order.
const CHANNELS: &[&str] = &["ticker", "matches", "heartbeat", level2::CHANNEL];

/// Channels a replay can feed, as captures hold them.
const REPLAY_CHANNELS: &[&str] = &["ticker", "matches", "heartbeat", "level2", "level2_batch"];

/// Channels that need a key on the real venue.
const AUTHENTICATED_CHANNELS: &[&str] = &["level2", "level3", "full", "user", "balance", "rfq_matches"];

/// Levels of a product's book on each side.
const BOOK_LEVELS: usize = 100;

/// New connections and subscriptions: 8 a second, 20 at once. Counted here: the 20 that a second can have at most.
const CONNECTS: (usize, Duration) = (20, Duration::from_secs(1));

/// REST requests: 10 a second, 15 at once. Counted here: the 15 that a second can have at most.
const REQUESTS: (usize, Duration) = (15, Duration::from_secs(1));

/// A heartbeat is due once a second per product.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);

/// The venue's wire.
#[derive(Debug)]
pub(crate) struct Coinbase {
    products: BTreeSet<String>,
    product_order: Vec<String>,
    channels: &'static [&'static str],
}

impl Coinbase {
    pub(crate) fn new(products: &[String], replay: bool) -> Self {
        Self {
            products: products.iter().cloned().collect(),
            product_order: products.to_vec(),
            channels: if replay { REPLAY_CHANNELS } else { CHANNELS },
        }
    }
}

/// How a channel of a product is named among a session's topics and in the ledger's control lines.
pub(crate) fn topic(channel: &str, product: &str) -> String {
    format!("{channel}:{product}")
}

impl Protocol for Coinbase {
    fn policy(&self, limits: &Limits) -> Policy {
        Policy {
            subscribe_within: Some(limits.subscribe_timeout),
            heartbeat_every: Some(limits.heartbeat_interval.unwrap_or(HEARTBEAT_EVERY)),
            connects: limits.per_address.then_some(CONNECTS),
            requests: limits.per_address.then_some(REQUESTS),
            ..Policy::default()
        }
    }

    fn open(&self, target: &Target) -> Result<Session, Refusal> {
        if target.path == "/" { Ok(Session::default()) } else { Err(Refusal::new(404, "the feed is at /")) }
    }

    fn receive(&self, session: &mut Session, command: &Command<'_>) -> Reaction {
        command::receive(self, session, command)
    }

    fn publish(&self, book: &Book, happening: &Happening, emit: Emit<'_>) {
        if let Happening::Order(trades) = happening {
            for trade in trades {
                emit(&MatchFrame::new(book, trade, false));
                emit(&TickerFrame::new(book, trade, false));
            }
        }
        if let Some(update) = level2::BookFrame::update(book) {
            emit(&update);
        }
    }

    fn snapshot(&self, topic: &str, market: &Market, emit: Emit<'_>) {
        let Some((channel, product)) = topic.split_once(':') else { return };
        let Some(book) = market.book(product) else { return };
        match (channel, book.shown().next_back()) {
            ("ticker", Some(trade)) => emit(&TickerFrame::new(book, trade, true)),
            ("matches", Some(trade)) => emit(&MatchFrame::new(book, trade, true)),
            (level2::CHANNEL, _) => emit(&level2::BookFrame::snapshot(book)),
            _ => (),
        }
    }

    fn heartbeat(&self, market: &Market, now_us: u64, emit: Emit<'_>) {
        for book in market.books() {
            emit(&HeartbeatFrame::new(book, now_us));
        }
    }

    fn rest(&self, request: &RestRequest, market: Option<&Market>) -> RestAnswer {
        rest::answer(self, request, market)
    }

    fn throttled(&self) -> RestAnswer {
        RestAnswer::json(429, &serde_json::json!({"message": "Public rate limit exceeded"}))
    }

    fn habits(&self) -> Habits {
        // Its ticker has no quotes of their own.
        Habits { quote_percent: 0, ids: Ids::PerSymbol, levels: BOOK_LEVELS }
    }
}
