//! The decoders from outside: frames in, events out.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod binance;
mod captures;
mod coinbase;
mod hostile;

use exchange_protocol::{DecodeError, Event, MessageType, Session, Stream, Subscription, venue};

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

fn check_error(session: &mut dyn Session, frame: &str, expected: &str) {
    let (result, events) = decode(session, frame);
    assert_eq!(result.map_err(|error| error.to_string()), Err(expected.to_owned()), "{frame}");
    assert_eq!(events, "", "nothing is defaulted: {frame}");
}
