//! `logger`: see the library.

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    logger::cli::execute(env::args_os())
}
