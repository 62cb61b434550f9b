//! The command line.

mod completions;
mod exchange;
mod migrate;
mod progress;
mod replay;
mod run;
mod status;
mod terminal;
mod verify;

use std::{ffi::OsString, fmt, process::ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand};

pub use completions::CompletionsArgs;
pub use exchange::{SymbolsArgs, TestArgs};
pub use migrate::MigrateArgs;
pub use replay::ReplayArgs;
pub use run::RunArgs;
pub use verify::VerifyArgs;

/// `EX_USAGE` of sysexits.h: bad arguments or configuration.
const USAGE: u8 = 64;

const EXAMPLES: &str = "\
Examples:
  logger                                         record the majors of all exchanges, into ./data
  logger run --exchanges coinbase --data-path /var/lib/gpu-charts
  logger check-config --config logger.yaml       exit code 64 and the reason if it is wrong
  logger run --config logger.yaml --print-config the effective configuration, then exit
  logger test kraken                             does the exchange answer?
  logger symbols coinbase                        what does it list?
  logger verify /var/lib/gpu-charts              0 missing, or what is wrong
  logger replay captures --data-path again       the columns of a raw capture
  logger migrate /old/data /var/lib/gpu-charts   take over what the ancestor recorded

`logger COMMAND --help` has more of each.";

const EXIT_CODES: &str = "\
Exit codes: 0 all is well, 64 bad arguments or configuration, 1 anything else.";

/// Records public market data from exchange WebSocket feeds into daily column files.
#[derive(Debug, Parser)]
#[command(name = "logger", version, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do; `run` if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The arguments of `run`.
    #[command(flatten)]
    pub run: RunArgs,
}

/// What the logger can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record until SIGTERM or SIGINT
    #[command(after_long_help = run::EXAMPLES)]
    Run(RunArgs),
    /// Check the configuration and say what is wrong with it
    #[command(after_long_help = run::CHECK_EXAMPLES)]
    CheckConfig(RunArgs),
    /// Connect to an exchange and say what arrives
    #[command(after_long_help = exchange::TEST_EXAMPLES)]
    Test(TestArgs),
    /// List an exchange's symbols
    #[command(after_long_help = exchange::SYMBOLS_EXAMPLES)]
    Symbols(SymbolsArgs),
    /// Prove that a data directory is whole, or say what is missing or damaged
    #[command(after_long_help = verify::EXAMPLES)]
    Verify(VerifyArgs),
    /// Bring a directory that the ancestor wrote under our format, as a copy
    #[command(after_long_help = migrate::EXAMPLES)]
    Migrate(MigrateArgs),
    /// Make the columns of raw captures again
    #[command(after_long_help = replay::EXAMPLES)]
    Replay(ReplayArgs),
    /// Print what makes a shell complete the logger's commands and flags
    #[command(after_long_help = completions::EXAMPLES)]
    Completions(CompletionsArgs),
}

/// Why a command could not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// Whoever typed it has to type something else.
    pub(crate) fn usage(message: impl fmt::Display) -> Failure {
        Failure { code: USAGE, message: message.to_string() }
    }

    /// Something that is not the caller's mistake.
    pub(crate) fn other(message: impl fmt::Display) -> Failure {
        Failure { code: 1, message: message.to_string() }
    }
}

/// Understands a command line, with the environment and the configuration file, and does what it says.
pub fn execute(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // To a reader that is gone nothing can be said.
            _ = error.print();
            return if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    let result = match cli.command {
        None => run::record(&cli.run),
        Some(Command::Run(args)) => run::record(&args),
        Some(Command::CheckConfig(args)) => run::check(&args),
        Some(Command::Test(args)) => exchange::test(&args),
        Some(Command::Symbols(args)) => exchange::symbols(&args),
        Some(Command::Verify(args)) => verify::execute(&args),
        Some(Command::Migrate(args)) => migrate::execute(&args),
        Some(Command::Replay(args)) => replay::execute(&args),
        Some(Command::Completions(args)) => completions::execute(&args, Cli::command()),
    };
    result.unwrap_or_else(|failure| {
        terminal::complain(format_args!("logger: {}", failure.message.trim_end()));
        failure.code.into()
    })
}
