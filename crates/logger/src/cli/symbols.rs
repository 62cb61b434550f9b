//! `logger symbols`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{Failure, RunArgs, terminal};
use crate::{Clock, Config, SymbolList, list_symbols};

pub(super) const EXAMPLES: &str = "\
Asks the exchange over REST which symbols it has, with one request.

Examples:
  logger symbols kraken                            a table
  logger symbols coinbase '*-USD'                  those that a pattern in the configuration would match
  logger symbols okx --all --json | jq '.instruments[].symbol'
  logger symbols binance --config logger.yaml      by the rest_url and the ca_file of the configuration

Exit codes: 0 the exchange answered, 64 bad arguments or configuration, 1 anything else.";

/// Arguments of `symbols`.
#[derive(Clone, Debug, Args)]
pub struct SymbolsArgs {
    /// The exchange
    exchange: String,
    /// Only symbols that match: `*` stands for any characters, `?` for one
    pattern: Option<String>,
    /// Also those that are gone
    #[arg(long)]
    all: bool,
    /// Print one JSON document, as in instruments.json
    #[arg(long)]
    json: bool,
    /// Configuration file (YAML)
    #[arg(long, env = "LOGGER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn execute(args: SymbolsArgs) -> Result<ExitCode, Failure> {
    let SymbolsArgs { exchange, pattern, all, json, config } = args;
    let config = Config::load(&RunArgs { config, exchanges: vec![exchange], ..RunArgs::default() });
    let exchange = config.map_err(Failure::usage)?.exchanges.into_iter().next();
    let exchange = exchange.ok_or_else(|| Failure::usage("no exchange is named"))?;
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::other)?;
    let wanted = SymbolList { pattern, all, json };
    let listing = list_symbols(&exchange, &wanted, Clock::system());
    terminal::print(&runtime.block_on(listing).map_err(Failure::other)?);
    Ok(ExitCode::SUCCESS)
}
