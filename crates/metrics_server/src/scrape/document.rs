//! One encoding of the exposition, and everybody who reads it.
//!
//! Pieces are kept until the last reader has taken them. Nothing is encoded ahead: the first reader that has taken all
//! there is asks for more, and one that falls behind too far, or runs out of time, is cut off instead of waited for.

use super::cut::{BodyError, Cut};
use super::limits::BEHIND_BYTES_MAX;
use super::metrics::ScrapeMetrics;
use bytes::Bytes;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// What readers and the writer of a document share.
#[derive(Debug)]
pub(super) struct Document {
    state: Mutex<State>,
    /// A reader waits for more than there is.
    pub(super) wanted: Notify,
    /// The last reader has gone.
    deserted: Notify,
    metrics: ScrapeMetrics,
}

#[derive(Debug, Default)]
struct State {
    /// By the number a reader got when it joined.
    readers: Vec<Option<Reader>>,
    /// How many of them are there and not cut.
    reading: usize,
    /// Each with the number of readers that have not taken it yet.
    pieces: VecDeque<(Bytes, usize)>,
    /// The number of the first piece kept, counted from the document's start.
    first: usize,
    /// Bytes of all pieces so far.
    written: u64,
    is_wanted: bool,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Complete,
    Failed,
}

#[derive(Debug)]
struct Reader {
    /// The piece to take next, and the bytes of those before it.
    next: usize,
    read: u64,
    deadline: Instant,
    waker: Option<Waker>,
    cut: Option<Cut>,
}

/// A piece of a document.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    pub(super) is_last: bool,
}

impl Document {
    pub(super) fn new(metrics: ScrapeMetrics) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), wanted: Notify::new(), deserted: Notify::new(), metrics })
    }

    /// Adds a reader of the whole document; only before its encoding starts.
    pub(super) fn join(self: &Arc<Self>, deadline: Instant) -> Membership {
        let mut state = self.state();
        state.reading += 1;
        state.readers.push(Some(Reader { next: 0, read: 0, deadline, waker: None, cut: None }));
        Membership { document: Arc::clone(self), reader: state.readers.len() - 1 }
    }

    pub(super) fn is_deserted(&self) -> bool {
        self.state().reading == 0
    }

    /// Adds pieces at the end, and wakes the readers.
    pub(super) fn publish(&self, pieces: Vec<Bytes>, is_complete: bool) {
        let mut state = self.state();
        // The fastest reader has taken all of this, or it would not have asked for more.
        let taken = state.written;
        let had_any = !pieces.is_empty();
        for piece in pieces {
            state.written += piece.len() as u64;
            if state.reading > 0 {
                let readers = state.reading;
                state.pieces.push_back((piece, readers));
            }
        }
        if is_complete {
            state.end = Some(End::Complete);
        }
        if had_any || is_complete {
            state.is_wanted = false;
            self.cut_readers_behind(&mut state, taken);
            wake(state);
        }
    }

    /// Ends the document before its end. Whoever reads it learns so when it has read what is there.
    pub(super) fn fail(&self) {
        let mut state = self.state();
        if state.end.is_none() {
            state.end = Some(End::Failed);
            wake(state);
        }
    }

    /// Waits for `future`, and cuts the readers whose time is over meanwhile. `None` if the last reader has gone first.
    pub(super) async fn while_read<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        loop {
            // That nobody reads is looked up here; the notice alone may be an old one, from before somebody joined.
            let deadline = self.cut_readers_out_of_time()?;
            tokio::select! {
                biased;
                output = &mut future => return Some(output),
                () = self.deserted.notified() => {}
                () = sleep_until(deadline) => {}
            }
        }
    }

    fn cut_readers_behind(&self, state: &mut State, taken: u64) {
        for reader in 0..state.readers.len() {
            let is_behind = |reader: &Reader| taken.saturating_sub(reader.read) > BEHIND_BYTES_MAX;
            // A single reader is waited for; nobody else is held up, and what it makes us keep is one go's.
            if state.reading > 1 && state.reader(reader).is_some_and(is_behind) {
                self.cut(state, reader, Cut::Behind);
            }
        }
    }

    /// The next deadline of a reader; `None` if there is no reader.
    fn cut_readers_out_of_time(&self) -> Option<Instant> {
        let (mut state, now) = (self.state(), Instant::now());
        for reader in 0..state.readers.len() {
            if state.reader(reader).is_some_and(|reader| reader.deadline <= now) {
                self.cut(&mut state, reader, Cut::Deadline);
            }
        }
        state.readers.iter().flatten().filter(|reader| reader.cut.is_none()).map(|reader| reader.deadline).min()
    }

    /// Cuts all readers in favour of those of newer documents.
    pub(super) fn cut_all(&self) {
        let mut state = self.state();
        for reader in 0..state.readers.len() {
            self.cut(&mut state, reader, Cut::Room);
        }
        drop(state);
        self.deserted.notify_one();
    }

    fn cut(&self, state: &mut State, reader: usize, cut: Cut) {
        if let Some(reader) = state.reader_mut(reader) {
            reader.cut = Some(cut);
            let (next, waker) = (reader.next, reader.waker.take());
            state.release(next);
            self.metrics.cut(cut);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Every change of the state is made whole before anything in it can panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes all readers, after giving the state back to them.
fn wake(mut state: MutexGuard<'_, State>) {
    let wakers: Vec<Waker> = state.readers.iter_mut().flatten().filter_map(|reader| reader.waker.take()).collect();
    drop(state);
    wakers.into_iter().for_each(Waker::wake);
}

impl State {
    /// A reader that is there and not cut.
    fn reader(&self, reader: usize) -> Option<&Reader> {
        self.readers[reader].as_ref().filter(|reader| reader.cut.is_none())
    }

    fn reader_mut(&mut self, reader: usize) -> Option<&mut Reader> {
        self.readers[reader].as_mut().filter(|reader| reader.cut.is_none())
    }

    /// A reader that would have taken the pieces from `next` on is not going to.
    fn release(&mut self, next: usize) {
        self.reading -= 1;
        for (_, readers) in self.pieces.iter_mut().skip(next - self.first) {
            *readers -= 1;
        }
        self.drop_read_pieces();
    }

    fn drop_read_pieces(&mut self) {
        while self.pieces.front().is_some_and(|(_, readers)| *readers == 0) {
            self.pieces.pop_front();
            self.first += 1;
        }
    }
}

/// A reader's place in a document; it is given up when dropped.
#[derive(Debug)]
pub(super) struct Membership {
    document: Arc<Document>,
    reader: usize,
}

impl Membership {
    /// Waits until there is something to read. `Some` is the length of the whole document, if it is complete already.
    pub(super) async fn begun(&self) -> Result<Option<u64>, BodyError> {
        std::future::poll_fn(|cx| {
            let mut state = self.document.state();
            let whole = (state.end == Some(End::Complete)).then_some(state.written);
            match state.end {
                Some(End::Failed) => Poll::Ready(Err(BodyError::Encode)),
                Some(End::Complete) => Poll::Ready(Ok(whole)),
                None if state.written > 0 => Poll::Ready(Ok(None)),
                None => match self.wait(&mut state, cx) {
                    Some(cut) => Poll::Ready(Err(cut.into())),
                    None => Poll::Pending,
                },
            }
        })
        .await
    }

    /// Takes the next piece; `None` at the end of the document.
    pub(super) fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        let mut guard = self.document.state();
        let state = &mut *guard;
        let Some(reader) = state.readers[self.reader].as_mut() else { return Poll::Ready(None) };
        if let Some(cut) = reader.cut {
            return Poll::Ready(Some(Err(cut.into())));
        }
        if let Some((piece, readers)) = state.pieces.get_mut(reader.next - state.first) {
            let bytes = piece.clone();
            *readers -= 1;
            reader.next += 1;
            reader.read += bytes.len() as u64;
            let is_last = state.end == Some(End::Complete) && reader.read == state.written;
            state.drop_read_pieces();
            return Poll::Ready(Some(Ok(Piece { bytes, is_last })));
        }
        match state.end {
            Some(End::Complete) => Poll::Ready(None),
            Some(End::Failed) => Poll::Ready(Some(Err(BodyError::Encode))),
            None => {
                self.wait(state, cx);
                if !std::mem::replace(&mut state.is_wanted, true) {
                    drop(guard);
                    self.document.wanted.notify_one();
                }
                Poll::Pending
            }
        }
    }

    /// Notes whom to wake, unless the reader was cut.
    fn wait(&self, state: &mut State, cx: &Context<'_>) -> Option<Cut> {
        let reader = state.readers[self.reader].as_mut()?;
        match &mut reader.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        reader.cut
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut state = self.document.state();
        let left = state.readers[self.reader].take();
        if let Some(Reader { next, cut: None, .. }) = left {
            state.release(next);
            let is_deserted = state.reading == 0;
            drop(state);
            if is_deserted {
                self.document.deserted.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests;
