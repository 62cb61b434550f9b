//! The commands about one exchange: `logger test` and `logger symbols`.

use std::{io, path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;
use tracing_subscriber::EnvFilter;

use super::{Failure, RunArgs, terminal};
use crate::{Clock, Config, SymbolList, config::Exchange, list_symbols, trial::Trial};

pub(super) const TEST_EXAMPLES: &str = "\
Connects and subscribes as a recording logger does, by the same code, and records nothing. For each symbol and stream it prints
when the subscription was live, when the first trade or quote came, how many came, how old they were, and the last one.

Examples:
  logger test kraken
  logger test coinbase --symbols BTC-USD,ETH-USD --for 30s
  logger test binance --config logger.yaml       with the addresses of a configuration

Exit codes: 0 every subscription was acknowledged, of every symbol something came, and REST answered; 1 not so; 64 bad
arguments.";

pub(super) const SYMBOLS_EXAMPLES: &str = "\
Asks the exchange over REST which symbols it has, with one request.

Examples:
  logger symbols coinbase
  logger symbols kraken '*/USD'                  those that a pattern in the configuration would match
  logger symbols okx --all --json                also those that are gone, for programs

Exit codes: 0 the exchange answered, 1 it did not, 64 bad arguments.";

/// Where a command finds an exchange.
#[derive(Clone, Debug, Args)]
struct ExchangeArgs {
    /// The exchange
    exchange: String,
    /// Configuration file (YAML) with its addresses, certificates and symbols
    #[arg(long, env = "LOGGER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ExchangeArgs {
    fn exchange(&self) -> Result<Exchange, Failure> {
        let ExchangeArgs { exchange, config } = self.clone();
        let args = RunArgs { config, exchanges: vec![exchange], ..RunArgs::default() };
        let config = Config::load(&args).map_err(Failure::usage)?;
        config.exchanges.into_iter().next().ok_or_else(|| Failure::usage("name an exchange"))
    }
}

/// Arguments of `test`.
#[derive(Clone, Debug, Args)]
pub struct TestArgs {
    #[command(flatten)]
    of: ExchangeArgs,
    /// Only these symbols, comma-separated [default: those of the configuration, else the majors]
    #[arg(long, value_delimiter = ',', value_name = "SYMBOLS")]
    symbols: Vec<String>,
    /// How long to listen
    #[arg(long = "for", value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    lasting: Duration,
}

/// Arguments of `symbols`.
#[derive(Clone, Debug, Args)]
pub struct SymbolsArgs {
    #[command(flatten)]
    of: ExchangeArgs,
    /// Only symbols that match, with `*` for any characters and `?` for one
    pattern: Option<String>,
    /// Also those that are gone
    #[arg(long)]
    all: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn test(args: &TestArgs) -> Result<ExitCode, Failure> {
    let mut exchange = args.of.exchange()?;
    if !args.symbols.is_empty() {
        exchange.symbols = args.symbols.iter().map(|symbol| exchange.venue.spelling(symbol)).collect();
        exchange.symbols.sort();
        exchange.symbols.dedup();
    }
    if let Some(pattern) = exchange.symbols.iter().find(|symbol| symbol.contains(['*', '?'])) {
        return Err(Failure::usage(format_args!("`{pattern}` is a pattern: name symbols with --symbols")));
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false).init();
    terminal::complain(format_args!(
        "listening to {} for {} ...",
        exchange.ws_url,
        humantime::format_duration(args.lasting)
    ));
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::other)?;
    let (trial, listed) = runtime.block_on(async {
        let wanted = SymbolList::default();
        tokio::join!(
            Trial::run(&exchange, args.lasting, Clock::system()),
            tokio::time::timeout(args.lasting, list_symbols(&exchange, &wanted, Clock::system()))
        )
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    let trial = trial.map_err(Failure::other)?;
    terminal::print(&trial.to_string());
    let rest = match listed {
        // Without the line of headings.
        Ok(Ok(table)) => Ok(table.lines().count().saturating_sub(1)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {}", humantime::format_duration(args.lasting))),
    };
    terminal::print(&match &rest {
        Ok(count) => format!("REST: {count} instruments listed by {}\n", exchange.rest_url),
        Err(reason) => format!("REST: {reason}\n"),
    });
    let is_good = trial.is_good() && rest.is_ok();
    terminal::print(if is_good { "everything works\n" } else { "something does not work\n" });
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn symbols(args: &SymbolsArgs) -> Result<ExitCode, Failure> {
    let exchange = args.of.exchange()?;
    let wanted = SymbolList { pattern: args.pattern.clone(), all: args.all, json: args.json };
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::other)?;
    let listed = runtime.block_on(list_symbols(&exchange, &wanted, Clock::system()));
    runtime.shutdown_timeout(Duration::from_secs(1));
    terminal::print(&listed.map_err(Failure::other)?);
    Ok(ExitCode::SUCCESS)
}
