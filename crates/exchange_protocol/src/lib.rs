//! The exchanges' public protocols as pure functions: frames out for subscribing and keeping alive, frames in to normalised
//! [`Event`]s, and requests and answers of their [`Rest`] interfaces.
//!
//! Nothing here does I/O, reads a clock or logs. A [`Venue`] is a table of [`Facts`] and a maker of [`Session`]s; a session
//! is the state that one connection's frames need to be understood (acknowledgements, channel numbers, a kept book). The
//! facts and their sources: `docs/protocols.md`.

pub mod binance;
pub mod bitfinex;
mod book;
pub mod coinbase;
mod crc32;
mod decimal;
mod error;
mod event;
pub mod kraken;
mod lexeme;
pub mod okx;
mod rest;
mod scan;
mod time;
mod venue;

pub use decimal::Decimal;
pub use error::DecodeError;
pub use event::{BookFault, Event, Level, MessageType, Notice, Quote, Side, Trade};
pub use rest::{Answer, BackfillBy, Instrument, InstrumentStatus, Missing, Page, Request, Rest, RestError, RestFacts};
pub use venue::{Budget, Facts, IdRule, Liveness, Session, Stream, Subscription, Venue};

/// All venues, by name; each with its true best bid and ask.
pub fn venues() -> [&'static dyn Venue; 5] {
    [&binance::Binance, &bitfinex::Bitfinex, &coinbase::LEVEL2, &kraken::TICKER, &okx::Okx]
}

/// The venue with that name, of [`venues`].
pub fn venue(name: &str) -> Option<&'static dyn Venue> {
    venues().into_iter().find(|venue| venue.facts().name == name)
}
