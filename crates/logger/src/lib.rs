//! The logger: records public market data from exchange WebSocket feeds into daily column files.
//!
//! Data flows one way: a feed per connection decodes frames into facts, a bounded queue carries them to the one recorder
//! thread, which makes rows of them and owns the [`column_store::Store`].

mod backfill;
mod capture;
pub mod cli;
mod clock;
pub mod config;
mod discovery;
mod error;
mod feed;
mod market;
mod metrics;
mod queue;
mod received;
mod recorder;
mod rest;
mod service;
mod symbols;
mod tls;
mod trade_ids;
mod trial;
mod vital_signs;
mod vwap;

pub use clock::Clock;
pub use config::Config;
pub use discovery::{SymbolList, list_symbols};
pub use error::LoggerError;
pub use service::{Service, run, run_watched};
pub use vital_signs::{VitalSigns, Vitals};
