//! The bytes of an answer in one of the formats, as a stream of bounded pieces.

use std::{io, sync::Arc};

use bytes::Bytes;
use column_store::{Column, SeriesId};
use futures_util::{Stream, StreamExt as _, stream};
use metrics_server::{Counter, Handle};

use crate::{
    formats::{ArrowStream, Format, csv_head, push_csv_rows, push_json_lines},
    header_line::header_line,
    room::Room,
    row_set::RowSet,
    rows::ColumnRows,
    table_plan::TablePlan,
    turns::Turns,
};

/// Pieces under way at once: the one that is asked for and the one after it.
const PIECES_AT_ONCE: usize = 2;
/// Bytes of the columns in a piece of text, whose digits take some three times as many.
const TEXT_BYTES: usize = 64 * 1024;
/// Bytes of text for a byte of a column, about.
const TEXT_PER_BYTE: usize = 4;

/// The columns and rows while they are sent.
#[derive(Debug)]
struct Sending {
    id: Arc<SeriesId>,
    columns: Vec<ColumnRows>,
    rows: RowSet,
    form: Form,
}

/// What a format needs beside the rows.
#[derive(Debug)]
enum Form {
    Binary,
    Arrow(ArrowStream),
    Csv,
    JsonLines,
}

#[derive(Clone, Copy, Debug)]
enum Piece {
    Head,
    /// Rows of one column.
    Column {
        column: usize,
        first: u64,
        rows: u64,
    },
    /// Rows of all columns.
    Rows {
        first: u64,
        rows: u64,
    },
    End,
}

/// An answer whose length is known if its format tells.
pub(crate) struct TableStream {
    sending: Arc<Sending>,
    chunk_bytes: usize,
    /// Bytes of the whole, if its format tells.
    pub(crate) length: Option<u64>,
}

impl TableStream {
    /// Of a plan; binary pieces have about `chunk_bytes`.
    pub(crate) fn new(plan: TablePlan, chunk_bytes: usize) -> TableStream {
        let TablePlan { id, columns, rows, format, .. } = plan;
        let form = match format {
            Format::Binary => Form::Binary,
            Format::Arrow => Form::Arrow(ArrowStream::new(columns.iter().map(ColumnRows::column).collect())),
            Format::Csv => Form::Csv,
            Format::JsonLines => Form::JsonLines,
        };
        let count = rows.len();
        let sending = Sending { id, columns, rows, form };
        let length = match &sending.form {
            Form::Binary => Some(sending.header_line().len() as u64 + count * sending.row_bytes() as u64),
            Form::Arrow(arrow) => Some(arrow.length(count)),
            Form::Csv | Form::JsonLines => None,
        };
        TableStream { sending: Arc::new(sending), chunk_bytes, length }
    }

    /// The bytes, read and formed on blocking threads, one piece ahead of the client. `room` bounds the pieces of all answers
    /// together; `served` counts them as they are handed on. Ends in an error if a file was cut meanwhile.
    pub(crate) fn bytes(
        self,
        reads: Turns,
        room: Room,
        served: Handle<Counter>,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
        let sending = self.sending;
        stream::iter(pieces(&sending, self.chunk_bytes))
            .map(move |piece| form(Arc::clone(&sending), piece, reads.clone(), room.clone()))
            .buffered(PIECES_AT_ONCE)
            .inspect(move |piece| {
                if let Ok(bytes) = piece {
                    served.add(bytes.len() as u64);
                }
            })
    }
}

/// The pieces of an answer, lazily: there may be very many.
fn pieces(sending: &Sending, chunk_bytes: usize) -> Box<dyn Iterator<Item = Piece> + Send + Sync> {
    let count = sending.rows.len();
    let in_steps = move |step: u64| (0..count.div_ceil(step)).map(move |at| (at * step, step.min(count - at * step)));
    let of_rows = move |step: u64| {
        let rows = in_steps(step).map(|(first, rows)| Piece::Rows { first, rows });
        Box::new([Piece::Head].into_iter().chain(rows).chain([Piece::End]))
    };
    match &sending.form {
        Form::Binary => {
            let widths: Vec<usize> = sending.columns.iter().map(ColumnRows::width).collect();
            let of_column = move |(column, width): (usize, usize)| {
                let pieces = in_steps((chunk_bytes / width).max(1) as u64);
                pieces.map(move |(first, rows)| Piece::Column { column, first, rows })
            };
            Box::new([Piece::Head].into_iter().chain(widths.into_iter().enumerate().flat_map(of_column)))
        }
        Form::Arrow(arrow) => of_rows(arrow.batch_rows()),
        Form::Csv | Form::JsonLines => of_rows((TEXT_BYTES / sending.row_bytes().max(1)).max(1) as u64),
    }
}

async fn form(sending: Arc<Sending>, piece: Piece, reads: Turns, room: Room) -> io::Result<Bytes> {
    let room = room.take(sending.bytes(piece)).await;
    let formed = reads.take(move || {
        let formed = sending.form(piece);
        if let Err(error) = &formed {
            tracing::warn!(series = %sending.id, %error, "answer cut short, its connection is closed");
        }
        formed
    });
    let formed = formed.await.map_err(io::Error::other)?;
    formed.map(|bytes| room.keeps(bytes))
}

impl Sending {
    fn row_bytes(&self) -> usize {
        self.columns.iter().map(ColumnRows::width).sum()
    }

    /// Bytes of a piece, about.
    fn bytes(&self, piece: Piece) -> usize {
        let of_rows = |rows: u64, row: usize| usize::try_from(rows).unwrap_or(0) * row;
        match (piece, &self.form) {
            (Piece::Column { column, rows, .. }, _) => {
                of_rows(rows, self.columns.get(column).map_or(0, ColumnRows::width))
            }
            (Piece::Rows { rows, .. }, Form::Csv | Form::JsonLines) => of_rows(rows, self.row_bytes() * TEXT_PER_BYTE),
            (Piece::Rows { rows, .. }, _) => of_rows(rows, self.row_bytes()),
            (Piece::Head | Piece::End, _) => 0,
        }
    }

    fn header_line(&self) -> Vec<u8> {
        header_line(&self.columns, self.rows.len())
    }

    fn form(&self, piece: Piece) -> io::Result<Vec<u8>> {
        let columns = || self.columns.iter().map(ColumnRows::column).collect::<Vec<_>>();
        match (piece, &self.form) {
            (Piece::Column { column, first, rows }, _) => match self.columns.get(column) {
                Some(column) => self.rows.read(column, first, rows),
                None => Ok(Vec::new()),
            },
            (Piece::Rows { first, rows }, form) => self.rows_as(form, first, rows),
            (Piece::Head, Form::Binary) => Ok(self.header_line()),
            (Piece::Head, Form::Arrow(arrow)) => Ok(arrow.schema()),
            (Piece::Head, Form::Csv) => Ok(csv_head(&columns())),
            (Piece::End, Form::Arrow(_)) => Ok(ArrowStream::end().to_vec()),
            (Piece::Head, Form::JsonLines) | (Piece::End, _) => Ok(Vec::new()),
        }
    }

    fn rows_as(&self, form: &Form, first: u64, rows: u64) -> io::Result<Vec<u8>> {
        let read = |column: &ColumnRows| Ok((column.column(), self.rows.read(column, first, rows)?));
        let columns: Vec<(&'static Column, Vec<u8>)> = self.columns.iter().map(read).collect::<io::Result<_>>()?;
        let count = usize::try_from(rows).unwrap_or(0);
        let mut bytes = Vec::new();
        match form {
            Form::Csv => push_csv_rows(&mut bytes, &columns, count),
            Form::JsonLines => push_json_lines(&mut bytes, &columns, count),
            Form::Arrow(arrow) => {
                bytes = arrow.batch_head(rows);
                ArrowStream::push_body(&mut bytes, &columns);
            }
            Form::Binary => {}
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use column_store::{Access, Index, Table};
    use futures_util::future::{self, join_all};
    use metrics_server::Registry;
    use tokio::time::timeout;

    use super::*;

    const ROWS: u32 = 1 << 20;
    const ROOM: usize = 1 << 20;

    fn plan(index: &Index) -> TablePlan {
        let (exchange, symbol) = ("x".to_owned(), "y".to_owned());
        let id = Arc::new(SeriesId { exchange, symbol, table: Table::Md });
        let columns = [Table::Md.column("time").unwrap()];
        let found = index.select(&id, &columns, 0, u32::MAX, Access::Disk).unwrap();
        let columns: Vec<_> = found.selection.columns.into_iter().map(|column| ColumnRows::new(column, 1)).collect();
        let rows = RowSet::Every { first: 0, stride: 1, rows: ROWS.into() };
        TablePlan { id, columns, rows, format: Format::Arrow, missing: None }
    }

    /// Clients that take their answers slowly must not make each of them hold what is ready.
    #[tokio::test]
    async fn what_is_ready_of_all_answers_is_bounded() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("x/y/MD");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("time.18.11.26.bin"), 1_794_960_000_u32.to_le_bytes().repeat(ROWS as usize)).unwrap();
        let index = Index::new(root.path(), 64);
        let (room, reads) = (Room::new(ROOM), Turns::new(32));
        let served = Registry::default().counter("served", "Bytes").register().unwrap();
        let stream = || Box::pin(TableStream::new(plan(&index), 1).bytes(reads.clone(), room.clone(), served.clone()));
        let mut streams: Vec<_> = (0..8).map(|_| stream()).collect();
        let mut held = Vec::new();
        for stream in &mut streams {
            while let Ok(Some(piece)) = timeout(Duration::from_millis(50), stream.next()).await {
                held.push(piece.unwrap());
            }
        }
        let ready: usize = held.iter().map(Bytes::len).sum();
        assert!(ready < ROOM + 16 * 1024, "{ready}");
        // Once they are taken, all go on.
        held.clear();
        let taken = |piece: io::Result<Bytes>| {
            drop(piece.unwrap());
            future::ready(())
        };
        let rests = streams.into_iter().map(|stream| stream.for_each(taken));
        timeout(Duration::from_secs(30), join_all(rests)).await.unwrap();
        let whole = TableStream::new(plan(&index), 1).length.unwrap();
        assert_eq!(served.get(), 8 * whole);
    }
}
