//! TLS seen through `openssl s_client` and `curl`.

#![allow(clippy::unwrap_used)] // helpers of tests are tests too

mod certificates;
#[allow(dead_code)]
#[path = "../http/client.rs"]
mod client;
mod clients_certificates;
mod limits;
mod peers;
mod replacement;
mod setup;
mod versions;
