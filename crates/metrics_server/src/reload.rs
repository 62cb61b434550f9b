//! A security configuration that follows its files: changed ones are checked and applied as a whole, and the last good
//! ones stay in force while there is anything wrong with the new.

mod metrics;
mod watch;

pub use metrics::ReloadMetrics;

use crate::args::SecuritySource;
use crate::web_config::{WebConfig, WebConfigError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use watch::{Print, Step, Watch};

/// How often files are looked at; a change is applied after one to two of these. Certificates are replaced days before
/// they expire, and whoever edits a file waits this long without wondering.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// Requests for a reload that may wait; a further one waits outside.
const REQUESTS_MAX: usize = 4;

/// The error of a function that prepares what is applied.
pub type PrepareError = Box<dyn std::error::Error + Send + Sync>;

type Prepare<T> = Arc<dyn Fn(&WebConfig) -> Result<T, PrepareError> + Send + Sync>;

/// Why a configuration was not applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// It cannot be read.
    #[error(transparent)]
    Load(#[from] WebConfigError),
    /// What it names cannot be used, such as a key that does not belong to its certificate.
    #[error("{source}")]
    Prepare {
        /// What is wrong.
        source: PrepareError,
    },
    /// There is nobody to do it: the endpoint has ended.
    #[error("the endpoint has ended")]
    Ended,
}

/// Loads a configuration, makes a `T` of it, and does so again when it changes.
///
/// `T` is all that has to change at once, such as a [`Policy`](crate::Policy) and a TLS configuration; it is made anew
/// from the whole configuration and handed over only if nothing is wrong with any of it.
///
/// ```no_run
/// # async fn run(args: metrics_server::MetricsArgs, stop: tokio_util::sync::CancellationToken) -> Result<(), Box<dyn std::error::Error>> {
/// use metrics_server::{Guard, GuardMetrics, Policy, RELOAD_INTERVAL, ReloadMetrics, Reloader};
///
/// let mut registry = metrics_server::Registry::new();
/// let (guard_metrics, reload_metrics) = (GuardMetrics::register(&mut registry)?, ReloadMetrics::register(&mut registry)?);
/// let prepare = |config: &metrics_server::web_config::WebConfig| Ok(Policy::load(config)?);
/// let (policy, reloader) = Reloader::start(args.security()?, reload_metrics, prepare).await?;
/// let guard = Guard::new(policy, guard_metrics)?;
///
/// let on_sighup = reloader.handle();
/// let apply = { let guard = guard.clone(); move |policy| guard.apply(policy) };
/// tokio::spawn(reloader.run(RELOAD_INTERVAL, apply, stop));
/// // guard.layer(service) goes to http_serve; on_sighup.reload_now().await reloads at once.
/// # Ok(())
/// # }
/// ```
pub struct Reloader<T> {
    source: SecuritySource,
    prepare: Prepare<T>,
    metrics: ReloadMetrics,
    watch: Watch,
    /// The files that the configuration in force names.
    files: Vec<PathBuf>,
    /// What was wrong last, for as long as something is.
    failure: Option<String>,
    requests: mpsc::Receiver<oneshot::Sender<Result<(), ReloadError>>>,
    handle: ReloadHandle,
}

/// Asks a [`Reloader`] to reload at once, such as on SIGHUP.
#[derive(Clone, Debug)]
pub struct ReloadHandle {
    requests: mpsc::Sender<oneshot::Sender<Result<(), ReloadError>>>,
}

impl ReloadHandle {
    /// Reloads without waiting for the files to come to rest, and whether or not they have changed.
    ///
    /// # Errors
    ///
    /// [`ReloadError`] if the configuration cannot be used; the last good one stays in force.
    pub async fn reload_now(&self) -> Result<(), ReloadError> {
        let (answer, done) = oneshot::channel();
        self.requests.send(answer).await.map_err(|_| ReloadError::Ended)?;
        done.await.unwrap_or(Err(ReloadError::Ended))
    }
}

/// A configuration that was read, with what the files looked like before and after.
struct Loaded<T> {
    ready: T,
    files: Vec<PathBuf>,
    before: Print,
    after: Print,
}

impl<T: Send + 'static> Reloader<T> {
    /// Loads the configuration for the first time, and returns what `prepare` makes of it.
    ///
    /// `prepare` may read files and take its time; it does not run on the async workers.
    ///
    /// # Errors
    ///
    /// [`ReloadError`]: there is no last good configuration yet, so a program should not go on.
    pub async fn start(
        source: SecuritySource,
        metrics: ReloadMetrics,
        prepare: impl Fn(&WebConfig) -> Result<T, PrepareError> + Send + Sync + 'static,
    ) -> Result<(T, Self), ReloadError> {
        let prepare: Prepare<T> = Arc::new(prepare);
        let loaded = load(&source, &prepare).await?;
        metrics.loaded();
        let (sender, requests) = mpsc::channel(REQUESTS_MAX);
        // What changed while it was read differs from `before`, and is read again.
        let (watch, files) = (Watch::new(loaded.before), loaded.files);
        let handle = ReloadHandle { requests: sender };
        Ok((loaded.ready, Self { source, prepare, metrics, watch, files, failure: None, requests, handle }))
    }

    /// For reloading at once.
    pub fn handle(&self) -> ReloadHandle {
        self.handle.clone()
    }

    /// Looks at the files every `every` and hands what changed to `apply`, until `shutdown` is cancelled.
    pub async fn run(mut self, every: Duration, mut apply: impl FnMut(T) + Send, shutdown: CancellationToken) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                // The channel never closes, since this side has a handle too.
                Some(answer) = self.requests.recv() => {
                    // A file system that hangs does not hold up the end.
                    let reloaded = tokio::select! {
                        biased;
                        () = shutdown.cancelled() => return,
                        reloaded = self.reload(&mut apply, true) => reloaded,
                    };
                    // Whoever asked may have gone.
                    let _ = answer.send(reloaded);
                }
                _ = ticks.tick(), if !self.source.is_open() => tokio::select! {
                    biased;
                    () = shutdown.cancelled() => return,
                    () = self.look(&mut apply) => {}
                },
            }
        }
    }

    async fn look(&mut self, apply: &mut impl FnMut(T)) {
        let (source, files) = (self.source.clone(), self.files.clone());
        let now = match tokio::task::spawn_blocking(move || watch::look(&source, &files)).await {
            Ok(now) => now,
            Err(panic) => return self.failed(&ReloadError::Prepare { source: panic.into() }),
        };
        match self.watch.step(now) {
            Step::Settle => {}
            Step::Nothing => {
                if self.failure.take().is_some() {
                    self.metrics.recovered();
                    tracing::info!("the security configuration is again the one in force");
                }
            }
            // Reported there.
            Step::Reload => drop(self.reload(apply, false).await),
        }
    }

    /// Loads and applies; `is_asked` even if the files change at this moment.
    async fn reload(&mut self, apply: &mut impl FnMut(T), is_asked: bool) -> Result<(), ReloadError> {
        let loaded = match load(&self.source, &self.prepare).await {
            Ok(loaded) => loaded,
            Err(error) => {
                self.failed(&error);
                return Err(error);
            }
        };
        if loaded.before != loaded.after && !is_asked {
            // Somebody is writing: the next look sees another print, and waits for it to come to rest.
            return Ok(());
        }
        self.watch.applied(loaded.before);
        self.files = loaded.files;
        self.failure = None;
        apply(loaded.ready);
        self.metrics.reloaded();
        tracing::info!("the security configuration was reloaded");
        Ok(())
    }

    /// A failure is tried again at every look, since it may pass without a change; it is told once.
    fn failed(&mut self, error: &ReloadError) {
        let message = error.to_string();
        if self.failure.as_ref() != Some(&message) {
            tracing::error!(error = %message, "the security configuration cannot be used, the last good one stays in force");
            self.metrics.failed();
            self.failure = Some(message);
        }
    }
}

async fn load<T: Send + 'static>(source: &SecuritySource, prepare: &Prepare<T>) -> Result<Loaded<T>, ReloadError> {
    let (source, prepare) = (source.clone(), Arc::clone(prepare));
    let loaded = tokio::task::spawn_blocking(move || {
        let before = watch::look(&source, &[]);
        let config = source.load()?;
        let ready = prepare(&config).map_err(|source| ReloadError::Prepare { source })?;
        let files = config.files().into_iter().map(Into::into).collect();
        Ok(Loaded { ready, files, before, after: watch::look(&source, &[]) })
    });
    // A panic in `prepare` is a failure like any other.
    loaded.await.unwrap_or_else(|panic| Err(ReloadError::Prepare { source: panic.into() }))
}
