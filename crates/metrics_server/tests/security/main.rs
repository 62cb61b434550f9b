//! An endpoint as a whole, secured by what an operator writes down and seen from outside.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests are tests too, and print what they measured

mod attackers;
#[allow(dead_code)]
#[path = "../tls/certificates.rs"]
mod certificates;
mod child;
#[allow(dead_code)]
#[path = "../http/client.rs"]
mod client;
mod credentials;
mod fixture;
mod flags;
mod headers;
mod layers;
mod listeners;
#[allow(dead_code)]
#[path = "../tls/peers.rs"]
mod peers;
mod program;
mod reloading;
mod running;
mod scraper;
mod tls;
