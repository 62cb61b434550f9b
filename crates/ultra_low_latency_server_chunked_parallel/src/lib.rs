//! The data server: answers time ranges of recorded columns to chart clients over HTTP/1.1 and HTTP/2.
//!
//! `GET /api/data` is one JSON line that describes the columns, followed by their bytes; `GET /api/symbols` lists what
//! there is. A request becomes a plan (which files, which rows) before the first byte is sent. Plain HTTP/1.1 goes the fast
//! way as far as it can, everything else the general one:
//!
//! ```text
//! query ─▶ plan: open files of the index, search, clamp to committed rows ─▶ header line and rows, one send
//!          │ (from memory, else on a blocking thread)                     ├▶ large: sendfile in turns (data loop)
//!          └──────────────────────────────────────────────────────────────┴▶ large: chunk ─▶ chunk ─▶ … (general)
//! ```
//!
//! The server only reads. The data directory may grow, shrink, or not exist yet: what it lacks is named in the answers
//! and at `/ready`, and never a reason to stop.
//!
//! [`Server::bind`] opens the sockets and [`Server::run`] serves until it is told to stop; [`run`] does both.

mod api;
mod api_limits;
mod api_metrics;
mod budget;
mod chunks;
mod config;
mod cors;
mod data_answer;
mod data_loop;
mod data_port;
mod data_security;
mod etag;
mod form;
mod formats;
mod front;
mod gap_answer;
mod header_line;
mod instruments;
mod limits;
mod metrics;
mod missing;
mod page;
mod plain;
mod plan;
mod query;
mod readiness;
mod reduction;
mod room;
mod row_set;
mod rows;
mod served;
mod server;
mod shown;
mod spare;
mod status;
mod stream;
mod symbol_alias;
mod symbol_labels;
mod symbol_names;
mod symbol_search;
mod symbols;
mod table_answer;
mod table_plan;
mod table_stream;
mod turns;

pub use api_limits::ApiLimits;
pub use config::{Config, ConfigError, DataTls, Invocation};
pub use data_security::DataSecurityError;
pub use limits::Limits;
pub use server::{Server, ServerError, run};
