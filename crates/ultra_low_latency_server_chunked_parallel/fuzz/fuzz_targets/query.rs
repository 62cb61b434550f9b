//! `cargo +nightly fuzz run query`, in the crate's directory.
#![no_main]
#![allow(dead_code, unused_imports)]

#[path = "../../src/api_limits.rs"]
mod api_limits;
#[path = "../../src/form.rs"]
mod form;
#[path = "../../src/formats.rs"]
mod formats;
#[path = "../../src/limits.rs"]
mod limits;
#[path = "../../src/query.rs"]
mod query;
#[path = "../../src/reduction.rs"]
mod reduction;
#[path = "../../src/rows.rs"]
mod rows;
#[path = "../../src/shown.rs"]
mod shown;
#[path = "../../src/symbol_alias.rs"]
mod symbol_alias;

#[path = "../src/query_entry.rs"]
mod entry;
use query::{DataQuery, GapQuery, QueryError, is_beyond_plain};

/// What the parser takes from the rest of the server.
mod metrics {
    pub(crate) enum Refusal {
        Days,
        Columns,
        Files,
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::query_is_consistent(&String::from_utf8_lossy(data)));
