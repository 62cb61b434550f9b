//! `cargo +nightly fuzz run head`, in the crate's directory.
#![no_main]
#![allow(dead_code)]

#[path = "../../src/data_loop/head.rs"]
mod head;
use head::{Head, head};

#[path = "../../src/plain.rs"]
mod plain;

#[path = "../src/entry.rs"]
mod entry;

/// What the parser takes from the rest of the server.
mod metrics {
    pub(crate) const DATA_PATH: &str = "/api/data";
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::head_is_consistent(data));
