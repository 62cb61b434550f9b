//! Asks the venues' REST interfaces for trades that the feeds missed. The recorder asks; the answers come to it as
//! [`Fill`]s through the queue.

mod job;
#[cfg(test)]
mod tests;
mod worker;

use std::{collections::HashMap, sync::Arc};

use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::{
    clock::Clock,
    metrics::Metrics,
    queue,
    received::{Batch, ConnectionId, Fact, Fill, FillEnd, Received, SymbolIndex, TradeFact},
    rest::Interface,
    symbols::Symbols,
};
pub(crate) use worker::Patience;
use worker::Worker;

/// Questions that wait at most; the recorder keeps what does not fit, and asks later.
const WAITING: usize = 4_096;

/// What the recorder wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// Comes back with the answer.
    pub(crate) number: u64,
    pub(crate) symbol: SymbolIndex,
    /// Which ids; up to `u64::MAX` means up to the newest.
    pub(crate) ids: Option<(u64, u64)>,
    /// Between which times, ns since the Unix epoch.
    pub(crate) times: (u64, u64),
}

/// Where the recorder puts its questions.
#[derive(Clone, Debug)]
pub(crate) struct Questions(mpsc::Sender<Question>);

impl Questions {
    pub(crate) fn channel() -> (Questions, mpsc::Receiver<Question>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Questions(sender), receiver)
    }

    /// Asks without waiting; false if there is no room now.
    pub(crate) fn ask(&self, question: Question) -> bool {
        self.0.try_send(question).is_ok()
    }
}

/// Takes the questions and hands each to the worker of its venue.
pub(crate) struct Backfill {
    questions: mpsc::Receiver<Question>,
    symbols: Arc<Symbols>,
    workers: Vec<Worker>,
    by_exchange: HashMap<&'static str, mpsc::Sender<Question>>,
    answers: Answers,
}

impl Backfill {
    /// Of venues that are not among the interfaces every question is [`FillEnd::Unsupported`].
    pub(crate) fn new(
        questions: mpsc::Receiver<Question>,
        interfaces: &[Arc<Interface>],
        symbols: &Arc<Symbols>,
        metrics: &Arc<Metrics>,
        queue: &queue::Sender,
        clock: Clock,
        patience: Patience,
    ) -> Backfill {
        let answers = Answers { queue: queue.clone(), clock };
        let mut by_exchange = HashMap::new();
        let worker = |interface: &Arc<Interface>| {
            let (sender, receiver) = mpsc::channel(WAITING);
            by_exchange.insert(interface.exchange, sender);
            let (interface, symbols, metrics) = (Arc::clone(interface), Arc::clone(symbols), Arc::clone(metrics));
            Worker::new(receiver, interface, symbols, metrics, answers.clone(), patience)
        };
        let workers = interfaces.iter().map(worker).collect();
        Backfill { questions, symbols: Arc::clone(symbols), workers, by_exchange, answers }
    }

    /// Runs until `shutdown`; questions that have no answer by then get none.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut workers = JoinSet::new();
        for worker in std::mem::take(&mut self.workers) {
            workers.spawn(worker.run());
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = self.dispatch() => shutdown.cancelled().await,
            Some(ended) = workers.join_next() => {
                // Its questions would wait for ever: whoever runs this sees that it ended.
                error!(error = ended.err().map(|error| error.to_string()), "a backfill ended");
            }
        }
        // They hold the queue open, and whatever they wait for is not worth waiting for any more.
        workers.shutdown().await;
    }

    async fn dispatch(&mut self) {
        while let Some(question) = self.questions.recv().await {
            let exchange = self.symbols.get(question.symbol).map(|symbol| symbol.exchange());
            let worker = exchange.and_then(|exchange| self.by_exchange.get(exchange));
            let (number, symbol) = (question.number, question.symbol);
            match worker.map(|worker| worker.try_send(question)) {
                Some(Ok(())) => {}
                // More questions than a venue can answer: the recorder asks again later.
                Some(Err(_)) => self.answers.end(symbol, number, FillEnd::Failed).await,
                None => self.answers.end(symbol, number, FillEnd::Unsupported).await,
            }
        }
    }
}

/// The way of answers to the recorder.
#[derive(Clone, Debug)]
struct Answers {
    queue: queue::Sender,
    clock: Clock,
}

impl Answers {
    /// Trades in one piece at most; more are more pieces, so that the queue's bound holds.
    const PIECE: usize = 1_000;

    async fn trades(&self, symbol: SymbolIndex, question: u64, trades: &[TradeFact]) {
        for piece in trades.chunks(Self::PIECE) {
            self.send(symbol, Fill { question, trades: piece.to_vec(), end: None }).await;
        }
    }

    async fn end(&self, symbol: SymbolIndex, question: u64, end: FillEnd) {
        self.send(symbol, Fill { question, trades: Vec::new(), end: Some(end) }).await;
    }

    async fn send(&self, symbol: SymbolIndex, fill: Fill) {
        let received = Received { symbol, receive_ns: self.clock.now_ns(), fact: Fact::Fill(fill) };
        self.queue.send(Batch::new(ConnectionId::REST, vec![received])).await;
    }
}
