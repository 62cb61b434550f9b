//! `cargo +nightly fuzz run rest`, in the crate's directory.
#![no_main]

#[path = "../src/entry.rs"]
#[allow(dead_code)]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::rest(data));
