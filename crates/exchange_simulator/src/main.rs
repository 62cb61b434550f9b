//! `exchange_simulator`: see `--help`.

mod cli;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use exchange_simulator::{Error, Simulator};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Invocation};

/// `EX_USAGE`: the arguments are to blame.
const EXIT_USAGE: u8 = 64;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, for stdout and with success. A closed stdout is nobody's concern.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let outcome = match cli.invocation() {
        Ok(invocation) => Box::pin(run(invocation)).await,
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            let usage = error.downcast_ref::<Error>().is_some_and(Error::is_usage);
            ExitCode::from(if usage { EXIT_USAGE } else { 1 })
        }
    }
}

async fn run(invocation: Invocation) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let mut simulator = Simulator::start(invocation.config).await?;
    if let Some(path) = &invocation.logger_config {
        publish(path, &simulator.logger_config()).with_context(|| format!("--logger-config {}", path.display()))?;
    }
    let failure = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        () = tokio::time::sleep(invocation.duration.unwrap_or(Duration::MAX)) => None,
        failure = simulator.failure() => Some(failure),
    };
    let ended = simulator.shutdown().await;
    Ok(failure.map_or(Ok(()), Err).and(ended)?)
}

/// Prints `text` for `-`; else puts it at `path` in one step, so that nobody reads half of it.
fn publish(path: &Path, text: &str) -> io::Result<()> {
    if path == Path::new("-") {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        return stdout.flush();
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, text)?;
    std::fs::rename(&partial, path)
}
