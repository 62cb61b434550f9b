//! Binance spot: `wss://stream.binance.com:9443` and its REST service.

mod command;
mod message;
mod rest;

use std::collections::BTreeSet;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::config::Limits;
use crate::frame::Form;
use crate::market::{Book, Habits, Happening, Ids, Market};
use crate::rest::{RestAnswer, RestRequest};
use crate::venue::{Command, Emit, Notice, Policy, Protocol, Reaction, Refusal, Session, Target};

use message::{AggTradeFrame, BookTickerFrame, TradeFrame};

/// Most streams of one connection.
const MAX_STREAMS: usize = 1_024;

/// Most messages a client may send in a second, pings and pongs included.
const INCOMING_PER_SECOND: usize = 5;

/// Connection attempts of one address.
const CONNECTS: (usize, Duration) = (300, Duration::from_secs(300));

/// REST requests of one address: a weight of 6,000 a minute, and a page of trades weighs 25.
const REQUESTS: (usize, Duration) = (6_000 / 25, Duration::from_secs(60));

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
            lifetime: Some(limits.connection_lifetime),
            connects: limits.per_address.then_some(CONNECTS),
            requests: limits.per_address.then_some(REQUESTS),
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
            return Err(Refusal::new(404, "the streams are at /ws and /stream"));
        }
        for parameter in target.query.split('&') {
            match parameter.split_once('=') {
                Some(("timeUnit", "MICROSECOND" | "microsecond")) => form.micros = true,
                Some(("timeUnit", "MILLISECOND" | "millisecond")) => form.micros = false,
                Some(("timeUnit", _)) => return Err(Refusal::new(400, "unknown timeUnit")),
                Some(("streams", streams)) if form.wrapped => topics = named_streams(streams),
                _ => (),
            }
        }
        if topics.len() > MAX_STREAMS {
            return Err(Refusal::new(400, "more than 1024 streams"));
        }
        Ok(Session { topics, form, ..Session::default() })
    }

    fn receive(&self, session: &mut Session, command: &Command<'_>) -> Reaction {
        let mut reaction = command::receive(session, command.text);
        // A symbol the venue does not know is acknowledged, and silent.
        for topic in &reaction.added {
            let symbol = topic.split_once('@').map_or_else(String::new, |(symbol, _)| symbol.to_uppercase());
            if command.refused.has(&symbol) {
                session.muted.insert(topic.clone(), "bad-symbol");
                reaction.struck = true;
            }
        }
        reaction
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

    fn notice(&self, notice: Notice, session: &Session, now_us: u64) -> Option<String> {
        if notice != Notice::End {
            return None;
        }
        let time = if session.form.micros { now_us } else { now_us / 1_000 };
        let data = format!(r#"{{"e":"serverShutdown","E":{time}}}"#);
        Some(if session.form.wrapped { format!(r#"{{"stream":"!serverShutdown","data":{data}}}"#) } else { data })
    }

    fn concerns(&self, topic: &str, symbol: &str) -> bool {
        topic.split_once('@').is_some_and(|(about, _)| about == symbol.to_lowercase())
    }

    fn throttled(&self) -> RestAnswer {
        let body = serde_json::json!({"code": -1003, "msg": "Too many requests."});
        let mut answer = RestAnswer::json(429, &body);
        answer.headers.push(("retry-after", REQUESTS.1.as_secs().to_string()));
        answer
    }

    fn habits(&self) -> Habits {
        Habits { quote_percent: QUOTE_PERCENT, ids: Ids::PerSymbol, levels: 0 }
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
