//! Exchanges to test against: venues that speak the real ones' WebSocket and REST protocols on local ports, fed by a seeded
//! random-walk market or by captured frames, and a ledger that says exactly what was sent to whom.
//!
//! It shares no code with what it tests: an oracle that makes the same mistake proves nothing.
//!
//! ```no_run
//! # async fn example() -> Result<(), exchange_simulator::Error> {
//! use exchange_simulator::{Config, Simulator, settle};
//!
//! let simulator = Simulator::start(Config { keep_ledger_in_memory: true, ..Config::default() }).await?;
//! println!("connect to {}", simulator.ws_url("coinbase"));
//! // Three trades of a symbol do not come; REST has them.
//! let gap = simulator.inject(&"gap@coinbase:symbol=BTC-USD,times=3".parse()?)?;
//! println!("{} so far", simulator.fault_hits(gap));
//! simulator.pause_market();
//! let messages = settle(&simulator.ledger());
//! simulator.shutdown().await?;
//! # Ok(())
//! # }
//! ```

mod clock;
mod config;
mod connection;
mod decimal;
mod error;
mod exchange;
mod fault;
mod frame;
mod hub;
mod ledger;
mod logger_config;
mod market;
mod replay;
mod rest;
mod simulator;
mod tls;
mod venue;

pub use clock::ClockPace;
pub use config::{Config, Limits, MAX_RATE, MarketState, Replay, Tls, VenueConfig};
pub use error::{Error, Result};
pub use fault::{FAULT_HELP, Fault, FaultKind, HttpTarget, Start, Stream};
pub use ledger::{
    ControlEntry, ControlKind, ControlMessage, Entry, MAX_LINES_IN_MEMORY, MessageEntry, MessageKind, Side,
    read_ledger, settle,
};
pub use market::book::HISTORY_TRADES;
pub use market::instrument::MAX_SYMBOLS;
pub use simulator::{Disconnect, FaultId, Simulator};
pub use venue::{VenueKind, symbols};
