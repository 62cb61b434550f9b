//! The venues' REST interfaces: which instruments there are, and trades that a connection missed.
//!
//! As pure as the rest of the crate: a [`Request`] is built here and sent elsewhere, and its [`Answer`] is read here.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;

use crate::{Budget, Decimal, DecodeError, Trade};

/// The REST side of a venue.
pub trait Rest: Send + Sync {
    /// The numbers of the interface.
    fn facts(&self) -> &'static RestFacts;

    /// Asks for all instruments of the spot market; one answer holds them.
    fn instruments(&self) -> Request;

    /// Reads the answer to [`Rest::instruments`].
    ///
    /// # Errors
    /// The venue refuses, or the answer was not understood.
    fn read_instruments(&self, answer: &Answer<'_>) -> Result<Vec<Instrument>, RestError>;

    /// Asks for the first page of missing trades; none if the venue cannot be asked for them so (by ids, but none given), or
    /// if none can be missing.
    fn trades(&self, missing: &Missing<'_>) -> Option<Request>;

    /// Reads the answer to a request for a page of trades: hands over those that are missing, each once within the page, but
    /// possibly again in the next one. Whether all of them came shows in their ids.
    ///
    /// # Errors
    /// The venue refuses, or the answer was not understood; trades before the bad one were handed over.
    fn read_trades(
        &self,
        missing: &Missing<'_>,
        request: &Request,
        answer: &Answer<'_>,
        sink: &mut dyn FnMut(Trade<'_>),
    ) -> Result<Page, RestError>;
}

/// The numbers of a REST interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestFacts {
    /// Endpoint without path.
    pub url: &'static str,
    /// What the venue grants an address, in units of [`Request::weight`].
    pub budget: Budget,
    /// How long to wait after a refusal that does not say.
    pub wait: Duration,
    /// How missing trades are asked for.
    pub by: BackfillBy,
    /// Trades per page at most.
    pub page_limit: u64,
    /// How far back trades are kept; none if the venue does not say.
    pub reach: Option<Duration>,
}

/// How missing trades are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackfillBy {
    /// By a range of ids, exactly.
    Ids,
    /// By a range of time.
    Time,
}

/// A request to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Method of HTTP.
    pub method: &'static str,
    /// Path and query, encoded.
    pub target: String,
    /// Headers that it needs.
    pub headers: &'static [(&'static str, &'static str)],
    /// What it costs of [`RestFacts::budget`].
    pub weight: u32,
    /// Where the page begins, in the venue's own counting: shows whether the next one leads on.
    cursor: u64,
}

impl Request {
    pub(crate) fn get(target: String, weight: u32) -> Request {
        Request { method: "GET", target, headers: &[], weight, cursor: 0 }
    }

    pub(crate) fn with_headers(self, headers: &'static [(&'static str, &'static str)]) -> Request {
        Request { headers, ..self }
    }

    pub(crate) fn from(self, cursor: u64) -> Request {
        Request { cursor, ..self }
    }

    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }
}

/// What a venue answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Status of HTTP.
    pub status: u16,
    /// The header `Retry-After`, if there is one.
    pub retry_after: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// Trades that were missed. Both ends of ranges are included; an upper end of `u64::MAX` means up to the newest, which is
/// how a quiet feed is asked whether it missed any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing<'s> {
    /// The venue's symbol, as on the WebSocket.
    pub symbol: &'s str,
    /// Their ids, if the venue's ids tell. Others are not handed over.
    pub ids: Option<(u64, u64)>,
    /// Between which times they happened, ns since the Unix epoch. With `ids` it only says where to look.
    pub times: (u64, u64),
}

impl Missing<'_> {
    pub(crate) fn includes(&self, trade: &Trade<'_>) -> bool {
        match self.ids {
            Some((first, last)) => (first..=last).contains(&trade.id),
            None => (self.times.0..=self.times.1).contains(&trade.event_ns),
        }
    }
}

/// What follows a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// Another one, to be asked for by this.
    More(Request),
    /// Nothing.
    Last,
}

/// An instrument of the spot market.
#[derive(Clone, Debug, PartialEq)]
pub struct Instrument {
    /// The venue's symbol, as it is subscribed to.
    pub symbol: String,
    /// What is traded, in the venue's spelling; empty if the venue does not say.
    pub base: String,
    /// What it is paid with, in the venue's spelling; empty if the venue does not say.
    pub quote: String,
    /// Prices are multiples of it; none if the venue does not say.
    pub tick_size: Option<Decimal>,
    /// Sizes are multiples of it; none if the venue does not say.
    pub lot_size: Option<Decimal>,
    /// Whether it trades.
    pub status: InstrumentStatus,
}

/// Whether an instrument trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstrumentStatus {
    /// It does.
    Trading,
    /// It does not at present, or with limits, and its feed may be quiet.
    Limited,
    /// It is gone, not there yet, or no real market.
    Gone,
}

/// Why an answer brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestError {
    /// Too many requests: nothing more may be sent before the time is over, or the venue bans the address.
    #[error("the venue's rate limit is reached; it wants {} s of silence{}", .wait.as_secs(), if *.banned { ", and has banned this address" } else { "" })]
    RateLimited {
        /// How long.
        wait: Duration,
        /// Whether the address is banned already.
        banned: bool,
    },
    /// The venue refuses.
    #[error("the venue refuses with status {status}: {reason}")]
    Refused {
        /// Status of HTTP.
        status: u16,
        /// The venue's words, cut to 200 characters.
        reason: String,
    },
    /// The answer was not understood.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// The longest wait that is believed: Binance bans for up to three days.
const LONGEST_WAIT: Duration = Duration::from_secs(3 * 24 * 3_600);

impl Answer<'_> {
    /// The refusal that status and headers tell of, the same for all venues: 429 is a limit, 418 a ban (Binance).
    ///
    /// # Errors
    /// Any status but 2xx.
    pub fn check(&self, facts: &RestFacts) -> Result<(), RestError> {
        match self.status {
            200..=299 => Ok(()),
            429 | 418 => Err(self.rate_limited(facts)),
            // 503 and the like may tell when to come again as well.
            _ if self.retry_after.is_some() => Err(self.rate_limited(facts)),
            status => Err(RestError::Refused { status, reason: cut(&String::from_utf8_lossy(self.body)) }),
        }
    }

    pub(crate) fn rate_limited(&self, facts: &RestFacts) -> RestError {
        // A date would need a clock; the venues send seconds.
        let told = self.retry_after.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
        RestError::RateLimited { wait: told.unwrap_or(facts.wait).min(LONGEST_WAIT), banned: self.status == 418 }
    }

    pub(crate) fn refused(&self, reason: &str) -> RestError {
        RestError::Refused { status: self.status, reason: cut(reason) }
    }

    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, RestError> {
        Ok(serde_json::from_slice(self.body).map_err(|error| DecodeError::json(&error))?)
    }
}

fn cut(text: &str) -> String {
    text.chars().take(200).collect()
}

/// What may stand in a path or query as it is.
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

pub(crate) fn encode(symbol: &str) -> String {
    utf8_percent_encode(symbol, &ENCODED).to_string()
}
