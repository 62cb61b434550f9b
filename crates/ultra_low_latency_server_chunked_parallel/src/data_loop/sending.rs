//! Bytes on their way to a client.

use std::{
    future::poll_fn,
    io::{self, ErrorKind},
    ops::Range,
    pin::pin,
};

use column_store::Slice;
use rustix::{
    fs::sendfile,
    io::Errno,
    net::{SendFlags, send},
};

use super::{
    socket::LoopSocket,
    watch::{Awaited, Watch},
};
use crate::{data_answer::DataAnswers, rows::ColumnRows};

/// Bytes of a file that are sent before others have their turn. Tiny answers wait for one such turn of each large answer at
/// most, some 50 µs; fewer bytes would cost more turns.
const TURN_BYTES: u64 = 512 * 1024;

/// Bytes of a file between two looks at whether it is in the page cache: what the kernel reads ahead by default.
const LOOK_BYTES: u64 = 128 * 1024;

/// Bytes that are brought into the page cache together, if they are not there.
const FETCH_BYTES: u64 = 1024 * 1024;

/// Where an answer goes.
pub(super) struct Sending<'a> {
    pub(super) socket: &'a LoopSocket,
    pub(super) watch: &'a Watch,
}

impl Sending<'_> {
    /// Sends what goes at once, and tells how much that was.
    pub(super) fn try_send(socket: &LoopSocket, bytes: &[u8], more: bool) -> io::Result<usize> {
        let flags = if more { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL };
        loop {
            match send(socket, bytes, flags) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(0),
                sent => return Ok(sent?),
            }
        }
    }

    /// Sends all; `more` if something follows soon, so that it need not travel alone.
    pub(super) async fn bytes(&self, mut bytes: &[u8], more: bool) -> io::Result<()> {
        while !bytes.is_empty() {
            let sent = match Self::try_send(self.socket, bytes, more)? {
                0 => {
                    self.watch.awaits(Awaited::Room);
                    let send = || match Self::try_send(self.socket, bytes, more)? {
                        0 => Err(ErrorKind::WouldBlock.into()),
                        sent => Ok(sent),
                    };
                    let sent = self.socket.when_writable(send).await?;
                    self.watch.awaits(Awaited::Nothing);
                    sent
                }
                sent => sent,
            };
            bytes = bytes.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    /// Sends the rows of contiguous columns out of their files.
    ///
    /// # Errors
    /// `UnexpectedEof` if a file was cut meanwhile; the socket's; a disk's.
    pub(super) async fn columns(
        &self,
        columns: &[ColumnRows],
        answers: &DataAnswers,
        mut on_sent: impl FnMut(u64),
    ) -> io::Result<()> {
        let mut turn = 0;
        for slice in columns.iter().flat_map(ColumnRows::slices) {
            self.slice(slice, answers, &mut turn, &mut on_sent).await?;
        }
        Ok(())
    }

    /// `turn` are the bytes that were sent since others had theirs.
    async fn slice(
        &self,
        slice: &Slice,
        answers: &DataAnswers,
        turn: &mut u64,
        on_sent: &mut impl FnMut(u64),
    ) -> io::Result<()> {
        let (mut position, mut resident) = (0, 0);
        while position < slice.len() {
            if resident <= position {
                resident = resident_from(slice, position)?;
                if resident == position {
                    // The client has nothing yet: it need not wait for more than its first bytes.
                    let length = if position == 0 { LOOK_BYTES } else { FETCH_BYTES };
                    resident = (position + length).min(slice.len());
                    fetch(slice, position..resident, answers).await?;
                }
            }
            let (file, offset) = slice.place();
            let count = usize::try_from((resident - position).min(TURN_BYTES - *turn)).unwrap_or(usize::MAX);
            let send = || loop {
                let mut at = offset + position;
                match sendfile(self.socket, file, Some(&mut at), count) {
                    Err(Errno::INTR) => {}
                    sent => return Ok::<u64, io::Error>(sent? as u64),
                }
            };
            let sent = match send() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.watch.awaits(Awaited::Room);
                    let (sent, has_waited) = with_waiting(self.socket.when_writable(send)).await;
                    self.watch.awaits(Awaited::Nothing);
                    if has_waited {
                        *turn = 0;
                    }
                    sent
                }
                sent => sent,
            };
            match sent? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                sent => {
                    position += sent;
                    *turn += sent;
                    on_sent(sent);
                }
            }
            if *turn >= TURN_BYTES {
                tokio::task::yield_now().await;
                *turn = 0;
            }
        }
        Ok(())
    }
}

/// What comes of something, and whether others had their turn meanwhile.
async fn with_waiting<T>(work: impl Future<Output = T>) -> (T, bool) {
    let (mut work, mut has_waited) = (pin!(work), false);
    poll_fn(|cx| {
        let polled = work.as_mut().poll(cx);
        has_waited |= polled.is_pending();
        polled.map(|done| (done, has_waited))
    })
    .await
}

/// Up to where the slice seems to be in the page cache, for a turn at most. One byte is looked at every so often: to ask for
/// every page would cost as much as sending it.
fn resident_from(slice: &Slice, position: u64) -> io::Result<u64> {
    let end = slice.len().min(position + TURN_BYTES);
    let mut resident = position;
    while resident < end {
        if !slice.is_resident(resident)? {
            break;
        }
        resident = (resident + LOOK_BYTES).min(end);
    }
    Ok(resident)
}

/// Brings what follows into the page cache, elsewhere.
async fn fetch(slice: &Slice, bytes: Range<u64>, answers: &DataAnswers) -> io::Result<()> {
    let slice = slice.clone();
    let fetched = answers.reads().take(move || {
        let mut block = vec![0; usize::try_from(LOOK_BYTES).unwrap_or(0)];
        let mut at = bytes.start;
        while at < bytes.end {
            let length = usize::try_from(bytes.end - at).unwrap_or(usize::MAX).min(block.len());
            slice.read_at(block.get_mut(..length).unwrap_or_default(), at)?;
            at += length as u64;
        }
        Ok(())
    });
    fetched.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        fs,
        io::Read as _,
        net::{Ipv4Addr, TcpListener, TcpStream},
        sync::Arc,
    };

    use column_store::{Access, ColumnSelection, Index, SeriesId, Table};
    use metrics_server::Registry;

    use super::*;
    use crate::{data_loop::watch::Clock, limits::Limits, metrics::Metrics, turns::Turns};

    const SLICE_BYTES: usize = 100 * 1024;
    const SLICES: usize = 200;

    /// As many days of a quiet series have them.
    #[tokio::test]
    async fn many_small_slices_are_sent_in_turns_too() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("x/y/MD");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("time.18.11.26.bin"), 1_794_960_000_u32.to_le_bytes().repeat(SLICE_BYTES / 4))
            .unwrap();
        let id = SeriesId { exchange: "x".to_owned(), symbol: "y".to_owned(), table: Table::Md };
        let column = Table::Md.column("time").unwrap();
        let found = Index::new(root.path(), 64).select(&id, &[column], 0, u32::MAX, Access::Disk).unwrap();
        let slices = found.selection.columns.into_iter().flat_map(|column| column.slices);
        let slices = std::iter::repeat_n(slices.collect::<Vec<_>>(), SLICES).flatten().collect();
        let rows = (SLICES * SLICE_BYTES / 4) as u64;
        let columns = [ColumnRows::new(ColumnSelection { column, rows, slices }, 1)];

        let limits = Limits::default();
        let metrics = Metrics::register(&mut Registry::default(), &limits).unwrap();
        let answers = DataAnswers::new(root.path(), limits, metrics, Turns::new(1));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let client = std::thread::spawn(move || client.read_to_end(&mut Vec::new()).unwrap());
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let socket = LoopSocket::Tcp(tokio::net::TcpStream::from_std(socket).unwrap());
        let watch = Watch::new(Arc::new(Clock::new()), &metrics_server::Limits::default());

        let (in_turn, most) = (Cell::new(0), Cell::new(0));
        let on_sent = |bytes| {
            in_turn.set(in_turn.get() + bytes);
            most.set(most.get().max(in_turn.get()));
        };
        let sending = Sending { socket: &socket, watch: &watch };
        {
            let mut sent = pin!(sending.columns(&columns, &answers, on_sent));
            poll_fn(|cx| {
                in_turn.set(0);
                sent.as_mut().poll(cx)
            })
            .await
            .unwrap();
        }
        drop(socket);
        assert_eq!(client.join().unwrap(), SLICES * SLICE_BYTES);
        assert!((1..=TURN_BYTES).contains(&most.get()), "{}", most.get());
    }
}
