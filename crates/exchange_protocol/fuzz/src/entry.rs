//! What is fuzzed, and what the test suite runs for a bounded time: any bytes into every decoder.

use exchange_protocol::{
    Answer, DecodeError, MessageType, Missing, Page, Session, Stream, Subscription, Venue, coinbase, kraken,
};

/// Names that the sessions are subscribed to.
pub const SYMBOLS: [&str; 5] = ["BTC-USD", "BTCUSDT", "BTC/USD", "BTC-USDT", "tBTCUSD"];

/// All venues, and those that can keep a book with one.
pub fn venues() -> Vec<&'static dyn Venue> {
    let mut venues: Vec<&'static dyn Venue> = exchange_protocol::venues().to_vec();
    for venue in venues.iter_mut().filter(|venue| venue.facts().name == "coinbase") {
        *venue = &coinbase::TICKER;
    }
    venues.push(&coinbase::LEVEL2);
    venues.push(&kraken::BOOK);
    venues
}

/// A session that subscribed to all streams of [`SYMBOLS`].
pub fn session(venue: &dyn Venue) -> Box<dyn Session> {
    let mut session = venue.session();
    session.open();
    let of_stream = |stream| SYMBOLS.map(|symbol| Subscription { symbol: symbol.to_owned(), stream });
    session.subscribe(&[of_stream(Stream::Trades), of_stream(Stream::Quotes)].concat());
    session
}

/// What came of a frame: its type or the reason for none, and its events.
pub type Decoded = (Result<MessageType, &'static str>, Vec<String>);

pub fn decode(session: &mut dyn Session, frame: &str) -> Decoded {
    let mut events = Vec::new();
    let result = session.decode(frame, &mut |event| events.push(format!("{event:?}")));
    (result.map_err(|error: DecodeError| error.reason()), events)
}

/// One byte names the venue; lines are frames. No frame panics, and the scanner agrees with the typed decoder, which reads
/// alone what begins with a blank.
pub fn sessions(data: &[u8]) {
    let Some((which, frames)) = data.split_first() else { return };
    let venues = venues();
    let venue = venues[usize::from(*which) % venues.len()];
    let (mut scanned, mut typed) = (session(venue), session(venue));
    for frame in String::from_utf8_lossy(frames).split('\n') {
        // OKX's answer to a ping is no JSON.
        if frame == "pong" {
            continue;
        }
        let expected = decode(typed.as_mut(), &format!(" {frame}"));
        assert_eq!(decode(scanned.as_mut(), frame), expected, "{}: {frame}", venue.facts().name);
    }
}

/// One byte names the venue, one the status; the rest is an answer. None panics, and no page leads back to itself.
pub fn rest(data: &[u8]) {
    let [which, status, body @ ..] = data else { return };
    let venues = venues();
    let rest = venues[usize::from(*which) % venues.len()].rest();
    let retry_after = std::str::from_utf8(body.get(..2).unwrap_or_default()).ok().filter(|_| status % 2 == 1);
    let status = [200, 200, 200, 429, 418, 503][usize::from(*status) % 6];
    let answer = Answer { status, retry_after, body };
    let _ = rest.read_instruments(&answer);
    for ids in [None, Some((5, 10)), Some((0, u64::MAX))] {
        let missing = Missing { symbol: "BTC-USD", ids, times: (0, u64::MAX) };
        let Some(request) = rest.trades(&missing) else { continue };
        let mut first = Vec::new();
        if let Ok(Page::More(next)) = rest.read_trades(&missing, &request, &answer, &mut |trade| first.push(trade.id)) {
            assert_ne!(next, request, "a page that leads to itself");
            let again = rest.read_trades(&missing, &next, &answer, &mut |_| {});
            assert!(!matches!(again, Ok(Page::More(third)) if third == next), "the same answer leads no further");
        }
        if let Some((low, high)) = ids {
            assert!(first.iter().all(|id| (low..=high).contains(id)), "only what is missing");
        }
    }
}
