//! The decoders from outside: frames in, events out.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod binance;
mod bitfinex;
mod captures;
mod coinbase;
#[path = "../../fuzz/src/entry.rs"]
#[allow(unreachable_pub)]
mod entry;
mod frames;
mod hostile;
mod kraken;
mod kraken_book;
mod level2;
mod okx;
mod rest;
mod venues;

use exchange_protocol::{DecodeError, Event, MessageType, Session, Stream, Subscription, Venue};

/// A venue by its name; Coinbase is the one with the ticker, whose book has a file of its own here.
fn venue(name: &str) -> Option<&'static dyn Venue> {
    if name == "coinbase" { Some(&exchange_protocol::coinbase::TICKER) } else { exchange_protocol::venue(name) }
}

/// A session of a venue that carries both streams of each symbol.
fn session(exchange: &str, symbols: &[&str]) -> Box<dyn Session> {
    let venue = venue(exchange).unwrap();
    let both = |symbol: &&str| venue.streams().iter().map(|stream| subscription(symbol, *stream)).collect::<Vec<_>>();
    let mut session = venue.session();
    session.subscribe(&symbols.iter().flat_map(both).collect::<Vec<_>>());
    session
}

fn subscription(symbol: &str, stream: Stream) -> Subscription {
    Subscription { symbol: symbol.to_owned(), stream }
}

/// Decodes a frame into the `Debug` form of its events, one a line: what a reader of a failing test wants to see.
fn decode(session: &mut dyn Session, frame: &str) -> (Result<MessageType, DecodeError>, String) {
    let mut events = String::new();
    let result = session.decode(frame, &mut |event: Event<'_>| {
        events.push_str(&format!("{event:?}\n"));
    });
    (result, events)
}

fn check(session: &mut dyn Session, frame: &str, kind: MessageType, expected: &str) {
    let (result, events) = decode(session, frame);
    assert_eq!(result, Ok(kind), "{frame}");
    assert_eq!(events.trim_end(), expected, "{frame}");
}

/// One event in a line that is easy to read: `~` marks a decimal that an `f64` does not give back.
fn line(event: &Event<'_>) -> String {
    let decimal =
        |decimal: exchange_protocol::Decimal| format!("{}{}", decimal.value, if decimal.exact { "" } else { "~" });
    let side = |level: Option<exchange_protocol::Level>| {
        level.map_or("none".to_owned(), |level| {
            format!("{}x{}", decimal(level.price), level.size.map_or("?".to_owned(), decimal))
        })
    };
    match event {
        Event::Trade(trade) => format!(
            "trade {} {}..{} {}x{} {:?} @{}{}",
            trade.symbol,
            trade.first_id,
            trade.id,
            decimal(trade.price),
            decimal(trade.size),
            trade.taker,
            trade.event_ns,
            if trade.snapshot { " snapshot" } else { "" },
        ),
        Event::Quote(quote) => format!(
            "quote {} #{} {} {} @{}",
            quote.symbol,
            quote.update_id,
            side(quote.bid),
            side(quote.ask),
            quote.event_ns
        ),
        other => format!("{other:?}"),
    }
}

/// The events of a frame, in lines; panics if it is not understood.
fn lines(session: &mut dyn Session, frame: &str) -> Vec<String> {
    let mut events = Vec::new();
    let result = session.decode(frame, &mut |event| events.push(line(&event)));
    assert!(result.is_ok(), "{result:?}: {frame}");
    events
}

fn check_lines(session: &mut dyn Session, frame: &str, expected: &[&str]) {
    assert_eq!(lines(session, frame), expected, "{frame}");
}

fn check_error(session: &mut dyn Session, frame: &str, expected: &str) {
    let (result, events) = decode(session, frame);
    assert_eq!(result.map_err(|error| error.to_string()), Err(expected.to_owned()), "{frame}");
    assert_eq!(events, "", "nothing is defaulted: {frame}");
}
