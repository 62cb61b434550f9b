//! Binance spot: `wss://stream.binance.com:9443` and its REST service.

mod command;
mod message;
mod rest;

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;

use crate::config::Limits;
use crate::frame::Form;
use crate::market::{Book, Happening, Market};
use crate::rest::{RestAnswer, RestRequest};
use crate::venue::{Emit, Policy, Protocol, Reaction, Refusal, Session, Target};

use message::{AggTradeFrame, BookTickerFrame, TradeFrame};

/// Most streams of one connection.
const MAX_STREAMS: usize = 1_024;

/// Most messages a client may send in a second, pings and pongs included.
const INCOMING_PER_SECOND: usize = 5;

/// Seven of ten moves are quote changes, three are taker orders.
const QUOTE_PERCENT: u32 = 70;

/// The venue's wire. It does not check stream names: the venue acks an unknown symbol and stays silent.
#[derive(Debug)]
pub(crate) struct Binance {
    symbols: Vec<String>,
}

impl Binance {
    pub(crate) fn new(symbols: &[String]) -> Self {
        Self { symbols: symbols.to_vec() }
    }
}

/// A stream's name: `stream("BTCUSDT", "trade")` is `btcusdt@trade`.
pub(crate) fn stream(symbol: &str, channel: &str) -> String {
    format!("{}@{channel}", symbol.to_lowercase())
}

/// The streams a path or query names, slashes between them, percent-encoding undone.
fn named_streams(text: &str) -> BTreeSet<String> {
    let streams = text.split('/').filter(|name| !name.is_empty());
    streams.map(|name| percent_decode_str(name).decode_utf8_lossy().into_owned()).collect()
}

impl Protocol for Binance {
    fn policy(&self, limits: &Limits) -> Policy {
        Policy {
            ping_every: Some(limits.ping_interval),
            pong_within: Some(limits.pong_timeout),
            incoming_per_second: Some(INCOMING_PER_SECOND),
            ..Policy::default()
        }
    }

    fn open(&self, target: &Target) -> Result<Session, Refusal> {
        let mut form = Form::default();
        let mut topics = BTreeSet::new();
        let path = target.path.trim_end_matches('/');
        if path == "/stream" {
            form.wrapped = true;
        } else if path == "/ws" {
        } else if let Some(streams) = path.strip_prefix("/ws/") {
            topics = named_streams(streams);
        } else {
            return Err(Refusal { status: 404, text: "the streams are at /ws and /stream" });
        }
        for parameter in target.query.split('&') {
            match parameter.split_once('=') {
                Some(("timeUnit", "MICROSECOND" | "microsecond")) => form.micros = true,
                Some(("timeUnit", "MILLISECOND" | "millisecond")) => form.micros = false,
                Some(("timeUnit", _)) => return Err(Refusal { status: 400, text: "unknown timeUnit" }),
                Some(("streams", streams)) if form.wrapped => topics = named_streams(streams),
                _ => (),
            }
        }
        if topics.len() > MAX_STREAMS {
            return Err(Refusal { status: 400, text: "more than 1024 streams" });
        }
        Ok(Session { topics, form })
    }

    fn receive(&self, session: &mut Session, text: &str) -> Reaction {
        command::receive(session, text)
    }

    fn publish(&self, book: &Book, happening: &Happening, emit: Emit<'_>) {
        let symbol = &book.instrument().symbol;
        match happening {
            Happening::Quote(quote) => emit(&BookTickerFrame::new(symbol, *quote)),
            Happening::Order(trades) => {
                for trade in trades {
                    emit(&TradeFrame::new(symbol, trade));
                }
                for fills in trades.chunk_by(|left, right| left.agg_id == right.agg_id) {
                    emit(&AggTradeFrame::new(symbol, fills));
                }
            }
        }
    }

    fn snapshot(&self, _topic: &str, _market: &Market, _emit: Emit<'_>) {
        // The streams begin with the next change.
    }

    fn heartbeat(&self, _market: &Market, _now_us: u64, _emit: Emit<'_>) {}

    fn rest(&self, request: &RestRequest, market: Option<&Market>) -> RestAnswer {
        rest::answer(&self.symbols, request, market)
    }

    fn quote_percent(&self) -> u32 {
        QUOTE_PERCENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, query: &str, expected: Result<(&[&str], bool, bool), u16>) {
        let target = Target { path: path.into(), query: query.into() };
        let opened = Binance::new(&[]).open(&target).map_err(|refusal| refusal.status);
        let expected = expected
            .map(|(topics, wrapped, micros)| (topics.iter().map(ToString::to_string).collect(), wrapped, micros));
        assert_eq!(opened.map(|session| (session.topics, session.form.wrapped, session.form.micros)), expected);
    }

    #[test]
    fn paths_choose_streams_and_form() {
        check("/ws", "", Ok((&[], false, false)));
        check("/ws/btcusdt@trade", "timeUnit=MICROSECOND", Ok((&["btcusdt@trade"], false, true)));
        check("/stream", "", Ok((&[], true, false)));
        check("/stream", "streams=a@trade/b@trade&timeUnit=microsecond", Ok((&["a@trade", "b@trade"], true, true)));
        check("/ws/%E5%B8%81usdt@trade", "", Ok((&["币usdt@trade"], false, false)));
        check("/", "", Err(404));
        check("/ws", "timeUnit=HOURS", Err(400));
        let many: Vec<_> = (0..=MAX_STREAMS).map(|index| format!("s{index}@trade")).collect();
        check("/stream", &format!("streams={}", many.join("/")), Err(400));
    }
}
