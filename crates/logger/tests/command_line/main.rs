//! The program as whoever types it sees it: exit codes, and messages that say what is wrong, where, and what would be right.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod configuration;
mod data;
mod exchange;
mod help;
mod migrate;
mod replay;
mod symbols;
mod verify;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

/// The logger, in an environment that says nothing.
fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logger"));
    command.env_clear();
    command
}

/// What a run printed and how it ended.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

fn run(args: &[&str]) -> Ran {
    let Output { status, stdout, stderr } = program().args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code().unwrap(), stdout: text(stdout), stderr: text(stderr) }
}

impl Ran {
    /// It ended with this code, and what it printed has all of `parts`.
    fn says(&self, code: i32, parts: &[&str]) {
        let all = format!("{}{}", self.stdout, self.stderr);
        assert_eq!(self.code, code, "{all}");
        for part in parts {
            assert!(all.contains(part), "`{part}` is not in:\n{all}");
        }
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
