//! Bytes on their way to a client.

use std::{
    io::{self, ErrorKind},
    ops::Range,
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
        for slice in columns.iter().flat_map(ColumnRows::slices) {
            self.slice(slice, answers, &mut on_sent).await?;
        }
        Ok(())
    }

    async fn slice(&self, slice: &Slice, answers: &DataAnswers, on_sent: &mut impl FnMut(u64)) -> io::Result<()> {
        let (mut position, mut resident, mut turn) = (0, 0, 0);
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
            let count = usize::try_from((resident - position).min(TURN_BYTES - turn)).unwrap_or(usize::MAX);
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
                    turn = 0;
                    let sent = self.socket.when_writable(send).await;
                    self.watch.awaits(Awaited::Nothing);
                    sent
                }
                sent => sent,
            };
            match sent? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                sent => {
                    position += sent;
                    turn += sent;
                    on_sent(sent);
                }
            }
            if turn >= TURN_BYTES {
                tokio::task::yield_now().await;
                turn = 0;
            }
        }
        Ok(())
    }
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
