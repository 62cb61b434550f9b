//! The command line.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use metrics_server::{MetricsArgs, Security};

use crate::Config;

const EXAMPLES: &str = "\
Examples:
  logger                                         the majors of all exchanges, into ./data
  logger run --exchanges coinbase --data-path /var/lib/gpu-charts
  logger run --config logger.yaml --metrics-listen 127.0.0.1:9090
  logger check-config --config logger.yaml       exit code 64 and the reason if it is wrong
  logger run --config logger.yaml --print-config the effective configuration, then exit";

/// Records public market data from exchange WebSocket feeds into daily column files.
#[derive(Debug, Parser)]
#[command(name = "logger", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
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
    Run(RunArgs),
    /// Check the configuration and say what is wrong with it
    CheckConfig(RunArgs),
}

/// Arguments that shape the configuration.
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    /// Configuration file (YAML)
    #[arg(long, env = "LOGGER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Record only these exchanges, comma-separated
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub exchanges: Vec<String>,
    /// Directory of the column files [default: ./data]
    #[arg(long, env = "LOGGER_DATA_PATH", value_name = "DIR")]
    pub data_path: Option<PathBuf>,
    /// The metrics endpoint; port 9090 on all addresses if nothing is said.
    #[command(flatten)]
    pub metrics: MetricsArgs,
    /// What to log, such as `debug` or `warn,logger::feed=debug` [default: info]
    #[arg(long, env = "RUST_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// Print the effective configuration and exit
    #[arg(long)]
    pub print_config: bool,
}

/// What a command line asks for.
pub enum Invocation {
    /// Record with this configuration.
    Record(Box<Config>),
    /// Print this and end.
    Print(String),
}

/// Understands a command line, with the environment and the configuration file.
///
/// # Errors
/// The message for whoever typed it.
pub fn invocation(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, String> {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => return Err(error.to_string()),
        Err(help) => return Ok(Invocation::Print(help.to_string())),
    };
    let check_only = matches!(cli.command, Some(Command::CheckConfig(_)));
    let args = match cli.command {
        None => cli.run,
        Some(Command::Run(args) | Command::CheckConfig(args)) => args,
    };
    let config = Config::load(&args).map_err(|error| format!("logger: {error}"))?;
    if args.print_config {
        let yaml = serde_saphyr::to_string(&config).map_err(|error| format!("logger: {error}"))?;
        return Ok(Invocation::Print(yaml));
    }
    Security::check(&config.security).map_err(|error| format!("logger: {error}"))?;
    if check_only {
        return Ok(Invocation::Print("the configuration is fine\n".to_owned()));
    }
    Ok(Invocation::Record(Box::new(config)))
}
