//! `cargo +nightly fuzz run query`, in the crate's directory.
#![no_main]
#![allow(dead_code, unused_imports)]

#[path = "../../src"]
mod server {
    pub(crate) mod api_limits;
    pub(crate) mod form;
    pub(crate) mod formats;
    pub(crate) mod limits;
    pub(crate) mod plain;
    pub(crate) mod query;
    pub(crate) mod reduction;
    pub(crate) mod rows;
    pub(crate) mod shown;
    pub(crate) mod symbol_alias;
}
// Where its files look for one another.
use server::{api_limits, form, formats, limits, plain, query, reduction, rows, shown, symbol_alias};

#[path = "../src/query_entry.rs"]
mod entry;
use query::{DataQuery, GapQuery, QueryError};

/// What the parser takes from the rest of the server.
mod metrics {
    pub(crate) enum Refusal {
        Days,
        Columns,
        Files,
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::query_is_consistent(&String::from_utf8_lossy(data)));
