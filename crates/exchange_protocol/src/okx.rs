//! OKX spot: `bbo-tbt`, `trades-all`, and `trades` for aggregates.
//!
//! Source: the V5 API documentation of okx.com. `trades` sums up one taker order at one price and says how many trades that
//! are; its id is the last one's. `trades-all`, on another path, has each. Sides are the taker's.
//!
//! Not confirmed: that ids of trades are contiguous (widely relied on), whether one bad argument cancels the others of its
//! request (they are taken for unanswered, not for refused), whether `bbo-tbt` opens with a quote at once (within the 60 s
//! after which it repeats itself is what is counted on), and the words of error 60018, in which the symbol is looked for.

mod message;
mod rest;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use serde_json::json;

use crate::{
    Budget, DecodeError, Event, Facts, IdRule, Liveness, MessageType, Notice, Rest, Session, Stream, Subscription,
    Venue,
};
use message::{Arg, Frame};
pub use rest::OkxRest;

/// The venue.
#[derive(Debug)]
pub struct Okx;

static FACTS: Facts = Facts {
    name: "okx",
    ws_url: "wss://ws.okx.com:8443",
    majors: &["BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT", "DOGE-USDT", "ADA-USDT", "LTC-USDT", "LINK-USDT"],
    // Not limited but by the size of requests and their number.
    streams_per_connection: 200,
    frames_per_second: 3,
    // 3 handshakes per second and address.
    connect_spacing: Duration::from_millis(350),
    connect_budget: Budget { count: 3, per: Duration::from_secs(1) },
    // A request is one, however many its arguments.
    request_budget: Some(Budget { count: 480, per: Duration::from_secs(3_600) }),
    requests_count_as_connects: false,
    // The venue closes a connection that had nothing for 30 s; a `ping` before makes it answer.
    silence_limit: Duration::from_secs(30),
    has_heartbeats: false,
    keepalive_after: Duration::from_secs(20),
    lifetime: None,
    // Relied on by many, promised by none: violations are to be counted, not acted on.
    trade_ids: IdRule::Contiguous,
    quotes_have_time: true,
};

/// Arguments of one request, 64 KB at most; each has less than 100 bytes.
const ARGS_PER_REQUEST: usize = 200;

/// How long a connection lasts after its end was announced.
const NOTICE: Duration = Duration::from_secs(60);

impl Venue for Okx {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn path(&self, stream: Stream) -> &'static str {
        match stream {
            Stream::Trades => "/ws/v5/business",
            Stream::AggregatedTrades | Stream::Quotes => "/ws/v5/public",
        }
    }

    fn liveness(&self, stream: Stream) -> Liveness {
        match stream {
            // Sent again after about 60 s without a change.
            Stream::Quotes => {
                Liveness { first_data: Some(Duration::from_secs(90)), repeats: Some(Duration::from_secs(90)) }
            }
            Stream::Trades | Stream::AggregatedTrades => Liveness::default(),
        }
    }

    fn rest(&self) -> &'static dyn Rest {
        &OkxRest
    }

    fn session(&self) -> Box<dyn Session> {
        Box::new(Connection::default())
    }

    fn quote_currency<'s>(&self, symbol: &'s str) -> Option<&'s str> {
        symbol.split_once('-').map(|(_, quote)| quote)
    }
}

#[derive(Default)]
struct Connection {
    /// What is asked for; of quotes, with the last sequence number.
    asked: HashMap<Stream, HashMap<String, u64>>,
    /// Requests that were not answered in full yet, by their id.
    requests: BTreeMap<u64, BTreeSet<Subscription>>,
    last_id: u64,
}

fn channel(stream: Stream) -> &'static str {
    match stream {
        Stream::Trades => "trades-all",
        Stream::AggregatedTrades => "trades",
        Stream::Quotes => "bbo-tbt",
    }
}

fn stream(channel: &str) -> Option<Stream> {
    [Stream::Trades, Stream::AggregatedTrades, Stream::Quotes]
        .into_iter()
        .find(|stream| self::channel(*stream) == channel)
}

impl Session for Connection {
    fn subscribe(&mut self, wanted: &[Subscription]) -> Vec<String> {
        for Subscription { symbol, stream } in wanted {
            self.asked.entry(*stream).or_default().entry(symbol.clone()).or_default();
        }
        self.request("subscribe", wanted)
    }

    fn unsubscribe(&mut self, unwanted: &[Subscription]) -> Vec<String> {
        for Subscription { symbol, stream } in unwanted {
            self.asked.entry(*stream).or_default().remove(symbol);
        }
        self.request("unsubscribe", unwanted)
    }

    fn decode(&mut self, text: &str, sink: &mut dyn FnMut(Event<'_>)) -> Result<MessageType, DecodeError> {
        if text == "pong" {
            return Ok(MessageType::Heartbeat);
        }
        let frame = Frame::read(text)?;
        match frame.event.as_deref() {
            None => self.data(&frame, sink),
            Some(event @ ("subscribe" | "unsubscribe")) => {
                let arg = frame.arg.as_ref().ok_or(DecodeError::Missing("arg"))?;
                self.acknowledge(frame.request_id(), arg, event == "subscribe", sink);
                Ok(MessageType::Subscription)
            }
            Some("error") => {
                self.reject(&frame, sink);
                Ok(MessageType::Error)
            }
            Some("notice") => {
                // Other notices are not documented to end anything.
                if frame.code.as_deref() == Some("64008") {
                    sink(Event::Notice(Notice::Reconnect { within: Some(NOTICE) }));
                }
                Ok(MessageType::Notice)
            }
            Some("channel-conn-count") => Ok(MessageType::Other),
            Some(unknown) => Err(DecodeError::unknown_type(unknown)),
        }
    }

    fn keepalive(&mut self) -> Option<String> {
        Some("ping".to_owned())
    }
}

impl Connection {
    fn request(&mut self, operation: &str, subscriptions: &[Subscription]) -> Vec<String> {
        let mut frames = Vec::new();
        for chunk in subscriptions.chunks(ARGS_PER_REQUEST) {
            self.last_id += 1;
            self.requests.insert(self.last_id, chunk.iter().cloned().collect());
            let arg = |asked: &Subscription| json!({"channel": channel(asked.stream), "instId": asked.symbol});
            let args: Vec<_> = chunk.iter().map(arg).collect();
            frames.push(json!({"id": self.last_id.to_string(), "op": operation, "args": args}).to_string());
        }
        frames
    }

    fn acknowledge(&mut self, id: Option<u64>, arg: &Arg<'_>, subscribes: bool, sink: &mut dyn FnMut(Event<'_>)) {
        let Some(stream) = stream(&arg.channel) else { return };
        let symbol = arg.symbol.as_ref();
        self.answered(id, &Subscription { symbol: symbol.to_owned(), stream });
        sink(if subscribes { Event::Subscribed { symbol, stream } } else { Event::Unsubscribed { symbol, stream } });
    }

    fn answered(&mut self, id: Option<u64>, subscription: &Subscription) {
        let Some(id) = id else { return };
        if let Some(request) = self.requests.get_mut(&id) {
            request.remove(subscription);
            if request.is_empty() {
                self.requests.remove(&id);
            }
        }
    }

    /// The venue's words tell which argument is meant, if they do; one asked for alone is meant in any case. The others of
    /// the request stay unanswered, for whether they are subscribed nevertheless is not documented.
    fn reject(&mut self, frame: &Frame<'_>, sink: &mut dyn FnMut(Event<'_>)) {
        let reason = frame.msg.as_deref().or(frame.code.as_deref()).unwrap_or("error without a message");
        let id = frame.request_id();
        let asked = id.and_then(|id| self.requests.get(&id)).cloned().unwrap_or_default();
        let word = |word: &str| reason.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|part| part == word);
        let meant: Vec<_> = if asked.len() == 1 {
            asked.iter().collect()
        } else {
            let of_symbol: Vec<_> = asked.iter().filter(|asked| word(&asked.symbol)).collect();
            let of_channel: Vec<_> = of_symbol.iter().filter(|asked| word(channel(asked.stream))).copied().collect();
            if of_channel.is_empty() { of_symbol } else { of_channel }
        };
        if meant.is_empty() {
            sink(Event::Rejected { symbol: None, stream: None, reason });
        }
        for subscription in meant {
            self.answered(id, subscription);
            sink(Event::Rejected { symbol: Some(&subscription.symbol), stream: Some(subscription.stream), reason });
        }
    }

    fn data(&mut self, frame: &Frame<'_>, sink: &mut dyn FnMut(Event<'_>)) -> Result<MessageType, DecodeError> {
        let arg = frame.arg.as_ref().ok_or_else(|| DecodeError::unknown_type("none"))?;
        match arg.channel.as_ref() {
            "trades" | "trades-all" => {
                frame.each_row(|row| {
                    sink(Event::Trade(row.trade()?));
                    Ok(())
                })?;
                Ok(MessageType::Trade)
            }
            "bbo-tbt" => {
                let symbol = arg.symbol.as_ref();
                let mut last = self.asked.get_mut(&Stream::Quotes).and_then(|quotes| quotes.get_mut(symbol));
                frame.each_row(|row| {
                    let quote = row.quote(symbol)?;
                    let last = last.as_mut().map(|last| std::mem::replace(*last, quote.update_id)).unwrap_or(0);
                    if last != 0 && quote.update_id == last {
                        // What was sent already, again, because nothing changed.
                        sink(Event::Alive { symbol, stream: Stream::Quotes });
                        return Ok(());
                    }
                    if last != 0 && quote.update_id != 0 && quote.update_id < last {
                        sink(Event::Renumbered { symbol });
                    }
                    sink(Event::Quote(quote));
                    Ok(())
                })?;
                Ok(MessageType::Quote)
            }
            // Known, and not asked for.
            "tickers" | "books" | "books5" | "candle1m" => Ok(MessageType::Other),
            unknown => Err(DecodeError::unknown_type(unknown)),
        }
    }
}
