//! The exchanges' public WebSocket protocols as pure functions: frames out for subscribing and keeping alive, frames in
//! to normalised [`Event`]s.
//!
//! Nothing here does I/O, reads a clock or logs. A [`Venue`] is a table of [`Facts`] and a maker of [`Session`]s; a session
//! is the state that one connection's frames need to be understood (acknowledgements, channel numbers, a kept book). The
//! facts and their sources: `docs/protocols.md`.

pub mod binance;
pub mod coinbase;
mod decimal;
mod error;
mod event;
mod time;
mod venue;

pub use decimal::Decimal;
pub use error::DecodeError;
pub use event::{Event, Level, MessageType, Notice, Quote, Side, Trade};
pub use venue::{Facts, IdRule, Session, Stream, Subscription, Venue};

/// All venues, by name.
pub fn venues() -> [&'static dyn Venue; 2] {
    [&binance::Binance, &coinbase::Coinbase]
}

/// The venue with that name.
pub fn venue(name: &str) -> Option<&'static dyn Venue> {
    venues().into_iter().find(|venue| venue.facts().name == name)
}
