//! `logger completions`.

use std::process::ExitCode;

use clap::Args;
use clap_complete::Shell;

use super::{Failure, terminal};

pub(super) const EXAMPLES: &str = "\
Examples:
  logger completions bash > /etc/bash_completion.d/logger
  logger completions zsh > ~/.zfunc/_logger      with ~/.zfunc in fpath
  logger completions fish > ~/.config/fish/completions/logger.fish";

/// Arguments of `completions`.
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

pub(super) fn execute(args: &CompletionsArgs, mut command: clap::Command) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "logger", &mut script);
    terminal::print(&String::from_utf8_lossy(&script));
    Ok(ExitCode::SUCCESS)
}
