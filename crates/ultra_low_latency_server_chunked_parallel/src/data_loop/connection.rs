//! One connection of a data loop.

use std::{
    cell::RefCell,
    future::poll_fn,
    io::{self, ErrorKind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use bytes::Bytes;
use column_store::Access;
use futures_util::StreamExt as _;
use http::StatusCode;
use metrics_server::{ConnectionObserver as _, Counter, DetachedSocket, HttpEndpoint, Protocol};

use super::{
    head::{DataRequest, Head, head},
    known_series::KnownSeries,
    rendered::{self, Date, Style},
    sending::Sending,
    socket::LoopSocket,
    under_way::UnderWay,
    watch::{Awaited, Watch},
};
use crate::{
    chunks::chunks,
    data_answer::{DataAnswers, DataError},
    etag,
    metrics::Metrics,
    plan::{Plan, PlanError},
    query::DataQuery,
};

/// Bytes that are read at once: heads are far smaller, and pipelines rare.
const INPUT_BYTES: usize = 16 * 1024;

/// Bytes of answers that are collected while a client has more requests in the pipe.
const OUTPUT_BYTES: usize = 128 * 1024;

/// What the connections of one thread share between two waits.
struct Scratch {
    output: Vec<u8>,
    date: Date,
    series: KnownSeries,
}

thread_local! {
    /// What was read, apart from what comes of it: nothing need be taken out, and put back whatever happens.
    static INPUT: RefCell<Box<[u8]>> = RefCell::new(vec![0; INPUT_BYTES].into());
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        output: Vec::with_capacity(OUTPUT_BYTES),
        date: Date::new(),
        series: KnownSeries::default(),
    });
}

/// What all connections of the loops share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) answers: DataAnswers,
    pub(crate) endpoint: Option<HttpEndpoint>,
    /// The header line that lets pages of other sites read the answers.
    pub(crate) cors: &'static [u8],
    /// Whether that line is the same for all sites.
    pub(crate) is_for_all_origins: bool,
    pub(crate) is_draining: AtomicBool,
}

/// What became of a connection.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is closed.
    Ended,
    /// It goes on elsewhere, from these bytes on.
    HandedOver { socket: DetachedSocket, read: Bytes, protocol: Protocol },
}

/// A connection that a loop serves.
pub(super) struct Connection {
    pub(super) socket: LoopSocket,
    pub(super) shared: Arc<Shared>,
    pub(super) watch: Arc<Watch>,
    /// Counted by this connection alone: threads that share a counter wait for each other.
    endpoint: Option<Arc<HttpEndpoint>>,
    /// Bytes that were read and not understood yet.
    pending: Vec<u8>,
}

/// What the requests that were read come to.
enum Step {
    /// More has to be read.
    Read,
    /// These bytes have to be sent before anything else.
    Send(Vec<u8>),
    /// The same, and nothing after it.
    SendAndClose(Vec<u8>),
    /// An answer that takes waiting.
    Answer(Box<Waiting>),
    HandOver(Protocol),
    Close,
}

/// A request whose answer takes waiting.
struct Waiting {
    /// Answers before it.
    ready: Vec<u8>,
    under_way: UnderWay,
    is_head: bool,
    closes: bool,
    if_none_match: Option<Vec<u8>>,
    work: Work,
}

enum Work {
    Plan(DataQuery),
    Send(Plan),
}

impl Connection {
    pub(super) fn new(socket: LoopSocket, shared: Arc<Shared>, watch: Arc<Watch>) -> Connection {
        let endpoint = shared.endpoint.clone().map(Arc::new);
        Connection { socket, shared, watch, endpoint, pending: Vec::new() }
    }

    /// Answers requests until the client is done or sends something that is not for a loop.
    pub(super) async fn serve(mut self) -> Outcome {
        let shared = Arc::clone(&self.shared);
        let _spoken = Spoken::new(shared.answers.metrics());
        loop {
            // Clients that hang up are their own affair.
            let Ok(step) = self.step().await else { return Outcome::Ended };
            let goes_on = match step {
                Step::Read => Ok(true),
                Step::Send(bytes) => self.sending().bytes(&bytes, false).await.map(|()| true),
                Step::SendAndClose(bytes) => self.sending().bytes(&bytes, false).await.map(|()| false),
                Step::Answer(waiting) => self.answer(*waiting).await,
                Step::HandOver(protocol) => {
                    let read = Bytes::from(self.pending);
                    let socket = self.socket.detach();
                    return socket.map_or(Outcome::Ended, |socket| Outcome::HandedOver { socket, read, protocol });
                }
                Step::Close => return Outcome::Ended,
            };
            let is_over = self.pending.is_empty() && self.shared.is_draining.load(Ordering::Relaxed);
            if !matches!(goes_on, Ok(true)) || is_over {
                return Outcome::Ended;
            }
        }
    }

    fn sending(&self) -> Sending<'_> {
        Sending { socket: &self.socket, watch: &self.watch }
    }

    /// Goes on with what was read before, or reads once, and answers what can be answered without waiting.
    async fn step(&mut self) -> io::Result<Step> {
        if !self.pending.is_empty() {
            let bytes = std::mem::take(&mut self.pending);
            let mut left = Vec::new();
            let step = SCRATCH.with_borrow_mut(|scratch| self.take(&bytes, scratch, &mut left));
            self.pending = left;
            if !matches!(step, Ok(Step::Read)) {
                return step;
            }
        }
        let mut pending = std::mem::take(&mut self.pending);
        self.watch.reads(!pending.is_empty());
        let step = poll_fn(|cx| {
            INPUT.with_borrow_mut(|input| match self.socket.poll_read(cx, input) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(0)) => Poll::Ready(Ok(Step::Close)),
                Poll::Ready(Ok(read)) => {
                    let read = input.get(..read).unwrap_or_default();
                    Poll::Ready(SCRATCH.with_borrow_mut(|scratch| self.received(read, scratch, &mut pending)))
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            })
        })
        .await;
        self.pending = pending;
        step
    }

    /// Takes what was read, behind what is pending.
    fn received(&self, read: &[u8], scratch: &mut Scratch, pending: &mut Vec<u8>) -> io::Result<Step> {
        if pending.is_empty() {
            return self.take(read, scratch, pending);
        }
        let mut bytes = std::mem::take(pending);
        bytes.extend_from_slice(read);
        self.take(&bytes, scratch, pending)
    }

    /// Answers the requests in `bytes`, as long as that takes no waiting, and puts what is left of them into `left`.
    fn take(&self, bytes: &[u8], scratch: &mut Scratch, left: &mut Vec<u8>) -> io::Result<Step> {
        scratch.output.clear();
        let mut rest = bytes;
        let mut next = Step::Read;
        while !rest.is_empty() && scratch.output.len() < OUTPUT_BYTES {
            let (request, length) = match head(rest) {
                Head::Data(request, length) if !request.has_origin || self.shared.is_for_all_origins => {
                    (request, length)
                }
                Head::Incomplete => break,
                Head::Http2 => {
                    next = Step::HandOver(Protocol::Http2);
                    break;
                }
                Head::Data(..) | Head::Other => {
                    next = Step::HandOver(Protocol::Http1);
                    break;
                }
            };
            self.watch.awaits(Awaited::Nothing);
            rest = rest.get(length..).unwrap_or_default();
            if let Some(waiting) = self.answer_from_memory(&request, scratch) {
                next = Step::Answer(Box::new(waiting));
                break;
            }
            if request.closes {
                next = Step::Close;
                break;
            }
        }
        left.extend_from_slice(rest);
        let output = &scratch.output;
        if let Step::Answer(waiting) = &mut next {
            waiting.ready.clone_from(output);
            return Ok(next);
        }
        let sent = if output.is_empty() { 0 } else { Sending::try_send(&self.socket, output, false)? };
        match (output.get(sent..), next) {
            (None | Some([]), next) => Ok(next),
            // Where the connection goes then shows again in the bytes that are left.
            (Some(unsent), Step::Read | Step::HandOver(_)) => Ok(Step::Send(unsent.to_vec())),
            (Some(unsent), Step::Close) => Ok(Step::SendAndClose(unsent.to_vec())),
            (Some(_), next) => Ok(next),
        }
    }

    /// Appends the answer to a request, or says what it has to wait for.
    fn answer_from_memory(&self, request: &DataRequest<'_>, scratch: &mut Scratch) -> Option<Waiting> {
        let Scratch { output, date, series, .. } = scratch;
        let answers = &self.shared.answers;
        let under_way = UnderWay::new(self.endpoint.as_ref(), request.is_head);
        let style = &mut Style { cors: self.shared.cors, closes: request.closes, date };
        let waiting = |under_way, work| {
            let if_none_match = request.if_none_match.map(<[u8]>::to_vec);
            let (is_head, closes) = (request.is_head, request.closes);
            Some(Waiting { ready: Vec::new(), under_way, is_head, closes, if_none_match, work })
        };
        let query = match DataQuery::parse(Some(request.query), answers.limits()) {
            Ok(query) => query,
            Err(error) => {
                self.failed(&error.into(), request.is_head, under_way, output, style);
                return None;
            }
        };
        let plan = match Plan::make(answers.index(), &query, Access::Resident) {
            Err(PlanError::NotResident) => return waiting(under_way, Work::Plan(query)),
            plan => plan,
        };
        let begin = output.len();
        let is_unchanged = plan.as_ref().is_ok_and(|plan| is_unchanged(plan, request.if_none_match));
        let has_body = !is_unchanged && !request.is_head;
        let mut is_whole = true;
        let rendered = plan.and_then(|plan| {
            is_whole = !has_body || plan.is_small(answers.limits());
            if is_whole {
                rendered::data(output, &plan, is_unchanged, style);
            }
            if is_whole && has_body {
                plan.append_to(output, Access::Resident)?;
            }
            Ok(plan)
        });
        if matches!(rendered, Err(PlanError::NotResident)) {
            output.truncate(begin);
            return waiting(under_way, Work::Plan(query));
        }
        answers.answered_from_memory();
        let counted = series.of(&query.id, rendered.as_ref().is_ok_and(Plan::has_symbol), answers.metrics());
        counted.query_seconds.observe(under_way.start.elapsed().as_secs_f64());
        match answers.checked(&query, rendered) {
            Ok(plan) if is_whole => {
                self.answered(&plan, is_unchanged, has_body, under_way, &counted.bytes_served);
            }
            Ok(plan) => return waiting(under_way, Work::Send(plan)),
            Err(error) => {
                output.truncate(begin);
                self.failed(&error, request.is_head, under_way, output, style);
            }
        }
        None
    }

    /// Appends the answer that there is no data.
    fn failed(
        &self,
        error: &DataError,
        is_head: bool,
        mut under_way: UnderWay,
        output: &mut Vec<u8>,
        style: &mut Style<'_>,
    ) {
        let failure = self.shared.answers.failure(error);
        rendered::failure(output, &failure, is_head, style);
        under_way.sent(if is_head { 0 } else { failure.text.len() as u64 });
        under_way.finish(failure.status);
    }

    fn answered(&self, plan: &Plan, is_unchanged: bool, has_body: bool, mut under_way: UnderWay, served: &Counter) {
        if has_body {
            served.add(plan.length);
            under_way.sent(plan.length);
        }
        under_way.finish(if is_unchanged { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    }

    /// Gives an answer that takes waiting; false if the connection ends with it.
    async fn answer(&mut self, waiting: Waiting) -> io::Result<bool> {
        let Waiting { ready: mut output, mut under_way, is_head, closes, if_none_match, work } = waiting;
        let answers = self.shared.answers.clone();
        let planned = match work {
            Work::Send(plan) => Ok((plan, None)),
            Work::Plan(query) => {
                // What is ready must not wait for a disk.
                self.sending().bytes(&output, false).await?;
                output.clear();
                answers.plan_on_disk(query, !is_head, under_way.start).await
            }
        };
        let (plan, whole) = match planned {
            Ok(planned) => planned,
            Err(error) => {
                self.render(closes, |style| self.failed(&error, is_head, under_way, &mut output, style));
                self.sending().bytes(&output, false).await?;
                return Ok(!closes);
            }
        };
        let is_unchanged = is_unchanged(&plan, if_none_match.as_deref());
        let has_body = !is_unchanged && !is_head;
        self.render(closes, |style| rendered::data(&mut output, &plan, is_unchanged, style));
        if !has_body || whole.is_some() {
            output.extend(whole.filter(|_| has_body).unwrap_or_default());
            self.sending().bytes(&output, false).await?;
            let served = answers.metrics().bytes_served(&plan.id, plan.has_symbol());
            self.answered(&plan, is_unchanged, has_body, under_way, &served);
            return Ok(!closes);
        }
        under_way.serves(answers.metrics().bytes_served(&plan.id, plan.has_symbol()));
        let id = plan.id.clone();
        let sent = self.send_large(plan, output, &mut under_way).await;
        match sent {
            Ok(()) => {
                under_way.finish(StatusCode::OK);
                Ok(!closes)
            }
            Err(error) => {
                if error.kind() == ErrorKind::UnexpectedEof {
                    tracing::warn!(series = %id, "a file was cut while it was sent, the connection is closed");
                }
                Err(error)
            }
        }
    }

    /// Sends an answer that is not small: out of its files where the rows lie there as they are sent.
    async fn send_large(&self, plan: Plan, mut output: Vec<u8>, under_way: &mut UnderWay) -> io::Result<()> {
        let sending = self.sending();
        if plan.is_contiguous() {
            output.extend_from_slice(&plan.line);
            sending.bytes(&output, true).await?;
            under_way.sent(plan.line.len() as u64);
            drop(output);
            return sending.columns(&plan.columns, &self.shared.answers, |bytes| under_way.sent(bytes)).await;
        }
        sending.bytes(&output, true).await?;
        let answers = &self.shared.answers;
        // A connection has one answer at a time: the limit of connections bounds what all of them hold.
        let chunks = chunks(plan, answers.limits().chunk_bytes, answers.reads().clone(), None, None);
        let mut chunks = std::pin::pin!(chunks);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            sending.bytes(&chunk, true).await?;
            under_way.sent(chunk.len() as u64);
        }
        // Nothing follows any more: what the kernel still holds may go.
        self.socket.push()
    }

    fn render(&self, closes: bool, render: impl FnOnce(&mut Style<'_>)) {
        let cors = self.shared.cors;
        SCRATCH.with_borrow_mut(|scratch| render(&mut Style { cors, closes, date: &mut scratch.date }));
    }
}

fn is_unchanged(plan: &Plan, if_none_match: Option<&[u8]>) -> bool {
    plan.etag.as_ref().zip(if_none_match).is_some_and(|(etag, tags)| etag::is_named(etag, tags))
}

/// Counts an HTTP/1.1 connection for as long as it is one of a loop.
struct Spoken<'a>(&'a Metrics);

impl<'a> Spoken<'a> {
    fn new(metrics: &'a Metrics) -> Spoken<'a> {
        metrics.speaks(Protocol::Http1);
        Spoken(metrics)
    }
}

impl Drop for Spoken<'_> {
    fn drop(&mut self) {
        self.0.spoke(Protocol::Http1);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        os::unix::net::UnixStream,
        panic::{AssertUnwindSafe, catch_unwind},
        path::Path,
        pin::pin,
        task::{Context, Wake, Waker},
    };

    use metrics_server::Registry;

    use super::*;
    use crate::{data_loop::watch::Clock, limits::Limits, turns::Turns};

    /// Panics when it is forgotten.
    struct Bomb;

    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "on purpose");
        }
    }

    fn connection(shared: &Arc<Shared>) -> (Connection, UnixStream) {
        let (ours, client) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let socket = LoopSocket::Unix(tokio::net::UnixStream::from_std(ours).unwrap());
        let watch = Watch::new(Arc::new(Clock::new()), &metrics_server::Limits::default());
        (Connection::new(socket, Arc::clone(shared), Arc::new(watch)), client)
    }

    #[tokio::test]
    async fn a_panic_leaves_the_thread_fit_for_other_connections() {
        let limits = Limits::default();
        let metrics = Metrics::register(&mut Registry::default(), &limits).unwrap();
        let answers = DataAnswers::new(Path::new("/nonexistent"), limits, metrics, Turns::new(1));
        let (cors, is_draining) = (&b""[..], AtomicBool::new(false));
        let shared = Arc::new(Shared { answers, endpoint: None, cors, is_for_all_origins: true, is_draining });

        let (mut broken, _client) = connection(&shared);
        let mut step = pin!(broken.step());
        let bomb = Waker::from(Arc::new(Bomb));
        assert!(step.as_mut().poll(&mut Context::from_waker(&bomb)).is_pending());
        drop(bomb);
        // The socket forgets who waited for it before, in the middle of the read.
        let polled = catch_unwind(AssertUnwindSafe(|| step.as_mut().poll(&mut Context::from_waker(Waker::noop()))));
        assert!(polled.is_err());

        let (mut other, mut client) = connection(&shared);
        client.write_all(b"GET /").unwrap();
        assert!(matches!(other.step().await, Ok(Step::Read)), "nobody has hung up");
        assert_eq!(other.pending, b"GET /");
    }
}
