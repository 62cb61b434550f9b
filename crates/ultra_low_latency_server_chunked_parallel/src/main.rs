//! The data server's program: configuration, logging, signals, exit code.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use metrics_server::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use ultra_low_latency_server_chunked_parallel::{Config, Invocation, run};

/// Of freed memory twice as much is kept.
const KEPT_BYTES: usize = 8 << 20;

/// `EX_USAGE` of sysexits.h: a configuration or an argument that cannot be used.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    keep_freed_memory();
    let config = match Config::load(env::args_os(), |name| env::var_os(name)) {
        Ok(Invocation::Serve(config)) => config,
        Ok(Invocation::Print(text)) => {
            // Whoever closed the pipe has read enough.
            _ = io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            _ = writeln!(io::stderr(), "{}", error.to_string().trim_end());
            return ExitCode::from(USAGE);
        }
    };
    match serve(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Lets the allocator keep what is freed instead of giving it back to the kernel and taking it again for each large answer, which
/// takes a fifth of the time. glibc moves its thresholds to the largest block that came from the kernel by itself and was
/// freed, and to twice that: mallopt(3), `M_MMAP_THRESHOLD`.
fn keep_freed_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(KEPT_BYTES)));
}

fn serve(config: &Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("the runtime cannot start")?;
    let result = runtime.block_on(serve_until_signal(config));
    // A read that hangs on a dead disk is not waited for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve_until_signal(config: &Config) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&config.log).context("the log filter cannot be used")?)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    if config.warn_plain {
        tracing::warn!("serving plain HTTP: no certificate is configured; USE_TLS=false says that this is meant");
    }
    if let Err(error) = column_store::raise_open_files_limit() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let shutdown = CancellationToken::new();
    // It does not end the program from here on; the metrics endpoint listens to it once it serves.
    drop(signal(SignalKind::hangup())?);
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: finishing the answers under way"),
            _ = interrupt.recv() => tracing::info!("SIGINT: finishing the answers under way"),
        }
        stop.cancel();
    });
    run(config, Registry::default(), shutdown).await?;
    tracing::info!("stopped");
    Ok(())
}
