//! Answers the questions about one venue.

use std::{collections::HashSet, sync::Arc, time::Duration};

use exchange_protocol::RestError;
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use rand::Rng as _;
use tokio::{sync::mpsc, time::Instant};
use tracing::{Instrument as _, debug, info, info_span, warn};

use super::{
    Answers, Question,
    job::{Job, Next},
};
use crate::{
    metrics::Metrics,
    received::{FillEnd, SymbolIndex},
    rest::{Bounds, Interface, Response, SendError},
    symbols::Symbols,
};

/// Questions that are being answered at most, the waiting ones included.
const OPEN: usize = 4_096;
/// Requests under way at once.
const AT_ONCE: usize = 4;

/// How much is borne before a question has failed. Its recorder asks again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Tries of one page.
    pub(super) attempts: u32,
    /// The wait after the first failure, doubled by each that follows.
    pub(super) pause: Duration,
    /// A venue that wants to be left alone for longer is not waited for.
    pub(super) silence: Duration,
    /// No question waits longer for its turn, less than its recorder waits for word of it.
    pub(super) turn: Duration,
    pub(super) bounds: Bounds,
}

impl Default for Patience {
    fn default() -> Patience {
        let (pause, silence, turn) = (Duration::from_millis(500), Duration::from_secs(60), Duration::from_secs(600));
        Patience { attempts: 4, pause, silence, turn, bounds: Bounds::PAGE }
    }
}

/// Has the questions about one venue, and asks for their pages: one at a time of each symbol, several symbols at once.
pub(super) struct Worker {
    arriving: mpsc::Receiver<Question>,
    interface: Arc<Interface>,
    symbols: Arc<Symbols>,
    metrics: Arc<Metrics>,
    answers: Answers,
    patience: Patience,
    waiting: Vec<Job>,
    asking: FuturesUnordered<BoxFuture<'static, (Job, Result<Response, SendError>)>>,
    /// Symbols with a request under way.
    busy: HashSet<SymbolIndex>,
    /// Pages so far.
    served: u64,
    /// Requests one after another that had no answer.
    unanswered: u32,
    /// While there is no answer, the venue is asked less and less.
    not_before: Instant,
    /// Whether the next request waits for what the venue grants.
    is_held: bool,
}

impl Worker {
    pub(super) fn new(
        arriving: mpsc::Receiver<Question>,
        interface: Arc<Interface>,
        symbols: Arc<Symbols>,
        metrics: Arc<Metrics>,
        answers: Answers,
        patience: Patience,
    ) -> Worker {
        Worker {
            arriving,
            interface,
            symbols,
            metrics,
            answers,
            patience,
            waiting: Vec::new(),
            asking: FuturesUnordered::new(),
            busy: HashSet::new(),
            served: 0,
            unanswered: 0,
            not_before: Instant::now(),
            is_held: false,
        }
    }

    /// Runs until nobody can ask any more.
    pub(super) async fn run(self) {
        let span = info_span!("backfill", exchange = self.interface.exchange);
        self.answer().instrument(span).await;
    }

    async fn answer(mut self) {
        loop {
            let wake = self.launch().await.min(Instant::now() + self.patience.turn / 4);
            let open = self.waiting.len() + self.asking.len();
            self.interface.metrics.questions_waiting.set(i64::try_from(open).unwrap_or(i64::MAX));
            tokio::select! {
                question = self.arriving.recv(), if open < OPEN => match question {
                    Some(question) => self.take(question).await,
                    None => return,
                },
                Some((job, result)) = self.asking.next() => self.settle(job, result).await,
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    async fn take(&mut self, question: Question) {
        let Some(symbol) = self.symbols.get(question.symbol) else { return };
        let (index, number) = (question.symbol, question.number);
        let is_empty = question.ids.is_some_and(|(first, last)| first > last) || question.times.0 > question.times.1;
        match Job::new(question, &symbol.name, self.interface.rest, self.served) {
            Some(job) => self.waiting.push(job),
            None => self.end(index, number, if is_empty { FillEnd::Answered } else { FillEnd::Unsupported }).await,
        }
    }

    /// Sends as many requests as may be sent now; says when there may be more to do.
    async fn launch(&mut self) -> Instant {
        let now = Instant::now();
        let later = now + Duration::from_secs(3_600);
        let silence = self.interface.allowance.silent_for();
        if silence > self.patience.silence {
            self.fail_all(|_| true).await;
        }
        let turn = self.patience.turn;
        self.fail_all(|job| now.saturating_duration_since(job.served) > turn).await;
        while self.asking.len() < AT_ONCE && !self.waiting.is_empty() {
            if self.not_before > now {
                return self.not_before;
            }
            let jobs = self.waiting.iter().enumerate();
            let free = jobs.filter(|(_, job)| !self.busy.contains(&job.question.symbol));
            let Some((at, job)) =
                free.clone().filter(|(_, job)| job.not_before <= now).min_by_key(|(_, job)| job.rank())
            else {
                return free.map(|(_, job)| job.not_before).min().unwrap_or(later);
            };
            if let Err(wait) = self.interface.allowance.try_take(job.request.weight) {
                if !std::mem::replace(&mut self.is_held, true) {
                    self.interface.metrics.waits.inc();
                }
                return now + wait;
            }
            self.is_held = false;
            let job = self.waiting.swap_remove(at);
            self.busy.insert(job.question.symbol);
            let (interface, bounds) = (Arc::clone(&self.interface), self.patience.bounds);
            self.asking.push(Box::pin(async move {
                let result = interface.send(&job.request, bounds).await;
                (job, result)
            }));
        }
        later
    }

    async fn settle(&mut self, mut job: Job, result: Result<Response, SendError>) {
        let (symbol, number) = (job.question.symbol, job.question.number);
        self.busy.remove(&symbol);
        let response = match result {
            Ok(response) => response,
            Err(error) => return self.no_answer(job, &error).await,
        };
        if self.unanswered > 0 {
            info!(requests = self.unanswered, "REST answers again");
            self.unanswered = 0;
            self.not_before = Instant::now();
        }
        let read = job.read(self.interface.rest, &response.answer());
        drop(response);
        self.interface.understood(&read.next).await;
        self.interface.metrics.trades.add(read.trades.len() as u64);
        if let Ok(venue) = self.metrics.venue(self.interface.exchange) {
            venue.inexact.add(read.inexact);
        }
        self.answers.trades(symbol, number, &read.trades).await;
        match read.next {
            Ok(Next::Page) => {
                self.served += 1;
                job.served = Instant::now();
                self.waiting.push(job);
            }
            Ok(Next::Done) => {
                self.served += 1;
                debug!(symbol = job.symbol, number, "answered");
                self.end(symbol, number, FillEnd::Answered).await;
            }
            Ok(Next::Lost) => {
                warn!(symbol = job.symbol, target = job.request.target, "pages of trades lead nowhere");
                self.end(symbol, number, FillEnd::Failed).await;
            }
            Err(RestError::Refused { status, reason }) if (400..500).contains(&status) && status != 408 => {
                warn!(symbol = job.symbol, status, reason, "the venue does not tell the trades that are missing");
                self.end(symbol, number, FillEnd::Failed).await;
            }
            Err(error) => _ = self.again(job, &error).await,
        }
    }

    /// The venue is not there, or hangs: that concerns all of its questions.
    async fn no_answer(&mut self, job: Job, error: &SendError) {
        if self.unanswered == 0 {
            warn!(%error, "REST does not answer");
        }
        self.unanswered = self.unanswered.saturating_add(1);
        self.not_before = Instant::now() + self.pause(self.unanswered);
        let is_last = self.again(job, error).await;
        if is_last && self.unanswered >= self.patience.attempts {
            self.fail_all(|_| true).await;
        }
    }

    /// Tries a page once more, unless that was tried often enough; says whether it was.
    async fn again(&mut self, mut job: Job, error: &(dyn std::error::Error + Sync)) -> bool {
        job.attempts += 1;
        let is_last = job.attempts >= self.patience.attempts;
        debug!(symbol = job.symbol, attempts = job.attempts, %error, "no page of trades");
        if is_last {
            self.end(job.question.symbol, job.question.number, FillEnd::Failed).await;
        } else {
            job.not_before = Instant::now() + self.pause(job.attempts);
            self.waiting.push(job);
        }
        is_last
    }

    /// Exponential, with jitter of a half.
    fn pause(&self, failures: u32) -> Duration {
        let longest = self.patience.pause * 2_u32.pow(failures.saturating_sub(1).min(5));
        longest.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// Gives those of the waiting questions up that are `hopeless`; their recorder asks again.
    async fn fail_all(&mut self, hopeless: impl Fn(&Job) -> bool) {
        let (failed, waiting) = std::mem::take(&mut self.waiting).into_iter().partition::<Vec<_>, _>(hopeless);
        self.waiting = waiting;
        for job in failed {
            debug!(symbol = job.symbol, number = job.question.number, "given up for now");
            self.end(job.question.symbol, job.question.number, FillEnd::Failed).await;
        }
    }

    async fn end(&mut self, symbol: SymbolIndex, number: u64, end: FillEnd) {
        self.interface.metrics.question(end);
        self.answers.end(symbol, number, end).await;
    }
}
