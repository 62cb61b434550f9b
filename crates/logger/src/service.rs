//! Builds the logger's parts, runs them, and ends them in order: feeds, queue, recorder, endpoint.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use column_store::{Options, Store};
use metrics_server::{Endpoint, Exposition, Health, LandingPage, Registry, Security, build_info};
use tokio::{
    runtime::Handle,
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    backfill::{Backfill, Patience, Questions},
    capture::{Capture, Header},
    clock::Clock,
    config::{Config, Exchange},
    discovery::{Discovery, Pace},
    error::LoggerError,
    feed::{Feed, Shared, Suspicions, Venues},
    metrics::{CaptureMetrics, Metrics, RestMetrics},
    queue,
    recorder::{Outlets, Parts, Recorder},
    rest::{Allowances, Interface},
    symbols::Symbols,
    vital_signs::VitalSigns,
};

/// The recorder says that it is alive several times a second; a disk that hangs for this long is reported as failing,
/// because a restart is then the only way to go on recording.
const RECORDER_DEADLINE: Duration = Duration::from_secs(60);

/// After a loss the metrics stay for so long: one scrape at the usual interval of 15 s.
const LAST_SCRAPE: Duration = Duration::from_secs(16);

/// A logger whose data directory is recovered and whose sockets are bound.
pub struct Service {
    grace: Duration,
    endpoint: Endpoint,
    feeds: Vec<Feed>,
    discovery: Discovery,
    backfill: Backfill,
    venues: Arc<Venues>,
    recorder: Recorder,
    queue: queue::Receiver,
    vital_signs: VitalSigns,
}

/// Records until `shutdown`.
///
/// # Errors
/// [`LoggerError`]; every one ends the logger.
pub async fn run(
    config: Config,
    registry: Registry,
    clock: Clock,
    shutdown: CancellationToken,
) -> Result<(), LoggerError> {
    run_watched(config, registry, clock, shutdown, |_| {}).await
}

/// As [`run`]; `on_ready` gets the vital signs once recording begins.
///
/// # Errors
/// [`LoggerError`]; every one ends the logger.
pub async fn run_watched(
    config: Config,
    registry: Registry,
    clock: Clock,
    shutdown: CancellationToken,
    on_ready: impl FnOnce(VitalSigns),
) -> Result<(), LoggerError> {
    // Symbols may have to be asked for first, of a venue that does not answer.
    let prepared = tokio::select! {
        prepared = Service::prepare(config, registry, clock) => prepared?,
        () = shutdown.cancelled() => return Ok(()),
    };
    on_ready(prepared.vital_signs.clone());
    prepared.run(shutdown).await
}

impl Service {
    /// Recovers the data directory, opens it, and binds the metrics endpoint.
    ///
    /// # Errors
    /// [`LoggerError`] if the directory, an address or a certificate cannot be used.
    pub async fn prepare(config: Config, mut registry: Registry, clock: Clock) -> Result<Service, LoggerError> {
        let recording = config.recording.clone();
        // Recovery reads and cuts files: not on a thread that serves requests. First of all, for it keeps a second logger out.
        let opening = tokio::task::spawn_blocking(move || {
            let options = Options { open_files: open_files(recording.open_files), ..Options::default() };
            let store = Store::open(&recording.data_path, options)?;
            report_recovery(&store);
            Ok::<_, LoggerError>(store)
        });
        let store = opening.await.map_err(|error| ended("recorder", &error))??;

        let mut exchanges = config.exchanges.clone();
        let allowances = Allowances::open(&config.recording.data_path, clock);
        let interfaces = interfaces(&exchanges, &allowances, &mut registry, clock)?;
        let (data_path, pace) = (&config.recording.data_path, Pace::every(config.listing_refresh));
        let discovery = Discovery::resolve(&mut exchanges, &interfaces, data_path, pace, clock).await?;
        let symbols = Arc::new(Symbols::new(&exchanges, config.symbol_label_limit, clock));
        let metrics = Arc::new(Metrics::register(&mut registry, &symbols)?);
        symbols.register(&mut registry)?;
        metrics_server::process::register(&mut registry);
        metrics_server::runtime::register(&mut registry, &Handle::current());
        build_info!("gpu_charts").register(&mut registry);

        let health = Health::new("gpu-charts-logger");
        let venues = Venues::new(&metrics, health.component("feeds", None));
        let (sender, receiver) = queue::channel(config.queue_capacity);
        queue::register(&mut registry, &sender)?;
        let mut feeds = Vec::new();
        let suspicions = Suspicions::default();
        let shared = Shared {
            symbols: &symbols,
            metrics: &metrics,
            queue: &sender,
            clock,
            venues: &venues,
            allowances: &allowances,
            suspicions: &suspicions,
            captures: config.raw_capture.is_some(),
        };
        for exchange in &exchanges {
            feeds.extend(Feed::of_exchange(exchange, &shared)?);
        }
        let vital_signs = VitalSigns::new(Arc::clone(&metrics), &sender);
        let (questions, asked) = Questions::channel();
        let interfaces = if config.backfill { interfaces } else { Vec::new() };
        let backfill = Backfill::new(asked, &interfaces, &symbols, &metrics, &sender, clock, Patience::default());

        let capture = capture(&config, &exchanges, &mut registry, &health, clock)?;
        let recording = config.recording;
        let component = health.component("recorder", Some(RECORDER_DEADLINE));
        let resuming = tokio::task::spawn_blocking(move || {
            // Half of the grace period: what could not be written is still counted and told within it.
            let parts = Parts {
                recording,
                queue_capacity: config.queue_capacity,
                grace: config.shutdown_grace / 2,
                clock,
                symbols: &symbols,
                metrics,
                health: component,
                outlets: Outlets { questions: config.backfill.then_some(questions), suspicions: Some(suspicions) },
                capture,
            };
            Recorder::new(store, parts)
        });
        let recorder = resuming.await.map_err(|error| ended("recorder", &error))??;

        let security = Security::start(config.security, &mut registry).await?;
        let page = LandingPage::default().build(build_info!("gpu_charts"));
        let mut endpoint = Endpoint::builder(Exposition::new(registry), health).security(security).landing_page(page);
        for address in config.metrics_listen {
            endpoint = endpoint.listen(address);
        }
        let endpoint = endpoint.bind().await?;
        let grace = config.shutdown_grace;
        Ok(Service { grace, endpoint, feeds, discovery, backfill, venues, recorder, queue: receiver, vital_signs })
    }

    /// Where `/metrics`, `/health` and `/ready` are.
    pub fn metrics_addrs(&self) -> Vec<SocketAddr> {
        self.endpoint.local_addrs()
    }

    /// Records until `shutdown`, then ends the parts in the order in which data flows.
    ///
    /// # Errors
    /// [`LoggerError::PartEnded`] if a part dies, [`LoggerError::Unwritten`] if rows are lost, [`LoggerError::Late`] if a
    /// part does not end in time.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), LoggerError> {
        info!(metrics = ?self.metrics_addrs(), connections = self.feeds.len(), "recording");
        let (stop_feeds, stop_endpoint) = (CancellationToken::new(), CancellationToken::new());
        let mut feeds = JoinSet::new();
        for feed in self.feeds {
            feeds.spawn(feed.run(stop_feeds.clone()));
        }
        // What they bring goes the same way as that of the feeds, and ends with it.
        feeds.spawn(self.discovery.run(stop_feeds.clone()));
        feeds.spawn(self.backfill.run(stop_feeds.clone()));
        let (recorder, queue, runtime) = (self.recorder, self.queue, Handle::current());
        let mut recorder = tokio::task::spawn_blocking(move || recorder.run(queue, &runtime));
        let mut endpoint = tokio::spawn(self.endpoint.serve(stop_endpoint.clone()));

        let returned = || "it returned".to_owned();
        let mut failure = None;
        let mut endpoint_ended = false;
        tokio::select! {
            () = shutdown.cancelled() => info!("ending"),
            Some(result) = feeds.join_next() => {
                let reason = result.err().map_or_else(returned, |error| error.to_string());
                failure = Some(LoggerError::PartEnded { part: "feed", reason });
            }
            result = &mut endpoint => {
                endpoint_ended = true;
                let error = result.map_err(|error| ended("metrics endpoint", &error));
                let returned = LoggerError::PartEnded { part: "metrics endpoint", reason: returned() };
                failure = Some(error.and_then(|result| Ok(result?)).err().unwrap_or(returned));
            }
            result = &mut recorder => {
                result.map_err(|error| ended("recorder", &error))??;
                return Err(LoggerError::PartEnded { part: "recorder", reason: returned() });
            }
        }

        // Also when a part died: what is in memory must still reach the disk.
        self.venues.finish();
        stop_feeds.cancel();
        let all_feeds = async { while feeds.join_next().await.is_some() {} };
        if let Err(late) = within(self.grace, "feeds", all_feeds).await {
            // They wait for a recorder that takes no more; what it holds must reach the disk all the same.
            failure = failure.or(Some(late));
            feeds.shutdown().await;
        }
        // The last sender went with the feeds: the recorder drains the queue, flushes and syncs.
        let recorded = within(self.grace, "recorder", recorder).await?.map_err(|error| ended("recorder", &error))?;
        if matches!(recorded, Err(LoggerError::Unwritten { .. })) && !endpoint_ended {
            // What was lost is told once more to whoever watches.
            _ = tokio::time::timeout(self.grace.min(LAST_SCRAPE), &mut endpoint).await;
        }
        recorded?;
        stop_endpoint.cancel();
        if !endpoint_ended {
            let result = within(self.grace, "metrics endpoint", endpoint).await?;
            result.map_err(|error| ended("metrics endpoint", &error))??;
        }
        failure.map_or(Ok(()), Err)
    }
}

/// The REST interfaces of all exchanges, in their order.
fn interfaces(
    exchanges: &[Exchange],
    allowances: &Arc<Allowances>,
    registry: &mut Registry,
    clock: Clock,
) -> Result<Vec<Arc<Interface>>, LoggerError> {
    let names: Vec<&'static str> = exchanges.iter().map(|exchange| exchange.venue.facts().name).collect();
    let metrics = RestMetrics::register(registry, &names)?;
    let of_exchange = |(exchange, metrics)| Ok(Arc::new(Interface::new(exchange, allowances, metrics, clock)?));
    exchanges.iter().zip(metrics).map(of_exchange).collect()
}

/// Begins the raw capture, if there is to be one.
fn capture(
    config: &Config,
    exchanges: &[Exchange],
    registry: &mut Registry,
    health: &Health,
    clock: Clock,
) -> Result<Option<Capture>, LoggerError> {
    let metrics = CaptureMetrics::register(registry)?;
    let Some(directory) = &config.raw_capture else { return Ok(None) };
    let header = Header::new(clock.now_ns(), config.for_capture(exchanges));
    Capture::start(directory, header, clock, metrics, health.component("capture", None))
        .map(Some)
        .map_err(|source| LoggerError::Capture { directory: directory.clone(), source })
}

async fn within<T>(grace: Duration, part: &'static str, ending: impl Future<Output = T>) -> Result<T, LoggerError> {
    tokio::time::timeout(grace, ending).await.map_err(|_| LoggerError::Late { part, seconds: grace.as_secs() })
}

fn ended(part: &'static str, error: &JoinError) -> LoggerError {
    LoggerError::PartEnded { part, reason: error.to_string() }
}

/// Files that are left to connections, scrapes and the rest where the process may open many; else half of them are.
const OTHER_FILES: u64 = 4_096;

/// Column files to keep open.
fn open_files(wanted: usize) -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let allowed = limit.map(|limit| (limit / 2).max(limit.saturating_sub(OTHER_FILES)));
    let allowed = allowed.and_then(|allowed| usize::try_from(allowed).ok()).unwrap_or(usize::MAX);
    if allowed < wanted {
        info!(
            wanted,
            allowed, "fewer column files are kept open than asked for: the process may not open more (ulimit -n)"
        );
    }
    wanted.min(allowed)
}

fn report_recovery(store: &Store) {
    for cut in store.recovered() {
        warn!(
            file = %cut.file.display(), kept_in = %cut.kept_in.display(), bytes = cut.bytes, rows = cut.rows,
            "a column had more than the committed rows; what was beyond them is kept"
        );
    }
}
