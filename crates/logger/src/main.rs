//! `logger`: see the library.

use std::{io::Write as _, process::ExitCode, time::Duration};

use clap::Parser as _;
use logger::{
    Clock, Config, LoggerError,
    cli::{Cli, Command},
};
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

/// `EX_USAGE`: bad arguments or configuration.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            _ = error.print();
            return if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    let check_only = matches!(cli.command, Some(Command::CheckConfig(_)));
    let args = match cli.command {
        None => cli.run,
        Some(Command::Run(args) | Command::CheckConfig(args)) => args,
    };
    let config = match Config::load(&args) {
        Ok(config) => config,
        Err(error) => return say(USAGE, &format!("logger: {error}")),
    };
    if args.print_config {
        return match serde_saphyr::to_string(&config) {
            Ok(yaml) => print(&yaml),
            Err(error) => say(1, &format!("logger: {error}")),
        };
    }
    if check_only {
        return print("the configuration is fine\n");
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return say(1, &format!("logger: cannot start the runtime: {error}")),
    };
    let result = runtime.block_on(record(config));
    // Whatever did not end in its grace period is not waited for again.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(%error, "the logger ended");
            ExitCode::FAILURE
        }
    }
}

async fn record(config: Config) -> Result<(), LoggerError> {
    let shutdown = CancellationToken::new();
    let on_signal = shutdown.clone();
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return Err(LoggerError::PartEnded { part: "signal handler", reason: "it cannot be installed".to_owned() });
    };
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => info!("SIGTERM"),
            _ = interrupt.recv() => info!("SIGINT"),
        }
        on_signal.cancel();
    });
    logger::run(config, Registry::default(), Clock::system(), shutdown).await
}

fn say(code: u8, text: &str) -> ExitCode {
    _ = writeln!(std::io::stderr(), "{text}");
    code.into()
}

fn print(text: &str) -> ExitCode {
    if std::io::stdout().write_all(text.as_bytes()).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
