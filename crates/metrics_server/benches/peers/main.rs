//! This crate beside the libraries and servers that do the same, in one run; `scripts/bench-metrics-server.sh` starts it.
//! Absolute times depend on the machine; the ratios are what counts.
#![allow(clippy::print_stdout, clippy::expect_used)]

mod contender;
mod encode;
mod flood;
mod increment;
mod load;
mod scrape;
mod server;
mod stall;
mod table;

/// A benchmark and its name on the command line.
const BENCHMARKS: [(&str, fn()); 6] = [
    ("increment", increment::labelled),
    ("contended", increment::by_two_threads),
    ("encode", encode::hundred_thousand),
    ("stall", stall::longest),
    ("scrape", scrape::gzip),
    ("flood", flood::wrong_passwords),
];

fn main() {
    // cargo bench passes --bench.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if let [serve, kind] = arguments.as_slice()
        && serve == "serve"
    {
        return server::run(kind);
    }
    for (name, benchmark) in BENCHMARKS {
        if arguments.is_empty() || arguments.iter().any(|wanted| wanted == name) {
            benchmark();
        }
    }
}
