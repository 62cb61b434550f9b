//! One shard of a venue's subscriptions, carried without a break as far as the venue allows: a connection that will end is
//! replaced before it ends, and one that ended is opened again.

use std::{sync::Arc, time::Duration};

use rand::Rng as _;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info, info_span, warn};

use super::{
    Context,
    backoff::Backoff,
    connection::{Connection, Ended, Leave},
    shard::Shard,
};

/// A connection that carried its subscriptions this long has proven itself: the next retry is immediate again.
const PROVEN_AFTER: Duration = Duration::from_secs(30);
/// A connection is left before the venue's limit by such a share of it, at random in between: those opened together do not all
/// end together. Of a day it is ten minutes to an hour.
const LIFETIME_MARGIN: [f64; 2] = [1.0 / 144.0, 1.0 / 24.0];
/// A connection on which subscribing anew does not help is not replaced more often than this.
const BETWEEN_REPLACEMENTS: Duration = Duration::from_secs(60);
/// How long a connection goes on after another has taken over: what is on its way on it may be older than what the other one
/// began with.
const LINGER: Duration = Duration::from_secs(1);
/// Between attempts while the venue is in maintenance: what Kraken asks for.
const MAINTENANCE_PAUSE: Duration = Duration::from_secs(5);

/// What a connection reports while it lasts.
#[derive(Debug)]
pub(crate) enum Report {
    /// The handshake is done.
    Opened,
    /// It carries all that the venue does not refuse.
    Settled,
    /// It should be replaced while it lasts.
    Leave(Leave),
}

/// A shard, and its connections one after the other.
pub(crate) struct Line {
    pub(crate) context: Arc<Context>,
    pub(crate) shard: Arc<Shard>,
    /// 0, or which of the spare ones it is.
    pub(crate) spare: usize,
}

/// A connection in a task of its own.
struct Carrier {
    number: u64,
    stop: CancellationToken,
    opened: Option<Instant>,
    settled: bool,
}

/// How a carrier ended.
struct Done {
    number: u64,
    ended: Ended,
    in_maintenance: bool,
}

struct Run {
    line: Line,
    tasks: JoinSet<Done>,
    reports: mpsc::UnboundedSender<(u64, Report)>,
    started: u64,
    current: Option<Carrier>,
    /// Takes over as soon as it carries all.
    next: Option<Carrier>,
    /// The one before.
    old: Option<Carrier>,
    backoff: Backoff,
    /// When to open another connection.
    open_at: Option<Instant>,
    /// When the one before is to end.
    end_old_at: Option<Instant>,
    /// When the current one is too old.
    leave_at: Option<Instant>,
    replaced_at: Option<Instant>,
    connected_before: bool,
}

impl Line {
    /// Runs until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let (name, path, spare) = (self.context.venue.facts().name, self.shard.path, self.spare);
        Run::until(self, shutdown).instrument(info_span!("feed", exchange = name, path, spare)).await;
    }
}

impl Run {
    async fn until(line: Line, shutdown: CancellationToken) {
        let (reports, mut reported) = mpsc::unbounded_channel();
        let mut run = Run {
            line,
            tasks: JoinSet::new(),
            reports,
            started: 0,
            current: None,
            next: None,
            old: None,
            backoff: Backoff::default(),
            open_at: Some(Instant::now()),
            end_old_at: None,
            leave_at: None,
            replaced_at: None,
            connected_before: false,
        };
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some((number, report)) = reported.recv() => run.report(number, &report),
                Some(done) = run.tasks.join_next() => match done {
                    Ok(done) => run.done(&done),
                    // A part that panics ends the logger.
                    Err(panic) if panic.is_panic() => std::panic::resume_unwind(panic.into_panic()),
                    Err(_) => {}
                },
                () = sleep_until(run.open_at.unwrap_or_else(Instant::now)), if run.open_at.is_some() => run.open(),
                () = sleep_until(run.end_old_at.unwrap_or_else(Instant::now)), if run.end_old_at.is_some() => run.end_old(),
                () = sleep_until(run.leave_at.unwrap_or_else(Instant::now)), if run.leave_at.is_some() => {
                    run.leave_at = None;
                    run.replace(&Leave::Age);
                }
            }
        }
        run.end_old();
        for carrier in [run.current, run.next].into_iter().flatten() {
            carrier.stop.cancel();
        }
        while run.tasks.join_next().await.is_some() {}
    }

    /// Opens a connection: the only one, or the one to come.
    fn open(&mut self) {
        self.open_at = None;
        self.started += 1;
        let (number, stop) = (self.started, CancellationToken::new());
        let carrier = Carrier { number, stop: stop.clone(), opened: None, settled: false };
        if self.current.is_none() {
            self.current = Some(carrier);
        } else {
            self.next = Some(carrier);
        }
        let (context, shard) = (Arc::clone(&self.line.context), Arc::clone(&self.line.shard));
        let reports = self.reports.clone();
        let carry = async move {
            // Nobody listens any more once the logger ends.
            let report = |report| _ = reports.send((number, report));
            let opened = tokio::select! {
                biased;
                () = stop.cancelled() => Err(Ended::Stopped),
                opened = Connection::open(&context, &shard) => opened,
            };
            match opened {
                Ok(mut connection) => {
                    report(Report::Opened);
                    let ended = connection.carry(&context, &report, &stop).await;
                    Done { number, ended, in_maintenance: connection.in_maintenance() }
                }
                Err(ended) => Done { number, ended, in_maintenance: false },
            }
        };
        self.tasks.spawn(carry.in_current_span());
    }

    fn carrier(&mut self, number: u64) -> Option<&mut Carrier> {
        [self.current.as_mut(), self.next.as_mut()].into_iter().flatten().find(|carrier| carrier.number == number)
    }

    fn report(&mut self, number: u64, report: &Report) {
        let is_current = self.current.as_ref().is_some_and(|current| current.number == number);
        match report {
            Report::Opened => {
                if let Some(carrier) = self.carrier(number) {
                    carrier.opened = Some(Instant::now());
                }
                if self.connected_before {
                    self.line.context.metrics.reconnections.inc();
                }
                self.connected_before = true;
                self.leave_at = self.line.context.lifetime.map(|lifetime| Instant::now() + before_end(lifetime));
            }
            Report::Settled => {
                if let Some(carrier) = self.carrier(number) {
                    carrier.settled = true;
                }
                if !is_current && let Some(next) = self.next.take_if(|next| next.number == number) {
                    self.take_over(next);
                }
            }
            Report::Leave(leave) if is_current => self.replace(leave),
            // A newer one than that comes when this one has taken over, or ends.
            Report::Leave(_) => {}
        }
    }

    /// The current connection goes on until another one carries all.
    fn replace(&mut self, leave: &Leave) {
        if self.next.is_some() || self.open_at.is_some() {
            return;
        }
        info!(reason = %leave, "the connection is to be replaced");
        let earliest = match leave {
            Leave::Useless => self.replaced_at.map(|replaced| replaced + BETWEEN_REPLACEMENTS),
            Leave::Announced | Leave::Age => None,
        };
        let now = Instant::now();
        let is_proven =
            |current: &Carrier| current.settled && current.opened.is_some_and(|at| now - at >= PROVEN_AFTER);
        if self.current.as_ref().is_some_and(is_proven) {
            self.backoff.reset();
        }
        self.open_at = Some(earliest.map_or(now, |earliest| earliest.max(now)) + self.backoff.next());
        self.replaced_at = self.open_at;
    }

    fn take_over(&mut self, next: Carrier) {
        if let Some(old) = self.current.replace(next) {
            info!("another connection has taken over");
            self.line.context.feed_metrics.replaced.inc();
            self.end_old();
            (self.old, self.end_old_at) = (Some(old), Some(Instant::now() + LINGER));
        }
    }

    fn end_old(&mut self) {
        self.end_old_at = None;
        if let Some(old) = self.old.take() {
            old.stop.cancel();
        }
    }

    fn done(&mut self, done: &Done) {
        let ended = &done.ended;
        // Of one that another has taken over from, nobody needs to care.
        if self.old.take_if(|old| old.number == done.number).is_some() {
            info!(reason = %ended, "connection ended");
            return;
        }
        if let Some(kind) = ended.error_type() {
            self.line.context.metrics.error(kind);
            warn!(reason = %ended, error_type = kind.label(), "connection ended");
        } else {
            info!(reason = %ended, "connection ended");
        }
        let was_current = self.current.as_ref().is_some_and(|current| current.number == done.number);
        let was = if was_current { self.current.take() } else { self.next.take_if(|next| next.number == done.number) };
        let Some(was) = was else { return };
        if was.settled && was.opened.is_some_and(|opened| opened.elapsed() >= PROVEN_AFTER) {
            self.backoff.reset();
        }
        if was_current && let Some(next) = self.next.take() {
            // It may still be opening.
            self.current = Some(next);
            return;
        }
        let mut wait = self.backoff.next();
        if done.in_maintenance {
            wait = wait.max(MAINTENANCE_PAUSE);
        }
        info!(wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), "connecting again");
        let open_at = Instant::now() + wait;
        self.open_at = Some(self.open_at.map_or(open_at, |planned| planned.min(open_at)));
    }
}

/// The age at which a connection is left that the venue ends at another.
fn before_end(lifetime: Duration) -> Duration {
    let [least, most] = LIFETIME_MARGIN;
    lifetime.mul_f64(1.0 - rand::rng().random_range(least..=most))
}
