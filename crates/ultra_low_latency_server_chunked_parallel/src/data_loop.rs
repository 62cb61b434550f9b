//! The fast way to serve `/api/data` over plain HTTP/1.1: one thread per core, each with connections of its own.
//!
//! A connection is read into a buffer that all of its thread share. Requests for plain data are answered from memory in the
//! same breath: found through the open files of the index, and small answers sent with one system call. Large ones go out of
//! their files with `sendfile`, in turns, so that small ones between them do not wait; what is not in the page cache is
//! fetched by other threads first. Whatever is not such a request, or looks odd in any way, is handed over with the
//! bytes read so far to the general implementation, which a connection never leaves again.

mod connection;
mod head;
mod known_series;
mod rendered;
mod sending;
mod socket;
mod under_way;
mod watch;

use std::{
    future::Future as _,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    thread::{self, JoinHandle},
    time::Duration,
};

use metrics_server::{ConnectionObserver as _, DetachedSocket, Limits};
use tokio::{
    runtime,
    sync::{mpsc, oneshot},
    task,
    time::{MissedTickBehavior, interval},
};

use connection::Connection;
pub(crate) use connection::{Outcome, Shared};
use socket::LoopSocket;
use watch::{Clock, Watch};

/// How often a loop reads its clock and looks for connections that take too long.
const TICK: Duration = Duration::from_millis(250);

/// The threads.
#[derive(Debug)]
pub(crate) struct DataLoops {
    loops: Vec<DataLoop>,
    threads: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct DataLoop {
    connections: mpsc::UnboundedSender<Opened>,
    open: Arc<AtomicUsize>,
}

/// A connection on its way to a loop.
struct Opened {
    socket: DetachedSocket,
    outcome: oneshot::Sender<Outcome>,
}

impl DataLoops {
    /// Starts `count` threads, which end when this is dropped.
    ///
    /// # Errors
    /// The system has no more threads or descriptors.
    pub(crate) fn start(count: usize, shared: &Arc<Shared>, limits: &Limits) -> io::Result<DataLoops> {
        let mut loops = DataLoops { loops: Vec::new(), threads: Vec::new(), shared: Arc::clone(shared) };
        for number in 0..count.max(1) {
            let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
            // Bounded by the limit of connections, which hold a place before they come here.
            let (connections, arriving) = mpsc::unbounded_channel();
            let open = Arc::new(AtomicUsize::new(0));
            let state = Loop {
                shared: Arc::clone(shared),
                limits: limits.clone(),
                clock: Arc::new(Clock::new()),
                open: Arc::clone(&open),
                served: Vec::new(),
            };
            let run = move || runtime.block_on(state.run(arriving));
            loops.threads.push(thread::Builder::new().name(format!("data-{number}")).spawn(run)?);
            loops.loops.push(DataLoop { connections, open });
        }
        Ok(loops)
    }

    /// Serves a connection on the loop that has the fewest, and tells what became of it.
    pub(crate) async fn serve(&self, socket: DetachedSocket) -> Outcome {
        let Some(least) = self.loops.iter().min_by_key(|data_loop| data_loop.open.load(Ordering::Relaxed)) else {
            return Outcome::Ended;
        };
        let (outcome, told) = oneshot::channel();
        least.open.fetch_add(1, Ordering::Relaxed);
        if least.connections.send(Opened { socket, outcome }).is_err() {
            return Outcome::Ended;
        }
        // Whoever was cut off tells nothing.
        told.await.unwrap_or(Outcome::Ended)
    }

    /// Ends connections as soon as they have answered what was asked.
    pub(crate) fn drain(&self) {
        self.shared.is_draining.store(true, Ordering::Relaxed);
    }

    /// Ends the threads and what they still serve.
    pub(crate) fn stop(self) {
        drop(self.loops);
        for thread in self.threads {
            // Its panic was printed by the hook.
            _ = thread.join();
        }
    }
}

/// What a thread knows.
struct Loop {
    shared: Arc<Shared>,
    limits: Limits,
    clock: Arc<Clock>,
    open: Arc<AtomicUsize>,
    served: Vec<Served>,
}

/// A connection that is served.
struct Served {
    task: task::JoinHandle<()>,
    watch: Arc<Watch>,
}

impl Loop {
    async fn run(mut self, mut arriving: mpsc::UnboundedReceiver<Opened>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => self.tick(),
                opened = arriving.recv() => match opened {
                    Some(opened) => self.opened(opened),
                    None => return,
                },
            }
        }
    }

    fn opened(&mut self, Opened { socket, outcome }: Opened) {
        let place = Place(Arc::clone(&self.open));
        let socket = match LoopSocket::attach(socket) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be waited for, it is closed");
                return;
            }
        };
        let watch = Arc::new(Watch::new(Arc::clone(&self.clock), &self.limits));
        let connection = Connection::new(socket, Arc::clone(&self.shared), Arc::clone(&watch));
        let task = tokio::spawn(async move {
            let _held_while_open = place;
            // Nobody may wait for it any more.
            _ = outcome.send(connection.serve().await);
        });
        self.served.push(Served { task, watch });
    }

    /// Forgets what has ended, and ends what takes too long.
    fn tick(&mut self) {
        self.clock.tick();
        let metrics = self.shared.answers.metrics();
        let is_draining = self.shared.is_draining.load(Ordering::Relaxed);
        self.served.retain_mut(|served| {
            if served.task.is_finished() {
                let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
                let ended = std::pin::Pin::new(&mut served.task).poll(&mut cx);
                if let Poll::Ready(Err(error)) = ended
                    && error.is_panic()
                {
                    metrics.panicked();
                    tracing::error!("a data connection ended in a panic");
                }
                return false;
            }
            if let Some(timeout) = served.watch.overdue() {
                metrics.timed_out(timeout);
                served.task.abort();
            } else if is_draining && served.watch.is_idle() {
                served.task.abort();
            }
            true
        });
    }
}

/// Counts an open connection of a loop.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
