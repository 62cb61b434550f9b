//! The bytes of a planned answer as a stream of bounded chunks.

use std::{
    io::{self, ErrorKind},
    sync::Arc,
};

use bytes::Bytes;
use column_store::{Access, SeriesId};
use futures_util::{Stream, StreamExt as _, future, stream};
use metrics_server::{Counter, Handle};

use crate::{
    plan::Plan,
    room::{Room, TakenRoom},
    rows::ColumnRows,
    spare::SpareBuffer,
    turns::Turns,
};

/// Chunks under way at once: the one that is asked for and the one after it.
const CHUNKS_AT_ONCE: usize = 2;

/// Rows of a column that are read together.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Chunk {
    column: usize,
    first_row: u64,
    rows: u64,
}

/// The columns while they are sent.
struct Sending {
    id: Arc<SeriesId>,
    columns: Vec<ColumnRows>,
    room: Option<Room>,
}

/// Streams a plan: its header line, then its columns in pieces of about `chunk_bytes`, one piece ahead of the client. `room`, if
/// given, bounds the pieces of all answers together; `served`, if given, counts the bytes as they are handed on.
///
/// Ends in an error if a file was cut meanwhile: the length was promised, so the connection cannot go on.
pub(crate) fn chunks(
    plan: Plan,
    chunk_bytes: usize,
    reads: Turns,
    room: Option<Room>,
    served: Option<Handle<Counter>>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
    let head = stream::once(future::ready(Ok(Bytes::from(plan.line))));
    let sending = Arc::new(Sending { id: plan.id, columns: plan.columns, room });
    let pieces = pieces(&sending.columns, chunk_bytes);
    let data = stream::iter(pieces)
        .map(move |piece| read(Arc::clone(&sending), piece, reads.clone()))
        .buffered(CHUNKS_AT_ONCE);
    head.chain(data).inspect(move |piece| {
        if let (Ok(bytes), Some(served)) = (piece, &served) {
            served.add(bytes.len() as u64);
        }
    })
}

/// Cuts columns into chunks, lazily: an answer may have very many.
fn pieces(columns: &[ColumnRows], chunk_bytes: usize) -> impl Iterator<Item = Chunk> + Send + Sync + use<> {
    let sizes: Vec<(u64, u64)> =
        columns.iter().map(|rows| (rows.rows(), (chunk_bytes / rows.width()).max(1) as u64)).collect();
    sizes.into_iter().enumerate().flat_map(|(column, (rows, step))| {
        (0..rows.div_ceil(step)).map(move |piece| {
            let first_row = piece * step;
            Chunk { column, first_row, rows: step.min(rows - first_row) }
        })
    })
}

/// Reads at once what is in the page cache, and elsewhere what is not: to hand each chunk to another thread and back costs more
/// than to read it. Rows that lie apart are many reads, and go elsewhere too.
async fn read(sending: Arc<Sending>, chunk: Chunk, reads: Turns) -> io::Result<Bytes> {
    let room = match &sending.room {
        Some(room) => room.take(sending.bytes(chunk)).await,
        None => TakenRoom::none(),
    };
    if sending.columns.get(chunk.column).is_some_and(ColumnRows::is_contiguous) {
        match sending.read(chunk, Access::Resident) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => return read.map(|bytes| room.keeps(bytes)),
        }
    }
    let read = reads.take(move || sending.read(chunk, Access::Disk)).await.map_err(io::Error::other)?;
    read.map(|bytes| room.keeps(bytes))
}

impl Sending {
    fn bytes(&self, chunk: Chunk) -> usize {
        let width = self.columns.get(chunk.column).map_or(0, ColumnRows::width);
        usize::try_from(chunk.rows).unwrap_or(0) * width
    }

    fn read(&self, chunk: Chunk, access: Access) -> io::Result<SpareBuffer> {
        let mut buffer = SpareBuffer::of(self.bytes(chunk));
        let Some(column) = self.columns.get(chunk.column) else { return Ok(buffer) };
        let read = column.read_with(chunk.first_row, buffer.bytes_mut(), access);
        if let Err(error) = &read
            && error.kind() != ErrorKind::WouldBlock
        {
            let (series, column) = (&self.id, column.column().name);
            tracing::warn!(%series, column, %error, "answer cut short, its connection is closed");
        }
        read.map(|()| buffer)
    }
}
