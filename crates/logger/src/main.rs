//! `logger`: see the library.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use logger::{
    Clock, Config,
    cli::{Invocation, invocation},
};
use metrics_server::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

/// `EX_USAGE` of sysexits.h: bad arguments or configuration.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let config = match invocation(env::args_os()) {
        Ok(Invocation::Record(config)) => *config,
        Ok(Invocation::Print(text)) => {
            // Whoever closed the pipe has read enough.
            _ = io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            _ = writeln!(io::stderr(), "{}", message.trim_end());
            return USAGE.into();
        }
    };
    match record(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn record(config: Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log).context("the log filter cannot be used")?;
    let ansi = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(ansi).init();
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
        anyhow::Ok(logger::run(config, Registry::default(), Clock::system(), shutdown).await?)
    });
    // Whatever did not end in its grace period is not waited for again.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}
