//! `logger run` and `logger check-config`.

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use metrics_server::{MetricsArgs, Registry, Security};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

use super::{Failure, status::StatusLine, terminal};
use crate::{Clock, Config};

pub(super) const EXAMPLES: &str = "\
Examples:
  logger run                                     the majors of all exchanges, into ./data
  logger run --exchanges coinbase,kraken --data-path /var/lib/gpu-charts
  logger run --config logger.yaml --metrics-listen 127.0.0.1:9090
  logger run --raw-capture /var/lib/captures     and `logger replay` makes the same columns of it again
  RUST_LOG=warn,logger::feed=debug logger run    one part in detail

Exit codes: 0 after SIGTERM or SIGINT with everything on disk, 64 bad arguments or configuration, 1 anything else.";

pub(super) const CHECK_EXAMPLES: &str = "\
Examples:
  logger check-config --config logger.yaml
  logger check-config --config logger.yaml --print-config    what it amounts to

Exit codes: 0 it is fine, 64 it is not.";

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
    /// Whole days before today that are kept; older ones are removed [default: all are kept]
    #[arg(long, value_name = "DAYS")]
    pub keep_days: Option<u32>,
    /// Also keep all received data as it came, in this directory, for `logger replay`
    #[arg(long, value_name = "DIR")]
    pub raw_capture: Option<PathBuf>,
    /// The metrics endpoint; port 9090 on all addresses if nothing is said.
    #[command(flatten)]
    pub metrics: MetricsArgs,
    /// What to log, such as `debug` or `warn,logger::feed=debug` [default: info]
    #[arg(long, env = "RUST_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// Draw no status line on a terminal
    #[arg(long)]
    pub no_status: bool,
    /// Print the effective configuration and exit
    #[arg(long)]
    pub print_config: bool,
}

pub(super) fn check(args: &RunArgs) -> Result<ExitCode, Failure> {
    if configuration(args)?.is_some() {
        terminal::print("the configuration is fine\n");
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn record(args: &RunArgs) -> Result<ExitCode, Failure> {
    let Some(config) = configuration(args)? else { return Ok(ExitCode::SUCCESS) };
    let status = StatusLine::new(!args.no_status);
    let result = run(config, &status);
    status.clear();
    Ok(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    })
}

/// The configuration, checked; none if it was to be printed only.
fn configuration(args: &RunArgs) -> Result<Option<Config>, Failure> {
    let config = Config::load(args).map_err(Failure::usage)?;
    if args.print_config {
        terminal::print(&serde_saphyr::to_string(&config).map_err(Failure::usage)?);
        return Ok(None);
    }
    Security::check(&config.security).map_err(Failure::usage)?;
    Ok(Some(config))
}

fn run(config: Config, status: &StatusLine) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log).context("the log filter cannot be used")?;
    let ansi = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(status.clone()).with_ansi(ansi).init();
    if let Err(error) = column_store::raise_open_files_limit() {
        warn!(%error, "the limit of open files stays as it is");
    }
    let runtime = tokio::runtime::Runtime::new().context("the runtime cannot start")?;
    let result = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let on_signal = shutdown.clone();
        // It does not end the program from here on; the metrics endpoint listens to it once it serves.
        drop(signal(SignalKind::hangup())?);
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => info!("SIGTERM"),
                _ = interrupt.recv() => info!("SIGINT"),
            }
            on_signal.cancel();
        });
        let show = |signs| status.show(signs);
        anyhow::Ok(crate::run_watched(config, Registry::default(), Clock::system(), shutdown, show).await?)
    });
    // Whatever did not end in its grace period is not waited for again.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}
