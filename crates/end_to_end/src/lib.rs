//! What the whole-system tests share: programs under test, a client of the data API and of `/metrics` that shares no code
//! with either, and waiting with a deadline.
//!
//! This crate has tests only; a broken promise here is a panic that says what was expected.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::missing_panics_doc)]

pub mod audit;
pub mod data;
pub mod files;
pub mod golden;
pub mod http;
pub mod metrics;
pub mod oracle;
pub mod power;
pub mod program;
pub mod prometheus;
pub mod run;
pub mod services;

use std::{
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::Instant;

/// The project's root directory.
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Waits until `check` gives a value; after `limit` it panics with `what` was waited for.
pub async fn eventually<T, F>(what: &str, limit: Duration, mut check: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {} s for {what}", limit.as_secs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
